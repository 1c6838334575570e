//! A key's signature is proven at once, or refused with a reason.

use super::*;

fn authorization() -> Authorization {
    Authorization {
        from: key().address(),
        to: Address::repeat_byte(0x22),
        value: AMOUNT.to_u256(),
        valid_after: U256::ZERO,
        valid_before: U256::from(2_000u64),
        nonce: B256::repeat_byte(3),
    }
}

/// Presents what a key has signed, without asking the chain.
fn proven(
    authorization: Authorization,
    signature: &[u8],
    network: Network,
    pay_to: Address,
    amount: UsdcAmount,
) -> Result<SignedAuthorization, Refusal> {
    match Presented::new(authorization, signature, network, pay_to, amount)? {
        Presented::Proven(signed) => Ok(signed),
        Presented::Claimed(_) => Err(Refusal::InvalidExactEvmPayloadSignature),
    }
}

fn verify(authorization: Authorization, network: Network) -> Result<SignedAuthorization, Refusal> {
    let digest = usdc::authorization_digest(&authorization, network);
    let signature = key().sign(&digest).unwrap().as_bytes();
    let pay_to = Address::repeat_byte(0x22);
    proven(
        authorization,
        &signature,
        Network::BaseSepolia,
        pay_to,
        AMOUNT,
    )
}

#[test]
fn a_correct_authorization_is_accepted() {
    assert_eq!(
        verify(authorization(), Network::BaseSepolia)
            .unwrap()
            .payer(),
        key().address()
    );
}

#[test]
fn the_domain_of_another_network_is_a_wrong_signature() {
    assert_eq!(
        verify(authorization(), Network::Base),
        Err(Refusal::InvalidExactEvmPayloadSignature)
    );
}

#[test]
fn each_changed_member_has_its_reason() {
    type Change = fn(&mut Authorization);
    let cases: [(Change, Refusal); 5] = [
        (
            |a| a.to = Address::repeat_byte(0x23),
            Refusal::InvalidExactEvmPayloadRecipientMismatch,
        ),
        (
            |a| a.value += U256::from(1),
            Refusal::InvalidExactEvmPayloadAuthorizationValueMismatch,
        ),
        (
            |a| a.value = U256::MAX,
            Refusal::InvalidExactEvmPayloadAuthorizationValueMismatch,
        ),
        (
            |a| a.from = Address::ZERO,
            Refusal::InvalidExactEvmPayloadPayer,
        ),
        (
            |a| a.from = Address::repeat_byte(0x22),
            Refusal::InvalidExactEvmPayloadPayer,
        ),
    ];
    for (change, refusal) in cases {
        let mut changed = authorization();
        change(&mut changed);
        assert_eq!(verify(changed, Network::BaseSepolia), Err(refusal));
    }
}

#[test]
fn any_member_changed_after_signing_is_a_wrong_signature() {
    let signed = authorization();
    let digest = usdc::authorization_digest(&signed, Network::BaseSepolia);
    let signature = key().sign(&digest).unwrap().as_bytes();
    type Change = fn(&mut Authorization);
    let changes: [Change; 4] = [
        |a| a.from = Address::repeat_byte(9),
        |a| a.valid_after = U256::from(1),
        |a| a.valid_before += U256::from(1),
        |a| a.nonce = B256::repeat_byte(4),
    ];
    for change in changes {
        let mut changed = signed.clone();
        change(&mut changed);
        let verdict = proven(
            changed,
            &signature,
            Network::BaseSepolia,
            Address::repeat_byte(0x22),
            AMOUNT,
        );
        assert_eq!(verdict, Err(Refusal::InvalidExactEvmPayloadSignature));
    }
}
