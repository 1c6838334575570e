//! Whether a payment that is begun now can be brought to its end: the chain makes blocks, and the gas wallet can pay for the
//! transaction, and pays no more for it than the seller wants.

use alloy_primitives::{Address, U256};
use futures_util::future;

use super::effects::gas_limit;
use super::env::PurchaseEnv;
use super::reply::NotNow;
use crate::chain::SignedAuthorization;
use crate::chain::base::Head;
use crate::chain::{Chain, ChainError};
use crate::offer::Terms;
use crate::settlement::wallet::{DataFee, expected_cost, most_cost, offered};

/// A chain whose newest block is older than this stands still: Base makes one every two seconds. A payment that is
/// begun then may expire before the chain goes on, and would revert at the gas wallet's cost.
const MAX_HEAD_AGE_SECONDS: u64 = 30;
/// How long an isolate remembers what the chain says about all payments alike.
const MEMORY_MILLIS: u64 = 1_000;
/// How long an isolate remembers the fee for data. The fee follows the L1 chain, and changes by at most an eighth in
/// twelve seconds.
const DATA_FEE_MEMORY_MILLIS: u64 = 30_000;
/// How long an isolate remembers the tip, which changes slowly.
const TIP_MEMORY_MILLIS: u64 = 60_000;
/// The tip when no node names one, in wei per unit of gas.
const DEFAULT_TIP: u128 = 1_000_000;
/// The least gas that a transfer by authorization takes.
pub(super) const LEAST_GAS: u64 = 50_000;

/// The chain's state as it concerns all payments alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlook {
    /// The newest block, at most a second old.
    pub(super) head: Head,
    /// The price of gas and the gas wallet's ether, if only the gas wallet settles.
    gas: Option<Gas>,
}

#[derive(Clone, Copy, Debug)]
struct Gas {
    tip: u128,
    data: DataFee,
    ether: U256,
}

/// Asks the chain, or takes its last answer if that is recent.
pub(super) async fn look<E: PurchaseEnv>(env: &E) -> Result<Outlook, ChainError> {
    let Some(wallet) = env.config().settlement.only_gas_wallet() else {
        let head = head(env).await?;
        return Ok(Outlook { head, gas: None });
    };
    let (head, tip, data, ether) =
        future::join4(head(env), tip(env), data_fee(env), ether(env, wallet)).await;
    let (head, ether) = (head?, ether?);
    let gas = Some(Gas { tip, data, ether });
    Ok(Outlook { head, gas })
}

impl Outlook {
    /// Why this payment may not begin now, if its transaction uses `gas` units of gas.
    pub(super) fn refusal<E: PurchaseEnv>(
        &self,
        env: &E,
        terms: &Terms,
        payment: &SignedAuthorization,
        gas: u64,
    ) -> Option<NotNow> {
        let age = env.now().to_seconds().0.saturating_sub(self.head.timestamp);
        if age > MAX_HEAD_AGE_SECONDS {
            env.log(
                "chain_stands_still",
                &format!("the newest block is {age} seconds old"),
            );
            return Some(NotNow::ChainStandsStill);
        }
        let Gas { tip, data, ether } = self.gas?;
        let (base_fee, network) = (self.head.base_fee, terms.network);
        // The least ether that the gas wallet must have for this payment. The wallet's own check also counts its other
        // transactions.
        let fees = offered(base_fee, tip);
        if ether < most_cost(payment, network, gas_limit(gas), fees, data) {
            env.log(
                "gas_wallet_empty",
                "the gas wallet is empty: send ether to it",
            );
            return Some(NotNow::GasWalletEmpty);
        }
        let (fee, price) = (base_fee.saturating_add(tip), terms.amount);
        let cost = expected_cost(payment, network, gas, fee, data);
        if env.config().gas.limit.is_exceeded(cost, price) {
            env.log(
                "gas_too_dear",
                &format!("{cost} wei of gas are more than GAS_MAX_SHARE_PERCENT of {price}"),
            );
            return Some(NotNow::GasTooDear);
        }
        None
    }
}

async fn head<E: PurchaseEnv>(env: &E) -> Result<Head, ChainError> {
    let memory = &env.shared().chain.head;
    if let Some((at, head)) = memory.get()
        && env.now().since(at) < MEMORY_MILLIS
    {
        return Ok(head);
    }
    let head = env.chain().head().await?;
    memory.set(Some((env.now(), head)));
    Ok(head)
}

async fn tip<E: PurchaseEnv>(env: &E) -> u128 {
    let memory = &env.shared().chain.tip;
    if let Some((at, tip)) = memory.get()
        && env.now().since(at) < TIP_MEMORY_MILLIS
    {
        return tip;
    }
    let tip = env.chain().priority_fee().await.unwrap_or(DEFAULT_TIP);
    memory.set(Some((env.now(), tip)));
    tip
}

async fn data_fee<E: PurchaseEnv>(env: &E) -> DataFee {
    let memory = &env.shared().chain.data;
    if let Some((at, data)) = memory.get()
        && env.now().since(at) < DATA_FEE_MEMORY_MILLIS
    {
        return data;
    }
    let data = DataFee::read(env.chain()).await;
    memory.set(Some((env.now(), data)));
    data
}

async fn ether<E: PurchaseEnv>(env: &E, wallet: Address) -> Result<U256, ChainError> {
    let memory = &env.shared().chain.ether;
    if let Some((at, whose, wei)) = memory.get()
        && whose == wallet
        && env.now().since(at) < MEMORY_MILLIS
    {
        return Ok(wei);
    }
    let wei = env.chain().ether_balance(wallet).await?;
    memory.set(Some((env.now(), wallet, wei)));
    Ok(wei)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GasLimit;
    use crate::types::UsdcAmount;

    #[test]
    fn gas_is_too_dear_when_it_costs_more_than_its_share_of_the_price() {
        let price = UsdcAmount::from_units(15_000);
        let limit = |max_share_percent| GasLimit {
            max_share_percent,
            dollars_per_ether: 5_000,
        };
        // 60,000 gas at 0.05 gwei are $0.015 at $5,000 an ether.
        let cost = |fee: u64| U256::from(fee * 60_000);
        assert!(!limit(100).is_exceeded(cost(50_000_000), price));
        assert!(limit(100).is_exceeded(cost(50_100_000), price));
        assert!(limit(99).is_exceeded(cost(50_000_000), price));
        assert!(!limit(1_000).is_exceeded(cost(500_000_000), price));
        assert!(limit(u64::MAX / 2).is_exceeded(U256::MAX, price));
    }
}
