//! Tests each check by itself, on receipts made by hand.

use alloy_primitives::{Bytes, address, hex};

use super::super::base::Log;
use super::*;
use crate::purchase::test_offer;
use crate::testing;

const USDC: Address = address!("0x036CbD53842c5426634e7929541eC2318f3dCF7e");
const SELLER: Address = address!("0x209693Bc6afc0C5328bA36FaF03C514EF312287C");
const ANN: Address = Address::repeat_byte(1);
const BOB: Address = Address::repeat_byte(3);

/// The terms of an offer that is good from 1,800,000,000 to 1,800,000,960 and costs 15,000 units.
fn terms() -> Terms {
    test_offer().terms
}

fn event(token: Address, from: Address, to: Address, units: u64) -> Log {
    Log {
        address: token,
        topics: vec![TRANSFER_TOPIC, from.into_word(), to.into_word()],
        data: U256::from(units).to_be_bytes_vec().into(),
    }
}

fn paid(from: Address, units: u64) -> Log {
    event(USDC, from, SELLER, units)
}

fn used(from: Address) -> Log {
    Log {
        address: USDC,
        topics: vec![
            AUTHORIZATION_USED_TOPIC,
            from.into_word(),
            B256::repeat_byte(7),
        ],
        data: Bytes::new(),
    }
}

fn receipt(logs: Vec<Log>) -> Receipt {
    testing::receipt(B256::ZERO, 1, logs)
}

fn judge(logs: Vec<Log>, payer: Option<Address>) -> Result<Vec<(u32, u64)>, ProofFault> {
    payments(&receipt(logs), &terms(), payer).map(|transfers| {
        let pairs = transfers.iter();
        pairs
            .map(|transfer| (transfer.log, transfer.amount.units()))
            .collect()
    })
}

#[test]
fn a_transfer_of_the_price_or_more_is_a_payment_of_all_of_it() {
    assert_eq!(
        judge(vec![paid(ANN, 15_000)], Some(ANN)),
        Ok(vec![(0, 15_000)])
    );
    assert_eq!(
        judge(vec![paid(ANN, 99_000)], Some(ANN)),
        Ok(vec![(0, 99_000)])
    );
}

#[test]
fn too_little_is_refused_with_what_was_received() {
    let received = UsdcAmount::from_units(14_999);
    assert_eq!(
        judge(vec![paid(ANN, 14_999)], Some(ANN)),
        Err(ProofFault::AmountMismatch(received))
    );
}

#[test]
fn two_halves_in_one_transaction_are_not_added_up() {
    let received = UsdcAmount::from_units(8_000);
    assert_eq!(
        judge(vec![paid(ANN, 7_500), paid(ANN, 8_000)], Some(ANN)),
        Err(ProofFault::AmountMismatch(received))
    );
}

#[test]
fn each_transfer_of_a_transaction_counts_by_itself_the_smallest_first() {
    let logs = vec![
        paid(ANN, 40_000),
        paid(BOB, 15_000),
        paid(ANN, 100),
        paid(ANN, 20_000),
        paid(ANN, 20_000),
    ];
    assert_eq!(
        judge(logs.clone(), Some(ANN)),
        Ok(vec![(3, 20_000), (4, 20_000), (0, 40_000)])
    );
    assert_eq!(judge(logs.clone(), Some(BOB)), Ok(vec![(1, 15_000)]));
    assert_eq!(judge(logs, None).map(|all| all.len()), Ok(4));
}

#[test]
fn another_token_another_recipient_and_the_sellers_own_transfer_are_no_payment() {
    for log in [
        event(Address::repeat_byte(0xdd), ANN, SELLER, 15_000),
        event(USDC, ANN, BOB, 15_000),
        event(USDC, SELLER, SELLER, 15_000),
        event(USDC, SELLER, ANN, 15_000),
    ] {
        assert_eq!(judge(vec![log.clone()], None), Err(ProofFault::NoTransfer));
        assert_eq!(judge(vec![log], Some(ANN)), Err(ProofFault::NoTransfer));
    }
}

#[test]
fn a_strangers_transfer_is_not_the_signers() {
    assert_eq!(
        judge(vec![paid(BOB, 15_000)], Some(ANN)),
        Err(ProofFault::PayerMismatch)
    );
}

#[test]
fn a_reverted_transaction_pays_nothing_whatever_it_shows() {
    let mut reverted = receipt(vec![paid(ANN, 15_000)]);
    reverted.success = false;
    assert_eq!(
        payments(&reverted, &terms(), Some(ANN)),
        Err(ProofFault::TransactionReverted)
    );
}

