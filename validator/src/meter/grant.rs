//! What this process knows of one grant: its lease, the calls under way, and how the gateway last answered.
//!
//! Nothing here waits. Times are those of the meter's clock.

use core::time::Duration;
use std::task::Waker;

use super::message::{Answer, Report};
use super::refusal::MeterRefusal;
use crate::{Period, Rate};

/// A lease is used no longer than this after the question for it was sent. The gateway gives it 60 seconds from the arrival.
const LEASE: Duration = Duration::from_secs(55);
/// How long an answer that is a refusal is believed, and how long a gateway that is away is not asked again.
const PAUSE: Duration = Duration::from_secs(1);
/// What is not reported for this long is reported, and a lease that nobody uses for this long is given back.
pub(super) const SILENCE: Duration = Duration::from_secs(20);
/// From one call to the next, what a call is expected to cost falls by this part.
const FORGOTTEN_PART: u64 = 8;

/// How a grant is used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// How many calls a lease should serve.
    pub(super) calls: u32,
    /// For how long calls go on while the gateway is away.
    pub(super) open: Duration,
}

/// What happens next to a call.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// It is made; so many units are set aside for it.
    Go(u64),
    /// The gateway is asked first.
    Ask(Report),
    /// Another call has asked already.
    Wait,
    Refuse(MeterRefusal),
}

#[derive(Debug)]
pub(super) struct Grant {
    lease: String,
    /// Whether the gateway is known to have this lease. Until then nothing may be reported: what is told of an unknown lease
    /// may have been counted before, and is not counted.
    is_known: bool,
    used: u64,
    /// What the gateway has certainly heard of.
    reported: u64,
    up_to: u64,
    until: Duration,
    /// The units that are set aside for calls under way.
    pending: u64,
    /// What a call is expected to cost at most: the largest cost of late.
    dear: u64,
    is_asking: bool,
    waiters: Vec<Waker>,
    /// Since when the gateway gives no answer, and when it is asked again.
    away: Option<(Duration, Duration)>,
    /// The last answer, if it was a refusal, and until when nobody asks again.
    refused: Option<(MeterRefusal, Duration)>,
    last_call: Duration,
    last_report: Duration,
    /// The calls that are under way.
    pub(super) places: u32,
    /// The current period of a rate that is watched over here, and how many calls have begun in it.
    period: (u64, u32),
}

impl Grant {
    pub(super) fn new(lease: String, now: Duration) -> Self {
        Self {
            lease,
            is_known: false,
            used: 0,
            reported: 0,
            up_to: 0,
            until: now,
            pending: 0,
            dear: 1,
            is_asking: false,
            waiters: Vec::new(),
            away: None,
            refused: None,
            last_call: now,
            last_report: now,
            places: 0,
            period: (0, 0),
        }
    }

    /// What happens next to a call. `asked`: how often the gateway was asked for it.
    pub(super) fn step(&mut self, terms: Terms, asked: u32, now: Duration) -> Step {
        self.last_call = now;
        if now < self.until && self.has_room() {
            return self.go();
        }
        if self.is_asking {
            return Step::Wait;
        }
        if let Some((refusal, until)) = self.refused {
            let is_final = matches!(refusal, MeterRefusal::UsedUp | MeterRefusal::Ended);
            if now < until || (is_final && self.away.is_some()) {
                return Step::Refuse(refusal);
            }
        }
        match self.away {
            // Whoever has just asked has had no answer.
            Some((since, again)) if asked > 0 || now < again => {
                match now < since.saturating_add(terms.open) {
                    true => self.go(),
                    false => Step::Refuse(MeterRefusal::Unknown),
                }
            }
            // The gateway has answered, and there was nothing more to be lent.
            None if asked > 1 => Step::Refuse(MeterRefusal::Outstanding),
            _ => Step::Ask(self.ask(terms.want(self.dear))),
        }
    }

    /// Whether what is lent is good for another call.
    const fn has_room(&self) -> bool {
        let taken = self.used.saturating_add(self.pending);
        // The last units are worth a call even if it may cost more than they are.
        taken.saturating_add(self.dear) <= self.up_to || (self.pending == 0 && taken < self.up_to)
    }

    fn go(&mut self) -> Step {
        self.pending = self.pending.saturating_add(self.dear);
        Step::Go(self.dear)
    }

    /// A call has ended for which these units were set aside. `cost`: what it took; `None` if it is not counted.
    pub(super) fn end(&mut self, units: u64, cost: Option<u64>) {
        self.pending = self.pending.saturating_sub(units);
        if let Some(cost) = cost {
            self.used = self.used.saturating_add(cost);
            let expected = self.dear - self.dear / FORGOTTEN_PART;
            self.dear = cost.max(expected).max(1);
        }
    }

    /// Whether a call may begin by a rate that only this process watches over. Of a plan with credit, what is lent says nothing
    /// of the number of calls.
    pub(super) fn begin(&mut self, rate: Rate, now: Duration) -> Result<(), MeterRefusal> {
        let seconds = match rate.per {
            Period::Second => 1,
            Period::Minute => 60,
            Period::Hour => 3_600,
        };
        let period = now.as_secs() / seconds;
        if self.period.0 != period {
            self.period = (period, 0);
        }
        if self.period.1 >= rate.calls {
            let after = seconds - now.as_secs() % seconds;
            return Err(MeterRefusal::TooFast { after });
        }
        self.period.1 = self.period.1.saturating_add(1);
        Ok(())
    }

