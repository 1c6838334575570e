use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::meter::{Cost, Limits};
use crate::pauses::METER_TELL;
use crate::types::{Address, UnixSeconds};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const LEASE: u64 = 60_000;

fn granted(limits: &str) -> Stored {
    Stored::new(Granted {
        limits: serde_json::from_str::<Limits>(limits).unwrap(),
        plan: "starter".parse().unwrap(),
        resource: "default".parse().unwrap(),
        payer: Address::ZERO,
        from: NOW.to_seconds(),
        ends_at: UnixSeconds(NOW.to_seconds().0 + 86_400),
    })
}

fn meter(limits: &str) -> Meter {
    Meter::new(1, granted(limits), NOW)
}

fn call(number: u8) -> CallId {
    CallId::from_random([number; 16])
}

fn ask(number: u8) -> Reserve {
    Reserve {
        call: call(number),
        max_cost: None,
        lease: LEASE,
    }
}

fn told(number: u8, fate: Fate, is_over: bool) -> Tell {
    Tell {
        call: call(number),
        meter: 1,
        fate,
        is_over,
        is_again: false,
        at: NOW,
        lease: LEASE,
    }
}

fn again(tell: Tell) -> Tell {
    Tell {
        is_again: true,
        ..tell
    }
}

impl Meter {
    pub(crate) fn begins(&mut self, number: u8, now: UnixMillis) -> Result<u64, Why> {
        let pass = self.reserve(&ask(number), now);
        pass.map(|pass| pass.standing.left).map_err(|no| no.why)
    }

    pub(crate) fn spends(&mut self, number: u8, units: u64, now: UnixMillis) {
        self.tell(&told(number, Fate::Spent(units), true), now);
    }

    /// What a process that has died leaves, when this much was written.
    fn restarted(id: u64, stored: &Stored) -> Self {
        Self::new(id, stored.clone(), NOW)
    }
}

