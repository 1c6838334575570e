//! Why a payment was refused, as codes of the x402 specification.
//! <https://github.com/x402-foundation/x402/blob/main/specs/x402-specification-v2.md>

use serde::{Deserialize, Serialize};

/// A reason code: the specification's own code if it has one, or else that of the reference library.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The header is not base64, not JSON, or not a payment.
    InvalidPayload,
    /// The payment uses another version of x402.
    InvalidX402Version,
    /// The client has accepted something that is not one of our offers.
    InvalidPaymentRequirements,
    /// The signature is not the payer's.
    InvalidExactEvmPayloadSignature,
    /// The authorization pays another recipient.
    InvalidExactEvmPayloadRecipientMismatch,
    /// The authorization expires too soon or has expired.
    InvalidExactEvmPayloadAuthorizationValidBefore,
    /// The authorization is not valid yet.
    InvalidExactEvmPayloadAuthorizationValidAfter,
    /// The authorization is over another amount.
    InvalidExactEvmPayloadAuthorizationValueMismatch,
    /// The authorization's payer cannot pay here: it is the zero address or the seller itself.
    InvalidExactEvmPayloadPayer,
    /// The authorization was used or cancelled on chain.
    InvalidExactEvmNonceAlreadyUsed,
    /// The payer's wallet does not exist, and the seller does not list the factory that would create it.
    Eip6492FactoryNotAllowed,
    /// The factory does not create the payer's wallet.
    SmartWalletDeploymentFailed,
    /// The payer has not enough USDC.
    InsufficientFunds,
    /// The chain would refuse the transfer for another reason.
    InvalidExactEvmTransactionSimulationFailed,
    /// The transaction was included and reverted.
    InvalidExactEvmTransactionFailed,
    /// The transaction succeeded, but the money did not arrive.
    InvalidExactEvmTransferEventMismatch,
    /// A facilitator does not settle the payment, for a reason of its own.
    UnexpectedSettleError,
    /// The authorization is valid for longer than is allowed for a call that is paid after its answer.
    CallAuthorizationTooLong,
    /// The offer of a call ends before its answer could be charged for.
    CallOfferTooShort,
    /// The seller's API has answered, with a status that is not charged for.
    CallUncharged,
    /// The call was given up before anything was charged for it.
    CallUnfinished,
}

