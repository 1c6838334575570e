//! Transactions: the gas wallet's are decoded from their bytes, those of third parties are made up.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::{Decodable, Header};

use super::{AuthorizationKey, PlainTransfer};
use key0_core::chain::SignedAuthorization;

/// A transaction.
#[derive(Clone, Debug)]
pub enum Transaction {
    /// The gas wallet's.
    Wallet(WalletTransaction),
    /// A third party's.
    Foreign {
        /// Its hash.
        hash: B256,
        /// Its action.
        action: Action,
    },
}

/// A transaction that the gas wallet has signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WalletTransaction {
    /// Its hash.
    pub hash: B256,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The wallet's nonce.
    pub nonce: u64,
    /// The tip, in wei.
    pub priority_fee: u128,
    /// The most per unit of gas, in wei.
    pub max_fee: u128,
    /// The most gas.
    pub gas_limit: u64,
    /// The contract.
    pub to: Address,
    /// The call.
    pub input: Bytes,
}

/// An action of a third party on chain.
#[derive(Clone, Debug)]
pub enum Action {
    /// Executes authorizations, several in one transaction.
    Execute(Vec<SignedAuthorization>),
    /// Cancels an authorization.
    Cancel(AuthorizationKey),
    /// Moves money.
    Move {
        /// From whom.
        from: Address,
        /// To whom.
        to: Address,
        /// How much at most.
        units: u64,
    },
    /// Ordinary transfers, all or none.
    Pay(Vec<PlainTransfer>),
    /// Uses the gas wallet's next nonce.
    StealNonce,
}

impl Transaction {
    /// Its hash.
    pub fn hash(&self) -> B256 {
        match self {
            Self::Wallet(transaction) => transaction.hash,
            Self::Foreign { hash, .. } => *hash,
        }
    }
}

impl WalletTransaction {
    /// Decodes an EIP-1559 transaction. `None` for anything else.
    pub fn decode(raw: &Bytes) -> Option<Self> {
        let mut rest = raw.strip_prefix(&[2])?;
        let list = Header::decode(&mut rest).ok().filter(|list| list.list)?;
        if list.payload_length != rest.len() {
            return None;
        }
        let rest = &mut rest;
        let transaction = Self {
            hash: keccak256(raw),
            chain_id: Decodable::decode(rest).ok()?,
            nonce: Decodable::decode(rest).ok()?,
            priority_fee: Decodable::decode(rest).ok()?,
            max_fee: Decodable::decode(rest).ok()?,
            gas_limit: Decodable::decode(rest).ok()?,
            to: Decodable::decode(rest).ok()?,
            input: {
                let value = U256::decode(rest).ok()?;
                value.is_zero().then_some(())?;
                Decodable::decode(rest).ok()?
            },
        };
        Some(transaction)
    }
}
