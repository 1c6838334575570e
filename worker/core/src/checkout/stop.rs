//! Why a call ends without goods and without an offer: for each reason its code, its sentence and what to do next.

use crate::json;
use crate::json::Put as _;
use alloy_primitives::B256;

use super::order::Claim;
use http::Method;

use crate::catalog::Catalog;
use crate::chain::transfer::{ProofFault, SHOW_SECONDS};
use crate::error::{Code, Error};
use crate::goods::OriginFault;
use crate::meter::Barred;
use crate::offer::{Target, Terms};
use crate::pauses::COME_BACK_SECONDS;
use crate::purchase::NotNow;
use crate::types::{HttpUrl, Network, RequestId, ResourceId, RouteId, Status};
use crate::x402::Refusal;

/// Why a call ends without goods and without an offer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stop {
    /// The catalog has nothing under this name.
    NotSold {
        /// The name.
        target: Target,
    },
    /// The plan or call does not open the resource that was named.
    NotOpened {
        /// The plan or the call.
        target: Target,
        /// The resources that it opens.
        resources: Vec<ResourceId>,
    },
    /// No plan opens the resource that was named.
    NothingOpens,
    /// The offer that is paid was not made here, or was altered.
    ForeignOffer,
    /// The offer for which a proof of a transfer is shown was not made here, or was altered.
    ForeignProof,
    /// The transfer or its offer belongs to another chain.
    OtherChain {
        /// The chain of the offer.
        offered: u64,
        /// The chain that the buyer names.
        presented: Option<u64>,
    },
    /// The request contradicts the offer for which a transfer is shown.
    Contradicts(
        /// The members that contradict the offer.
        Vec<&'static str>,
    ),
    /// The proof of a transfer has no signature.
    Unsigned,
    /// The signature of a proof is not the payer's.
    NotThePayers,
    /// A contract wallet could not be asked about the signature of a payment.
    PaymentUnchecked,
    /// A contract wallet could not be asked about the signature of a proof.
    ProofUnchecked,
    /// The purchase with this request id is another one: of another plan or call, or of another payer.
    Conflict,
    /// The purchase of the offer for which a transfer is shown is another one: of another plan or call, or of another
    /// payer.
    ProofConflict,
    /// The authorization belongs to another purchase.
    Taken,
    /// The transaction has transfers that pay enough, but each of them belongs to another purchase.
    TransferTaken,
    /// The client has given this payment a name (the x402 extension `payment-identifier`) that belongs to another
    /// payment.
    NamedOtherwise,
    /// An earlier payment of this purchase failed.
    Spent(
        /// Why it failed.
        Refusal,
    ),
    /// The purchase is delivered, and the payment that was presented is public by now, so it does not prove who
    /// presents it.
    SignAgain {
        /// The purchase.
        request_id: RequestId,
    },
    /// The purchase was delivered, and the access that it gave has ended.
    AccessEnded {
        /// The purchase.
        request_id: RequestId,
        /// The payment.
        transaction: B256,
    },
    /// The call was paid for and delivered, and its answer is no longer kept.
    AnswerGone {
        /// The purchase.
        request_id: RequestId,
        /// The payment.
        transaction: B256,
    },
    /// The seller's API gave no answer that can be passed on to the buyer.
    Origin {
        /// Why there is no answer.
        fault: OriginFault,
        /// The payment that goes back, where money had arrived before the call.
        refund: Option<B256>,
    },
    /// Too many calls of this payer are under way, or ended without a charge. Nothing was begun.
    TooManyCalls {
        /// For how long no call for this payer is begun.
        seconds: u64,
    },
    /// The payment is for a call, and came without the call.
    CallMissing {
        /// The route.
        route: RouteId,
        /// The method of the call.
        method: Method,
        /// The path of the route, with its parameters.
        path: ResourceId,
    },
    /// A transfer was shown for a call. Only a signed authorization pays for a call.
    NotByTransfer,
    /// The purchase could not be delivered, and the money went back.
    Refunded {
        /// The transaction that returned the money.
        transaction: Option<B256>,
    },
    /// The purchase could not be delivered, and the money could not be returned so far.
    RefundFailed {
        /// The purchase. The client must not learn it if the claim [is by what was attempted](Claim::is_by_attempted).
        request_id: RequestId,
        /// The right to ask whether the money was returned, if the payer was proven.
        claim: Option<Claim>,
    },
    /// Too many of the payer's transfers have reverted.
    Paused {
        /// For how long no purchase of this payer is begun.
        seconds: u64,
    },
    /// The payment could not be checked. Nothing was begun.
    Unavailable,
    /// A purchase that begins now could not be completed. Nothing was begun.
    NotNow(NotNow),
    /// The grant takes no such top-up. Nothing was begun.
    Barred(Barred),
    /// The transaction does not pay the offer.
    NotPaid {
        /// Why the transaction does not pay.
        fault: ProofFault,
        /// The offer's terms.
        terms: Box<Terms>,
    },
}

