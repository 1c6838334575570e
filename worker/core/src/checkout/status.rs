//! What became of a purchase, asked without presenting the payment again.

use super::desk::{Checkout, Deployment};
use super::order::Claim;
use super::outcome::Outcome;
use super::reply::Asked;
use crate::pauses::Patience;
use crate::purchase::{PayReply, joined};

impl<'a, D: Deployment> Checkout<'a, D> {
    /// Asks on the strength of a claim. Begins nothing; without patience it drives nothing either.
    pub async fn status(&self, claim: &Claim, patience: Patience) -> Outcome<'a> {
        let reply = joined(
            self.deployment.purchases(),
            claim.request_id.clone(),
            claim.payer,
            claim.target.clone(),
            patience,
        );
        let reply = reply.await;
        let asked = Asked {
            request_id: claim.request_id.clone(),
            claim: Some(claim.clone()),
            shown_for: None,
        };
        let reply = reply.unwrap_or(PayReply::Pending { transaction: None });
        asked.outcome(reply, |_| None)
    }
}
