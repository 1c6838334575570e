use proptest::prelude::*;

use super::*;
use crate::meter::{Granted, Limits, Why};
use crate::types::{Address, RequestId};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const DAY: u64 = 86_400;
const WALLET: Address = Address::repeat_byte(7);

fn meter(limits: &str) -> Meter {
    let granted = Granted {
        limits: serde_json::from_str::<Limits>(limits).unwrap(),
        plan: "starter".parse().unwrap(),
        resource: "default".parse().unwrap(),
        payer: WALLET,
        from: NOW.to_seconds(),
        ends_at: NOW.to_seconds().plus(DAY),
    };
    Meter::new(1, Stored::new(granted), NOW)
}

fn top_up(number: u8, quota: &str, shown_at: UnixMillis) -> TopUp {
    TopUp {
        purchase: RequestId::from_random([number; 16]),
        plan: "starter".parse().unwrap(),
        adds: Adds {
            quota: serde_json::from_str(quota).unwrap(),
            seconds: DAY,
        },
        payer: WALLET,
        is_holder: false,
        shown_at,
    }
}

impl Meter {
    fn adds(&mut self, top_up: &TopUp, now: UnixMillis) -> Addition {
        let (stored, addition) = self.extended(top_up, now).unwrap();
        self.replaced(stored, now);
        addition
    }

    fn withdraws(&mut self, addition: &Addition, now: UnixMillis) -> bool {
        let stored = self.without(addition, now);
        let is_withdrawn = stored.is_some();
        if let Some(stored) = stored {
            self.replaced(stored, now);
        }
        is_withdrawn
    }

    fn ends_at(&self) -> u64 {
        self.stored().granted.ends_at.0
    }
}

