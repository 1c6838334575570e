//! What became of a purchase, asked without presenting the payment again.

use super::desk::{Checkout, Deployment};
use super::order::Claim;
use super::outcome::Outcome;
use super::reply::Asked;
use crate::pauses::Patience;
use crate::purchase::{PayReply, joined};

impl<'a, D: Deployment> Checkout<'a, D> {
    /// What became of the purchase of a claim. Begins nothing; with [`Patience::NONE`] it drives nothing on either, which is
    /// what a client that polls needs. There is no offer in the outcome.
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
