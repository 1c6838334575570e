//! Payment by a signed authorization.
//!
//! A payment that sends its offer back is judged by that offer. A payment without an offer (no client of x402 version 1
//! sends one) is judged by the current offer. If the seller has changed price, wallet or catalog meanwhile, such a
//! payment is refused, and its client would pay anew, even if the first payment succeeded and only the answer was lost.
//! The same can happen to a payment that sends back a later offer for the same purchase. So before such a payment is
//! refused, its signature is checked against its own content: it must be the payer's, whatever recipient and amount it
//! names. Then the purchase is asked. If it has begun already, for that wallet and that amount, it answers; this
//! question never begins a purchase.

use super::desk::{Checkout, Deployment};
use super::order::{Claim, Order};
use super::outcome::{Outcome, Unpaid};
use super::payment::Payment;
use super::quote::{Quote, Wish};
use super::reply::{Asked, claim};
use super::stop::Stop;
use crate::book::TargetKey;
use crate::chain::usdc::payment_fingerprint;
use crate::chain::{Presented, SignedAuthorization};
use crate::offer::Offer;
use crate::purchase::{Answered, Join, Pay, PayReply, Sale, Sold, purchase};
use crate::types::{CallFault, RequestId, UsdcAmount};
use crate::x402::Refusal;

/// Why a payment does not fit its offer.
struct Unfit {
    refusal: Refusal,
    /// The members that the payment repeats and that differ from the offer.
    mismatches: Vec<&'static str>,
}

impl Unfit {
    /// Whether all that is wrong with the payment may be due to a change that the seller made since it was signed.
    fn may_be_dated(&self, order: &Order) -> bool {
        match self.refusal {
            Refusal::InvalidPaymentRequirements => self.mismatches.iter().all(|name| match *name {
                // These members may come from another offer for the same purchase.
                "amount" | "payTo" | "challengeId" => true,
                // The seller may have moved to another host, or let a plan open the route since.
                "realm" | "header" => true,
                // The client may have sent the same order in other words.
                "digest" => true,
                "resourceId" => order.resource.is_none(),
                _ => false,
            }),
            Refusal::InvalidExactEvmPayloadRecipientMismatch
            | Refusal::InvalidExactEvmPayloadAuthorizationValueMismatch => true,
            _ => false,
        }
    }
}

impl<'a, D: Deployment> Checkout<'a, D> {
    /// Presents a payment. Begins the payment's purchase, or tells what became of it if it has begun.
    pub async fn pay(&self, order: &Order, payment: &Payment<'_>) -> Outcome<'a> {
        self.pay_noting(order, payment, async |_| Ok(())).await
    }

    /// Like [`Checkout::pay`], for a door whose client asks again without its payment. `note` gets the right to ask,
    /// after the payer is proven and before the purchase is asked. What the door writes in `note` survives a crash at
    /// any later moment. When `note` fails, nothing begins.
    pub async fn pay_noting(
        &self,
        order: &Order,
        payment: &Payment<'_>,
        note: impl AsyncFnOnce(&Claim) -> Result<(), CallFault>,
    ) -> Outcome<'a> {
        let wish = match self.wish(order, payment.challenge_id) {
            Ok(wish) => wish,
            // The target is no longer sold, but this payment may have bought it earlier.
            Err(why) => match self.earlier(order, payment, |_| None).await {
                None
                | Some(Outcome::PayAgain {
                    why: Unpaid::Refused(_),
                    ..
                }) => return Outcome::Stopped { why },
                Some(outcome) => return outcome,
            },
        };
        let offer = match payment.challenge_id {
            Some(id) => match self.opened(id) {
                Ok(offer) => offer,
                Err(why) => return Outcome::Stopped { why },
            },
            None => {
                let request_id = order.request_id.clone();
                let request_id = request_id.unwrap_or_else(|| self.derived(payment));
                self.price(&wish, request_id, order.chosen).offer
            }
        };
        let quote = |is_renewed| Some(self.instead(order, &wish, is_renewed));
        let refused = |unfit: Unfit| Outcome::PayAgain {
            why: Unpaid::Refused(unfit.refusal),
            mismatches: unfit.mismatches,
            transaction: None,
            booked: false,
            quote: quote(false),
        };
        let presented = match judge(order, payment, &offer) {
            Ok(presented) => presented,
            Err(unfit) => {
                if unfit.may_be_dated(order)
                    && let Some(outcome) = self.earlier(order, payment, quote).await
                {
                    return outcome;
                }
                return refused(unfit);
            }
        };
        let factories = &self.config.gas.factories;
        let authorization = match presented.prove(self.deployment.chain(), factories).await {
            Ok(Ok(authorization)) => authorization,
            Ok(Err(refusal)) => {
                return refused(Unfit {
                    refusal,
                    mismatches: Vec::new(),
                });
            }
            Err(_) => {
                return Outcome::Stopped {
                    why: Stop::PaymentUnchecked,
                };
            }
        };
        let join = Join {
            payer: authorization.payer(),
            target: TargetKey::of(&offer.terms),
            by_attempted: false,
        };
        if let Some(claim) = claim(&offer.terms.request_id, join)
            && note(&claim).await.is_err()
        {
            return Outcome::Stopped {
                why: Stop::Unavailable,
            };
        }
        self.present(order, payment, &wish, offer, authorization)
            .await
    }

