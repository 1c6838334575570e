//! The transaction that settles a payment (EIP-3009).

use alloy_primitives::{Address, Bytes, hex};

use super::abi::Writer;
use super::authorization::SignedAuthorization;
use super::signature::PayerSignature;
use super::wallet_call::{MAX_DEPLOYMENT_GAS, MAX_WALLET_GAS, MULTICALL, after_deployment};
use crate::types::Network;

/// The selector of `transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)`.
const TRANSFER_WITH_PARTS: [u8; 4] = hex!("e3ee160e");
/// The selector of `transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)`.
const TRANSFER_WITH_BYTES: [u8; 4] = hex!("cf092995");

/// The call that moves the money. A signature of 65 bytes is passed to the older function, which takes v, r and s; any
/// other one to the function for contract wallets.
pub fn transfer_call(signed: &SignedAuthorization) -> Bytes {
    let key;
    let signature: &[u8] = match &signed.signature {
        PayerSignature::Key(signature) => {
            key = signature.as_bytes();
            &key
        }
        PayerSignature::Wallet(signature) => &signature.bytes,
    };
    let parts = signature
        .split_first_chunk::<32>()
        .and_then(|(r, rest)| Some((r, rest.split_first_chunk::<32>()?)));
    let selector = match parts {
        Some((_, (_, [_]))) => TRANSFER_WITH_PARTS,
        _ => TRANSFER_WITH_BYTES,
    };
    let authorization = &signed.authorization;
    let mut call = Writer::new(&selector);
    call.word(authorization.from.into_word())
        .word(authorization.to.into_word())
        .word(authorization.value.into())
        .word(authorization.valid_after.into())
        .word(authorization.valid_before.into())
        .word(authorization.nonce);
    match parts {
        Some((r, (s, [v]))) => call.number(usize::from(*v)).word(r.into()).word(s.into()),
        _ => call.number(7 * 32).blob(signature),
    };
    call.finish()
}

/// A transaction that settles a payment: the contract, the call, and the most gas that it may use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SettlementCall {
    /// The contract that is called: USDC, or Multicall3 around it.
    pub to: Address,
    /// The call.
    pub input: Bytes,
    /// The most gas that the transaction may use.
    pub max_gas: u64,
}

/// The transaction by which the gas wallet executes a payment. When the payer's wallet does not exist yet, it is created in the same transaction.
pub fn settlement_call(signed: &SignedAuthorization, network: Network) -> SettlementCall {
    let transfer = transfer_call(signed);
    match signed.deployment() {
        None => SettlementCall {
            to: network.usdc(),
            input: transfer,
            max_gas: MAX_WALLET_GAS,
        },
        Some(deployment) => SettlementCall {
            to: MULTICALL,
            input: after_deployment(deployment, network.usdc(), &transfer, false),
            max_gas: MAX_DEPLOYMENT_GAS,
        },
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{B256, U256, address, b256, hex, keccak256};
    use alloy_sol_types::{SolCall, sol};

    use super::super::signature::WalletSignature;
    use super::super::usdc::signature;
    use super::*;
    use crate::x402::Authorization;

    fn golden() -> Authorization {
        Authorization {
            from: address!("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"),
            to: address!("0x209693Bc6afc0C5328bA36FaF03C514EF312287C"),
            value: U256::from(10_000),
            valid_after: U256::ZERO,
            valid_before: U256::from(1_900_000_000u64),
            nonce: B256::repeat_byte(0x11),
        }
    }

    const GOLDEN_SIGNATURE: [u8; 65] = hex!(
        "de9059771001546f981e69c29e11a7f1c536828e3749076c58418afa6f3f19ac"
        "3d9f16f45a90ccb3e0d9e059c976e50828219a550d9d2339aee12287740bc01f1b"
    );

    sol! {
    function transferWithAuthorization(
        address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce,
        uint8 v, bytes32 r, bytes32 s
    ) external;
    function transferWithAuthorization(
        address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes signature
    ) external;
    }

    fn wallet_signed(bytes: &[u8]) -> SignedAuthorization {
        SignedAuthorization {
            authorization: golden(),
            signature: PayerSignature::Wallet(WalletSignature::read(bytes).unwrap()),
        }
    }

    #[test]
    fn the_length_of_a_wallets_signature_chooses_the_call() {
        let form_of = |bytes: &[u8]| transfer_call(&wallet_signed(bytes)).len();
        assert_eq!(form_of(&GOLDEN_SIGNATURE), 292);
        assert_eq!(form_of(&GOLDEN_SIGNATURE[..64]), 4 + 9 * 32 + 64 - 32);
        let call = transferWithAuthorization_1Call {
            from: golden().from,
            to: golden().to,
            value: golden().value,
            validAfter: golden().valid_after,
            validBefore: golden().valid_before,
            nonce: golden().nonce,
            signature: GOLDEN_SIGNATURE.into(),
        };
        // The vector passes a signature of 65 bytes to the function that takes any length.
        assert_eq!(
            keccak256(call.abi_encode()),
            b256!("0x3602ebb477b3414ad086e03300871a07efcc48a11d51e3a6549950b890d280fa")
        );
        // The 65 bytes of a wallet's signature are not ours to read: its last byte is passed on as v without
        // correction.
        let odd = transfer_call(&wallet_signed(&[7; 65]));
        let call = transferWithAuthorization_0Call::abi_decode(&odd).unwrap();
        assert_eq!(
            (call.v, call.r, call.s),
            (7, B256::repeat_byte(7), B256::repeat_byte(7))
        );
    }

    #[test]
    fn the_call_is_the_golden_one() {
        let signed = SignedAuthorization {
            authorization: golden(),
            signature: PayerSignature::Key(signature(&GOLDEN_SIGNATURE).unwrap()),
        };
        let call = transfer_call(&signed);
        assert_eq!(call.len(), 292);
        assert_eq!(
            keccak256(&call),
            b256!("0xf86c0f8a3567855c2357adb50a84f30ac6fd32926408600d7f678cd629408455")
        );
    }

    #[test]
    fn selectors_are_the_golden_ones() {
        assert_eq!(transferWithAuthorization_0Call::SELECTOR, hex!("e3ee160e"));
        assert_eq!(transferWithAuthorization_1Call::SELECTOR, hex!("cf092995"));
    }
}
