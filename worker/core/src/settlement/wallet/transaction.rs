//! EIP-1559 transactions: built, signed and encoded.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::{Encodable, Header};
use serde::{Deserialize, Serialize};

use crate::types::{SigningFailed, WalletKey};

const TRANSACTION_TYPE: u8 = 2;

/// The fees per unit of gas, in wei.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Fees {
    /// The most that may be paid in all.
    pub max_fee: u128,
    /// The part of `max_fee` that the block's producer may keep.
    pub priority_fee: u128,
}

impl Fees {
    /// Fees for a block with this base fee: room for it to double, plus the tip.
    pub fn for_block(base_fee: u128, priority_fee: u128) -> Self {
        Self {
            max_fee: base_fee.saturating_mul(2).saturating_add(priority_fee),
            priority_fee,
        }
    }

    /// The most that this amount of gas may cost, in wei.
    pub fn most(self, gas: u64) -> U256 {
        U256::from(self.max_fee).saturating_mul(U256::from(gas))
    }

    /// Fees with which a transaction replaces one with these fees at the same nonce. Nodes ask for at least a tenth
    /// more of both fees; we add a quarter, or take `current` where that is higher.
    #[must_use]
    pub fn bumped(self, current: Self) -> Self {
        let more = |fee: u128| fee.saturating_add(fee / 4).saturating_add(1);
        Self {
            max_fee: more(self.max_fee).max(current.max_fee),
            priority_fee: more(self.priority_fee).max(current.priority_fee),
        }
    }
}

/// A call to a contract, without value and without access list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transaction {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The sender's nonce.
    pub nonce: u64,
    /// The fees for the transaction's gas.
    pub fees: Fees,
    /// The most gas that the transaction may use.
    pub gas_limit: u64,
    /// The contract.
    pub to: Address,
    /// The call.
    pub input: Bytes,
}

impl Transaction {
    /// Signs the transaction. Returns its hash and the bytes to broadcast.
    pub fn sign(&self, key: &WalletKey) -> Result<(B256, Bytes), SigningFailed> {
        let digest = keccak256(self.encode(&[]));
        let signature = key.sign(&digest).map_err(|_| SigningFailed)?;
        let parity: u8 = signature.v().into();
        let raw = self.encode(&[&parity, &signature.r(), &signature.s()]);
        Ok((keccak256(&raw), raw.into()))
    }

    /// Encodes `0x02 || rlp([chain id, nonce, tip, max fee, gas, to, value, input, access list, …signature])`.
    fn encode(&self, signature: &[&dyn Encodable]) -> Vec<u8> {
        let access_list: [u8; 0] = [];
        let members: [&dyn Encodable; 8] = [
            &self.chain_id,
            &self.nonce,
            &self.fees.priority_fee,
            &self.fees.max_fee,
            &self.gas_limit,
            &self.to,
            &U256::ZERO,
            &self.input,
        ];
        let mut payload = Vec::with_capacity(512);
        for member in members {
            member.encode(&mut payload);
        }
        Header {
            list: true,
            payload_length: access_list.len(),
        }
        .encode(&mut payload);
        for member in signature {
            member.encode(&mut payload);
        }
        let mut out = Vec::with_capacity(payload.len() + 8);
        out.push(TRANSACTION_TYPE);
        Header {
            list: true,
            payload_length: payload.len(),
        }
        .encode(&mut out);
        out.extend(payload);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bump_is_enough_for_nodes_to_accept_it() {
        let old = Fees {
            max_fee: 100,
            priority_fee: 1,
        };
        let market = Fees {
            max_fee: 90,
            priority_fee: 5,
        };
        let bumped = old.bumped(market);
        assert!(bumped.max_fee * 10 >= old.max_fee * 11);
        assert_eq!(bumped.priority_fee, 5);
        let none = Fees {
            max_fee: 0,
            priority_fee: 0,
        };
        assert!(none.bumped(none).max_fee > 0);
    }

    /// The expected transaction was made with viem 2.57: `privateKeyToAccount(0x…07).signTransaction({type: 'eip1559',
    /// chainId: 84532, …})`.
    #[test]
    fn signed_transactions_are_the_ones_that_another_library_makes() {
        use alloy_primitives::{b256, hex};
        let key = WalletKey::from_hex(&format!("{:064x}", 7)).unwrap();
        let sign = |nonce, gas_limit, max_fee, priority_fee, input: Vec<u8>| {
            let transaction = Transaction {
                chain_id: 84532,
                nonce,
                fees: Fees {
                    max_fee,
                    priority_fee,
                },
                gas_limit,
                to: crate::types::Network::BaseSepolia.usdc(),
                input: input.into(),
            };
            transaction.sign(&key).unwrap()
        };
        let mut call = hex!("a9059cbb").to_vec();
        call.extend([0x11; 64]);
        let (hash, raw) = sign(127, 100_000, 1_500_000_000, 1_000_000, call);
        assert_eq!(
            raw.as_ref(),
            hex!(
                "02f8b283014a347f830f42408459682f00830186a094036cbd53842c5426634e7929541ec2318f3dcf7e80b844a9059cbb"
                "11111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111"
                "111111111111111111111111111111c080a03cb847e9b7b9ef6a16871cd5079ea2a287af7f1b45f1ff6350a94befa30a7d"
                "53a0364e9d6a29e15fbf7fea3d51cf0990536e8d01285bf7a48487d4789a6393e5a6"
            )
        );
        assert_eq!(
            hash,
            b256!("0x20db999b0e26bda8a8df1c1f99840f553d082f46eb9727e9ab6b1343d93d499f")
        );
        let (empty, _) = sign(0, 21_000, 0, 0, vec![]);
        assert_eq!(
            empty,
            b256!("0x70b8f9e9ec1faca5ee81703090288da3b079ed741e1998947d395a581be6ccc2")
        );
        let (large, _) = sign(128, 300_000, 1 << 64, 1 << 63, vec![0]);
        assert_eq!(
            large,
            b256!("0x147f85b3916a1072890cf1f853d9a1ace9226cde281fce5bd452b9f6d94295db")
        );
    }
}