/// What a client may do about a [`Stop`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retry {
    /// The client can do nothing.
    Never,
    /// Send the same request again, later.
    Same,
    /// Sign anew under the same request id; the new signature is not charged.
    SignAgain,
    /// Send the payment that had this name before; or sign a new payment and give it another name.
    Rename,
    /// Begin anew under another request id.
    NewId,
}

impl Stop {
    /// The stop for a payment of these terms that came without the call that they are for. `None` if they are for no
    /// call of a route that exists.
    pub fn without_its_call(terms: &Terms, catalog: &Catalog) -> Option<Self> {
        let Target::Route { id, .. } = &terms.target else {
            return None;
        };
        let route = catalog.route(id)?;
        Some(Self::CallMissing {
            route: id.clone(),
            method: route.method.clone(),
            path: route.resource.clone(),
        })
    }

    /// What a client may do about this stop.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::PaymentUnchecked
            | Self::ProofUnchecked
            | Self::RefundFailed { .. }
            | Self::Paused { .. }
            | Self::TooManyCalls { .. }
            | Self::CallMissing { .. }
            | Self::Unavailable
            | Self::NotNow(_) => Retry::Same,
            Self::SignAgain { .. } => Retry::SignAgain,
            Self::NamedOtherwise => Retry::Rename,
            Self::ForeignOffer
            | Self::Conflict
            | Self::Taken
            | Self::Spent(_)
            | Self::AccessEnded { .. }
            | Self::AnswerGone { .. }
            | Self::Origin { .. }
            | Self::Refunded { .. } => Retry::NewId,
            Self::NotSold { .. }
            | Self::NotOpened { .. }
            | Self::NothingOpens
            | Self::ForeignProof
            | Self::OtherChain { .. }
            | Self::Contradicts(_)
            | Self::Unsigned
            | Self::NotThePayers
            | Self::ProofConflict
            | Self::TransferTaken
            | Self::NotByTransfer
            | Self::Barred(_)
            | Self::NotPaid { .. } => Retry::Never,
        }
    }

    /// Whether the transfer that was shown can never pay the offer, whoever shows it. A transfer from another wallet
    /// than the signer's is not meant here: it may still pay when the owner of that wallet shows it.
    pub const fn is_no_payment(&self) -> bool {
        match self {
            Self::TransferTaken | Self::NotByTransfer => true,
            Self::NotPaid { fault, .. } => !matches!(fault, ProofFault::PayerMismatch),
            _ => false,
        }
    }

    /// After how many seconds the same request may have another outcome.
    pub(super) const fn retry_after(&self) -> Option<u64> {
        match self {
            Self::PaymentUnchecked | Self::Unavailable => Some(COME_BACK_SECONDS),
            Self::Paused { seconds } | Self::TooManyCalls { seconds } => Some(*seconds),
            Self::NotNow(why) => Some(not_now(*why).seconds),
            _ => None,
        }
    }

    /// The reason in the form that x402 defines.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::NotSold { .. } | Self::NotOpened { .. } | Self::NothingOpens => "not_sold",
            Self::ForeignOffer | Self::ForeignProof => "challenge_not_found",
            Self::OtherChain { .. } => "chain_mismatch",
            Self::Contradicts(_) => "contradiction",
            Self::Unsigned => "signature_missing",
            Self::NotThePayers => "invalid_signature",
            Self::PaymentUnchecked | Self::ProofUnchecked | Self::Unavailable => {
                "unexpected_verify_error"
            }
            Self::Conflict | Self::ProofConflict => "request_conflict",
            Self::Taken | Self::TransferTaken | Self::SignAgain { .. } => {
                "invalid_exact_evm_nonce_already_used"
            }
            Self::NamedOtherwise => "payment_identifier_conflict",
            Self::Spent(refusal) => refusal.code(),
            Self::AccessEnded { .. } => "access_ended",
            Self::AnswerGone { .. } => "answer_gone",
            Self::Origin { fault, .. } => origin_fault(*fault).reason,
            Self::TooManyCalls { .. } => TOO_MANY_CALLS,
            Self::CallMissing { .. } => "call_missing",
            Self::NotByTransfer => "not_by_transfer",
            Self::Refunded { .. } | Self::RefundFailed { .. } => "refunded",
            Self::Paused { .. } => TOO_MANY_REVERTS,
            Self::NotNow(why) => not_now(*why).reason,
            Self::Barred(_) => "not_topped_up",
            Self::NotPaid { fault, .. } => fault.code(),
        }
    }

    /// What happened, as the error that the client gets.
    pub fn error(&self, origin: &HttpUrl, network: Network) -> Error {
        match self {
            Self::NotSold { target } => not_sold(target, origin),
            Self::NotOpened { target, resources } => {
                let (kind, id) = (target.kind(), target.id());
                Error::invalid_request(format!(
                    "The {kind} \"{id}\" does not open this resourceId; details list the ones it opens."
                ))
                .with_details(json!({"resourceIds": resources}))
            }
            Self::NothingOpens => {
                let catalog = origin.join("/discover");
                Error::invalid_request(format!(
                    "No plan opens this resourceId. The price list at {catalog} says what each plan opens."
                ))
                .with_details(json!({"discover": catalog}))
            }
            Self::ForeignOffer => Error::new(
                Code::ChallengeNotFound,
                "The challengeId was not issued here or was altered. Ask for a new offer; nothing was charged.",
            ),
            Self::ForeignProof => Error::new(
                Code::ChallengeNotFound,
                "The challengeId was not issued here or was altered. Use the one of the offer that was paid.",
            ),
            Self::OtherChain { offered, presented } => {
                let sold_on = network.chain_id();
                let details = json!({"chainId": sold_on, "offered": offered, "presented": presented});
                Error::new(
                    Code::ChainMismatch,
                    format!("Only transfers on chain {sold_on} are accepted, for offers made for it."),
                )
                .with_details(details)
            }
            Self::Contradicts(members) => Error::invalid_request(
                "What was sent beside the proof contradicts the offer that it names. Leave out the members in details, or \
                 send what the offer says.",
            )
            .with_details(json!({"mismatch": members})),
            Self::Unsigned => no_proof(
                self.reason(),
                "A transfer can be seen by everybody. Sign the text of the challengeId with the wallet that paid (EIP-191, \
                 personal_sign) and send it as the proof's `signature`.",
            ),
            Self::NotThePayers => no_proof(
                self.reason(),
                "The signature is not the payer's. Sign the text of the challengeId with the wallet that paid (EIP-191, \
                 personal_sign); a contract wallet is named in the proof's `payer` and must accept the signature (EIP-1271).",
            ),
            Self::PaymentUnchecked | Self::Unavailable => Error::new(
                Code::AdapterError,
                "The payment could not be checked right now, and nothing was charged for this request. Send the same again, unchanged.",
            ),
            Self::ProofUnchecked => Error::new(
                Code::AdapterError,
                "The wallet could not be asked about its signature right now. Send the same proof again.",
            ),
            Self::Conflict => Error::new(
                Code::RequestConflict,
                "This requestId belongs to another purchase. Ask for an offer under a new requestId; nothing was charged \
                 for this request.",
            ),
            Self::ProofConflict => Error::new(
                Code::RequestConflict,
                "The requestId of this offer belongs to a purchase of another payer or of something else. Send the proof of the \
                 wallet that paid for it.",
            ),
            Self::Taken => Error::new(
                Code::TxAlreadyRedeemed,
                "This authorization belongs to another purchase, which it may have paid for; nothing was charged for this request. \
                 Before you sign anew, learn that purchase's outcome: send the authorization where it was sent first, or under that \
                 purchase's requestId.",
            ),
            Self::TransferTaken => Error::new(
                Code::TxAlreadyRedeemed,
                "Each transfer of this transaction that pays enough belongs to another purchase. One transfer pays one purchase.",
            ),
            Self::NamedOtherwise => Error::new(
                Code::RequestConflict,
                "This payment-identifier was given to another payment before. Send that payment again, or sign a new one \
                 with a new identifier; nothing was charged for this request.",
            ),
            Self::Spent(refusal) => Error::new(
                Code::RequestConflict,
                "An earlier payment for this requestId failed, and it takes no other one. Choose a new requestId; \
                 nothing was charged.",
            )
            .with_details(json!({"reason": refusal.code()})),
            Self::SignAgain { request_id } => Error::new(
                Code::TxAlreadyRedeemed,
                // The request id follows from the payment, and only the x402 door sells under such an id.
                format!(
                    "This purchase was delivered, and its payment is public on chain by now: it no longer proves who asks, and \
                     sent again it never will. Sign a new authorization and send it to {} with the requestId in the details; \
                     there it is not charged.",
                    origin.join("/x402/access")
                ),
            )
            .with_details(json!({"requestId": request_id})),
            Self::AccessEnded {
                request_id,
                transaction,
            } => Error::new(
                Code::AccessEnded,
                "This purchase was paid and delivered, and the access that it gave has ended. Nothing was charged again. \
                 Choose a new requestId to buy again.",
            )
            .with_details(json!({
                "requestId": request_id,
                "state": Status::Delivered,
                "transaction": transaction,
            })),
            Self::AnswerGone {
                request_id,
                transaction,
            } => Error::new(
                Code::AnswerGone,
                "This call was paid for and its answer delivered, and the answer is no longer kept. The call is not made again, and \
                 nothing was charged again. To call again, sign a new payment.",
            )
            .with_details(json!({"requestId": request_id, "transaction": transaction})),
            Self::Origin { fault, refund } => not_answered(*fault, *refund),
            Self::TooManyCalls { seconds } => Error::new(
                Code::RateLimited,
                "This wallet has too many calls under way, or too many of its last ones ended without being charged for. Nothing was \
                 called or charged for this request. Send the same again after details.retryAfterSeconds.",
            )
            .with_details(json!({"reason": TOO_MANY_CALLS, "retryAfterSeconds": seconds})),
            Self::CallMissing {
                route,
                method,
                path,
            } => call_missing(route, method, path, origin),
            Self::NotByTransfer => no_proof(
                self.reason(),
                "A call is paid for by a signed authorization only, not by a transfer. Ask the seller to send the money back.",
            ),
            Self::Refunded { transaction } => returned(Status::Refunded, *transaction, network),
            Self::RefundFailed { .. } => returned(Status::RefundFailed, None, network),
            Self::Paused { seconds } => Error::new(
                Code::RateLimited,
                "The last transfers of this wallet were included and reverted, which cost the seller gas each time. Nothing was \
                 sent or charged for this request. Make sure that the wallet accepts the transfer also when it is executed, and \
                 send the same again after details.retryAfterSeconds; or pay from another wallet.",
            )
            .with_details(json!({"reason": TOO_MANY_REVERTS, "retryAfterSeconds": seconds})),
            Self::NotNow(why) => {
                let wait = not_now(*why);
                Error::new(Code::TemporarilyUnavailable, wait.message).with_details(
                    json!({"reason": wait.reason, "retryAfterSeconds": wait.seconds}),
                )
            }
            Self::Barred(why) => barred(*why),
            Self::NotPaid { fault, terms } => not_paid(*fault, terms),
        }
    }
}

