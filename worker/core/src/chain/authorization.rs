//! A signed EIP-3009 authorization and the checks that need neither storage nor network (x402 sheet, section 4.4).

use alloy_primitives::{Address, B256, U256, hex};
use serde::{Deserialize, Serialize};

use super::presented::Presented;
use super::signature::{Deployment, PayerSignature};
use super::usdc;
use crate::settlement::wallet::SigningFailed;
use crate::types::WalletKey;
use crate::types::{Network, UnixSeconds, UsdcAmount};
use crate::x402::Refusal;

/// An authorization must stay valid this long, so that it can still be included (the reference facilitator's margin).
pub const MIN_REMAINING_SECONDS: u64 = 6;

/// `TransferWithAuthorization`: what the payer allows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Authorization {
    /// The payer.
    pub from: Address,
    /// The recipient.
    pub to: Address,
    /// Micro-units of USDC.
    pub value: U256,
    /// Not before this second.
    pub valid_after: U256,
    /// Not at or after this second.
    pub valid_before: U256,
    /// Unique for the payer and the token, for ever.
    pub nonce: B256,
}

impl Authorization {
    /// The last moment, in whole seconds, at which the chain accepts it, exclusive.
    pub fn expires_at(&self) -> UnixSeconds {
        UnixSeconds(u64::try_from(self.valid_before).unwrap_or(u64::MAX))
    }

    /// Whether it pays this amount to this recipient, and somebody else does.
    pub(super) fn check_terms(&self, pay_to: Address, amount: UsdcAmount) -> Result<(), Refusal> {
        if self.to != pay_to {
            return Err(Refusal::InvalidExactEvmPayloadRecipientMismatch);
        }
        if self.value != amount.to_u256() || amount.is_zero() {
            return Err(Refusal::InvalidExactEvmPayloadAuthorizationValueMismatch);
        }
        if self.from.is_zero() || self.from == pay_to {
            return Err(Refusal::InvalidExactEvmPayloadPayer);
        }
        Ok(())
    }

    /// Whether it can be broadcast at `now`.
    pub fn check_time(&self, now: UnixSeconds) -> Result<(), Refusal> {
        if self.expires_at().0 < now.0.saturating_add(MIN_REMAINING_SECONDS) {
            return Err(Refusal::InvalidExactEvmPayloadAuthorizationValidBefore);
        }
        if self.valid_after > U256::from(now.0) {
            return Err(Refusal::InvalidExactEvmPayloadAuthorizationValidAfter);
        }
        Ok(())
    }
}

/// An authorization whose signature is the payer's. Holding one proves that somebody controlled the payer's key, or its
/// contract wallet.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SignedAuthorization {
    /// What was signed.
    pub(crate) authorization: Authorization,
    /// The payer's signature.
    pub(crate) signature: PayerSignature,
}

impl SignedAuthorization {
    /// Checks recipient, value, payer and the signature of a key, without asking anybody.
    pub fn verify(
        authorization: Authorization,
        signature: &[u8],
        network: Network,
        pay_to: Address,
        amount: UsdcAmount,
    ) -> Result<Self, Refusal> {
        match Presented::new(authorization, signature, network, pay_to, amount)? {
            Presented::Proven(signed) => Ok(signed),
            Presented::Claimed(_) => Err(Refusal::InvalidExactEvmPayloadSignature),
        }
    }

    /// Signs an authorization with a wallet of ours, which must be its `from`.
    pub fn sign(
        key: &WalletKey,
        authorization: Authorization,
        network: Network,
    ) -> Result<Self, SigningFailed> {
        let digest = usdc::authorization_digest(&authorization, network);
        let signature = key.sign(&digest).map_err(|_| SigningFailed)?;
        Ok(Self {
            authorization,
            signature: PayerSignature::Key(signature),
        })
    }

    /// What was signed.
    pub fn authorization(&self) -> &Authorization {
        &self.authorization
    }

    /// The signature as x402 writes it. (Of a wallet that does not exist yet, the one that it will accept.)
    pub fn signature_hex(&self) -> String {
        match &self.signature {
            PayerSignature::Key(signature) => hex::encode_prefixed(signature.as_bytes()),
            PayerSignature::Wallet(signature) => hex::encode_prefixed(&signature.bytes),
        }
    }

    /// What must be done before the transfer, if the payer's wallet does not exist yet.
    pub fn deployment(&self) -> Option<&Deployment> {
        match &self.signature {
            PayerSignature::Key(_) => None,
            PayerSignature::Wallet(signature) => signature.deployment.as_ref(),
        }
    }

