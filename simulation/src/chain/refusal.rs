//! Why USDC moves no money.

use alloy_primitives::U256;
use key0_core::chain::SignedAuthorization;

use super::ledger::Ledger;

impl Ledger {
    /// Why the contract would refuse an authorization at `timestamp`.
    pub(super) fn refusal(
        &self,
        signed: &SignedAuthorization,
        timestamp: u64,
        balance: u64,
        used: bool,
    ) -> Option<&'static str> {
        let authorization = signed.authorization();
        if U256::from(timestamp) <= authorization.valid_after {
            return Some("execution reverted: FiatTokenV2: authorization is not yet valid");
        }
        if U256::from(timestamp) >= authorization.valid_before {
            return Some("execution reverted: FiatTokenV2: authorization is expired");
        }
        if used {
            return Some("execution reverted: FiatTokenV2: authorization is used or canceled");
        }
        let blocked = self.is_blocked(authorization.from) || self.is_blocked(authorization.to);
        if blocked || U256::from(balance) < authorization.value {
            let key = (authorization.from, authorization.nonce);
            *self.refusals.borrow_mut().entry(key).or_default() += 1;
            return Some(if blocked {
                "execution reverted: Blacklistable: account is blacklisted"
            } else {
                "execution reverted: ERC20: transfer amount exceeds balance"
            });
        }
        None
    }
}
