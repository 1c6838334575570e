//! Whether the seller's API serves the calls of each route that are paid for first. While they keep failing, none is sold,
//! because every price would only go back.

use core::cell::RefCell;
use core::cmp::Reverse;
use std::collections::BTreeMap;

use crate::breaker::{Breaker, Observed};
use crate::pauses::{ROUTE_FAILURES, ROUTE_REST};
use crate::types::{Address, RouteId, UnixMillis};

/// The most routes of which isolates tell each other at a time. Failing routes come first.
const MOST_TOLD: usize = 8;
/// What the text for other isolates has in place of the payer when calls of several payers have failed, or none have.
const SEVERAL: &str = "*";

/// How the last calls of each route went. One payer whose calls fail rests alone: its input may be the reason. Once the
/// calls of two payers have failed with no answer in between, no payer may call.
#[derive(Debug)]
pub struct RouteHealth {
    routes: RefCell<BTreeMap<RouteId, Route>>,
}

#[derive(Debug)]
struct Route {
    breaker: Breaker,
    /// The payer of all failures since the last answer; `None` if several payers had failures, or if there were none.
    only: Option<Address>,
}

impl Route {
    const fn new() -> Self {
        Self {
            breaker: Breaker::new(ROUTE_REST),
            only: None,
        }
    }

    /// Whether a pause of the route holds for this payer, too.
    fn concerns(&self, payer: Address) -> bool {
        self.only.is_none_or(|only| only == payer)
    }
}

impl RouteHealth {
    /// Nothing is known.
    pub(super) const fn new() -> Self {
        Self {
            routes: RefCell::new(BTreeMap::new()),
        }
    }

    /// Records that the API has answered a call, whatever the answer, unless that is an error of the API.
    pub fn answered(&self, route: &RouteId, now: UnixMillis) {
        self.note(route, |known| {
            known.breaker.worked(now);
            known.only = None;
        });
    }

    /// Records that a call of this payer has failed: no answer came that can be passed on, or an error of the API.
    pub(super) fn failed(&self, route: &RouteId, payer: Address, now: UnixMillis) {
        self.note(route, |known| {
            let before = known.breaker.observed();
            // A failure long ago says nothing about one of today.
            if now >= before.at.plus(ROUTE_FAILURES) {
                known.breaker.worked(now);
            }
            known.only = match known.breaker.observed().failures {
                0 => Some(payer),
                _ => known.only.filter(|only| *only == payer),
            };
            known.breaker.failed(now);
        });
    }

    /// For how many more milliseconds nobody may begin a call of the route, as far as this payer is concerned.
    pub(super) fn pause(&self, route: &RouteId, payer: Address, now: UnixMillis) -> Option<u64> {
        let routes = self.routes.borrow();
        let known = routes.get(route).filter(|known| known.concerns(payer))?;
        known.breaker.pause(now)
    }

    /// Lets a purchase of the route begin, or returns for how many more milliseconds it may not. The purchase that may
    /// begin although the route has kept failing is a probe.
    pub(super) fn admit(
        &self,
        route: &RouteId,
        payer: Address,
        now: UnixMillis,
    ) -> Result<(), u64> {
        let routes = self.routes.borrow();
        match routes.get(route).filter(|known| known.concerns(payer)) {
            Some(known) => known.breaker.admit(now),
            None => Ok(()),
        }
    }

    /// Whether the calls of the route keep failing, as far as this payer is concerned.
    pub(super) fn keeps_failing(&self, route: &RouteId, payer: Address) -> bool {
        let routes = self.routes.borrow();
        let known = routes.get(route).filter(|known| known.concerns(payer));
        known.is_some_and(|known| known.breaker.is_open().is_some())
    }

    /// The routes that are not sold to anybody at the moment, and how often each has failed since its last answer.
    pub fn failing(&self) -> Vec<(RouteId, u32)> {
        let routes = self.routes.borrow();
        let failing = routes.iter().filter(|(_, known)| known.only.is_none());
        failing
            .filter_map(|(id, known)| Some((id.clone(), known.breaker.is_open()?.failures)))
            .collect()
    }

    /// What this isolate has observed, for another one.
    pub fn to_text(&self) -> String {
        let routes = self.routes.borrow();
        let mut all: Vec<_> = routes
            .iter()
            .map(|(id, known)| (id, known.breaker.observed(), known.only))
            .collect();
        all.sort_by_key(|(_, seen, _)| (seen.failures == 0, Reverse(seen.at)));
        all.truncate(MOST_TOLD);
        let told = all.into_iter().map(|(id, seen, only)| {
            let only = only.map_or(SEVERAL.to_owned(), |only| format!("{only:#x}"));
            format!("{id} {only} {}", seen.to_text())
        });
        told.collect::<Vec<_>>().join(",")
    }

