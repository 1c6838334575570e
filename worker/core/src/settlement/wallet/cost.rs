//! The cost of transactions: gas on the rollup, and the data fee for its L1 chain.

use alloy_primitives::U256;

use super::transaction::Fees;
use crate::chain::Chain;
use crate::chain::SignedAuthorization;
use crate::chain::base::Head;
use crate::chain::settlement_call::settlement_call;
use crate::types::Network;

/// The most that is ever paid per unit of gas, in wei. It is far above any fee seen on Base.
pub(super) const MAX_FEE: u128 = 200_000_000_000;
/// The tip if no node names one, in wei.
const DEFAULT_PRIORITY_FEE: u128 = 1_000_000;
/// The most that a stuck transaction offers, as a multiple of what the newest block asks for.
const MOST_TIMES_MARKET: u128 = 4;
/// The bytes of a transaction without its call: fees, nonce, addresses, signature.
const ENVELOPE_BYTES: usize = 160;

/// The fee for the bytes that a transaction puts on the L1 chain of a rollup.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DataFee {
    /// The fee of a transaction of [`SAMPLE_BYTES`](Self::SAMPLE_BYTES).
    sample: U256,
}

impl DataFee {
    /// The size of the transaction for which the fee is asked. The fee grows in proportion to the size, less a
    /// constant: so a fee taken from a large sample is not too small for smaller transactions.
    pub const SAMPLE_BYTES: usize = 4_096;
    /// The highest fee that is believed, in wei: some ten times the highest seen so far. A false higher fee must not be
    /// able to stop all payments.
    const MOST: u64 = 2_000_000_000_000_000;

    /// Asks for the fee. Without an answer the fee counts as zero: a node refuses what the wallet cannot pay.
    pub async fn read(chain: &impl Chain) -> Self {
        let sample = chain.data_fee(Self::SAMPLE_BYTES).await;
        Self {
            sample: sample.unwrap_or_default().min(U256::from(Self::MOST)),
        }
    }

    /// The fee of a transaction of this size, in wei.
    pub fn of(self, bytes: usize) -> U256 {
        self.sample
            .saturating_mul(U256::from(bytes))
            .div_ceil(U256::from(Self::SAMPLE_BYTES))
    }
}

/// What a payment is expected to cost the wallet that sends it, in wei: gas at this fee, and the data fee.
pub fn expected_cost(
    payment: &SignedAuthorization,
    network: Network,
    gas: u64,
    fee_per_gas: u128,
    data: DataFee,
) -> U256 {
    U256::from(fee_per_gas)
        .saturating_mul(U256::from(gas))
        .saturating_add(data.of(size(payment, network)))
}

/// The most that a payment may cost, in wei, if fees rise before it is included. The wallet accepts no payment for
/// which it has less.
pub fn most_cost(
    payment: &SignedAuthorization,
    network: Network,
    gas_limit: u64,
    fees: Fees,
    data: DataFee,
) -> U256 {
    expected_cost(payment, network, gas_limit, fees.max_fee, data)
}

/// The fees of a new transaction after a block with this base fee.
pub fn offered(base_fee: u128, tip: u128) -> Fees {
    let mut fees = Fees::for_block(base_fee, tip);
    fees.max_fee = fees.max_fee.min(MAX_FEE);
    fees.priority_fee = fees.priority_fee.min(fees.max_fee);
    fees
}

/// The approximate size of a payment's transaction, in bytes.
pub(super) fn size(payment: &SignedAuthorization, network: Network) -> usize {
    let call = settlement_call(payment, network);
    call.input.len().saturating_add(ENVELOPE_BYTES)
}

/// Current fees, and the balance of the wallet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quote {
    /// The fees of a new transaction.
    pub(super) fees: Fees,
    /// The newest block's base fee.
    base_fee: u128,
    /// The wallet's ether, in wei.
    pub(super) balance: U256,
    /// How many of the wallet's transactions are included. What they cost is already subtracted from `balance`.
    pub(super) included: Option<u64>,
    /// The data fee.
    pub(super) data: DataFee,
}

impl Quote {
    pub(super) fn new(
        head: Head,
        tip: Option<u128>,
        balance: U256,
        included: Option<u64>,
        data: DataFee,
    ) -> Self {
        Self {
            fees: offered(head.base_fee, tip.unwrap_or(DEFAULT_PRIORITY_FEE)),
            base_fee: head.base_fee,
            balance,
            included,
            data,
        }
    }

    /// Whether a transaction offers less than the next block may ask for: an eighth above the newest one's base fee, and
    /// the tip.
    pub(super) fn is_above(&self, fees: Fees) -> bool {
        let next = self.base_fee.saturating_add(self.base_fee / 8);
        let tip = self.fees.priority_fee;
        fees.max_fee < next.saturating_add(tip) || fees.priority_fee < tip
    }

    /// Fees with which a transaction replaces one with these fees; `None` if they would be more than makes sense.
    pub(super) fn raised(&self, fees: Fees) -> Option<Fees> {
        let most = self.fees.max_fee.saturating_mul(MOST_TIMES_MARKET);
        let raised = fees.bumped(self.fees);
        (raised.max_fee <= most.min(MAX_FEE)).then_some(raised)
    }
}