    /// The payer.
    pub fn payer(&self) -> Address {
        self.authorization.from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMOUNT: UsdcAmount = UsdcAmount::from_units(15_000);

    fn key() -> WalletKey {
        WalletKey::from_hex(&format!("{:064x}", 5)).unwrap()
    }

    fn authorization() -> Authorization {
        Authorization {
            from: key().address(),
            to: Address::repeat_byte(0x22),
            value: AMOUNT.to_u256(),
            valid_after: U256::ZERO,
            valid_before: U256::from(2_000u64),
            nonce: B256::repeat_byte(3),
        }
    }

    fn verify(
        authorization: Authorization,
        network: Network,
    ) -> Result<SignedAuthorization, Refusal> {
        let digest = usdc::authorization_digest(&authorization, network);
        let signature = key().sign(&digest).unwrap().as_bytes();
        let pay_to = Address::repeat_byte(0x22);
        SignedAuthorization::verify(
            authorization,
            &signature,
            Network::BaseSepolia,
            pay_to,
            AMOUNT,
        )
    }

    #[test]
    fn a_correct_authorization_is_accepted() {
        assert_eq!(
            verify(authorization(), Network::BaseSepolia)
                .unwrap()
                .payer(),
            key().address()
        );
    }

    #[test]
    fn the_domain_of_another_network_is_a_wrong_signature() {
        assert_eq!(
            verify(authorization(), Network::Base),
            Err(Refusal::InvalidExactEvmPayloadSignature)
        );
    }

    #[test]
    fn each_changed_member_has_its_reason() {
        type Change = fn(&mut Authorization);
        let cases: [(Change, Refusal); 5] = [
            (
                |a| a.to = Address::repeat_byte(0x23),
                Refusal::InvalidExactEvmPayloadRecipientMismatch,
            ),
            (
                |a| a.value += U256::from(1),
                Refusal::InvalidExactEvmPayloadAuthorizationValueMismatch,
            ),
            (
                |a| a.value = U256::MAX,
                Refusal::InvalidExactEvmPayloadAuthorizationValueMismatch,
            ),
            (
                |a| a.from = Address::ZERO,
                Refusal::InvalidExactEvmPayloadPayer,
            ),
            (
                |a| a.from = Address::repeat_byte(0x22),
                Refusal::InvalidExactEvmPayloadPayer,
            ),
        ];
        for (change, refusal) in cases {
            let mut changed = authorization();
            change(&mut changed);
            assert_eq!(verify(changed, Network::BaseSepolia), Err(refusal));
        }
    }

    #[test]
    fn any_member_changed_after_signing_is_a_wrong_signature() {
        let signed = authorization();
        let digest = usdc::authorization_digest(&signed, Network::BaseSepolia);
        let signature = key().sign(&digest).unwrap().as_bytes();
        type Change = fn(&mut Authorization);
        let changes: [Change; 4] = [
            |a| a.from = Address::repeat_byte(9),
            |a| a.valid_after = U256::from(1),
            |a| a.valid_before += U256::from(1),
            |a| a.nonce = B256::repeat_byte(4),
        ];
        for change in changes {
            let mut changed = signed.clone();
            change(&mut changed);
            let verdict = SignedAuthorization::verify(
                changed,
                &signature,
                Network::BaseSepolia,
                Address::repeat_byte(0x22),
                AMOUNT,
            );
            assert_eq!(verdict, Err(Refusal::InvalidExactEvmPayloadSignature));
        }
    }

    #[test]
    fn the_time_window_is_checked_with_its_margin() {
        let mut authorization = authorization();
        authorization.valid_after = U256::from(1_000u64);
        let check = |now| authorization.check_time(UnixSeconds(now));
        assert_eq!(
            check(999),
            Err(Refusal::InvalidExactEvmPayloadAuthorizationValidAfter)
        );
        assert_eq!(check(1_000), Ok(()));
        assert_eq!(check(1_994), Ok(()));
        assert_eq!(
            check(1_995),
            Err(Refusal::InvalidExactEvmPayloadAuthorizationValidBefore)
        );
    }

    #[test]
    fn a_validity_beyond_all_calendars_is_accepted() {
        let mut authorization = authorization();
        authorization.valid_before = U256::MAX;
        assert_eq!(authorization.check_time(UnixSeconds(1_800_000_000)), Ok(()));
    }
}