fn barred(why: Barred) -> Error {
    let (code, message) = match why {
        // Whether the grant exists is told only to those who may top it up.
        Barred::NotGranted | Barred::NotYours => (
            Code::NotFound,
            "No access under this id can be topped up by this wallet. Send the access token itself in `grant`, or pay from the \
             wallet that bought the access; `grant` is then the requestId of that purchase. Nothing was charged.",
        ),
        Barred::OtherPlan => (
            Code::RequestConflict,
            "An access is topped up with the plan that it was bought with. Send that planId; nothing was charged.",
        ),
        Barred::OtherQuota => (
            Code::RequestConflict,
            "The plan counts in another way than it did when the access was bought, so it cannot be added to it. Buy the plan \
             anew, without `grant`; nothing was charged.",
        ),
        Barred::Revoked => (
            Code::RequestConflict,
            "This access was taken back, and cannot be topped up. Nothing was charged.",
        ),
        Barred::TooOften => (
            Code::RequestConflict,
            "This access was topped up as often as is possible. Buy the plan anew, without `grant`; nothing was charged.",
        ),
        Barred::Withdrawn => (
            Code::RequestConflict,
            "This top-up was withdrawn. Ask for a new offer.",
        ),
    };
    Error::new(code, message)
}

fn call_missing(route: &RouteId, method: &Method, path: &ResourceId, origin: &HttpUrl) -> Error {
    let (url, here) = (origin.join(path.as_str()), origin.join("/x402/access"));
    Error::new(
        Code::MissingResourceField,
        format!(
            "This payment is for a call of route \"{route}\", and this request does not say which: nothing was called or charged for \
             it. Send the same payment with that call, unchanged: {method} {url}, or to {here} with routeId and resource.path."
        ),
    )
    .with_details(json!({"reason": "call_missing", "routeId": route, "method": method.as_str(), "url": url}))
}

