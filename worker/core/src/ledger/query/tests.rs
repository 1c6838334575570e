use futures_util::FutureExt as _;
use proptest::prelude::*;

use super::super::day::Days;
use super::super::test_support::{Shards, entry};
use super::*;
use crate::types::Status;
use crate::types::{UnixMillis, UsdcAmount};

/// Reads page after page and returns all entries.
fn read_all(mut page: impl FnMut(Option<Cursor>) -> Page) -> Vec<LedgerEntry> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = page(after);
        found.extend(page.entries.clone());
        match page.next {
            Some(_) if page.entries.is_empty() => panic!("a page without progress"),
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

fn list(shards: &Shards, status: Option<Status>, after: Option<Cursor>, limit: usize) -> Page {
    let command = LedgerCommand::List {
        status,
        after,
        limit: share(limit),
    };
    page(now(ask_all(shards, &command)), Order::Urgency, limit).unwrap()
}

fn book(shards: &Shards, days: Days, after: Option<Cursor>, limit: usize) -> Page {
    let command = LedgerCommand::Book {
        days,
        after,
        limit: share(limit),
    };
    page(now(ask_all(shards, &command)), Order::Age, limit).unwrap()
}

fn sums(shards: &Shards, days: Days) -> Vec<Total> {
    let (sums, removed) = totals(now(ask_all(shards, &LedgerCommand::Totals { days }))).unwrap();
    assert_eq!(removed, []);
    sums
}

fn now<T>(answer: impl Future<Output = Result<T, CallFault>>) -> T {
    answer.now_or_never().unwrap().unwrap()
}

fn sorted(entries: &[LedgerEntry], order: Order) -> Vec<LedgerEntry> {
    let mut sorted = entries.to_vec();
    sorted.sort_by(|a, b| order.compare(&order.place(a), &order.place(b)));
    sorted
}

prop_compose! {
    fn entries()(seeds in prop::collection::vec((0..Status::ALL.len(), 0u64..40), 0..120)) -> Vec<LedgerEntry> {
        seeds
            .into_iter()
            .enumerate()
            .map(|(number, (status, at))| entry(u16::try_from(number).unwrap(), Status::ALL[status].as_str(), at * 9_000_000))
            .collect()
    }
}

proptest! {
    #[test]
    fn pages_in_a_row_show_each_entry_once_and_in_order(entries in entries(), limit in 1usize..60) {
        let shards = Shards::with(entries.clone());
        let all = read_all(|after| list(&shards, None, after, limit));
        prop_assert_eq!(all, sorted(&entries, Order::Urgency));
        let all = read_all(|after| book(&shards, Days::ALL, after, limit));
        prop_assert_eq!(all, sorted(&entries, Order::Age));
    }

    #[test]
    fn pages_of_one_state_show_that_state_only(entries in entries(), limit in 1usize..20, status in 0..Status::ALL.len()) {
        let shards = Shards::with(entries.clone());
        let status = Status::ALL[status];
        let all = read_all(|after| list(&shards, Some(status), after, limit));
        let of_status: Vec<LedgerEntry> = entries.into_iter().filter(|entry| entry.status == status).collect();
        prop_assert_eq!(all, sorted(&of_status, Order::Urgency));
    }

    #[test]
    fn days_and_states_add_up_to_everything(entries in entries()) {
        let sums = sums(&Shards::with(entries.clone()), Days::ALL);
        prop_assert_eq!(sums.iter().map(|total| total.count).sum::<u64>(), u64::try_from(entries.len()).unwrap());
        for total in &sums {
            prop_assert_eq!(total.amount, UsdcAmount::from_units(15_000 * total.count));
        }
        let mut keys: Vec<_> = sums.iter().map(|total| (total.day, total.status)).collect();
        keys.dedup();
        prop_assert_eq!(keys.len(), sums.len());
    }
}

#[test]
fn days_outside_are_left_out() {
    let day = 86_400_000;
    let shards =
        Shards::with((0u16..5).map(|number| entry(number, "PAID", u64::from(number) * day)));
    let days = Days {
        from: "1970-01-02".parse().unwrap(),
        to: "1970-01-03".parse().unwrap(),
    };
    assert_eq!(sums(&shards, days).len(), 2);
    assert_eq!(book(&shards, days, None, 10).entries.len(), 2);
}

#[test]
fn without_one_shard_there_is_no_answer_instead_of_a_wrong_one() {
    let mut shards = Shards::with([]);
    shards.silent = shards.layout.shards().last();
    let command = LedgerCommand::Totals { days: Days::ALL };
    assert!(ask_all(&shards, &command).now_or_never().unwrap().is_err());
}

#[test]
fn a_report_reaches_the_shard_of_its_purchase() {
    let shards = Shards::with([]);
    let entry = entry(1, "PAID", 1);
    now(put(&shards, entry.clone()));
    let shard = shards
        .layout
        .shard(&entry.request_id, entry.created_at)
        .name();
    assert_eq!(shards.shards[&shard].all(), [entry]);
}

#[test]
fn a_ledger_that_was_given_a_further_part_still_has_everything_and_counts_it_once() {
    const DAY: u64 = 86_400_000;
    let since = "1970-01-11";
    let old: Vec<_> = (0..50).map(|number| entry(number, "PAID", DAY)).collect();
    let mut shards = Shards::with(old.clone());
    shards.grow(Layout::new(vec![since.parse().unwrap()]).unwrap());
    let new: Vec<_> = (50..80)
        .map(|number| entry(number, "PAID", 20 * DAY))
        .collect();
    for entry in &new {
        now(put(&shards, entry.clone()));
    }
    // An entry from before the new part is updated after it.
    let mut changed = old[7].clone();
    changed.status = Status::Delivered;
    changed.changed_at = UnixMillis(30 * DAY);
    changed.version = 9;
    now(put(&shards, changed.clone()));

    let kept = |is_new: bool| {
        let of_part = shards
            .shards
            .iter()
            .filter(|(name, _)| name.contains(since) == is_new);
        of_part
            .map(|(_, entries)| entries.all().len())
            .sum::<usize>()
    };
    assert_eq!((kept(false), kept(true)), (50, 30));
    let mut all = [old, new].concat();
    all[7] = changed;
    let found = read_all(|after| list(&shards, None, after, 7));
    assert_eq!(found, sorted(&all, Order::Urgency));
    let found = read_all(|after| book(&shards, Days::ALL, after, 7));
    assert_eq!(found, sorted(&all, Order::Age));
    let counts: u64 = sums(&shards, Days::ALL)
        .iter()
        .map(|total| total.count)
        .sum();
    assert_eq!(counts, 80);
}
