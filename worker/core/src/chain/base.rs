//! What key0 asks of the chain, as a trait: the rules do not know how the chain is reached.

use core::fmt;
use core::future::Future;
use core::ops::RangeInclusive;

use alloy_primitives::{Address, B256, Bytes, U256};

use super::authorization::SignedAuthorization;
use super::signature::Deployment;
use super::wallet_call::WalletAnswer;

/// The chain could not be asked; asking again later may help. The text is for the log only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChainError(pub String);

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ChainError {}

/// What the chain would do with a transfer now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Simulation {
    /// It would succeed and use about this much gas.
    Succeeds {
        /// Estimated units of gas.
        gas: u64,
    },
    /// It would revert, with this text.
    Reverts(String),
}

/// The newest block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Its time in seconds.
    pub timestamp: u64,
    /// Its base fee in wei per unit of gas.
    pub base_fee: u128,
}

impl Head {
    /// Whether the block of a receipt that was shown after this is there. Some nodes show receipts of a block before it is made,
    /// and it may come without the transaction.
    pub fn covers(&self, receipt: &Receipt) -> bool {
        match self.number == receipt.block {
            true => self.hash == receipt.block_hash,
            false => self.number > receipt.block,
        }
    }
}

/// What became of an included transaction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Receipt {
    /// The transaction.
    pub transaction: B256,
    /// The block that includes it. Nodes also show receipts of the block that is being built, which may come out without it.
    pub block: u64,
    /// That block's hash.
    pub block_hash: B256,
    /// Whether it succeeded.
    pub success: bool,
    /// What it emitted, in order, as far as [`completeness`](Self::completeness) says.
    pub logs: Vec<Log>,
    /// Whether these are all its events.
    pub completeness: Completeness,
}

/// Whether a receipt shows all events of its transaction. Some nodes show a receipt for seconds before they show its events.
/// What counts is the bloom filter that belongs to every receipt and is made of its events.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Completeness {
    /// The filter fits the events.
    Complete,
    /// The filter is empty or missing. So there may be no events; or there are, and the node does not show them yet.
    Unproven,
    /// The filter does not fit the events.
    Contradictory,
}

/// A transfer of USDC to the seller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seen {
    /// Its block.
    pub block: u64,
    /// Its transaction.
    pub transaction: B256,
}

/// What happened to an authorization.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AuthorizationEvents {
    /// The transactions that used it.
    pub used_in: Vec<B256>,
    /// Whether the payer cancelled it.
    pub cancelled: bool,
}

/// One event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Log {
    /// The contract that emitted it.
    pub address: Address,
    /// Signature and indexed members.
    pub topics: Vec<B256>,
    /// The other members.
    pub data: Bytes,
}

/// What a node did with a raw transaction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SendOutcome {
    /// It has it.
    Accepted,
    /// It refused, with this text. Another node may have it all the same.
    Refused(String),
}

impl SendOutcome {
    /// What a node's refusal means. Most say so when they have a transaction already.
    pub fn of_refusal(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let known = ["already known", "already imported", "known transaction"];
        match known.iter().any(|known| lower.contains(known)) {
            true => Self::Accepted,
            false => Self::Refused(text.to_owned()),
        }
    }
}

/// The chain.
pub trait Chain {
    /// What a transfer sent by `sender` would do now.
    fn simulate(
        &self,
        transfer: &SignedAuthorization,
        sender: Address,
    ) -> impl Future<Output = Result<Simulation, ChainError>>;

    /// What a contract wallet says to a signature now, or would say once it was created by `deployment`. Uses a bounded amount of
    /// gas and changes nothing.
    fn wallet_accepts(
        &self,
        wallet: Address,
        digest: B256,
        signature: &Bytes,
        deployment: Option<&Deployment>,
    ) -> impl Future<Output = Result<WalletAnswer, ChainError>>;

    /// Whether an authorization was used or cancelled up to and including the block `at`; without one, as far as the asked
    /// node knows, which may be some blocks behind. Not a proof of payment.
    fn authorization_used(
        &self,
        payer: Address,
        nonce: B256,
        at: Option<u64>,
    ) -> impl Future<Output = Result<bool, ChainError>>;

    /// What happened to an authorization in these blocks, whoever did it. A node may refuse to look through so many of them,
    /// and one that does not have the newest of them shows what it has.
    fn authorization_events(
        &self,
        payer: Address,
        nonce: B256,
        blocks: RangeInclusive<u64>,
    ) -> impl Future<Output = Result<AuthorizationEvents, ChainError>>;

    /// Somebody's USDC.
    fn usdc_balance(&self, account: Address) -> impl Future<Output = Result<U256, ChainError>>;

    /// Whether there is code at an address.
    fn has_code(&self, account: Address) -> impl Future<Output = Result<bool, ChainError>>;

    /// Somebody's ether in wei.
    fn ether_balance(&self, account: Address) -> impl Future<Output = Result<U256, ChainError>>;

    /// The newest block.
    fn head(&self) -> impl Future<Output = Result<Head, ChainError>>;

    /// The time of a block in seconds; `None` when the asked node does not have it.
    fn block_time(&self, number: u64) -> impl Future<Output = Result<Option<u64>, ChainError>>;

    /// The tip per unit of gas that gets a transaction included, in wei.
    fn priority_fee(&self) -> impl Future<Output = Result<u128, ChainError>>;

    /// The most that a rollup charges for the bytes of a transaction of this size, in wei, beside its gas. A chain that is no
    /// rollup charges nothing.
    fn data_fee(&self, bytes: usize) -> impl Future<Output = Result<U256, ChainError>> {
        let _ = bytes;
        core::future::ready(Ok(U256::ZERO))
    }

    /// A transaction's receipt, once it is included.
    fn receipt(
        &self,
        transaction: B256,
    ) -> impl Future<Output = Result<Option<Receipt>, ChainError>>;

    /// How many transactions an account has sent that are included.
    fn included_count(&self, account: Address) -> impl Future<Output = Result<u64, ChainError>>;

    /// The same with those that wait in the node.
    fn pending_count(&self, account: Address) -> impl Future<Output = Result<u64, ChainError>>;

    /// Hands a signed transaction to the network. Handing over the same one again is harmless.
    fn send_raw(
        &self,
        transaction: &Bytes,
    ) -> impl Future<Output = Result<SendOutcome, ChainError>>;
}
