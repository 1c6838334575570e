//! What key0 asks of the chain, as a trait: the rules do not depend on how the chain is reached.

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

/// What a transfer would do if it was executed now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Simulation {
    /// The transfer would succeed.
    Succeeds {
        /// Estimated units of gas.
        gas: u64,
    },
    /// The transfer would revert, with this text.
    Reverts(String),
}

/// The newest block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    /// The block's number.
    pub number: u64,
    /// The block's hash.
    pub hash: B256,
    /// The block's time in seconds.
    pub timestamp: u64,
    /// The block's base fee in wei per unit of gas.
    pub base_fee: u128,
}

impl Head {
    /// Whether the block of this receipt exists. The receipt must have been read after this head. Some nodes show
    /// receipts of a block before it is made, and the block may then come without the transaction.
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
    /// The block that includes the transaction. Nodes also show receipts of the block that is being built; that block
    /// may come without the transaction.
    pub block: u64,
    /// The hash of that block.
    pub block_hash: B256,
    /// Whether the transaction succeeded.
    pub success: bool,
    /// The events that the transaction emitted, in order, as far as [`completeness`](Self::completeness) says.
    pub logs: Vec<Log>,
    /// Whether these are all events of the transaction.
    pub completeness: Completeness,
}

/// Whether a receipt shows all events of its transaction. Some nodes show a receipt for seconds before they show its
/// events. The test is the bloom filter that belongs to every receipt and is made from its events.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Completeness {
    /// The filter fits the events.
    Complete,
    /// The filter is empty or missing: there may be no events, or the node does not show them yet.
    Unproven,
    /// The filter does not fit the events.
    Contradictory,
}

/// A transfer of USDC to the seller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seen {
    /// The block that includes the transfer.
    pub block: u64,
    /// The transaction of the transfer.
    pub transaction: B256,
}

/// What happened to an authorization.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AuthorizationEvents {
    /// The transactions that used the authorization.
    pub used_in: Vec<B256>,
    /// Whether the payer cancelled the authorization.
    pub cancelled: bool,
}

/// One event of a contract.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Log {
    /// The contract that emitted the event.
    pub address: Address,
    /// The event's signature and indexed members.
    pub topics: Vec<B256>,
    /// The event's other members.
    pub data: Bytes,
}

/// What a node did with a raw transaction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SendOutcome {
    /// The node has accepted the transaction, or had it already.
    Accepted,
    /// The node refused, with this text. Another node may know the transaction already.
    Refused(String),
}

impl SendOutcome {
    /// Reads a node's refusal. Most nodes refuse with a known text when they have the transaction already.
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

    /// Whether a contract wallet accepts a signature now, or would accept it once `deployment` has created the wallet.
    /// Uses a bounded amount of gas and changes nothing.
    fn wallet_accepts(
        &self,
        wallet: Address,
        digest: B256,
        signature: &Bytes,
        deployment: Option<&Deployment>,
    ) -> impl Future<Output = Result<WalletAnswer, ChainError>>;

    /// Whether an authorization was used or cancelled up to and including the block `at`. Without `at`, up to the
    /// newest block of the node that answers, which may be some blocks behind. Not a proof of payment.
    fn authorization_used(
        &self,
        payer: Address,
        nonce: B256,
        at: Option<u64>,
    ) -> impl Future<Output = Result<bool, ChainError>>;

    /// What happened to an authorization in these blocks, in whichever transactions. A node may refuse to search too
    /// many blocks at once, and a node that lacks the newest of them shows only what it has.
    fn authorization_events(
        &self,
        payer: Address,
        nonce: B256,
        blocks: RangeInclusive<u64>,
    ) -> impl Future<Output = Result<AuthorizationEvents, ChainError>>;

    /// The USDC balance of an account.
    fn usdc_balance(&self, account: Address) -> impl Future<Output = Result<U256, ChainError>>;

    /// Whether there is code at an address.
    fn has_code(&self, account: Address) -> impl Future<Output = Result<bool, ChainError>>;

    /// The ether of an account, in wei.
    fn ether_balance(&self, account: Address) -> impl Future<Output = Result<U256, ChainError>>;

    /// The newest block.
    fn head(&self) -> impl Future<Output = Result<Head, ChainError>>;

    /// The time of a block in seconds; `None` when the node that answers does not have the block.
    fn block_time(&self, number: u64) -> impl Future<Output = Result<Option<u64>, ChainError>>;

    /// The tip per unit of gas that gets a transaction included, in wei.
    fn priority_fee(&self) -> impl Future<Output = Result<u128, ChainError>>;

    /// The most that a rollup charges for the bytes of a transaction of this size, in wei, in addition to its gas. A
    /// chain that is no rollup charges nothing.
    fn data_fee(&self, bytes: usize) -> impl Future<Output = Result<U256, ChainError>> {
        let _ = bytes;
        core::future::ready(Ok(U256::ZERO))
    }

    /// A transaction's receipt, once it is included.
    fn receipt(
        &self,
        transaction: B256,
    ) -> impl Future<Output = Result<Option<Receipt>, ChainError>>;

    /// How many transactions of an account are included.
    fn included_count(&self, account: Address) -> impl Future<Output = Result<u64, ChainError>>;

    /// How many transactions of an account are included or wait in the node.
    fn pending_count(&self, account: Address) -> impl Future<Output = Result<u64, ChainError>>;

    /// Hands a signed transaction to the network. Handing over the same transaction again is harmless.
    fn send_raw(
        &self,
        transaction: &Bytes,
    ) -> impl Future<Output = Result<SendOutcome, ChainError>>;
}