    /// Takes over what another isolate has observed, where that is newer. Skips what it cannot read.
    pub fn hear(&self, text: &str) {
        for told in text.split(',') {
            let mut parts = told.splitn(3, ' ');
            let (Some(id), Some(only), Some(seen)) = (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let only = match only {
                SEVERAL => Ok(None),
                payer => payer.parse().map(Some),
            };
            if let (Ok(id), Ok(only), Some(seen)) = (id.parse(), only, Observed::from_text(seen)) {
                self.note(&id, |known| {
                    if seen.at > known.breaker.observed().at {
                        known.breaker.hear(seen);
                        known.only = only;
                    }
                });
            }
        }
    }

    /// Changes what is known of a route. The map cannot grow beyond the routes that were ever sold.
    fn note(&self, route: &RouteId, change: impl FnOnce(&mut Route)) {
        let mut routes = self.routes.borrow_mut();
        if !routes.contains_key(route) {
            routes.insert(route.clone(), Route::new());
        }
        if let Some(known) = routes.get_mut(route) {
            change(known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const SECOND: u64 = 1_000;
    const ANN: Address = Address::repeat_byte(1);
    const BOB: Address = Address::repeat_byte(2);
    const EVE: Address = Address::repeat_byte(3);

    fn weather() -> RouteId {
        "weather".parse().unwrap()
    }

    fn after(failures: &[Address]) -> RouteHealth {
        let health = RouteHealth::new();
        for payer in failures {
            health.failed(&weather(), *payer, NOW);
        }
        health
    }

    fn rest(health: &RouteHealth, now: UnixMillis) -> [Option<u64>; 3] {
        [ANN, BOB, EVE].map(|payer| health.pause(&weather(), payer, now))
    }

    #[test]
    fn a_route_rests_after_three_failures_of_two_payers_and_for_one_payer_alone_after_its_own() {
        let pause = Some(30 * SECOND);
        for (failures, expected) in [
            (&[ANN, BOB][..], [None; 3]),
            (&[ANN, ANN, ANN], [pause, None, None]),
            (&[ANN; 20], [pause, None, None]),
            (&[ANN, ANN, BOB], [pause; 3]),
            (&[ANN, BOB, ANN], [pause; 3]),
            (&[ANN, ANN, ANN, BOB], [pause; 3]),
        ] {
            let health = after(failures);
            assert_eq!(rest(&health, NOW), expected, "{failures:?}");
            let fails = [ANN, BOB, EVE].map(|payer| health.keeps_failing(&weather(), payer));
            assert_eq!(fails, expected.map(|pause| pause.is_some()), "{failures:?}");
            let is_failing = expected == [pause; 3];
            assert_eq!(
                health.failing().len(),
                usize::from(is_failing),
                "{failures:?}"
            );
        }
        let other = "other".parse().unwrap();
        assert_eq!(after(&[ANN, BOB, EVE]).pause(&other, ANN, NOW), None);
    }

    #[test]
    fn one_answer_opens_a_route_for_all() {
        let health = after(&[ANN, ANN, BOB]);
        health.answered(&weather(), NOW.plus(1));
        assert_eq!(rest(&health, NOW.plus(1)), [None; 3]);
        health.failed(&weather(), BOB, NOW.plus(2));
        health.failed(&weather(), BOB, NOW.plus(2));
        health.failed(&weather(), BOB, NOW.plus(2));
        let pause = Some(30 * SECOND);
        assert_eq!(rest(&health, NOW.plus(2)), [None, pause, None]);
    }

    #[test]
    fn one_is_let_through_at_a_time_and_who_has_not_failed_is_no_probe() {
        let health = after(&[ANN, ANN, BOB]);
        let later = NOW.plus(30 * SECOND);
        assert_eq!(health.admit(&weather(), EVE, later), Ok(()));
        assert_eq!(health.admit(&weather(), BOB, later), Err(60 * SECOND));
        let alone = after(&[ANN; 3]);
        for _ in 0..3 {
            assert_eq!(alone.admit(&weather(), BOB, later), Ok(()));
        }
        assert_eq!(alone.admit(&weather(), ANN, later), Ok(()));
        assert_eq!(alone.admit(&weather(), ANN, later), Err(60 * SECOND));
    }

    #[test]
    fn failures_ten_minutes_apart_are_none_in_a_row() {
        let health = RouteHealth::new();
        let mut now = NOW;
        for payer in [ANN, BOB, ANN, BOB, EVE, ANN] {
            now = now.plus(600 * SECOND);
            health.failed(&weather(), payer, now);
        }
        assert_eq!(rest(&health, now), [None; 3]);
        let now = now.plus(599 * SECOND);
        health.failed(&weather(), BOB, now);
        health.failed(&weather(), BOB, now);
        assert_eq!(rest(&health, now), [Some(30 * SECOND); 3]);
    }

    #[test]
    fn isolates_tell_each_other_the_newest() {
        let (knows, learns) = (after(&[ANN; 3]), RouteHealth::new());
        learns.hear(&knows.to_text());
        let pause = Some(30 * SECOND);
        assert_eq!(rest(&learns, NOW), [pause, None, None]);
        learns.failed(&weather(), BOB, NOW.plus(1));
        knows.hear(&learns.to_text());
        assert_eq!(knows.failing(), [(weather(), 4)]);
        knows.answered(&weather(), NOW.plus(2));
        knows.hear(&learns.to_text());
        learns.hear(&knows.to_text());
        for health in [knows, learns] {
            assert_eq!(rest(&health, NOW.plus(2)), [None; 3]);
        }
        let unread = RouteHealth::new();
        for text in [
            "",
            ",",
            "a b c d",
            "weather * 3 0",
            "weather 0x1 3 0 9",
            "a/b * 3 0 9",
        ] {
            unread.hear(text);
            assert_eq!(unread.to_text(), "", "{text}");
        }
    }

    #[test]
    fn of_many_routes_those_that_fail_are_told() {
        let health = RouteHealth::new();
        health.failed(&weather(), ANN, NOW);
        for number in 0..20 {
            let route = format!("r{number}").parse().unwrap();
            health.answered(&route, NOW.plus(number));
        }
        let text = health.to_text();
        assert_eq!(text.split(',').count(), 8);
        assert!(text.starts_with("weather 0x0101"), "{text}");
        assert!(text.contains("r19 * 0"), "{text}");
    }
}
