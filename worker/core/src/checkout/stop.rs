//! Why a call ends without goods and without an offer: for each reason its code, its sentence and what to do next.

use alloy_primitives::B256;
use serde_json::json;

use super::order::Claim;
use crate::chain::transfer::{ProofFault, SHOW_SECONDS};
use crate::error::{Code, Error};
use crate::offer::{Target, Terms};
use crate::pauses::COME_BACK_SECONDS;
use crate::purchase::NotNow;
use crate::types::{HttpUrl, Network, RequestId, ResourceId, Status};
use crate::x402::Refusal;

/// Why a call ends without goods and without an offer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stop {
    /// The catalog has nothing under this name.
    NotSold {
        /// The name.
        target: Target,
    },
    /// The plan does not open the resource that was named.
    NotOpened {
        /// The plan.
        target: Target,
        /// What it opens.
        resources: Vec<ResourceId>,
    },
    /// No plan opens the resource that was named.
    NothingOpens,
    /// The offer that is paid was not made here, or was altered.
    ForeignOffer,
    /// The offer whose transfer is shown was not made here, or was altered.
    ForeignProof,
    /// The transfer or its offer belongs to another chain.
    OtherChain {
        /// The chain of the offer.
        offered: u64,
        /// The chain that the buyer names.
        presented: Option<u64>,
    },
    /// The request contradicts the offer whose transfer is shown.
    Contradicts(
        /// The members.
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
    /// The purchase is another one: of something else, or of another payer.
    Conflict,
    /// The same, for the offer whose transfer is shown.
    ProofConflict,
    /// The authorization belongs to another purchase.
    Taken,
    /// Each transfer of the transaction that pays enough belongs to another purchase.
    TransferTaken,
    /// The client's name for the payment is another payment's.
    NamedOtherwise,
    /// An earlier payment of this purchase failed.
    Spent(
        /// Why it failed.
        Refusal,
    ),
    /// It is delivered, and what was presented is public by now.
    SignAgain {
        /// The purchase.
        request_id: RequestId,
    },
    /// It was delivered, and the access that it gave has ended.
    AccessEnded {
        /// The purchase.
        request_id: RequestId,
        /// The payment.
        transaction: B256,
    },
    /// It could not be delivered, and the money went back.
    Refunded {
        /// In this transaction.
        transaction: Option<B256>,
    },
    /// It could not be delivered, and the money could not be returned so far.
    RefundFailed {
        /// The right to ask whether it was returned, as for a pending outcome.
        claim: Option<Claim>,
    },
    /// Too many of the payer's transfers have reverted.
    Paused {
        /// For how long nothing of this payer's is begun.
        seconds: u64,
    },
    /// The payment could not be checked. Nothing was begun.
    Unavailable,
    /// What would be begun now could not be brought to its end. Nothing was begun.
    NotNow(NotNow),
    /// The transaction does not pay the offer.
    NotPaid {
        /// Why.
        fault: ProofFault,
        /// The offer's terms.
        terms: Box<Terms>,
    },
}

/// What a client may do about a [`Stop`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retry {
    /// Nothing that a client could do.
    Never,
    /// Send the same again, later.
    Same,
    /// Sign anew under the same request id; it is not charged.
    SignAgain,
    /// Send the payment that was presented before; or sign a new one and call it otherwise.
    Rename,
    /// Begin anew under another request id.
    NewId,
}

impl Stop {
    /// What a client may do about it.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::PaymentUnchecked
            | Self::ProofUnchecked
            | Self::RefundFailed { .. }
            | Self::Paused { .. }
            | Self::Unavailable
            | Self::NotNow(_) => Retry::Same,
            Self::SignAgain { .. } => Retry::SignAgain,
            Self::NamedOtherwise => Retry::Rename,
            Self::ForeignOffer
            | Self::Conflict
            | Self::Taken
            | Self::Spent(_)
            | Self::AccessEnded { .. }
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
            | Self::NotPaid { .. } => Retry::Never,
        }
    }

    /// Whether the transfer that was shown never pays the offer, whoever shows it.
    pub const fn is_no_payment(&self) -> bool {
        match self {
            Self::TransferTaken => true,
            Self::NotPaid { .. } => !self.is_of_another_wallet(),
            _ => false,
        }
    }

    /// Whether another wallet than the signer's made the transfer: then the transfer may still pay for that wallet.
    pub const fn is_of_another_wallet(&self) -> bool {
        let Self::NotPaid { fault, .. } = self else {
            return false;
        };
        matches!(fault, ProofFault::PayerMismatch)
    }

    /// After how many seconds the same request may have another outcome.
    pub(super) const fn retry_after(&self) -> Option<u64> {
        match self {
            Self::PaymentUnchecked | Self::Unavailable => Some(COME_BACK_SECONDS),
            Self::Paused { seconds } => Some(*seconds),
            Self::NotNow(why) => Some(not_now(*why).seconds),
            _ => None,
        }
    }

    /// The reason as x402 tells it.
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
            Self::Refunded { .. } | Self::RefundFailed { .. } => "refunded",
            Self::Paused { .. } => TOO_MANY_REVERTS,
            Self::NotNow(why) => not_now(*why).reason,
            Self::NotPaid { fault, .. } => fault.code(),
        }
    }

    /// What happened, for outside.
    pub fn error(&self, origin: &HttpUrl, network: Network) -> Error {
        match self {
            Self::NotSold { target } => not_sold(target, origin),
            Self::NotOpened { target, resources } => {
                let plan = target.id();
                Error::invalid_request(format!(
                    "Plan \"{plan}\" does not open this resourceId; details list the ones it opens."
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
                "This authorization belongs to another purchase. To buy again, sign a new one for a new offer; nothing was charged \
                 for this request.",
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
                // Its id follows from the payment, and no other door sells under such an id.
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
            Self::NotPaid { fault, terms } => not_paid(*fault, terms),
        }
    }
}

const TOO_MANY_REVERTS: &str = "too_many_reverts";

fn not_sold(target: &Target, origin: &HttpUrl) -> Error {
    let (kind, id) = (target.kind(), target.id());
    let catalog = origin.join("/discover");
    Error::new(
        Code::TierNotFound,
        format!("There is no {kind} \"{id}\". The price list at {catalog} names the plans."),
    )
    .with_details(json!({target.member(): id, "discover": catalog}))
}

/// A proof that proves nothing, and what to send.
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
        // Not over: an outcome of its own.
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
