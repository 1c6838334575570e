//! The refusals that one isolate remembers for a moment, so that hammering with a used-up token costs nobody anything.

use std::collections::HashMap;

use super::message::{MeterReply, Refused, Why};
use crate::types::UnixMillis;

/// How long a refusal is remembered.
const MILLIS: u64 = 1_000;
/// How long a refusal is remembered that may be over at any moment: what hammers does not reach the place that counts.
const SHORT_MILLIS: u64 = 150;
/// How many grants are remembered at once.
const MAX_GRANTS: usize = 1_024;

/// The refusals of the last second.
#[derive(Debug, Default)]
pub struct Lately(HashMap<String, (UnixMillis, MeterReply)>);

impl Lately {
    /// Remembers the reply to a question, if the next question would get the same.
    pub fn note(&mut self, grant: &str, reply: &MeterReply, now: UnixMillis) {
        let millis = match reply {
            // In the next period the calls begin anew.
            MeterReply::Refused(Refused {
                why: Why::TooFast, ..
            }) => MILLIS.min(1_000 - now.0 % 1_000),
            MeterReply::Refused(Refused {
                why: Why::UsedUp | Why::Ended | Why::Revoked,
                ..
            })
            | MeterReply::NotGranted => MILLIS,
            MeterReply::Refused(Refused {
                why: Why::TooMany | Why::Outstanding,
                ..
            }) => SHORT_MILLIS,
            // A call has ended here, or the grant was topped up: the next call may be made.
            MeterReply::Heard | MeterReply::Extended(_) => {
                self.0.remove(grant);
                return;
            }
            _ => return,
        };
        if self.0.len() >= MAX_GRANTS {
            self.0.retain(|_, (until, _)| *until > now);
        }
        if self.0.len() < MAX_GRANTS {
            let refusal = (now.plus(millis), reply.clone());
            self.0.insert(grant.to_owned(), refusal);
        }
    }

    /// The reply that the grant gave a moment ago, if it still holds.
    pub fn refusal(&self, grant: &str, now: UnixMillis) -> Option<MeterReply> {
        let (until, reply) = self.0.get(grant)?;
        (now < *until).then(|| reply.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::{Limits, Standing};
    use crate::types::UnixSeconds;

    #[test]
    fn a_refusal_is_remembered_for_a_second_and_only_if_it_lasts() {
        let standing = Standing {
            limits: Limits::default(),
            left: 0,
            left_now: 0,
            next_in: 1,
            ends_at: UnixSeconds(0),
        };
        let refused = |why| MeterReply::Refused(Refused { why, standing });
        let now = UnixMillis(7_000_400);
        for (reply, millis) in [
            (refused(Why::UsedUp), 1_000),
            (refused(Why::Ended), 1_000),
            (refused(Why::Revoked), 1_000),
            (MeterReply::NotGranted, 1_000),
            (refused(Why::TooFast), 600),
            (refused(Why::TooMany), 150),
            (refused(Why::Outstanding), 150),
            (refused(Why::Over), 0),
            (MeterReply::Heard, 0),
        ] {
            let mut lately = Lately::default();
            lately.note("a", &reply, now);
            assert_eq!(lately.refusal("b", now), None);
            let kept = (0..1_001).take_while(|at| lately.refusal("a", now.plus(*at)).is_some());
            assert_eq!(kept.count(), millis, "{reply:?}");
        }
        let mut flooded = Lately::default();
        for at in 0..2 * MAX_GRANTS {
            flooded.note(&at.to_string(), &refused(Why::UsedUp), now);
        }
        assert_eq!(flooded.0.len(), MAX_GRANTS);
        flooded.note("late", &refused(Why::UsedUp), now.plus(1_000));
        assert_eq!(flooded.0.len(), 1);
    }
}