#[test]
fn a_quota_is_good_for_so_many_calls_and_nobody_is_told_to_pay_while_a_unit_may_come_back() {
    let mut meter = meter(r#"{"quota":{"calls":2}}"#);
    assert_eq!(meter.begins(1, NOW), Ok(2));
    assert_eq!(meter.begins(2, NOW), Ok(1));
    assert_eq!(meter.begins(3, NOW), Err(Why::Outstanding));
    meter.spends(1, 1, NOW);
    assert_eq!(meter.begins(3, NOW), Err(Why::Outstanding));
    meter.tell(&told(2, Fate::GivenBack, true), NOW);
    assert_eq!(meter.begins(3, NOW), Ok(1));
    meter.spends(3, 1, NOW);
    assert_eq!(meter.begins(4, NOW), Err(Why::UsedUp));
    let end = granted("{}").granted.ends_at.to_millis();
    assert_eq!(meter.begins(5, end), Err(Why::Ended));
}

#[test]
fn a_grant_that_was_taken_back_lets_no_call_begin_and_what_is_under_way_goes_on() {
    use crate::meter::Revoker::{Operator, Payer};
    let mut meter = meter(r#"{"quota":{"calls":3},"rate":{"calls":9,"per":"minute"}}"#);
    assert_eq!(meter.begins(1, NOW), Ok(3));
    assert_eq!(meter.begins(2, NOW), Ok(2));
    let told = meter.look(NOW);
    assert_eq!((told.standing.left, told.standing.left_now), (1, 7));
    assert_eq!((told.payer, told.revoked), (Address::ZERO, None));
    let revoked = Revoked { by: Payer, at: NOW };
    meter.revoke(revoked, "a");
    let later = Revoked {
        by: Operator,
        at: NOW.plus(1),
    };
    meter.revoke(later, "a");
    assert_eq!(meter.stored().unlisted.as_deref(), Some("a"));
    meter.listed();
    meter.revoke(later, "a");
    assert_eq!(meter.stored().unlisted, None);
    assert_eq!(
        meter.look(NOW).revoked,
        Some(revoked),
        "the first one counts"
    );
    assert_eq!(meter.begins(3, NOW), Err(Why::Revoked));
    // A question that is repeated is about a call that has begun.
    assert_eq!(meter.begins(2, NOW), Ok(2));
    meter.spends(1, 1, NOW);
    assert_eq!((meter.stored().used, meter.look(NOW).standing.left), (1, 1));
    let stored = serde_json::to_string(meter.stored()).unwrap();
    let mut restarted = Meter::restarted(2, &serde_json::from_str(&stored).unwrap());
    assert_eq!(restarted.begins(4, NOW), Err(Why::Revoked));
}

#[test]
fn no_message_counts_twice_and_none_after_the_end_changes_anything() {
    let mut meter = meter(r#"{"quota":{"calls":10},"concurrency":1}"#);
    for _ in 0..2 {
        assert_eq!(meter.begins(1, NOW), Ok(10));
    }
    let kept = told(1, Fate::Spent(1), false);
    for tell in [kept.clone(), again(kept.clone())] {
        meter.tell(&tell, NOW);
        assert_eq!(meter.stored().used, 1);
        assert_eq!(meter.begins(2, NOW), Err(Why::TooMany));
    }
    // The call has ended, and what comes late neither takes a place nor a unit.
    let ended = again(told(1, Fate::Spent(1), true));
    for tell in [&ended, &ended, &kept, &again(kept.clone())] {
        meter.tell(tell, NOW);
        assert_eq!(meter.stored().used, 1);
        assert!(meter.open.is_empty());
    }
    assert_eq!(meter.begins(1, NOW), Err(Why::Over));
    // Nor does it long after, nor in another memory.
    let much_later = NOW.plus(10 * REMEMBERED_MILLIS);
    meter.tell(&again(kept.clone()), much_later);
    assert!(meter.open.is_empty());
    let mut restarted = Meter::restarted(2, meter.stored());
    restarted.tell(&again(kept.clone()), NOW);
    assert!(restarted.open.is_empty());
    assert_eq!((meter.stored().used, restarted.stored().used), (1, 1));
    // A give-back that comes before its question lets nothing begin.
    meter.tell(&told(3, Fate::GivenBack, true), NOW);
    assert_eq!(meter.begins(3, NOW), Err(Why::Over));
}

#[test]
fn what_is_told_to_a_memory_that_does_not_know_the_call_counts_once_and_gives_nothing_back() {
    let mut stored = granted(r#"{"quota":{"calls":10},"concurrency":1}"#);
    stored.used = 9;
    let mut meter = Meter::restarted(2, &stored);
    meter.tell(&told(1, Fate::GivenBack, true), NOW);
    assert_eq!(meter.stored().used, 9);
    // It may have been counted before the memory was lost.
    meter.tell(&again(told(2, Fate::Spent(1), true)), NOW);
    assert_eq!(meter.stored().used, 9);
    let late = Tell {
        at: NOW.minus(METER_TELL),
        ..told(2, Fate::Spent(1), false)
    };
    meter.tell(&late, NOW);
    assert_eq!((meter.stored().used, meter.open.len()), (9, 0));
    // It was not, and holds its place.
    meter.tell(&told(3, Fate::Spent(5), false), NOW);
    assert_eq!(meter.stored().used, 10, "never more than was sold");
    assert_eq!(meter.open.len(), 1);
    meter.tell(&again(told(3, Fate::Spent(5), true)), NOW);
    assert!(meter.open.is_empty());
    assert_eq!(meter.begins(4, NOW), Err(Why::UsedUp));
}

#[test]
fn an_answer_that_streams_takes_its_place_again_in_a_new_memory_and_counts_once() {
    let mut stored = granted(r#"{"quota":{"calls":10},"concurrency":1}"#);
    stored.used = 1;
    let news = |at, is_over| Tell {
        at,
        ..again(told(1, Fate::Spent(1), is_over))
    };
    let mut meter = Meter::restarted(2, &stored);
    // What was told to the earlier memory may come after the end of the call, which that memory has heard.
    for at in [NOW.minus(1), NOW, NOW.plus(METER_LATE - 1)] {
        meter.tell(&news(at, false), NOW.plus(METER_LATE));
        assert!(meter.open.is_empty(), "{at:?}");
    }
    let mut meter = Meter::restarted(2, &stored);
    let mut now = NOW.plus(METER_LATE);
    for _ in 0..3 {
        meter.tell(&news(now, false), now);
        now = now.plus(LEASE - 1);
        assert_eq!(meter.begins(2, now), Err(Why::TooMany));
    }
    let before = news(now, false);
    meter.tell(&news(now, true), now);
    assert_eq!(meter.begins(2, now), Ok(9));
    meter.tell(&told(2, Fate::GivenBack, true), now);
    meter.tell(&before, now);
    assert!(meter.open.is_empty(), "nothing begins again after its end");
    assert_eq!(meter.stored().used, 1);
    // One of which no more is heard lets its place go, like any other.
    let mut meter = Meter::restarted(2, &stored);
    let now = NOW.plus(METER_LATE);
    meter.tell(&news(now, false), now);
    assert_eq!(meter.begins(2, now.plus(LEASE)), Ok(9));
    meter.tell(&news(now, false), now.plus(LEASE));
    assert_eq!(meter.open.len(), 1);
}

#[test]
fn a_call_that_nothing_is_heard_of_frees_its_place_and_its_unit_and_counts_when_it_is_told() {
    let mut meter = meter(r#"{"quota":{"calls":2},"concurrency":1}"#);
    assert_eq!(meter.begins(1, NOW), Ok(2));
    let late = NOW.plus(LEASE);
    assert_eq!(meter.begins(2, late.minus(1)), Err(Why::TooMany));
    assert_eq!(meter.begins(2, late), Ok(2));
    meter.tell(&told(2, Fate::Spent(1), false), late);
    meter.tell(&told(1, Fate::Spent(1), true), late);
    assert_eq!(meter.stored().used, 2);
    for at in [1, LEASE - 1] {
        meter.tell(&again(told(2, Fate::Spent(1), false)), late.plus(at));
    }
    let renewed = late.plus(LEASE - 1);
    let place = |meter: &mut Meter, now| (meter.begins(3, now), meter.open.len());
    assert_eq!(place(&mut meter, renewed.plus(LEASE - 1)).1, 1);
    assert_eq!(
        place(&mut meter, renewed.plus(LEASE)),
        (Err(Why::UsedUp), 0)
    );
}

#[test]
fn a_rate_holds_in_each_period_of_the_clock() {
    let mut meter = meter(r#"{"rate":{"calls":2,"per":"minute"}}"#);
    assert_eq!(meter.begins(1, NOW), Ok(0));
    assert_eq!(meter.begins(2, NOW.plus(1)), Ok(0));
    let refused = meter.reserve(&ask(3), NOW.plus(1_000)).unwrap_err();
    assert_eq!(refused.why, Why::TooFast);
    let standing = refused.standing;
    assert_eq!((standing.left_now, standing.next_in), (0, 59));
    assert_eq!(meter.begins(3, NOW.plus(59_999)), Err(Why::TooFast));
    assert_eq!(meter.begins(3, NOW.plus(60_000)), Ok(0));
    assert!(
        meter.open.is_empty(),
        "of a rate, only the beginning matters"
    );
}

#[test]
fn the_calls_of_a_minute_or_an_hour_are_written() {
    for (per, unwritten) in [
        ("second", None),
        ("minute", Some((2, NOW))),
        ("hour", Some((2, NOW))),
    ] {
        let rate = format!(r#""rate":{{"calls":2,"per":"{per}"}}"#);
        let mut only = meter(&format!("{{{rate}}}"));
        let mut both = meter(&format!(r#"{{"quota":{{"calls":9}},{rate}}}"#));
        for number in [1, 2] {
            assert_eq!(only.begins(number, NOW), Ok(0));
            assert!(both.begins(number, NOW).is_ok());
        }
        assert_eq!(only.unwritten(), unwritten);
        // What counts against a quota is the answer, which is still to come.
        assert_eq!(both.unwritten(), unwritten.map(|(_, since)| (0, since)));
        for written in [only.stored(), both.stored()] {
            let mut restarted = Meter::restarted(2, written);
            assert_eq!(restarted.begins(3, NOW), Err(Why::TooFast));
        }
    }
}

#[test]
fn a_meter_is_busy_while_something_is_set_aside() {
    let mut meter = meter(r#"{"concurrency":1}"#);
    assert!(!meter.is_busy(NOW));
    assert_eq!(meter.begins(1, NOW), Ok(0));
    assert!(meter.is_busy(NOW.plus(LEASE - 1)));
    assert!(!meter.is_busy(NOW.plus(LEASE)));
}

#[test]
fn as_much_is_set_aside_as_the_route_says_or_the_last_calls_were_dear() {
    let mut meter = meter(r#"{"quota":{"calls":100}}"#);
    let dear = |number| Reserve {
        max_cost: Some(Cost::Calls(20)),
        ..ask(number)
    };
    for number in 1..=5 {
        assert!(meter.reserve(&dear(number), NOW).is_ok());
    }
    let refused = meter.reserve(&dear(6), NOW).unwrap_err();
    assert_eq!(refused.why, Why::Outstanding);
    for number in 1..=4 {
        meter.spends(number, 20, NOW);
    }
    meter.spends(5, 1, NOW);
    // 19 are left: enough for a call that may cost more, but not for two at once.
    assert_eq!(meter.begins(7, NOW), Ok(19));
    assert_eq!(meter.begins(8, NOW), Err(Why::Outstanding));
    meter.spends(7, 0, NOW);
    // Where the route says nothing, one dear call is remembered, and forgotten by and by.
    for number in 10..40 {
        assert_eq!(meter.begins(number, NOW), Ok(19));
        meter.spends(number, 0, NOW);
    }
    assert_eq!(meter.stored().dear, 7);
    let other = Reserve {
        max_cost: Some(Cost::Credit(crate::types::UsdcAmount::from_units(9))),
        ..ask(50)
    };
    assert!(meter.reserve(&other, NOW).is_ok());
    assert_eq!(
        meter.reserved(NOW),
        7,
        "a cost of the other kind says nothing"
    );
}

#[test]
fn calls_for_credit_whose_cost_nobody_has_bounded_go_one_at_a_time() {
    let mut meter = meter(r#"{"quota":{"credit":"$5.00"}}"#);
    for number in (1..100).step_by(2) {
        assert_eq!(meter.begins(number, NOW), Ok(5_000_000));
        assert_eq!(meter.begins(number + 1, NOW), Err(Why::Outstanding));
        meter.spends(number, 0, NOW);
    }
    let bounded = |number| Reserve {
        max_cost: Some(Cost::Credit(crate::types::UsdcAmount::from_units(
            2_000_000,
        ))),
        ..ask(number)
    };
    assert!(meter.reserve(&bounded(101), NOW).is_ok());
    assert!(meter.reserve(&bounded(102), NOW).is_ok());
    let refused = meter.reserve(&bounded(103), NOW).unwrap_err();
    assert_eq!(refused.why, Why::Outstanding);
    meter.spends(101, 2_000_000, NOW);
    meter.spends(102, 2_000_000, NOW);
    assert_eq!(meter.begins(104, NOW), Ok(1_000_000));
}

#[test]
fn what_a_crash_can_lose_is_bounded_also_where_a_plan_bounds_no_calls_at_a_time() {
    let mut quota = meter(r#"{"quota":{"calls":1650}}"#);
    for number in 1..=100 {
        assert!(quota.begins(number, NOW).is_ok());
    }
    assert_eq!(quota.begins(101, NOW), Err(Why::TooMany));
    quota.spends(1, 1, NOW);
    assert!(quota.begins(102, NOW).is_ok());
    // Nothing is counted here that a crash could lose.
    let mut fast = meter(r#"{"rate":{"calls":200,"per":"second"}}"#);
    for number in 1..=200 {
        assert!(fast.begins(number, NOW).is_ok());
    }
}

#[test]
fn what_is_stored_stays_readable() {
    let text = r#"{"granted":{"limits":{"quota":{"calls":2}},"plan":"starter","resource":"default","payer":"0x0000000000000000000000000000000000000000","from":1800000000,"endsAt":1800086400},"used":1,"period":[0,1],"dear":1}"#;
    let mut meter = meter(r#"{"quota":{"calls":2}}"#);
    assert_eq!(meter.begins(1, NOW), Ok(2));
    meter.spends(1, 1, NOW);
    assert_eq!(serde_json::to_string(meter.stored()).unwrap(), text);
    assert_eq!(
        serde_json::from_str::<Stored>(text).unwrap(),
        *meter.stored()
    );
}

/// What happens to the calls of a grant.
#[derive(Clone, Debug)]
enum Step {
    /// A call is asked for, under this number.
    Ask(u8),
    /// The API answers it with this cost.
    Answer(u8, u64),
    /// The API does not answer it.
    Fail(u8),
    /// It ends.
    End(u8),
    /// One of the messages on their way arrives; of the repeatable ones, perhaps not for the last time.
    Arrive(usize),
    /// What is counted is written, as after five seconds.
    Write,
    /// The process that counts dies.
    Crash,
    /// Time passes.
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0_u8..24;
    prop_oneof![
        6 => number.clone().prop_map(Step::Ask),
        6 => (number.clone(), 0_u64..4).prop_map(|(number, cost)| Step::Answer(number, cost)),
        2 => number.clone().prop_map(Step::Fail),
        4 => number.prop_map(Step::End),
        12 => any::<usize>().prop_map(Step::Arrive),
        1 => Just(Step::Write),
        1 => Just(Step::Crash),
        2 => (0_u64..90_000).prop_map(Step::Wait),
    ]
}

const QUOTA: u64 = 12;

/// What really happened, and the place that counts it.
struct World {
    meter: Meter,
    written: Stored,
    now: UnixMillis,
    /// The calls that may be made or were made: the memory that reserved each, and what it took.
    calls: BTreeMap<u8, (u64, Option<Fate>)>,
    told: Vec<u8>,
    on_the_way: Vec<Tell>,
    /// How many calls may go uncounted, because a process has died.
    excused: u64,
}

impl World {
    fn new() -> Self {
        let written = granted(&format!(r#"{{"quota":{{"calls":{QUOTA}}}}}"#));
        Self {
            meter: Meter::restarted(0, &written),
            written,
            now: NOW,
            calls: BTreeMap::new(),
            told: Vec::new(),
            on_the_way: Vec::new(),
            excused: 0,
        }
    }

    /// The units of all calls that the API has answered.
    fn used(&self) -> u64 {
        let fates = self.calls.values().filter_map(|(_, fate)| *fate);
        let units = fates.map(|fate| match fate {
            Fate::Spent(units) => units,
            Fate::GivenBack => 0,
        });
        units.sum()
    }

    fn say(&mut self, number: u8, is_over: bool) {
        let Some((meter, Some(fate))) = self.calls.get(&number).copied() else {
            return;
        };
        let late = self.now.minus(METER_TELL);
        let is_first_under_way = |told: &Tell| told.call == call(number) && !told.is_again;
        let mut first = self
            .on_the_way
            .iter()
            .filter(|told| is_first_under_way(told));
        if first.any(|told| told.at > late) {
            return;
        }
        self.on_the_way.push(Tell {
            meter,
            is_again: self.told.contains(&number),
            at: self.now,
            ..told(number, fate, is_over)
        });
        self.told.push(number);
    }

    fn ends(&mut self, number: u8, fate: Fate) {
        if let Some((_, unknown @ None)) = self.calls.get_mut(&number) {
            *unknown = Some(fate);
            self.say(number, fate == Fate::GivenBack);
        }
    }

    fn write(&mut self) {
        self.written = self.meter.stored().clone();
        self.meter.written();
    }

    fn take(&mut self, step: &Step) {
        match *step {
            // Whoever has told of a call does not ask for it again.
            Step::Ask(number) if self.told.contains(&number) => {}
            Step::Ask(number) => match self.meter.reserve(&ask(number), self.now) {
                Ok(pass) => {
                    self.calls.entry(number).or_insert((pass.meter, None));
                }
                Err(refused) if refused.why == Why::UsedUp => {
                    assert!(
                        self.used() >= QUOTA,
                        "told to pay with {} used",
                        self.used()
                    );
                    self.write();
                }
                Err(_) => {}
            },
            Step::Answer(number, cost) => self.ends(number, Fate::Spent(cost)),
            Step::Fail(number) => self.ends(number, Fate::GivenBack),
            Step::End(number) => self.say(number, true),
            Step::Arrive(_) if self.on_the_way.is_empty() => {}
            Step::Arrive(at) => {
                let at = at % self.on_the_way.len();
                let told = match self.on_the_way[at].is_again {
                    true => self.on_the_way[at].clone(),
                    false => self.on_the_way.swap_remove(at),
                };
                self.meter.tell(&told, self.now);
            }
            Step::Write => self.write(),
            Step::Crash => {
                let unwritten = self.meter.unwritten().map_or(0, |(calls, _)| calls);
                let under_way = self.meter.open.values();
                let under_way = under_way.filter(|open| open.reserved.is_some()).count();
                self.excused += u64::from(unwritten) + u64::try_from(under_way).unwrap();
                let id = self.meter.id + 1;
                self.meter = Meter::new(id, self.written.clone(), self.now);
            }
            Step::Wait(millis) => self.now = self.now.plus(millis),
        }
        if let Some((MOST_UNWRITTEN, _)) = self.meter.unwritten() {
            self.write();
        }
        assert!(self.meter.stored().used <= self.used());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_is_lost_repeated_or_late_the_buyer_gets_what_was_sold(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
    }

    #[test]
    fn a_crash_costs_the_seller_what_was_not_written_and_what_was_under_way(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            match step {
                Step::Answer(number, _) => world.take(&Step::Answer(*number, 1)),
                // A lease that runs out is another way to lose what is under way.
                Step::Wait(_) => {}
                step => world.take(step),
            }
            prop_assert!(world.used() <= QUOTA + world.excused);
        }
    }
}
