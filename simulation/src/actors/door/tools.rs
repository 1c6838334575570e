//! The way of a call through the real MCP door.

use std::rc::Rc;

use http::header::HeaderMap;
use key0_core::doors::mcp::{Arrival, answer};
use serde_json::Value;

use super::ask_door;
use crate::world::World;

/// Sends a request. `None`: no answer arrived.
pub(in crate::actors) async fn send(
    world: &Rc<World>,
    headers: HeaderMap,
    body: Vec<u8>,
) -> Option<Value> {
    ask_door(world, "a tool", move |door| {
        let (headers, body) = (headers.clone(), body.clone());
        async move {
            let checkout = door.checkout()?;
            let arrival = Arrival {
                headers: &headers,
                body: &body,
            };
            let response = answer(&checkout, &arrival).await;
            serde_json::from_slice(response.body()).ok()
        }
    })
    .await
}