#[test]
fn a_top_up_adds_time_to_the_end_and_units_to_what_is_left() {
    let mut meter = meter(r#"{"quota":{"calls":2}}"#);
    meter.begins(1, NOW).unwrap();
    meter.spends(1, 1, NOW);
    meter.adds(&top_up(1, r#"{"calls":5}"#, NOW), NOW);
    assert_eq!(meter.ends_at(), NOW.to_seconds().0 + 2 * DAY);
    assert_eq!(meter.begins(2, NOW), Ok(6));
    // A second one counts on top, also when it is delivered after the end that it found.
    let late = NOW.plus(2 * DAY * 1_000 + 5_000);
    let before_the_end = NOW.plus(2 * DAY * 1_000 - 1_000);
    meter.adds(&top_up(2, r#"{"calls":5}"#, before_the_end), late);
    assert_eq!(
        meter.ends_at(),
        late.to_seconds().0 + DAY,
        "no time that had passed is sold"
    );
    assert_eq!(meter.begins(3, late), Ok(11));
}

#[test]
fn a_top_up_of_a_grant_that_has_ended_begins_anew_and_what_was_left_is_gone() {
    let mut meter = meter(r#"{"quota":{"calls":9}}"#);
    let late = NOW.plus(DAY * 1_000);
    meter.begins(1, late.minus(2_000)).unwrap();
    assert_eq!(meter.begins(2, late), Err(Why::Ended));
    let addition = meter.adds(&top_up(1, r#"{"calls":5}"#, late), late.plus(3_000));
    assert_eq!(meter.ends_at(), late.to_seconds().0 + 3 + DAY);
    // A call of the time before takes nothing of it.
    meter.spends(1, 1, late.plus(4_000));
    assert_eq!(meter.begins(3, late.plus(5_000)), Ok(5));
    assert!(
        !meter.withdraws(&addition, late.plus(6_000)),
        "a call is under way"
    );
}

#[test]
fn what_was_added_to_a_grant_that_had_ended_is_withdrawn_if_nothing_was_used_or_added_since() {
    let late = NOW.plus(DAY * 1_000);
    let mut meter = meter(r#"{"quota":{"calls":9}}"#);
    let before = meter.stored().granted.clone();
    let first = meter.adds(&top_up(1, r#"{"calls":5}"#, late), late);
    let second = meter.adds(&top_up(2, r#"{"calls":5}"#, late), late);
    assert!(!meter.withdraws(&first, late));
    assert!(meter.withdraws(&second, late));
    assert!(meter.withdraws(&first, late));
    assert_eq!(meter.stored().granted, before);
    assert_eq!(meter.begins(3, late), Err(Why::Ended));
}

#[test]
fn an_addition_is_withdrawn_only_while_none_of_it_is_used() {
    let mut meter = meter(r#"{"quota":{"calls":1}}"#);
    let addition = meter.adds(&top_up(1, r#"{"calls":1}"#, NOW), NOW);
    meter.begins(1, NOW).unwrap();
    meter.spends(1, 1, NOW);
    assert!(meter.withdraws(&addition, NOW));
    assert_eq!(meter.begins(2, NOW), Err(Why::UsedUp));
    assert_eq!(meter.ends_at(), NOW.to_seconds().0 + DAY);

    let addition = meter.adds(&top_up(2, r#"{"calls":1}"#, NOW), NOW);
    meter.begins(3, NOW).unwrap();
    assert!(!meter.withdraws(&addition, NOW), "its unit is set aside");
    meter.spends(3, 1, NOW);
    assert!(!meter.withdraws(&addition, NOW), "its unit is used");
}

#[test]
fn what_began_anew_without_a_quota_is_not_withdrawn_since_its_time_may_have_been_used() {
    let late = NOW.plus(DAY * 1_000);
    let mut meter = meter(r#"{"rate":{"calls":5,"per":"second"}}"#);
    let addition = meter.adds(&top_up(1, "null", late), late);
    assert!(!meter.withdraws(&addition, late));
}

#[test]
fn time_that_has_begun_is_not_withdrawn() {
    let mut meter = meter(r#"{"rate":{"calls":5,"per":"second"}}"#);
    let addition = meter.adds(&top_up(1, "null", NOW), NOW);
    let old_end = NOW.plus(DAY * 1_000);
    assert!(!meter.withdraws(&addition, old_end));
    assert!(meter.withdraws(&addition, old_end.minus(1_000)));
    assert_eq!(meter.ends_at(), NOW.to_seconds().0 + DAY);
}

#[test]
fn only_its_wallet_or_who_holds_its_token_tops_a_grant_up_and_only_with_its_own_plan() {
    let meter = meter(r#"{"quota":{"calls":1}}"#);
    let good = top_up(1, r#"{"calls":1}"#, NOW);
    assert_eq!(meter.bars(&good), None);
    let stranger = TopUp {
        payer: Address::repeat_byte(8),
        ..good.clone()
    };
    assert_eq!(meter.bars(&stranger), Some(Barred::NotYours));
    let holder = TopUp {
        is_holder: true,
        ..stranger
    };
    assert_eq!(meter.bars(&holder), None);
    let cheap = TopUp {
        plan: "basic".parse().unwrap(),
        ..good.clone()
    };
    assert_eq!(meter.bars(&cheap), Some(Barred::OtherPlan));
    for quota in ["null", r#"{"credit":"$1"}"#] {
        let other = top_up(1, quota, NOW);
        assert_eq!(meter.bars(&other), Some(Barred::OtherQuota), "{quota}");
    }
    let mut full = meter.stored().clone();
    full.additions = MAX_ADDITIONS;
    let full = Meter::new(1, full, NOW);
    assert_eq!(full.bars(&good), Some(Barred::TooOften));
    assert_eq!(full.extended(&good, NOW), Err(Barred::TooOften));
}

proptest! {
    /// Whatever is added and withdrawn, in whatever order: nobody has units that were withdrawn, or loses those that were not.
    #[test]
    fn what_was_not_withdrawn_is_left(steps in prop::collection::vec((0u8..3, 0u8..8), 1..40)) {
        let mut meter = meter(r#"{"quota":{"calls":3}}"#);
        let (mut additions, mut sold, mut used) = (Vec::new(), 3u64, 0u64);
        for (at, (step, which)) in (0u8..).zip(steps) {
            match step {
                0 => {
                    let quota = format!(r#"{{"calls":{which}}}"#);
                    additions.push((u64::from(which), meter.adds(&top_up(at, &quota, NOW), NOW)));
                    sold += u64::from(which);
                }
                1 if !additions.is_empty() => {
                    let (units, addition) = additions.remove(usize::from(which) % additions.len());
                    let is_unused = used + units <= sold;
                    prop_assert_eq!(meter.withdraws(&addition, NOW), is_unused);
                    sold -= if is_unused { units } else { 0 };
                }
                _ => match meter.begins(100 + at, NOW) {
                    Ok(left) => {
                        prop_assert_eq!(left, sold - used);
                        meter.spends(100 + at, 1, NOW);
                        used += 1;
                    }
                    Err(why) => prop_assert_eq!((why, sold), (Why::UsedUp, used)),
                },
            }
        }
    }
}
