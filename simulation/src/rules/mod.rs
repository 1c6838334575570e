//! The money rules (`docs/architecture.md`): watched at every step, and compared with the model chain at the end.

mod book;
mod calls;
mod conversations;
mod denials;
mod end;
mod hashes;
mod money;
mod notices;
mod outages;
mod refunds;
mod replies;
mod retention;
mod routes;
mod settling;
mod steps;
mod streams;
mod tasks;
mod terms;
mod tools;
mod wallet;

pub use book::on_book;
pub use calls::{on_broadcast, on_effect, on_issue};
pub use conversations::{
    at_rest, charged_for_one_wish, on_grant_shown, on_list, on_not_found, on_offer, on_view,
};
pub use denials::{Told, on_end_without_money, on_refusal};
pub use end::{Tally, at_end, is_kept, presented_first, tally};
pub use money::must_be_honoured;
pub use notices::{all_told, on_notice};
pub use outages::{Deliveries, on_called};
pub use refunds::noticed;
pub use replies::{Asker, is_about_a_refund, on_outcome, on_poll, on_proof_outcome};
pub use retention::{
    answers_as_left, answers_proof_as_left, calls_gone, closed, on_removed, without_history,
};
pub use routes::{on_call, on_call_arrived, on_call_reply};
pub use settling::{on_facilitator, on_facilitator_answer};
pub use steps::on_change;
pub use streams::on_piece;
pub use tasks::{all_gone, on_tasks, on_tasks_removed};
pub use terms::{on_answer_elsewhere, on_call_elsewhere};
pub use tools::{on_tool, on_tool_answer, on_tool_offer};
pub use wallet::{on_job, on_job_done};

use key0_core::purchase::Purchase;
use key0_core::settlement::wallet::JobKey;
use key0_core::types::RequestId;

use crate::objects::PurchaseObject;
use crate::world::World;

/// The purchase that a job of the gas wallet is for.
fn purchase_of(key: &JobKey) -> Option<RequestId> {
    key.0.split(['#', ' ']).next()?.parse().ok()
}

/// Whether the chain has moved a purchase's money.
fn is_executed(world: &World, object: &PurchaseObject, record: &Purchase) -> bool {
    money::received(world, object, record).is_some()
}