const TOO_MANY_REVERTS: &str = "too_many_reverts";
const TOO_MANY_CALLS: &str = "too_many_calls";

/// The error for a call that has brought no answer.
struct NoAnswer {
    code: Code,
    reason: &'static str,
    happened: &'static str,
}

const fn origin_fault(fault: OriginFault) -> NoAnswer {
    let (code, reason, happened) = match fault {
        OriginFault::Unreachable => (
            Code::AdapterError,
            "origin_unreachable",
            "could not be reached",
        ),
        OriginFault::Timeout => (
            Code::TokenIssueTimeout,
            "origin_timeout",
            "did not answer in time",
        ),
        OriginFault::Cut => (
            Code::AdapterError,
            "origin_cut",
            "ended its answer too early",
        ),
        OriginFault::TooLarge => (
            Code::AnswerTooLarge,
            "answer_too_large",
            "gave an answer that is too large to be kept for its payment",
        ),
        OriginFault::Redirect => (
            Code::AdapterError,
            "origin_redirect",
            "redirects to a place that is not passed on",
        ),
        OriginFault::Busy => (
            Code::AdapterError,
            "gateway_busy",
            "was not called, because too many answers are held",
        ),
    };
    NoAnswer {
        code,
        reason,
        happened,
    }
}

fn not_answered(fault: OriginFault, refund: Option<B256>) -> Error {
    let NoAnswer {
        code,
        reason,
        happened,
    } = origin_fault(fault);
    let money = match refund {
        None => "Nothing was charged.",
        Some(_) => "The money is being sent back to the payer.",
    };
    let mut details = json!({"reason": reason});
    if let (Some(hash), Some(members)) = (refund, details.as_object_mut()) {
        members.put("transaction", json!(hash));
    }
    Error::new(
        code,
        format!("The seller's API {happened}. {money} To call again, sign a new payment."),
    )
    .with_details(details)
}

