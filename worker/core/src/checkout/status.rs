//! What became of a purchase, asked without presenting the payment again.

use super::desk::{Checkout, Deployment};
use super::order::Claim;
use super::outcome::Outcome;
use super::reply::Asked;
use crate::pauses::Patience;
use crate::purchase::{Answered, Join, joined};

impl<'a, D: Deployment> Checkout<'a, D> {
    /// What became of the purchase of a claim. Begins nothing; with [`Patience::NONE`] it also drives nothing on, as
    /// suits a client that polls. The outcome has no offer. While the purchase has not begun, the outcome is pending,
    /// possibly for ever, because the payment may count for another purchase. Only presenting the payment itself again
    /// tells.
    pub async fn status(&self, claim: &Claim, patience: Patience) -> Outcome<'a> {
        let join = Join {
            payer: claim.payer,
            target: claim.target.clone(),
            by_attempted: claim.by_attempted,
        };
        let request_id = claim.request_id.clone();
        let Answered { reply, .. } =
            joined(self.deployment.purchases(), request_id, join, patience).await;
        let asked = Asked {
            request_id: claim.request_id.clone(),
            claim: Some(claim.clone()),
            shown_for: None,
        };
        asked.outcome(reply, |_| None)
    }
}
