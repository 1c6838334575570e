//! The authorization that a payer signs (EIP-3009), and the checks of it that need no signature.

use alloy_primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use crate::types::{UnixSeconds, UsdcAmount};

/// How long an authorization must still be valid, so that it can be included (the reference facilitator's margin).
pub const MIN_REMAINING_SECONDS: u64 = 6;

/// `TransferWithAuthorization`: the transfer that the payer allows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Authorization {
    /// The payer.
    pub from: Address,
    /// The recipient.
    pub to: Address,
    /// The amount, in micro-units of USDC.
    pub value: U256,
    /// The authorization is not valid before this second.
    pub valid_after: U256,
    /// The authorization is not valid at or after this second.
    pub valid_before: U256,
    /// The nonce. The payer uses it only once for this token.
    pub nonce: B256,
}

impl Authorization {
    /// The first second in which the chain no longer accepts the authorization.
    pub fn expires_at(&self) -> UnixSeconds {
        UnixSeconds(u64::try_from(self.valid_before).unwrap_or(u64::MAX))
    }

    /// Checks that the authorization pays exactly this amount to this recipient, and that the payer is neither the
    /// recipient nor the zero address.
    pub(crate) fn check_terms(&self, pay_to: Address, amount: UsdcAmount) -> Result<(), Refusal> {
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

    /// Whether the authorization can be broadcast at `now`.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn authorization() -> Authorization {
        Authorization {
            from: Address::repeat_byte(0x11),
            to: Address::repeat_byte(0x22),
            value: U256::from(15_000),
            valid_after: U256::ZERO,
            valid_before: U256::from(2_000u64),
            nonce: B256::repeat_byte(3),
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