fn not_sold(target: &Target, origin: &HttpUrl) -> Error {
    let (kind, id) = (target.kind(), target.id());
    let catalog = origin.join("/discover");
    Error::new(
        Code::TierNotFound,
        format!("There is no {kind} \"{id}\" for sale. The price list at {catalog} names what is."),
    )
    .with_details(json!({(target.member()): id, "discover": catalog}))
}

/// The error for a proof that proves nothing, with what to send instead.
fn no_proof(reason: &'static str, message: &'static str) -> Error {
    Error::new(Code::InvalidProof, message).with_details(json!({"reason": reason}))
}

/// Why nothing is begun for now, and for how long.
struct Wait {
    reason: &'static str,
    seconds: u64,
    message: &'static str,
}

const fn not_now(why: NotNow) -> Wait {
    let (reason, seconds, message) = match why {
        NotNow::DeliveriesFail { seconds } => (
            "deliveries_fail",
            seconds,
            "The seller cannot deliver at the moment. Nothing was sent or charged for this request. Send the same again after \
             details.retryAfterSeconds.",
        ),
        NotNow::CallsFail { seconds } => (
            "calls_fail",
            seconds,
            "The seller's API keeps failing for this kind of call. Nothing was sent or charged for this request. Send the same \
             again after details.retryAfterSeconds.",
        ),
        NotNow::NobodySettles => (
            "nobody_settles",
            5,
            "The seller cannot have payments settled at the moment, so no call is made. Nothing was sent or charged for this \
             request. Send the same again after details.retryAfterSeconds.",
        ),
        NotNow::UnderWay => (
            "payments_under_way",
            2,
            "The wallet's USDC does not cover this payment together with its others that are being settled. Nothing was sent or \
             charged for this request. Send the same again after details.retryAfterSeconds, when those have arrived.",
        ),
        NotNow::Crowded => (
            "too_many_under_way",
            5,
            "This wallet is a contract and has as many payments under way as it may have at a time; with each one that \
             succeeds it may have one more. Nothing was sent or charged for this request. Send the same again after \
             details.retryAfterSeconds.",
        ),
        NotNow::ChainStandsStill => (
            "chain_stands_still",
            10,
            "The chain makes no blocks at the moment, so no payment is begun. Nothing was sent or charged for this request. \
             Send the same again after details.retryAfterSeconds.",
        ),
        NotNow::GasWalletEmpty => (
            "gas_wallet_empty",
            60,
            "The seller cannot pay for transactions at the moment. Nothing was sent or charged for this request. Send \
             the same again after details.retryAfterSeconds.",
        ),
        NotNow::GasTooDear => (
            "gas_too_dear",
            60,
            "Gas costs more at the moment than the seller pays for a sale of this price. Nothing was sent or charged for this \
             request. Send the same again after details.retryAfterSeconds.",
        ),
    };
    Wait {
        reason,
        seconds,
        message,
    }
}

