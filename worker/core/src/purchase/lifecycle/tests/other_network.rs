//! Purchases on another network than the configured one.

use super::*;
use crate::types::Network;

const MAINNET: Policy = Policy {
    network: Network::Base,
    notifies: true,
    ..POLICY
};
const HOUR: u64 = 3_600_000;

#[test]
fn it_asks_for_nothing_outside_and_looks_every_hour_whether_the_network_is_back() {
    for (state, mut record) in states() {
        if record.holds_target || record.rest == Rest::NotYet {
            let effect = next_effect(&record, NOW, &MAINNET);
            assert_eq!(effect, Effect::WaitUntil(NOW.plus(HOUR)), "{state}");
            record.outbox.report = None;
            assert_eq!(
                wake_at(&record, NOW, &MAINNET),
                Some(NOW.plus(HOUR)),
                "{state}"
            );
        }
    }
}

#[test]
fn what_is_over_is_forgotten_in_its_time_and_wakes_for_nothing_else() {
    let delivered = paid_events()
        .into_iter()
        .chain([issued(), Event::TargetReleased, REPORTED]);
    let record = record_after(delivered);
    let later = NOW.plus(HISTORY_MILLIS);
    assert_eq!(wake_at(&record, NOW, &MAINNET), Some(later));
    assert_eq!(next_effect(&record, later, &MAINNET), Effect::RemoveHistory);
}

#[test]
fn a_notice_waits_for_the_network_to_be_back() {
    let testnet = Policy {
        network: Network::BaseSepolia,
        ..MAINNET
    };
    let paid = record_after(paid_events());
    let mut record = apply(Some(&paid), issued(), NOW, &testnet).unwrap();
    (record.holds_target, record.outbox.report) = (false, None);
    assert_eq!(wake_at(&record, NOW, &testnet), Some(NOW), "at once");
    assert_eq!(wake_at(&record, NOW, &MAINNET), Some(NOW.plus(HOUR)));
}

#[test]
fn a_report_that_waits_for_the_payers_book_rings_no_alarm() {
    let delivered = record_after(paid_events().into_iter().chain([issued()]));
    assert!(delivered.holds_target && delivered.outbox.report.is_some());
    assert_eq!(wake_at(&delivered, NOW, &MAINNET), Some(NOW.plus(HOUR)));
}