    fn ask(&mut self, want: u32) -> Report {
        self.is_asking = true;
        Report {
            lease: self.lease.clone(),
            used: if self.is_known { self.used } else { 0 },
            want,
            done: false,
        }
    }

    /// Takes in what the gateway has answered to a report that was sent at `sent`. `fresh`: the id of a new lease, should one
    /// be needed.
    pub(super) fn hear(
        &mut self,
        report: &Report,
        answer: Answer,
        (sent, now): (Duration, Duration),
        fresh: impl Fn() -> String,
    ) {
        self.stop_asking();
        let is_heard = answer != Answer::Away;
        if is_heard {
            self.away = None;
            self.refused = None;
            self.last_report = now;
            self.reported = self.reported.max(report.used);
        }
        match answer {
            Answer::UpTo(up_to) => {
                // A lease of which nothing was ever lent is not remembered.
                self.is_known |= up_to > report.used;
                self.up_to = up_to;
                self.until = sent.saturating_add(LEASE);
            }
            Answer::Over => self.renew(fresh()),
            Answer::Refused(refusal) => {
                let until = match refusal {
                    MeterRefusal::TooFast { after } => Duration::from_secs(after),
                    _ => PAUSE,
                };
                self.refused = Some((refusal, now.saturating_add(until)));
                if !self.is_known && matches!(refusal, MeterRefusal::UsedUp | MeterRefusal::Ended) {
                    // There is nothing that these calls could be taken from.
                    self.used = self.reported;
                }
            }
            Answer::Away => {
                let since = self.away.map_or(now, |(since, _)| since);
                self.away = Some((since, now.saturating_add(PAUSE)));
            }
        }
        if is_heard && report.done {
            self.renew(fresh());
        }
    }

    /// Goes on with a new lease. What was used of the old one and not reported is used of this one.
    fn renew(&mut self, lease: String) {
        self.lease = lease;
        self.is_known = false;
        self.used = self.used.saturating_sub(self.reported);
        (self.reported, self.up_to, self.until) = (0, 0, Duration::ZERO);
    }

    /// Whoever has asked has an answer, or has left.
    pub(super) fn stop_asking(&mut self) {
        self.is_asking = false;
        self.wake();
    }

    pub(super) fn wait(&mut self, waker: &Waker) -> bool {
        if self.is_asking {
            self.waiters.push(waker.clone());
        }
        self.is_asking
    }

    fn wake(&mut self) {
        for waker in core::mem::take(&mut self.waiters) {
            waker.wake();
        }
    }

    /// What must be reported although nobody calls. `is_last`: this process is about to end.
    pub(super) fn overdue(&mut self, is_last: bool, now: Duration) -> Option<Report> {
        let is_quiet = is_last || now >= self.last_call.saturating_add(SILENCE);
        let is_late = now >= self.last_report.saturating_add(SILENCE);
        if self.is_asking || !self.has_news(now) {
            return None;
        }
        let is_over = is_quiet && self.pending == 0 && self.is_known;
        if !is_over && !is_late {
            return None;
        }
        if is_over {
            // From here on nothing more is used of it.
            self.until = Duration::ZERO;
        }
        // A lease that the gateway does not know yet must get something, or it is not remembered.
        let want = u32::from(!self.is_known);
        Some(Report {
            done: is_over,
            ..self.ask(want)
        })
    }

    /// Whether there is something to be reported or given back.
    fn has_news(&self, now: Duration) -> bool {
        let holds = now < self.until && self.up_to > self.used;
        self.used > self.reported || holds || self.pending > 0
    }

    /// Whether nothing is lost when this is forgotten.
    pub(super) fn is_idle(&self, now: Duration) -> bool {
        self.places == 0 && !self.is_asking && !self.has_news(now)
    }
}

impl Terms {
    /// How many units are asked for, if a call may cost so much.
    fn want(self, dear: u64) -> u32 {
        let units = u64::from(self.calls).saturating_mul(dear);
        u32::try_from(units).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        calls: 4,
        open: Duration::from_secs(60),
    };
    const AT: Duration = Duration::from_secs(1_000);

    #[test]
    fn what_was_used_and_not_reported_is_taken_along_to_the_next_lease() {
        let fresh = || "next".to_owned();
        let mut grant = Grant::new("first".to_owned(), AT);
        let Step::Ask(first) = grant.step(TERMS, 0, AT) else {
            panic!("it holds nothing");
        };
        grant.hear(&first, Answer::UpTo(4), (AT, AT), fresh);
        assert_eq!(grant.step(TERMS, 1, AT), Step::Go(1));
        grant.end(1, Some(1));
        // Its end is heard, and the answer is lost: calls go on.
        let end = grant.overdue(true, AT).unwrap();
        assert!(end.done && end.used == 1);
        assert_eq!(grant.step(TERMS, 0, AT), Step::Wait);
        grant.hear(&end, Answer::Away, (AT, AT), fresh);
        assert_eq!(grant.step(TERMS, 0, AT), Step::Go(1));
        let later = AT + PAUSE;
        let Step::Ask(again) = grant.step(TERMS, 0, later) else {
            panic!("it asks again");
        };
        // A call ends while the gateway is asked.
        grant.end(1, Some(1));
        grant.hear(&again, Answer::Over, (later, later), fresh);
        let Step::Ask(next) = grant.step(TERMS, 1, later) else {
            panic!("it holds nothing");
        };
        assert_eq!(
            (next.lease.as_str(), next.used),
            ("next", 0),
            "it is not known there"
        );
        grant.hear(&next, Answer::UpTo(4), (later, later), fresh);
        assert_eq!(grant.overdue(true, later).unwrap().used, 1);
    }
}
