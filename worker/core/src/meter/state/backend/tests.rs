use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::super::lease::{LeaseId, MOST_LEASES};
use super::super::super::{Cost, Granted, Limits, Reserve, Standing};
use super::*;
use crate::meter::CallId;
use crate::types::{Address, UnixSeconds, UsdcAmount};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const DAY: u64 = 86_400;

fn meter(limits: &str) -> Meter {
    let stored = Stored::new(Granted {
        limits: serde_json::from_str::<Limits>(limits).unwrap(),
        plan: "starter".parse().unwrap(),
        resource: "default".parse().unwrap(),
        payer: Address::ZERO,
        from: NOW.to_seconds(),
        ends_at: UnixSeconds(NOW.to_seconds().0 + DAY),
    });
    Meter::new(1, stored, NOW)
}

fn id(number: u64) -> LeaseId {
    LeaseId::parse(&format!("{number:032x}")).unwrap()
}

fn report(lease: u64, used: u64, want: u32) -> Report {
    Report {
        lease: id(lease),
        used,
        want,
        done: false,
    }
}

fn done(lease: u64, used: u64) -> Report {
    Report {
        done: true,
        ..report(lease, used, 0)
    }
}

fn key(cost: Option<Cost>) -> Consume {
    Consume {
        key: "a".to_owned(),
        cost,
    }
}

impl Meter {
    /// What may be used of the lease in all.
    fn tells(&mut self, report: Report, now: UnixMillis) -> Result<u64, Why> {
        let (reply, stored) = self.lend(&report, now);
        if let Some(stored) = stored {
            self.adopt(stored);
        }
        match reply {
            MeterReply::Lent(lent) => Ok(lent.up_to),
            MeterReply::Refused(refused) => Err(refused.why),
            other => panic!("{other:?}"),
        }
    }

    /// What is left.
    fn takes(&mut self, cost: Option<Cost>, now: UnixMillis) -> Result<Standing, Why> {
        let (reply, stored) = self.consume(&key(cost), now);
        if let Some(stored) = stored {
            self.adopt(stored);
        }
        match reply {
            MeterReply::Consumed(standing) => Ok(standing),
            MeterReply::Refused(refused) => Err(refused.why),
            other => panic!("{other:?}"),
        }
    }

    /// What a process that has died leaves.
    fn again(&self, now: UnixMillis) -> Self {
        Self::new(self.id + 1, self.stored.clone(), now)
    }
}

