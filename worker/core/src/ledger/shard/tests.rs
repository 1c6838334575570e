use std::collections::BTreeMap;

use super::super::layout::{Layout, SHARDS, Shard};
use super::super::test_support::{Entries, entry};
use super::*;
use crate::types::UnixMillis;

fn shard_of(request_id: &RequestId) -> Shard {
    Layout::default().shard(request_id, UnixMillis(0))
}

fn run(store: &Entries, command: &LedgerCommand) -> LedgerReply {
    let Ok(reply) = execute(store, command);
    reply
}

fn listed(store: &Entries, status: Option<&str>, limit: usize) -> (Vec<u64>, bool) {
    let command = LedgerCommand::List {
        status: status.map(|status| status.parse().unwrap()),
        after: None,
        limit,
    };
    let LedgerReply::Entries { entries, more } = run(store, &command) else {
        panic!("no entries");
    };
    (
        entries.iter().map(|entry| entry.changed_at.0).collect(),
        more,
    )
}

#[test]
fn reporting_the_same_entry_again_changes_nothing() {
    let store = Entries::default();
    let put = LedgerCommand::Put(entry(1, "PAID", 5));
    assert_eq!(run(&store, &put), LedgerReply::Kept);
    assert_eq!(run(&store, &put), LedgerReply::Kept);
    assert_eq!(store.all(), [entry(1, "PAID", 5)]);
}

#[test]
fn a_report_that_comes_late_does_not_undo_a_newer_one() {
    let store = Entries::default();
    let mut newer = entry(1, "DELIVERED", 6);
    newer.version = 3;
    run(&store, &LedgerCommand::Put(newer.clone()));
    run(&store, &LedgerCommand::Put(entry(1, "PAID", 5)));
    assert_eq!(store.all(), [newer.clone()]);
    let mut newest = entry(1, "REFUNDED", 7);
    newest.version = 4;
    run(&store, &LedgerCommand::Put(newest.clone()));
    assert_eq!(store.all(), [newest]);
}

#[test]
fn what_needs_somebody_comes_first_and_then_the_latest_change() {
    let store = Entries::default();
    for (number, status, at) in [
        (1, "DELIVERED", 90),
        (2, "REFUND_FAILED", 10),
        (3, "PAID", 20),
        (4, "PENDING", 95),
        (5, "PAID", 21),
        (6, "REFUND_PENDING", 5),
        (7, "CANCELLED", 92),
    ] {
        run(&store, &LedgerCommand::Put(entry(number, status, at)));
    }
    assert_eq!(
        listed(&store, None, 9),
        (vec![21, 20, 5, 10, 95, 92, 90], false)
    );
    assert_eq!(listed(&store, None, 4), (vec![21, 20, 5, 10], true));
    assert_eq!(listed(&store, None, 5), (vec![21, 20, 5, 10, 95], true));
    assert_eq!(listed(&store, Some("PAID"), 1), (vec![21], true));
    assert_eq!(listed(&store, Some("EXPIRED"), 1), (vec![], false));
}

#[test]
fn every_shard_gets_its_share() {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for number in 0..1600 {
        *counts
            .entry(shard_of(&entry(number, "PAID", 1).request_id).name())
            .or_default() += 1;
    }
    assert_eq!(counts.len(), usize::from(SHARDS));
    assert!(
        counts.values().all(|count| (60..150).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn a_purchase_stays_in_its_shard_for_ever() {
    let request_id: RequestId = "550e8400-e29b-41d4-a716-446655440000".parse().unwrap();
    assert_eq!(shard_of(&request_id).name(), "shard-03");
}

#[test]
fn a_transaction_counts_for_the_purchases_that_it_has_paid_and_for_no_others() {
    let store = Entries::default();
    let hash = B256::repeat_byte(7);
    for (number, status) in [
        (1, "DELIVERED"),
        (2, "REFUNDED"),
        (3, "PENDING"),
        (4, "EXPIRED"),
    ] {
        let mut entry = entry(number, status, 1);
        entry.transaction = Some(hash);
        run(&store, &LedgerCommand::Put(entry));
    }
    let transactions = vec![B256::repeat_byte(8), hash];
    let reply = run(&store, &LedgerCommand::Paid { transactions });
    assert_eq!(reply, LedgerReply::Paid(vec![0, 2]));
}

#[test]
fn a_removed_purchase_is_counted_once_by_day_target_and_state_and_still_in_all_sums() {
    const DAY: u64 = 86_400_000;
    let store = Entries::default();
    for (number, at) in [(1, DAY), (2, DAY + 5), (3, DAY), (4, 2 * DAY)] {
        let mut entry = entry(
            number,
            if number == 3 { "EXPIRED" } else { "DELIVERED" },
            at,
        );
        entry.target = "route:weather".to_owned();
        run(&store, &LedgerCommand::Put(entry));
    }
    let totals = || match run(&store, &LedgerCommand::Totals { days: Days::ALL }) {
        LedgerReply::Totals { days, removed } => (days, removed),
        reply => panic!("{reply:?}"),
    };
    let (before, removed) = totals();
    assert_eq!(removed, []);
    for _ in 0..3 {
        for number in [1, 2, 3] {
            let request_id = entry(number, "PAID", 0).request_id;
            run(&store, &LedgerCommand::Remove { request_id });
        }
    }
    assert_eq!(store.all().len(), 1);
    let (after, removed) = totals();
    assert_eq!(after, before);
    let sum = |status: &str, count| Removed {
        day: "1970-01-02".parse().unwrap(),
        target: "route:weather".to_owned(),
        status: status.parse().unwrap(),
        count,
        amount: crate::types::UsdcAmount::from_units(count * 15_000),
    };
    assert_eq!(removed, [sum("DELIVERED", 2), sum("EXPIRED", 1)]);
    let day: crate::ledger::UtcDay = "1970-01-03".parse().unwrap();
    let days = Days { from: day, to: day };
    let later = run(&store, &LedgerCommand::Totals { days });
    let LedgerReply::Totals { days, removed } = later else {
        panic!("{later:?}");
    };
    assert_eq!((days.len(), removed.len()), (1, 0));
}
