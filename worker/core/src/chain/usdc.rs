//! The part of the USDC contract that key0 uses (EIP-3009).

use alloy_primitives::{Address, B256, Bytes, Signature};
use alloy_sol_types::{Eip712Domain, SolCall, SolEvent, SolStruct, eip712_domain, sol};
use sha2::{Digest, Sha256};

use crate::types::Network;
use crate::x402::Authorization;

sol! {
    struct TransferWithAuthorization {
        address from;
        address to;
        uint256 value;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 nonce;
    }

    function authorizationState(address authorizer, bytes32 nonce) external view returns (bool);
    function balanceOf(address account) external view returns (uint256);

    event Transfer(address indexed from, address indexed to, uint256 value);
    event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce);
    event AuthorizationCanceled(address indexed authorizer, bytes32 indexed nonce);
}

/// The topic of the event `Transfer(address,address,uint256)`.
pub const TRANSFER_TOPIC: B256 = Transfer::SIGNATURE_HASH;
/// The topic of the event `AuthorizationUsed(address,bytes32)`.
pub const AUTHORIZATION_USED_TOPIC: B256 = AuthorizationUsed::SIGNATURE_HASH;

/// The topic of the event `AuthorizationCanceled(address,bytes32)`.
pub const AUTHORIZATION_CANCELED_TOPIC: B256 = AuthorizationCanceled::SIGNATURE_HASH;

/// USDC's EIP-712 domain on a network.
pub fn domain(network: Network) -> Eip712Domain {
    eip712_domain! {
        name: network.usdc_domain_name(),
        version: network.usdc_domain_version(),
        chain_id: network.chain_id(),
        verifying_contract: network.usdc(),
    }
}

/// The digest that the payer signs.
pub fn authorization_digest(authorization: &Authorization, network: Network) -> B256 {
    TransferWithAuthorization {
        from: authorization.from,
        to: authorization.to,
        value: authorization.value,
        validAfter: authorization.valid_after,
        validBefore: authorization.valid_before,
        nonce: authorization.nonce,
    }
    .eip712_signing_hash(&domain(network))
}

/// The call that asks whether an authorization was used or cancelled.
pub fn authorization_state_call(authorizer: Address, nonce: B256) -> Bytes {
    authorizationStateCall { authorizer, nonce }
        .abi_encode()
        .into()
}

/// The call that reads an account's USDC balance.
pub fn balance_call(account: Address) -> Bytes {
    balanceOfCall { account }.abi_encode().into()
}

/// The digest under which two payments count as the same (chain, payer and nonce), shortened to 16 bytes.
pub fn payment_fingerprint(network: Network, payer: Address, nonce: B256) -> [u8; 16] {
    let digest = Sha256::new()
        .chain_update(b"key0 request id v1\0")
        .chain_update(network.chain_id().to_be_bytes())
        .chain_update(payer)
        .chain_update(nonce)
        .finalize();
    core::array::from_fn(|at| digest.get(at).copied().unwrap_or_default())
}

/// Splits 65 signature bytes into r, s and v; refuses high `s` and any other `v` than 27, 28, 0, 1, as USDC does.
pub fn signature(bytes: &[u8]) -> Option<Signature> {
    let bytes: &[u8; 65] = bytes.try_into().ok()?;
    let [.., v] = *bytes;
    if !matches!(v, 0 | 1 | 27 | 28) {
        return None;
    }
    Signature::from_raw_array(bytes)
        .ok()
        .filter(|signature| signature.normalize_s().is_none())
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{U256, address, b256, hex};

    use super::*;

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

    #[test]
    fn domain_separators_are_the_golden_ones() {
        assert_eq!(
            domain(Network::Base).separator(),
            b256!("0x02fa7265e7c5d81118673727957699e4d68f74cd74b7db77da710fe8a2c7834f")
        );
        assert_eq!(
            domain(Network::BaseSepolia).separator(),
            b256!("0x71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818")
        );
    }

    #[test]
    fn digests_are_the_golden_ones() {
        assert_eq!(
            authorization_digest(&golden(), Network::BaseSepolia),
            b256!("0xf45dd01a7642a0d3188e329bab4345ecfd384ead6ba8101490b24dfbe9e6d9c2")
        );
        assert_eq!(
            authorization_digest(&golden(), Network::Base),
            b256!("0xe70033906b5fc78aac0cf5287c9e1a2b04860a6efcfcbdd2d86b30829ffa7a4f")
        );
    }

    #[test]
    fn selectors_and_topics_are_the_golden_ones() {
        assert_eq!(authorizationStateCall::SELECTOR, hex!("e94a0102"));
        assert_eq!(balanceOfCall::SELECTOR, hex!("70a08231"));
        assert_eq!(
            TRANSFER_TOPIC,
            b256!("0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
        );
        assert_eq!(
            AUTHORIZATION_USED_TOPIC,
            b256!("0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5")
        );
        assert_eq!(
            AUTHORIZATION_CANCELED_TOPIC,
            b256!("0x1cdd46ff242716cdaa72d159d339a485b3438398348d68f09d7c8c0a59353d81")
        );
    }

    #[test]
    fn signatures_that_usdc_would_refuse_are_refused() {
        let mut wrong_v = GOLDEN_SIGNATURE;
        wrong_v[64] = 29;
        assert!(signature(&wrong_v).is_none());
        let low = signature(&GOLDEN_SIGNATURE).unwrap();
        let order = U256::from_be_bytes(hex!(
            "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
        ));
        let mut high_s = GOLDEN_SIGNATURE;
        high_s[32..64].copy_from_slice(&(order - low.s()).to_be_bytes::<32>());
        assert!(signature(&high_s).is_none());
        assert!(signature(&GOLDEN_SIGNATURE[..64]).is_none());
    }
}