/// The transaction does not pay the offer.
fn not_paid(fault: ProofFault, terms: &Terms) -> Error {
    match fault {
        ProofFault::AmountMismatch(received) => Error::new(
            Code::AmountMismatch,
            format!(
                "The offer costs {}, the transfer is of {received}. Several transfers are not added up.",
                terms.amount
            ),
        )
        .with_details(json!({"expected": terms.amount, "received": received})),
        ProofFault::TransferAfterExpiry => Error::new(
            Code::ChallengeExpired,
            "The transfer was included after the offer had expired. Ask the seller to send it back.",
        )
        .with_details(json!({"expiresAt": terms.expires_at.to_iso(), "reason": fault.code()})),
        ProofFault::ShownTooLate => Error::new(
            Code::ChallengeExpired,
            "A transfer can be shown until 30 days after the end of its offer, and that time is over. Ask the seller to send the \
             money back.",
        )
        .with_details(json!({
            "expiresAt": terms.expires_at.to_iso(),
            "showBefore": terms.expires_at.plus(SHOW_SECONDS).to_iso(),
            "reason": fault.code(),
        })),
        ProofFault::WalletNotUsed => no_proof(
            fault.code(),
            "The offer names a wallet that the seller no longer uses. Ask the seller to send the money back.",
        ),
        ProofFault::NotIncluded => no_proof(
            fault.code(),
            "The transaction is not on chain, and what is included now is too late for this offer: it cannot pay it any more. If it \
             is included after all, ask the seller to send the money back.",
        ),
        ProofFault::TransactionReverted => {
            no_proof(fault.code(), "The transaction reverted: no money moved.")
        }
        ProofFault::NoTransfer => no_proof(
            fault.code(),
            "The transaction holds no ordinary USDC transfer to the seller. (What an authorization moved is no such transfer: \
             send the signed payment instead.)",
        ),
        ProofFault::PayerMismatch => no_proof(
            fault.code(),
            "The transfer came from another wallet than the one that signed the challengeId.",
        ),
        ProofFault::TransferBeforeOffer => no_proof(
            fault.code(),
            "The transfer is older than the offer. Pay after you have asked for the price.",
        ),
        // These two are pending outcomes, which have their own errors.
        ProofFault::TxUnconfirmed | ProofFault::AuthorizationOpen(_) => {
            Error::new(Code::TxUnconfirmed, "Send the same proof again.")
        }
    }
}

/// What became of the money of a purchase that could not be delivered.
pub(super) fn returned(status: Status, transaction: Option<B256>, network: Network) -> Error {
    let message = match status {
        Status::Refunded => {
            "The purchase could not be delivered, and its money was sent back to the payer. What was signed for it since was not \
             charged. To buy again, use a new requestId."
        }
        Status::RefundFailed => {
            "The purchase could not be delivered and the refund has not succeeded yet. The seller has been told."
        }
        _ => "The purchase could not be delivered. The money is being sent back to the payer.",
    };
    Error::new(Code::TokenIssueFailed, message).with_details(json!({
        "state": status,
        "refundTransaction": transaction,
        "refundExplorerUrl": transaction.map(|hash| format!("{}/tx/{hash}", network.explorer())),
    }))
}
