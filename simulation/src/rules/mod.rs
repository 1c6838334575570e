//! The money rules of `design.md`, section 6: watched at every step, and compared with the model chain at the end.

mod end;
mod replies;
mod steps;

pub use end::{Ending, at_end, late_payments};
pub use replies::{Asker, on_reply};
pub use steps::{on_broadcast, on_change, on_job};

use key0_core::types::RequestId;
use key0_core::wallet::JobKey;

/// The purchase that a job of the gas wallet is for.
fn purchase_of(key: &JobKey) -> Option<RequestId> {
    key.0.split('#').next()?.parse().ok()
}
