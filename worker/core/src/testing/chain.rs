//! The chain, as far as a test says what it is like, and what transactions leave on it.

use core::ops::RangeInclusive;

use alloy_primitives::{Address, B256, Bytes, U256};

use crate::chain::base::{
    AuthorizationEvents, Completeness, Head, Log, Receipt, SendOutcome, Simulation,
};
use crate::chain::signature::Deployment;
use crate::chain::usdc::{AUTHORIZATION_USED_TOPIC, TRANSFER_TOPIC};
use crate::chain::wallet_call::WalletAnswer;
use crate::chain::{Chain, ChainError, SignedAuthorization};
use crate::types::Network;

macro_rules! scripted {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        /// A [`Chain`] that answers at once. What a test does not define here must not be asked.
        pub(crate) trait ScriptedChain {
            $(fn $name(&self, $($argument: $type),*) -> Result<$answer, ChainError> {
                panic!("{} is asked {:?}", stringify!($name), ($($argument,)*));
            })*
        }
        impl<C: ScriptedChain> Chain for C {
            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer, ChainError> {
                ScriptedChain::$name(self, $($argument),*)
            })*
        }
    };
}

scripted! {
    fn simulate(transfer: &SignedAuthorization, sender: Address) -> Simulation;
    fn wallet_accepts(wallet: Address, digest: B256, signature: &Bytes, deployment: Option<&Deployment>) -> WalletAnswer;
    fn authorization_used(payer: Address, nonce: B256, at: Option<u64>) -> bool;
    fn authorization_events(payer: Address, nonce: B256, blocks: RangeInclusive<u64>) -> AuthorizationEvents;
    fn usdc_balance(account: Address) -> U256;
    fn has_code(account: Address) -> bool;
    fn ether_balance(account: Address) -> U256;
    fn head() -> Head;
    fn block_time(number: u64) -> Option<u64>;
    fn priority_fee() -> u128;
    fn data_fee(bytes: usize) -> U256;
    fn receipt(transaction: B256) -> Option<Receipt>;
    fn included_count(account: Address) -> u64;
    fn pending_count(account: Address) -> u64;
    fn send_raw(transaction: &Bytes) -> SendOutcome;
}

/// The receipt of a transaction that succeeded, with all its events, in a block whose hash is zero.
pub(crate) fn receipt(transaction: B256, block: u64, logs: Vec<Log>) -> Receipt {
    Receipt {
        transaction,
        block,
        block_hash: B256::ZERO,
        success: true,
        logs,
        completeness: Completeness::Complete,
    }
}

fn usdc(topics: Vec<B256>, data: Vec<u8>) -> Log {
    Log {
        address: Network::BaseSepolia.usdc(),
        topics,
        data: data.into(),
    }
}

/// What a transfer of USDC emits.
pub(crate) fn transfer(from: Address, to: Address, units: U256) -> Log {
    let topics = vec![TRANSFER_TOPIC, from.into_word(), to.into_word()];
    usdc(topics, units.to_be_bytes_vec())
}

/// What the use of an authorization emits.
pub(crate) fn authorization_used(payer: Address, nonce: B256) -> Log {
    let topics = vec![AUTHORIZATION_USED_TOPIC, payer.into_word(), nonce];
    usdc(topics, Vec::new())
}