impl Refusal {
    /// The code that clients get.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidPayload => "invalid_payload",
            Self::InvalidX402Version => "invalid_x402_version",
            Self::InvalidPaymentRequirements => "invalid_payment_requirements",
            Self::InvalidExactEvmPayloadSignature => "invalid_exact_evm_payload_signature",
            Self::InvalidExactEvmPayloadRecipientMismatch => {
                "invalid_exact_evm_payload_recipient_mismatch"
            }
            Self::InvalidExactEvmPayloadAuthorizationValidBefore => {
                "invalid_exact_evm_payload_authorization_valid_before"
            }
            Self::InvalidExactEvmPayloadAuthorizationValidAfter => {
                "invalid_exact_evm_payload_authorization_valid_after"
            }
            Self::InvalidExactEvmPayloadAuthorizationValueMismatch => {
                "invalid_exact_evm_payload_authorization_value_mismatch"
            }
            Self::InvalidExactEvmPayloadPayer => "invalid_exact_evm_payload_payer",
            Self::InvalidExactEvmNonceAlreadyUsed => "invalid_exact_evm_nonce_already_used",
            Self::Eip6492FactoryNotAllowed => "eip6492_factory_not_allowed",
            Self::SmartWalletDeploymentFailed => "smart_wallet_deployment_failed",
            Self::InsufficientFunds => "insufficient_funds",
            Self::InvalidExactEvmTransactionSimulationFailed => {
                "invalid_exact_evm_transaction_simulation_failed"
            }
            Self::InvalidExactEvmTransactionFailed => "invalid_exact_evm_transaction_failed",
            Self::InvalidExactEvmTransferEventMismatch => {
                "invalid_exact_evm_transfer_event_mismatch"
            }
            Self::UnexpectedSettleError => "unexpected_settle_error",
            Self::CallAuthorizationTooLong => "call_authorization_too_long",
            Self::CallOfferTooShort => "call_offer_too_short",
            Self::CallUncharged => "call_uncharged",
            Self::CallUnfinished => "call_unfinished",
        }
    }

    /// A text that says what is wrong, what to do, and what it means for the buyer's money. That nothing was charged is
    /// said of this request only: the same payment may have counted before, in another form or for another request.
    pub const fn message(self) -> &'static str {
        match self {
            Self::InvalidPayload => {
                "The payment header is not a payment: send base64 of one JSON PaymentPayload, at most 16 KiB; x402 version 2 in PAYMENT-SIGNATURE, version 1 in X-PAYMENT. Nothing was charged for this request."
            }
            Self::InvalidX402Version => {
                "Send x402Version 2 in the PAYMENT-SIGNATURE header, or x402Version 1 in X-PAYMENT. Nothing was charged for this request."
            }
            Self::InvalidPaymentRequirements => {
                "No matching payment requirements: copy one entry of `accepts` unchanged into `accepted` (x402 version 1: its scheme and network). Nothing was charged for this request."
            }
            Self::InvalidExactEvmPayloadSignature => {
                "The signature does not belong to `from`. Sign with the EIP-712 domain given in `extra.name` and `extra.version`. An account with code (a smart wallet) must accept it by EIP-1271. Nothing was charged for this request."
            }
            Self::InvalidExactEvmPayloadRecipientMismatch => {
                "The authorization must pay the address in `payTo`. Nothing was charged for this request."
            }
            Self::InvalidExactEvmPayloadAuthorizationValidBefore => {
                "The authorization has expired or expires within seconds. Sign a new one; nothing was charged."
            }
            Self::InvalidExactEvmPayloadAuthorizationValidAfter => {
                "The authorization is not valid yet: `validAfter` lies in the future. Nothing was charged."
            }
            Self::InvalidExactEvmPayloadAuthorizationValueMismatch => {
                "The authorization must be over exactly the `amount` of the offer. Nothing was charged for this request."
            }
            Self::InvalidExactEvmPayloadPayer => {
                "This `from` cannot pay: it is the zero address or the seller itself. Nothing was charged."
            }
            Self::InvalidExactEvmNonceAlreadyUsed => {
                "The authorization was already used or cancelled on chain. Sign a new one with a fresh nonce."
            }
            Self::Eip6492FactoryNotAllowed => {
                "The payer's smart wallet is not deployed, and this seller does not deploy wallets of that factory. Deploy it first, then sign anew."
            }
            Self::SmartWalletDeploymentFailed => {
                "The factory call in the signature does not deploy the wallet `from`. Nothing was charged."
            }
            Self::InsufficientFunds => {
                "The payer's USDC balance is below the price. Nothing was charged."
            }
            Self::InvalidExactEvmTransactionSimulationFailed => {
                "The chain would refuse this transfer. Nothing was charged."
            }
            Self::InvalidExactEvmTransactionFailed => {
                "The transfer was included and reverted: no money moved. Sign a new authorization to try again."
            }
            Self::InvalidExactEvmTransferEventMismatch => {
                "The transaction succeeded but did not transfer the price to the seller."
            }
            Self::UnexpectedSettleError => {
                "The seller's facilitator does not settle this payment. Nothing was charged."
            }
            Self::CallAuthorizationTooLong => {
                "This call is paid for after its answer, so its authorization may be good for a day at most. Sign one with an earlier `validBefore`; nothing was charged."
            }
            Self::CallOfferTooShort => {
                "The offer, or the authorization, would end before the answer could be charged for. Pay this new offer; nothing was charged."
            }
            Self::CallUncharged => {
                "The call was made for this payment, and its answer was none that is charged for. To call again, sign a new authorization; nothing was charged."
            }
            Self::CallUnfinished => {
                "The call for this payment did not come to its end. To call again, sign a new authorization; nothing was charged."
            }
        }
    }

    /// The refusal that a facilitator's code means, if the code means for certain that no money was moved. Each
    /// facilitator has its own codes.
    pub fn of_facilitator(code: &str) -> Option<Self> {
        Some(match code {
            "insufficient_funds" | "invalid_exact_evm_insufficient_balance" => {
                Self::InsufficientFunds
            }
            "invalid_exact_evm_payload_signature"
            | "invalid_exact_evm_signature"
            | "invalid_exact_evm_payload_signature_address"
            | "invalid_exact_evm_payload_typed_data_message"
            | "invalid_signature" => Self::InvalidExactEvmPayloadSignature,
            "invalid_exact_evm_payload_recipient_mismatch"
            | "invalid_exact_evm_recipient_mismatch"
            | "recipient_mismatch" => Self::InvalidExactEvmPayloadRecipientMismatch,
            "invalid_exact_evm_payload_authorization_valid_before" | "invalid_payment_expired" => {
                Self::InvalidExactEvmPayloadAuthorizationValidBefore
            }
            "invalid_exact_evm_payload_authorization_valid_after" | "invalid_payment_early" => {
                Self::InvalidExactEvmPayloadAuthorizationValidAfter
            }
            "invalid_exact_evm_payload_authorization_value_mismatch"
            | "invalid_exact_evm_payload_authorization_value_too_low"
            | "invalid_exact_evm_payload_authorization_value"
            | "invalid_exact_evm_authorization_value"
            | "invalid_payment_amount" => Self::InvalidExactEvmPayloadAuthorizationValueMismatch,
            "invalid_exact_evm_nonce_already_used" => Self::InvalidExactEvmNonceAlreadyUsed,
            "invalid_exact_evm_transaction_simulation_failed"
            | "invalid_transaction_state"
            | "transaction_simulation" => Self::InvalidExactEvmTransactionSimulationFailed,
            "eip6492_factory_not_allowed" => Self::Eip6492FactoryNotAllowed,
            "smart_wallet_deployment_failed" => Self::SmartWalletDeploymentFailed,
            "accepted_requirements_mismatch"
            | "asset_mismatch"
            | "chain_id_mismatch"
            | "invalid_exact_evm_network_mismatch"
            | "invalid_exact_evm_scheme"
            | "invalid_format"
            | "invalid_network"
            | "invalid_payload"
            | "invalid_payment_requirements"
            | "invalid_scheme"
            | "invalid_x402_version"
            | "network_mismatch"
            | "unsupported_chain"
            | "unsupported_payload_type"
            | "unsupported_scheme"
            | "invalid_exact_evm_payload_authorization_from_address_kyt"
            | "invalid_exact_evm_payload_authorization_to_address_kyt" => {
                Self::UnexpectedSettleError
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_name_is_the_code() {
        for refusal in [
            Refusal::InvalidX402Version,
            Refusal::InsufficientFunds,
            Refusal::InvalidExactEvmPayloadAuthorizationValidBefore,
            Refusal::InvalidExactEvmNonceAlreadyUsed,
            Refusal::Eip6492FactoryNotAllowed,
            Refusal::SmartWalletDeploymentFailed,
            Refusal::UnexpectedSettleError,
        ] {
            assert_eq!(serde_json::to_value(refusal).unwrap(), refusal.code());
        }
    }

    #[test]
    fn a_refusal_before_anything_begins_says_that_nothing_was_charged() {
        for refusal in [
            Refusal::InvalidPayload,
            Refusal::InvalidX402Version,
            Refusal::InvalidPaymentRequirements,
            Refusal::InvalidExactEvmPayloadSignature,
            Refusal::InvalidExactEvmPayloadRecipientMismatch,
            Refusal::InvalidExactEvmPayloadAuthorizationValidBefore,
            Refusal::InvalidExactEvmPayloadAuthorizationValidAfter,
            Refusal::InvalidExactEvmPayloadAuthorizationValueMismatch,
            Refusal::InvalidExactEvmPayloadPayer,
        ] {
            assert!(
                refusal.message().contains("othing was charged"),
                "{refusal:?}"
            );
        }
    }

    #[test]
    fn a_facilitators_own_words_for_our_codes_are_understood() {
        for refusal in [
            Refusal::InsufficientFunds,
            Refusal::InvalidExactEvmPayloadSignature,
            Refusal::InvalidExactEvmPayloadAuthorizationValidBefore,
            Refusal::InvalidExactEvmPayloadAuthorizationValueMismatch,
            Refusal::InvalidExactEvmNonceAlreadyUsed,
        ] {
            assert_eq!(Refusal::of_facilitator(refusal.code()), Some(refusal));
        }
        assert_eq!(
            Refusal::of_facilitator("invalid_payment_expired"),
            Some(Refusal::InvalidExactEvmPayloadAuthorizationValidBefore)
        );
    }

    #[test]
    fn codes_that_leave_open_whether_money_moved_are_no_refusal() {
        for code in [
            "",
            "settlement_pending",
            "settle_exact_evm_transaction_confirmation_timed_out",
            "settle_exact_node_failure",
            // The sending may have failed although a node has the transaction.
            "invalid_exact_evm_transaction_failed",
            "settle_exact_failed_onchain",
            "unexpected_settle_error",
            "unexpected_error",
            "whatever",
        ] {
            assert_eq!(Refusal::of_facilitator(code), None, "{code}");
        }
    }
}
