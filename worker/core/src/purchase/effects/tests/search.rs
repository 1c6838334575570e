//! Finding the transaction that used an authorization, with nodes that keep few states and search few blocks at once.

use super::fate::fate_at;
use super::*;

/// The world when the stranger's transaction is in block `block` and `head` is the newest block.
fn outside(record: Purchase, block: u64, head: u64) -> Outside {
    let mut outside = Outside::new(record);
    (outside.block, outside.head, outside.state) = (block, head, head);
    outside.is_included = false;
    outside
}

/// The event by the state of block `at`; `None` when nobody has used the authorization.
fn look(outside: &Outside, record: &Purchase, at: u64) -> Result<Option<Event>, Stuck> {
    let attempt = match &record.state {
        State::Pending { attempt } => attempt,
        state => state.watch().unwrap(),
    };
    let mut head = outside.head()?;
    head.number = at;
    let fate = fate_at(outside, record, &attempt.broadcast, &head);
    fate.now_or_never().unwrap().map(Fate::used)
}

/// Runs the effect until the search is over. Returns its event and the number of steps.
fn search(outside: &Outside) -> (Option<Event>, u32) {
    let mut steps = 1;
    loop {
        let record = outside.store.record();
        let found = look(outside, &record, outside.head);
        let Ok(Some(event @ Event::Searched { .. })) = found else {
            return (found.ok().flatten(), steps);
        };
        let next = apply(Some(&record), event, NOW, &POLICY).unwrap();
        outside.store.put(next);
        steps += 1;
        assert!(steps < 10_000, "endless");
    }
}

#[test]
fn whoever_used_an_authorization_is_found_whatever_the_nodes_are_able_to() {
    const HEAD: u64 = 5_000;
    for states_kept in [0, 128, u64::MAX] {
        for blocks_searched in [10, 100, 500, u64::MAX] {
            for block in [8, 499, 500, 501, 3_000, HEAD - 150, HEAD - 1, HEAD] {
                let mut outside = outside(expired(), block, HEAD);
                outside.states_kept = states_kept;
                outside.blocks_searched = blocks_searched;
                let (event, steps) = search(&outside);
                let case = format!("{states_kept} {blocks_searched} {block}");
                assert!(is_settled_by_the_stranger(event), "{case}");
                if states_kept == u64::MAX {
                    assert_eq!(steps, 1, "{case}: all states tell the way");
                    assert!(outside.searches.get() < 24, "{case}");
                }
            }
        }
    }
}

#[test]
fn a_short_search_is_one_question_where_the_node_takes_it() {
    let outside = outside(submitted(), 50, 60);
    let (event, _) = search(&outside);
    assert!(is_settled_by_the_stranger(event));
    assert_eq!(outside.searches.get(), 2, "the state and the events");
}

#[test]
fn what_is_searched_is_remembered_but_for_the_newest_blocks() {
    const HEAD: u64 = 3_000;
    let mut outside = outside(expired(), HEAD, HEAD);
    outside.blocks_searched = 10;
    outside.states_kept = 0;
    let mut before = 0;
    for _ in 0..10_000 {
        let record = outside.store.record();
        let found = look(&outside, &record, HEAD);
        let Ok(Some(Event::Searched { to })) = found else {
            return;
        };
        assert!(to > before && to <= HEAD - 150, "{to}");
        before = to;
        let searched = Event::Searched { to };
        let record = apply(Some(&record), searched, NOW, &POLICY).unwrap();
        outside.store.put(record);
    }
    panic!("endless");
}

#[test]
fn a_node_that_does_not_show_the_event_yet_does_not_end_the_search() {
    let mut outside = outside(expired(), 60, 60);
    // Another node, which is asked for the state, knows a newer block.
    outside.block = 61;
    outside.is_used = true;
    let record = expired();
    outside.state = 61;
    assert!(matches!(look(&outside, &record, 60), Ok(None)));
    outside.head = 61;
    outside.blocks_searched = 0;
    assert!(look(&outside, &record, 61).is_err(), "no node answers");
}

#[test]
fn a_search_does_not_count_as_progress_of_the_purchase() {
    let mut record = expired();
    record.tries = 5;
    let searched = Event::Searched { to: 900 };
    let next = apply(Some(&record), searched.clone(), NOW, &POLICY).unwrap();
    assert_eq!(next.tries, 5);
    assert_eq!(next.state.watch().unwrap().broadcast.searched_to, 900);
    assert!(
        apply(Some(&next), searched, NOW, &POLICY).is_err(),
        "no further"
    );
    let lower = Event::Searched { to: 899 };
    assert!(apply(Some(&next), lower, NOW, &POLICY).is_err());
}

#[test]
fn a_node_that_answers_only_so_often_is_asked_for_the_rest_later() {
    const HEAD: u64 = 10_000;
    let mut outside = outside(expired(), HEAD, HEAD);
    outside.states_kept = 0;
    let mut goes = 0;
    loop {
        outside.patience.set(3);
        if let (Some(event), steps) = search(&outside) {
            assert!(is_settled_by_the_stranger(Some(event)));
            // Each step makes several queries, and stops where the node answers no more.
            assert!(steps < 4, "{steps}");
            break;
        }
        goes += 1;
        assert!(goes < 10, "endless");
    }
    assert!(goes > 3, "{goes}");
}

#[test]
fn a_search_in_vain_begins_again_another_time() {
    const HEAD: u64 = 100_000;
    // The node that searched the older blocks has lost the transaction's block, or has never had it.
    let mut outside = outside(expired(), 10, HEAD);
    outside.states_kept = 0;
    let mut record = expired();
    let searched = Event::Searched { to: HEAD - 200 };
    record = apply(Some(&record), searched, NOW, &POLICY).unwrap();
    let look = |record: &Purchase| look(&outside, record, HEAD).ok().flatten();
    assert_eq!(look(&record), Some(Event::SearchedInVain));
    record = apply(Some(&record), Event::SearchedInVain, NOW, &POLICY).unwrap();
    assert_eq!(record.state.watch().unwrap().broadcast.searched_to, 0);
    assert!(
        is_settled_by_the_stranger(look(&record)),
        "from the beginning"
    );
    assert_eq!(
        apply(Some(&record), Event::SearchedInVain, NOW, &POLICY),
        Err(Refused)
    );
}

#[test]
fn the_alarm_does_not_begin_again_at_once() {
    const HEAD: u64 = 100_000;
    let mut record = expired();
    let searched = Event::Searched { to: HEAD - 200 };
    record = apply(Some(&record), searched, NOW, &POLICY).unwrap();
    let mut outside = outside(record, 10, HEAD);
    (outside.states_kept, outside.time) = (0, NOW.to_seconds().0 + 3_600);
    outside.wake();
    let after = outside.store.record();
    assert_eq!(after.state.watch().unwrap().broadcast.searched_to, 0);
    outside.wake();
    let after = outside.store.record();
    assert!(after.state.payment().is_some(), "{after:?}");
}