    /// What has become of a payment that was presented before, for the purchase that the order names. Begins nothing.
    /// `None` if there is no such purchase that the caller may know of.
    pub async fn recall(&self, order: &Order, payment: &Payment<'_>) -> Option<Outcome<'a>> {
        self.earlier(order, payment, |_| None).await
    }

    /// Presents a checked payment to its purchase.
    async fn present(
        &self,
        order: &Order,
        payment: &Payment<'_>,
        wish: &Wish<'a>,
        offer: Offer,
        authorization: SignedAuthorization,
    ) -> Outcome<'a> {
        let target = match payment.challenge_id {
            Some(_) => TargetKey::of(&offer.terms),
            // The cheapest plan, and the first resource of a plan, may have changed since the payment was made.
            None => order.covered(),
        };
        let sale = Sale {
            sold: Sold::of(&offer.terms, self.config).map(|sold| sold.shown_by(order.by_holder)),
            issuer: self.origin.as_str().to_owned(),
            chosen: order.chosen,
            offer,
        };
        let request_id = sale.offer.terms.request_id.clone();
        let pay = self.question(payment, request_id, authorization, target, Some(sale));
        let (asked, reply) = self.ask(order, pay).await;
        asked.outcome(reply, |is_renewed| {
            Some(self.instead(order, wish, is_renewed))
        })
    }

    fn question(
        &self,
        payment: &Payment<'_>,
        request_id: RequestId,
        authorization: SignedAuthorization,
        target: TargetKey,
        sale: Option<Sale>,
    ) -> Pay {
        Pay {
            request_id,
            authorization,
            identifier: payment.identifier,
            target,
            network: self.config.network,
            sale,
        }
    }

    /// Asks a purchase. Without a reply the outcome is not known, and a new offer would invite a second payment.
    async fn ask(&self, order: &Order, pay: Pay) -> (Asked<'static>, Option<PayReply>) {
        let Answered {
            request_id,
            join,
            reply,
        } = purchase(self.deployment.purchases(), pay, order.patience).await;
        let asked = Asked {
            claim: claim(&request_id, join),
            request_id,
            shown_for: None,
        };
        (asked, reply)
    }

    /// The outcome of a purchase that this payment may have begun earlier. `None` if there is no such purchase that the
    /// caller may know of.
    async fn earlier(
        &self,
        order: &Order,
        payment: &Payment<'_>,
        quote: impl FnOnce(bool) -> Option<Quote<'a>>,
    ) -> Option<Outcome<'a>> {
        let config = self.config;
        let sealed = payment.challenge_id.map(|id| config.offers.keys.open(id));
        let request_id = match (&order.request_id, &sealed) {
            (Some(id), _) => id.clone(),
            (None, Some(offer)) => offer.as_ref()?.terms.request_id.clone(),
            (None, None) => self.derived(payment),
        };
        let target = match (&order.target, &sealed) {
            // The payment may have bought what its offer names, unless the client names another resource now.
            (None, Some(Some(offer))) => {
                let terms = &offer.terms;
                let resource = order.resource.as_ref().unwrap_or(&terms.resource);
                TargetKey::new(&terms.target, resource)
            }
            _ => order.covered(),
        };
        let claimed = payment.authorization;
        let presented = Presented::new(
            claimed.clone(),
            payment.signature,
            config.network,
            claimed.to,
            UsdcAmount::from_units(u64::try_from(claimed.value).ok()?),
        );
        let proven = presented
            .ok()?
            .prove(self.deployment.chain(), &config.gas.factories);
        let authorization = match proven.await {
            Ok(Ok(authorization)) => authorization,
            Ok(Err(_)) => return None,
            Err(_) => {
                return Some(Outcome::Stopped {
                    why: Stop::PaymentUnchecked,
                });
            }
        };
        let pay = self.question(payment, request_id, authorization, target, None);
        match self.ask(order, pay).await {
            (_, Some(PayReply::Conflict)) => None,
            (asked, reply) => Some(asked.outcome(reply, quote)),
        }
    }

    /// The offer to pay instead: under the client's own request id, or under a new one if that purchase takes no other
    /// payment.
    fn instead(&self, order: &Order, wish: &Wish<'a>, is_renewed: bool) -> Quote<'a> {
        let own = order.request_id.clone().filter(|_| !is_renewed);
        let chosen = own.is_some() && order.chosen;
        let request_id = own.unwrap_or_else(|| self.new_id(0));
        Quote {
            first: self.price(wish, request_id, chosen),
            more: Vec::new(),
            is_ordered: true,
        }
    }

    /// The request id of a payment whose client names none: the same through every door.
    fn derived(&self, payment: &Payment<'_>) -> RequestId {
        let (from, nonce) = (payment.authorization.from, payment.authorization.nonce);
        RequestId::derived(&payment_fingerprint(self.config.network, from, nonce))
    }
}

/// Compares the payment with the offer, as far as that can be done without asking the chain or a purchase.
fn judge(order: &Order, payment: &Payment<'_>, offer: &Offer) -> Result<Presented, Unfit> {
    let terms = &offer.terms;
    let mut mismatches = order.contradictions(terms);
    mismatches.extend(payment.echo.mismatches(offer));
    if !mismatches.is_empty() {
        mismatches.dedup();
        return Err(Unfit {
            refusal: Refusal::InvalidPaymentRequirements,
            mismatches,
        });
    }
    Presented::new(
        payment.authorization.clone(),
        payment.signature,
        terms.network,
        terms.pay_to,
        terms.amount,
    )
    .map_err(|refusal| Unfit {
        refusal,
        mismatches,
    })
}
