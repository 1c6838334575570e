//! The state [`State::Paid`], to which every way to pay leads, and the delivery from it.

use super::super::state::{Attempt, Calling, DeliveryFailure, Payment, Purchase, State};
use super::event::{Event, Refused};
use crate::catalog::Settle;
use crate::goods::{AnswerHead, DeliveryFault};
use crate::types::UnixMillis;

/// The members of [`State::Paid`].
pub(super) struct Paid {
    pub(super) payment: Payment,
    pub(super) since: UnixMillis,
    pub(super) failure: Option<DeliveryFailure>,
    pub(super) calling: Option<Calling>,
    pub(super) held: Option<AnswerHead>,
}

/// The state when money has arrived and nothing was done for the delivery yet.
pub(super) const fn paid(payment: Payment, now: UnixMillis) -> State {
    State::Paid {
        payment,
        since: now,
        failure: None,
        calling: None,
        held: None,
    }
}

/// The state when an attempt has brought the money; the attempt may hold the answer to a call.
pub(super) fn paid_by(attempt: Attempt, payment: Payment, now: UnixMillis) -> State {
    State::Paid {
        payment,
        since: now,
        failure: None,
        calling: None,
        held: attempt.held,
    }
}

/// The state when the money arrived after the purchase or its attempt had ended without money. The buyer of a call may
/// have been told that nothing was charged, and no longer waits for an answer.
pub(super) fn paid_late(record: &Purchase, payment: Payment, now: UnixMillis) -> State {
    let late = DeliveryFailure {
        fault: DeliveryFault::Late,
        at: now,
        tries: 1,
    };
    State::Paid {
        payment,
        since: now,
        failure: record.is_of_a_call().then_some(late),
        calling: None,
        held: None,
    }
}

impl Paid {
    /// Moves the delivery on.
    pub(super) fn advance(
        mut self,
        record: &Purchase,
        event: Event,
        now: UnixMillis,
    ) -> Result<State, Refused> {
        let is_of_a_call = record.is_of_a_call();
        // A call whose delivery has failed is not delivered in another way.
        if is_of_a_call && self.failure.is_some() {
            return Err(Refused);
        }
        match event {
            Event::Calling if self.may_call(record) => {
                let number = self.calling.map_or(0, |calling| calling.number);
                self.calling = Some(Calling {
                    number: number.saturating_add(1),
                    since: now,
                    streaming: false,
                });
            }
            Event::Streaming { number } => {
                let calling = self.calling.filter(|calling| calling.number == number);
                let calling = calling.filter(|calling| !calling.streaming);
                self.calling = Some(Calling {
                    streaming: true,
                    ..calling.filter(|_| self.may_call(record)).ok_or(Refused)?
                });
            }
            Event::StreamEnded { number, end } => {
                let is_it = |calling: &Calling| calling.streaming && calling.number == number;
                self.calling.filter(is_it).ok_or(Refused)?;
                let Some(fault) = end.fault() else {
                    return Ok(State::Closed {
                        payment: self.payment,
                    });
                };
                self.failure = Some(DeliveryFailure {
                    fault,
                    at: now,
                    tries: 1,
                });
            }
            // Of what is passed on while it arrives, only the end decides.
            _ if self.calling.is_some_and(|calling| calling.streaming)
                && !matches!(event, Event::Calling) =>
            {
                return Err(Refused);
            }
            Event::CallPutOff => {
                let calling = self.calling.ok_or(Refused)?;
                self.calling = (calling.number > 1).then_some(Calling {
                    number: calling.number.saturating_sub(1),
                    ..calling
                });
            }
            Event::Issued { goods } if goods.answer().is_some() == is_of_a_call => {
                if is_of_a_call && !self.brings(goods.answer()) {
                    return Err(Refused);
                }
                return Ok(State::Delivered {
                    payment: self.payment,
                    goods,
                });
            }
            Event::IssueFailed { fault } if self.held.is_none() => {
                let tries = self.failure.map_or(0, |failure| failure.tries);
                self.failure = Some(DeliveryFailure {
                    fault,
                    at: now,
                    tries: tries.saturating_add(1),
                });
            }
            _ => return Err(Refused),
        }
        Ok(State::Paid {
            payment: self.payment,
            since: self.since,
            failure: self.failure,
            calling: self.calling,
            held: self.held,
        })
    }

    /// Whether the purchase is of a call that is made once it is paid for.
    fn may_call(&self, record: &Purchase) -> bool {
        let sold = record.call();
        self.held.is_none() && sold.is_some_and(|sold| sold.settle == Settle::Before)
    }

    /// Whether this is the answer that is held, or the answer to the call that is being made.
    fn brings(&self, head: Option<&AnswerHead>) -> bool {
        match (&self.held, self.calling) {
            (Some(held), _) => head == Some(held),
            (None, Some(calling)) => head.is_some_and(|head| head.number == calling.number),
            (None, None) => false,
        }
    }
}