#[test]
fn one_question_serves_fifty_calls_and_no_lease_keeps_more_than_an_eighth() {
    let mut meter = meter(r#"{"quota":{"calls":480}}"#);
    assert_eq!(meter.tells(report(1, 0, 50), NOW), Ok(50));
    assert_eq!(meter.tells(report(2, 0, 100), NOW), Ok(53), "430 / 8");
    // What was lent stays lent: a backend may have used it before it hears of less.
    assert_eq!(meter.tells(report(1, 10, 20), NOW), Ok(50));
    assert_eq!(meter.tells(report(1, 10, 0), NOW), Ok(50));
    assert_eq!(meter.tells(report(1, 10, 50), NOW), Ok(60));
    assert_eq!(meter.stored().used, 10);
    // Every last unit can be lent, one by one.
    let (mut used, mut questions) = (10, 0);
    meter.tells(done(2, 0), NOW).unwrap();
    while let Ok(up_to) = meter.tells(report(1, used, 50), NOW) {
        (used, questions) = (up_to, questions + 1);
    }
    assert_eq!((used, meter.stored().used), (480, 480));
    assert!(questions < 50, "{questions}");
    assert_eq!(meter.tells(report(1, used, 50), NOW), Err(Why::UsedUp));
    assert_eq!(meter.tells(report(3, 0, 50), NOW), Err(Why::UsedUp));
    // Who asks again has calls under way on what it holds.
    let mut meter = self::meter(r#"{"quota":{"calls":3}}"#);
    for up_to in [1, 2, 3, 3] {
        assert_eq!(meter.tells(report(1, 0, 50), NOW), Ok(up_to));
    }
}

#[test]
fn nobody_is_told_to_pay_while_something_is_lent() {
    let mut meter = meter(r#"{"quota":{"calls":2}}"#);
    assert_eq!(meter.tells(report(1, 0, 50), NOW), Ok(1));
    assert_eq!(meter.tells(report(2, 0, 50), NOW), Ok(1));
    assert_eq!(meter.tells(report(3, 0, 50), NOW), Err(Why::Outstanding));
    assert_eq!(meter.takes(None, NOW).err(), Some(Why::Outstanding));
    let call = Reserve {
        call: CallId::from_random([1; 16]),
        max_cost: None,
        lease: 1_000,
    };
    let refused = meter.reserve(&call, NOW).unwrap_err();
    assert_eq!((refused.why, refused.standing.left), (Why::Outstanding, 0));
    // One is given back, of the other nothing is heard.
    assert_eq!(meter.tells(done(1, 0), NOW), Ok(0));
    assert_eq!(meter.takes(None, NOW).unwrap().left, 0);
    assert_eq!(meter.takes(None, NOW).err(), Some(Why::Outstanding));
    let late = NOW.plus(LEASE_MILLIS);
    assert_eq!(
        meter.takes(None, late.minus(1)).err(),
        Some(Why::Outstanding)
    );
    assert_eq!(meter.takes(None, late).unwrap().left, 0);
    assert_eq!(meter.takes(None, late).err(), Some(Why::UsedUp));
    // A call of the gateway that is under way is not lent.
    let mut shared = self::meter(r#"{"quota":{"calls":1}}"#);
    assert!(shared.reserve(&call, NOW).is_ok());
    assert_eq!(shared.tells(report(1, 0, 50), NOW), Err(Why::Outstanding));
}

#[test]
fn a_report_that_is_repeated_or_late_or_of_another_memory_counts_once() {
    let mut meter = meter(r#"{"quota":{"calls":800}}"#);
    assert_eq!(meter.tells(report(1, 0, 50), NOW), Ok(50));
    for used in [20, 20, 5, 0, 20] {
        meter.tells(report(1, used, 50), NOW).unwrap();
        assert_eq!(meter.stored().used, 20);
        meter = meter.again(NOW);
    }
    // It ended long ago; it is counted, and lent again.
    let late = NOW.plus(10 * LEASE_MILLIS);
    assert_eq!(meter.tells(report(1, 30, 50), late), Ok(80));
    assert_eq!(meter.tells(done(1, 35), late), Ok(35));
    // What its backend has ended stays so, but what it has used counts.
    assert_eq!(meter.tells(report(1, 30, 50), late), Err(Why::Over));
    assert_eq!(meter.tells(report(1, 36, 50), late), Err(Why::Over));
    assert_eq!(
        (meter.stored().used, meter.stored.lent(None, late)),
        (36, 0)
    );
    // Of a lease that is not known, what was used may have been counted.
    assert_eq!(meter.tells(report(2, 40, 50), late), Ok(90));
    assert_eq!(meter.tells(report(2, 41, 50), late), Ok(91));
    assert_eq!(meter.stored().used, 37);
}

#[test]
fn a_lease_is_no_larger_than_what_is_left_of_the_period() {
    let mut meter = meter(r#"{"quota":{"calls":10000},"rate":{"calls":60,"per":"minute"}}"#);
    assert_eq!(meter.tells(report(1, 0, 50), NOW), Ok(50));
    assert_eq!(meter.tells(report(2, 0, 50), NOW), Ok(10));
    assert_eq!(meter.tells(report(3, 0, 50), NOW), Err(Why::TooFast));
    assert_eq!(meter.takes(None, NOW).err(), Some(Why::TooFast));
    assert_eq!(meter.tells(report(2, 10, 50), NOW), Err(Why::TooFast));
    assert_eq!(meter.tells(report(1, 50, 50), NOW), Err(Why::TooFast));
    assert_eq!(meter.stored().used, 60, "what was used counts all the same");
    let next = NOW.plus(60_000);
    assert_eq!(meter.tells(report(1, 50, 50), next), Ok(100));
    assert_eq!(meter.takes(None, next).unwrap().left_now, 9);
    // Of a credit, units are no calls.
    let mut credit = self::meter(r#"{"quota":{"credit":"$1"},"rate":{"calls":1,"per":"hour"}}"#);
    assert_eq!(credit.tells(report(1, 0, 5_000), NOW), Ok(5_000));
    assert!(credit.takes(None, NOW).is_ok());
    assert_eq!(credit.takes(None, NOW).err(), Some(Why::TooFast));
    for limits in [
        r#"{"rate":{"calls":60,"per":"minute"}}"#,
        r#"{"concurrency":2}"#,
    ] {
        let mut meter = self::meter(limits);
        assert_eq!(meter.tells(report(1, 0, 50), NOW), Ok(50), "{limits}");
    }
}

#[test]
fn a_call_takes_its_cost_or_the_rest_and_never_another_kind_of_cost() {
    let mut meter = meter(r#"{"quota":{"calls":10}}"#);
    let calls = |number| Some(Cost::Calls(number));
    let cent = Some(Cost::Credit(UsdcAmount::from_units(10_000)));
    assert_eq!(meter.takes(None, NOW).unwrap().left, 9);
    assert_eq!(meter.takes(calls(3), NOW).unwrap().left, 6);
    assert_eq!(meter.takes(calls(0), NOW).unwrap().left, 6);
    assert_eq!(
        meter.consume(&key(cent), NOW),
        (MeterReply::OtherCost, None)
    );
    assert_eq!(meter.tells(report(1, 0, 50), NOW), Ok(1));
    assert_eq!(meter.takes(calls(6), NOW).err(), Some(Why::Outstanding));
    meter.tells(done(1, 1), NOW).unwrap();
    assert_eq!(
        meter.takes(calls(9), NOW).unwrap().left,
        0,
        "takes the rest"
    );
    assert_eq!(meter.takes(calls(0), NOW).err(), Some(Why::UsedUp));
    let end = NOW.plus(DAY * 1_000);
    assert_eq!(meter.takes(None, end).err(), Some(Why::Ended));
    let mut credit = self::meter(r#"{"quota":{"credit":"$1"}}"#);
    assert_eq!(credit.takes(cent, NOW).unwrap().left, 990_000);
    let (refusal, stored) = credit.consume(&key(calls(1)), NOW);
    assert_eq!((refusal, stored), (MeterReply::OtherCost, None));
    let mut fast = self::meter(r#"{"rate":{"calls":1,"per":"hour"}}"#);
    assert_eq!(fast.takes(calls(9), NOW).unwrap().left, 0);
    assert_eq!(fast.takes(None, NOW).err(), Some(Why::TooFast));
    assert_eq!(fast.tells(report(1, 3, 50), end), Err(Why::Ended));
}

#[test]
fn leases_that_ended_are_forgotten_first_and_refusals_store_nothing() {
    let mut meter = meter(r#"{"quota":{"calls":100000}}"#);
    let most = u64::try_from(MOST_LEASES).unwrap();
    for lease in 1..=most {
        assert!(meter.tells(report(lease, 0, 1), NOW).is_ok());
    }
    let (refusal, stored) = meter.lend(&report(most + 1, 0, 1), NOW);
    assert!(matches!(refusal, MeterReply::Refused(refused) if refused.why == Why::Outstanding));
    assert_eq!(stored, None);
    meter.tells(done(7, 1), NOW).unwrap();
    assert!(meter.tells(report(most + 1, 0, 1), NOW).is_ok());
    assert!(meter.stored.leases.iter().all(|lease| lease.id != id(7)));
    assert_eq!(meter.stored.leases.len(), MOST_LEASES);

    let mut empty = self::meter(r#"{"quota":{"calls":1}}"#);
    assert!(empty.takes(None, NOW).is_ok());
    for report in [
        report(1, 0, 50),
        report(1, 3, 50),
        report(1, 3, 0),
        done(1, 3),
    ] {
        assert_eq!(empty.lend(&report, NOW).1, None, "{report:?}");
    }
}

#[test]
fn what_is_stored_of_a_lease_stays_readable() {
    let mut meter = meter(r#"{"quota":{"calls":800}}"#);
    meter.tells(report(1, 0, 50), NOW).unwrap();
    meter.tells(report(1, 2, 50), NOW).unwrap();
    let text = serde_json::to_value(meter.stored()).unwrap();
    let leases = crate::json!([{"id": format!("{:032x}", 1), "counted": 2, "upTo": 52, "until": 1_800_000_060_000_u64}]);
    assert_eq!(text["leases"], leases);
    assert_eq!(
        serde_json::from_value::<Stored>(text).unwrap(),
        *meter.stored()
    );
    let largest = LeaseId::parse(&"f".repeat(32)).unwrap();
    let text = serde_json::to_string(&largest).unwrap();
    assert_eq!(serde_json::from_str::<LeaseId>(&text).unwrap(), largest);
    for text in [
        "",
        "1",
        "+0000000000000000000000000000001",
        &"g".repeat(32),
        &"0".repeat(33),
    ] {
        assert_eq!(LeaseId::parse(text), None, "{text}");
    }
}

/// What happens to the calls of a grant that several backends serve.
#[derive(Clone, Debug)]
enum Step {
    /// A backend serves a call, if its lease allows it.
    Serve(u8),
    /// It reports, and asks for more.
    Report(u8, u32),
    /// It gives its lease back.
    End(u8),
    /// One of the messages on their way arrives, perhaps not for the last time; its reply may be lost.
    Arrive(usize, bool, bool),
    /// A backend dies.
    Die(u8),
    /// The process that counts dies.
    Crash,
    /// A call is counted under a key of its own.
    Consume,
    /// Time passes.
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0_u8..4;
    let arrive = (any::<usize>(), any::<bool>(), any::<bool>());
    prop_oneof![
        12 => number.clone().prop_map(Step::Serve),
        5 => (number.clone(), 0..=MOST_WANTED).prop_map(|(number, want)| Step::Report(number, want)),
        1 => number.clone().prop_map(Step::End),
        10 => arrive.prop_map(|(at, is_kept, is_heard)| Step::Arrive(at, is_kept, is_heard)),
        1 => number.prop_map(Step::Die),
        1 => Just(Step::Crash),
        1 => Just(Step::Consume),
        1 => (0_u64..90_000).prop_map(Step::Wait),
    ]
}

const QUOTA: u64 = 24;
const MOST_WANTED: u32 = 5;

/// A backend, as it knows its lease.
#[derive(Clone, Copy, Debug)]
struct Backend {
    lease: u64,
    used: u64,
    up_to: u64,
    until: UnixMillis,
}

/// What really happened, and the place that counts it.
struct World {
    meter: Meter,
    now: UnixMillis,
    backends: BTreeMap<u8, Backend>,
    /// The message, its sender, and when it was sent.
    on_the_way: Vec<(u8, Report, UnixMillis)>,
    leases: u64,
    used: u64,
    /// How many calls nobody may ever hear of, because a backend has died.
    lost: u64,
    /// How many units may have been lent twice, because nothing was heard of them for too long.
    doubled: u64,
}

impl World {
    fn new() -> Self {
        Self {
            meter: meter(&format!(r#"{{"quota":{{"calls":{QUOTA}}}}}"#)),
            now: NOW,
            backends: BTreeMap::new(),
            on_the_way: Vec::new(),
            leases: 0,
            used: 0,
            lost: 0,
            doubled: 0,
        }
    }

    fn backend(&mut self, number: u8) -> &mut Backend {
        let leases = &mut self.leases;
        self.backends.entry(number).or_insert_with(|| {
            *leases += 1;
            Backend {
                lease: *leases,
                used: 0,
                up_to: 0,
                until: NOW,
            }
        })
    }

    fn lease(&self, backend: Backend) -> Option<Lease> {
        let mut known = self.meter.stored.leases.iter();
        known.find(|known| known.id == id(backend.lease)).copied()
    }

    /// What a backend has used and nobody else knows.
    fn uncounted(&self, backend: Backend) -> u64 {
        let counted = self.lease(backend).map_or(0, |lease| lease.counted);
        let uncounted = backend.used - counted;
        assert!(uncounted <= u64::from(MOST_WANTED));
        uncounted
    }

    fn hear(&mut self, number: u8, report: Report, sent: UnixMillis, is_heard: bool) {
        match self.meter.tells(report, self.now) {
            Ok(up_to) if is_heard => {
                let backend = self.backend(number);
                if id(backend.lease) == report.lease && !report.done {
                    backend.up_to = backend.up_to.max(up_to);
                    backend.until = backend.until.max(sent.plus(LEASE_MILLIS));
                }
            }
            Err(Why::UsedUp) => assert!(self.used >= QUOTA, "to pay with {} used", self.used),
            _ => {}
        }
    }

    fn take(&mut self, step: &Step) {
        let now = self.now;
        match *step {
            Step::Serve(number) => {
                let backend = self.backend(number);
                if backend.used < backend.up_to && now < backend.until {
                    backend.used += 1;
                    self.used += 1;
                }
            }
            Step::Report(number, want) => {
                let backend = *self.backend(number);
                let report = report(backend.lease, backend.used, want);
                self.on_the_way.push((number, report, now));
            }
            Step::End(number) => {
                let backend = *self.backend(number);
                let report = done(backend.lease, backend.used);
                // It insists until it is heard.
                self.hear(number, report, now, true);
                self.backends.remove(&number);
            }
            Step::Arrive(..) if self.on_the_way.is_empty() => {}
            Step::Arrive(at, is_kept, is_heard) => {
                let at = at % self.on_the_way.len();
                let (number, report, sent) = match is_kept {
                    true => self.on_the_way[at],
                    false => self.on_the_way.swap_remove(at),
                };
                self.hear(number, report, sent, is_heard);
            }
            Step::Die(number) => {
                if let Some(backend) = self.backends.remove(&number) {
                    self.lost += self.uncounted(backend);
                }
            }
            Step::Crash => self.meter = self.meter.again(now),
            Step::Consume => match self.meter.takes(None, now) {
                Ok(_) => self.used += 1,
                Err(Why::UsedUp) => assert!(self.used >= QUOTA),
                Err(_) => {}
            },
            Step::Wait(millis) => {
                self.now = now.plus(millis);
                // What a lease that runs out has not reported is lent again.
                for backend in self.backends.clone().into_values() {
                    let lease = self.lease(backend);
                    if lease.is_some_and(|lease| now < lease.until && lease.until <= self.now) {
                        self.doubled += self.uncounted(backend);
                    }
                }
            }
        }
        assert!(self.meter.stored().used <= self.used);
    }

    /// Every backend that lives has reported.
    fn settle(&mut self) {
        for (number, backend) in self.backends.clone() {
            self.hear(
                number,
                report(backend.lease, backend.used, 0),
                self.now,
                true,
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_is_lost_repeated_or_late_every_call_counts_once(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.settle();
        let counted = world.meter.stored().used;
        prop_assert!(counted <= world.used);
        prop_assert!(counted >= QUOTA.min(world.used - world.lost), "{counted} of {}", world.used);
    }

    #[test]
    fn only_a_backend_that_is_silent_costs_the_seller_and_no_more_than_its_lease(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
            prop_assert!(world.used <= QUOTA + world.lost + world.doubled);
        }
    }
}
