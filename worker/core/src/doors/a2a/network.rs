//! Tasks whose purchase is on another network than the one that this deployment sells on now.
//!
//! Such a purchase gives no answer here, so nothing is asked and nothing is stored: when its network is sold on again,
//! the task goes on where it stood.

use crate::json;

use super::task::{Said, Stage, Task};
use super::words::refused;
use crate::checkout::Checkout;
use crate::error::{Code, Error};
use crate::types::Network;

/// The network of this task's purchase, if it is not the one that this deployment sells on now. `None` also for a task
/// on which nothing was presented.
pub(super) fn elsewhere<D>(task: &Task, checkout: &Checkout<'_, D>) -> Option<Network> {
    let own = match &task.stage {
        Stage::Delivered { goods, .. } => Network::from_chain_id(goods.claims()?.chain_id?)?,
        stage if task.is_tried() => {
            let keys = &checkout.config.offers.keys;
            keys.open(stage.challenge_id()?)?.terms.network
        }
        _ => return None,
    };
    (own != checkout.config.network).then_some(own)
}

/// Tells the client where its purchase is.
pub(super) fn told_elsewhere(task: &Task, own: Network, now: Network) -> Said {
    let (there, here) = (own.caip2(), now.caip2());
    let more = match task.stage {
        Stage::Delivered { .. } => {
            "It is paid and delivered; its grant opens nothing here, and is shown again when that network is sold on again."
        }
        _ => {
            "Here the purchase can neither be asked nor paid, and nothing is charged for it. What was sent for it may have been \
             charged on its own network: do not pay anew before you know. Ask the seller, or call GetTask when that network is \
             sold on again. To buy something here, send an AccessRequest in a message without taskId."
        }
    };
    let text = format!(
        "This task's purchase is on {there}, and this deployment sells on {here} now. {more}"
    );
    let details = json!({"chainId": now.chain_id(), "offered": own.chain_id()});
    refused(&Error::new(Code::ChainMismatch, text).with_details(details))
}
