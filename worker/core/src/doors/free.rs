//! Free calls that are described in JSON.

use super::described::Described;
use crate::checkout::{Calls, Checkout, Deployment, Stop};
use crate::error::Error;
use crate::goods::{CallOf, Goods};
use crate::types::RequestId;

/// Makes a free call. The client gets the answer in the form of a paid one, with an offer's id that says that there was
/// no offer.
pub(super) async fn call<D: Deployment>(
    checkout: &Checkout<'_, D>,
    described: &Described<'_>,
    named: Option<&RequestId>,
) -> Result<Goods, Error> {
    let request_id = named.cloned();
    let request_id = request_id.unwrap_or_else(|| RequestId::from_random(checkout.random));
    let calls = checkout.deployment.purchases();
    match calls.make(described.brought(), &request_id).await {
        Ok(head) => Ok(Goods::Answer {
            of: CallOf {
                challenge_id: format!("free-{request_id}"),
                request_id,
                route_id: described.call.route.id.to_string(),
            },
            head,
            refund: None,
        }),
        Err(fault) => {
            let why = Stop::Origin {
                fault,
                refund: None,
            };
            Err(why.error(&checkout.origin, checkout.config.network))
        }
    }
}