#[test]
fn a_transfer_by_authorization_is_never_an_ordinary_one() {
    assert_eq!(
        judge(vec![used(ANN), paid(ANN, 15_000)], Some(ANN)),
        Err(ProofFault::NoTransfer)
    );
    // Another token's event between the two events does not separate them.
    let foreign = event(Address::repeat_byte(0xdd), ANN, SELLER, 1);
    assert_eq!(
        judge(vec![used(ANN), foreign, paid(ANN, 15_000)], None),
        Err(ProofFault::NoTransfer)
    );
    // An ordinary transfer beside it in the same transaction counts.
    let logs = vec![
        paid(ANN, 15_000),
        used(ANN),
        paid(ANN, 15_000),
        paid(ANN, 16_000),
    ];
    assert_eq!(judge(logs, Some(ANN)), Ok(vec![(0, 15_000), (3, 16_000)]));
}

#[test]
fn what_one_way_to_pay_credits_the_other_never_does() {
    use super::super::events::{Verdict, verdict};
    use crate::x402::Authorization;

    let authorization = Authorization {
        from: ANN,
        to: SELLER,
        value: U256::from(15_000),
        valid_after: U256::ZERO,
        valid_before: U256::MAX,
        nonce: B256::repeat_byte(7),
    };
    for logs in [
        vec![used(ANN), paid(ANN, 15_000)],
        vec![paid(ANN, 15_000), used(ANN)],
        vec![used(ANN), paid(BOB, 15_000), paid(ANN, 15_000)],
        vec![used(BOB), used(ANN), paid(ANN, 15_000)],
        vec![used(ANN), used(BOB), paid(ANN, 15_000)],
    ] {
        let one = receipt(logs.clone());
        let by_authorization = verdict(&one, &authorization, USDC) == Verdict::Transferred;
        let by_proof = payments(&one, &terms(), Some(ANN)).map_or(0, |found| found.len());
        let transfers = logs.iter().filter(|log| **log == paid(ANN, 15_000)).count();
        assert!(
            usize::from(by_authorization) + by_proof <= transfers,
            "{logs:?}"
        );
    }
}

#[test]
fn the_blocks_time_decides_from_the_offer_to_its_end() {
    let check = |at: u64| check_time(&terms(), UnixSeconds(1_800_000_000 - 1_000 + at));
    assert_eq!(check(999), Err(ProofFault::TransferBeforeOffer));
    assert_eq!(check(1_000), Ok(()));
    assert_eq!(check(1_959), Ok(()));
    assert_eq!(check(1_960), Err(ProofFault::TransferAfterExpiry));
}

#[test]
fn malformed_events_and_sums_beyond_all_money_are_no_payment() {
    let mut short = paid(ANN, 15_000);
    short.data = Bytes::from_static(&[1]);
    let mut three = paid(ANN, 15_000);
    three.topics.push(B256::ZERO);
    let mut endless = paid(ANN, 15_000);
    endless.data = U256::MAX.to_be_bytes_vec().into();
    for log in [short, three, endless] {
        assert_eq!(judge(vec![log], Some(ANN)), Err(ProofFault::NoTransfer));
    }
}

#[test]
fn a_transaction_full_of_transfers_is_looked_at_so_far() {
    let logs = vec![paid(ANN, 15_000); MAX_TRANSFERS + 1];
    assert_eq!(
        judge(logs, Some(ANN)).map(|all| all.len()),
        Ok(MAX_TRANSFERS)
    );
}

/// The signature was made with viem's `signMessage` and the key `0x00…01`.
#[test]
fn the_signer_of_a_text_is_recovered() {
    let signature = hex!(
        "be98904eb0b885217f3e90023bef02019270ddc15b089759a748d1e1a7f0d98e120c7ab4bd9c1e2584147c689547bdac7f1212458165cf33cb98314e35b852da1c"
    );
    assert_eq!(
        signer(&text_digest("AQAAAABrSdIA"), &signature),
        Some(address!("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"))
    );
    assert_ne!(
        signer(&text_digest("AQAAAABrSdIB"), &signature),
        Some(address!("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"))
    );
    assert_eq!(signer(&text_digest("AQAAAABrSdIA"), &signature[..64]), None);
}

#[test]
fn keys_of_transfers_differ() {
    let (one, other) = (B256::repeat_byte(1), B256::repeat_byte(2));
    assert_ne!(booking_key(one, 0), booking_key(one, 1));
    assert_ne!(booking_key(one, 0), booking_key(other, 0));
    assert_eq!(booking_key(one, 3), booking_key(one, 3));
}
