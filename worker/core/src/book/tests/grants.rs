//! Tests of the grants that a payer has bought.

use super::*;
use crate::types::UnixSeconds;

const END: UnixSeconds = UnixSeconds(NOW.to_seconds().0 + 86_400);

fn buys(book: &Book, number: u8, ends_at: UnixSeconds) {
    let grant = BoughtGrant {
        id: purchase(number),
        plan: "basic".parse().unwrap(),
        ends_at,
    };
    let released = PayerCommand::Release {
        request_id: purchase(number),
        attempt: LAST_ATTEMPT,
        outcome: Outcome::Delivered,
        grant: Some(grant),
    };
    assert_eq!(run(book, released, NOW), PayerReply::Noted);
}

fn finds(book: &Book, id: Option<u8>, nonce: &str, now: UnixMillis) -> PayerReply {
    let question = FindGrants {
        id: id.map(purchase),
        nonce: nonce.to_owned(),
        until: UnixSeconds(NOW.to_seconds().0 + 300),
    };
    run(book, PayerCommand::FindGrants(question), now)
}

fn found(reply: PayerReply) -> (Vec<RequestId>, usize) {
    let PayerReply::Grants { grants, more } = reply else {
        panic!("{reply:?}");
    };
    (grants.into_iter().map(|grant| grant.id).collect(), more)
}

#[test]
fn a_wallet_finds_its_grants_with_each_nonce_once() {
    let book = Book::default();
    // Of a wallet without grants nothing is stored.
    for _ in 0..2 {
        assert_eq!(found(finds(&book, None, "a", NOW)), (vec![], 0));
        assert_eq!(found(finds(&book, Some(1), "a", NOW)), (vec![], 0));
    }
    assert!(book.used.borrow().is_empty());
    // A release is repeated when its answer was lost.
    for _ in 0..2 {
        buys(&book, 1, END);
    }
    buys(&book, 2, END.plus(1));
    assert_eq!(
        found(finds(&book, None, "a", NOW)),
        (vec![purchase(2), purchase(1)], 0)
    );
    assert_eq!(found(finds(&book, Some(1), "b", NOW)).0, [purchase(1)]);
    assert_eq!(found(finds(&book, Some(3), "c", NOW)).0, []);
    for nonce in ["a", "b", "c"] {
        let as_long_as_it_is_good = NOW.plus(359_000);
        let reply = finds(&book, None, nonce, as_long_as_it_is_good);
        assert_eq!(reply, PayerReply::NonceUsed, "{nonce}");
    }
    finds(&book, None, "d", NOW.plus(360_000));
    assert_eq!(book.used.borrow().len(), 1, "the others are forgotten");
}

#[test]
fn a_grant_is_listed_for_35_days_after_its_end_and_a_later_end_counts() {
    let book = Book::default();
    buys(&book, 1, END);
    let last = END.plus(LISTED_SECONDS).to_millis();
    assert_eq!(found(finds(&book, None, "a", last.minus(1_000))).0.len(), 1);
    assert_eq!(found(finds(&book, None, "b", last)).0.len(), 0);
    buys(&book, 1, END.plus(60));
    buys(&book, 1, END);
    assert_eq!(found(finds(&book, None, "c", last)).0.len(), 1);
    for number in 2..200 {
        buys(&book, number, END);
    }
    let (ids, more) = found(finds(&book, None, "d", NOW));
    assert_eq!((ids.len(), more), (MAX_FOUND, 199 - MAX_FOUND));
    assert_eq!(ids[0], purchase(1), "what ends last comes first");
    assert_eq!(found(finds(&book, Some(150), "e", NOW)).0, [purchase(150)]);
}
