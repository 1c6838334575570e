//! The way of a call through the real A2A door to the objects that hold the tasks.

use core::cell::RefMut;
use std::collections::BTreeMap;
use std::rc::Rc;

use http::header::HeaderMap;
use key0_core::doors::a2a::{
    Arrival, ContextKey, Conversations, Desk, TaskCommand, TaskReply, answer,
};
use key0_core::purchase::{Ask, PayReply};
use key0_core::types::{CallFault, RequestId};
use serde_json::Value;

use super::{Door, ask_door};
use crate::network::call;
use crate::objects;
use crate::world::World;

const CONTEXT_DEADLINE_MILLIS: u64 = 5_000;

/// Sends a call. `None`: no answer arrived.
pub(in crate::actors) async fn send(
    world: &Rc<World>,
    about: &str,
    headers: HeaderMap,
    body: Vec<u8>,
) -> Option<Value> {
    ask_door(world, about, move |door| {
        let (headers, body) = (headers.clone(), body.clone());
        async move { door.converse(&headers, &body).await }
    })
    .await
}

impl Door {
    async fn converse(&self, headers: &HeaderMap, body: &[u8]) -> Option<Value> {
        let checkout = self.checkout()?;
        let desk = Desk {
            checkout: &checkout,
            conversations: self,
            random: [self.world.random.bytes(), self.world.random.bytes()],
            now: self.world.now(),
        };
        let arrival = Arrival {
            headers,
            query: "",
            body,
        };
        let response = answer(&desk, &arrival).await;
        serde_json::from_slice(response.body()).ok()
    }

    /// For the rules: notes that a purchase is about to be asked, perhaps on a task.
    pub(super) fn is_asked(&self, id: &RequestId, ask: &Ask) -> Option<(String, RequestId)> {
        let (Some(task), Ask::Pay(_) | Ask::Prove(_)) = (&*self.task.borrow(), ask) else {
            return None;
        };
        let asked = (task.clone(), id.clone());
        *self.open_questions().entry(asked.clone()).or_default() += 1;
        Some(asked)
    }

    /// For the rules: notes that the purchase has answered.
    pub(super) fn is_answered(&self, asked: &(String, RequestId), reply: &PayReply) {
        if let PayReply::Elsewhere { request_id, .. } = reply {
            let (from, to) = (asked.1.clone(), request_id.clone());
            self.world.market.led.borrow_mut().insert(from, to);
        }
        let has_begun_nothing = matches!(
            reply,
            PayReply::Unavailable
                | PayReply::Unbegun
                | PayReply::NotNow(_)
                | PayReply::Paused { .. }
                | PayReply::Refused { begun: false, .. }
                | PayReply::Withdrawn
                | PayReply::Conflict
                | PayReply::Taken
                | PayReply::NamedOtherwise
                | PayReply::Unproven(_)
        );
        if has_begun_nothing && let Some(open) = self.open_questions().get_mut(asked) {
            *open -= 1;
        }
    }

    fn open_questions(&self) -> RefMut<'_, BTreeMap<(String, RequestId), u32>> {
        self.world.market.asked.borrow_mut()
    }
}

impl Conversations for Door {
    async fn ask(
        &self,
        context: ContextKey,
        command: &TaskCommand,
    ) -> Result<TaskReply, CallFault> {
        let task = match command {
            TaskCommand::Read { id } => Some(id.to_string()),
            TaskCommand::Keep(task) | TaskCommand::Restore(task) => Some(task.id.to_string()),
            TaskCommand::List(_) => None,
        };
        self.task.replace(task);
        let command = command.clone();
        let callee = move |world: &Rc<World>, sender| {
            objects::ask_context(world, context, command.clone(), sender)
        };
        let deadline = CONTEXT_DEADLINE_MILLIS;
        let answer = call(&self.world, &self.life, "context", deadline, callee);
        answer.await.map_err(CallFault)
    }
}
