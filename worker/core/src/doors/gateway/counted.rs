//! A call that is counted: what its grant's meter is asked and told, and what the caller reads of it.

use http::{HeaderMap, HeaderName};

use super::uncounted::Uncounted;
use crate::catalog::Route;
use crate::meter::{
    CallId, Fate, MeterCommand, MeterReply, Meters, Pass, Reserve, Standing, Tell,
    rate_limit_headers,
};
use crate::pauses::METER_LEASE;
use crate::types::{UnixMillis, UnixSeconds};

/// From this status on, the API says that the call has failed.
const API_FAILS: u16 = 500;

/// A call that its grant's meter has let through.
#[derive(Clone, Debug)]
pub struct Counted {
    /// The grant.
    pub grant: String,
    call: CallId,
    pass: Pass,
    lease: u64,
}

impl Counted {
    /// Asks a meter whether a call may be made. `timeout_millis`: how long the API may take to begin its answer.
    pub(super) async fn ask<M: Meters>(
        meters: &M,
        (grant, call): (&str, CallId),
        route: &Route,
        timeout_millis: u32,
        now: UnixSeconds,
    ) -> Result<Self, Uncounted> {
        let lease = METER_LEASE.saturating_add(timeout_millis.into());
        let ask = MeterCommand::Reserve(Reserve {
            call,
            max_cost: route.max_cost,
            lease,
        });
        match meters.ask(grant, &ask).await {
            Ok(MeterReply::Reserved(pass)) => Ok(Self {
                grant: grant.to_owned(),
                call,
                pass,
                lease,
            }),
            Ok(MeterReply::Refused(refused)) => Err(Uncounted::Refused(refused)),
            Ok(MeterReply::NotGranted) => Err(Uncounted::NotGranted),
            Ok(_) => Err(Uncounted::Unknown),
            Err(_) => {
                // It may have been let through: what is set aside for it is free again at once.
                let given_back = MeterCommand::Tell(Tell {
                    call,
                    meter: 0,
                    fate: Fate::GivenBack,
                    is_over: true,
                    is_again: false,
                    at: now.to_millis(),
                    lease,
                });
                // If this is lost too, the lease ends.
                let _ = meters.ask(grant, &given_back).await;
                Err(Uncounted::Unknown)
            }
        }
    }

    /// What the call takes, by the answer of the API. `Err`: so much, and the API has said something of the cost that
    /// cannot be read.
    pub fn fate(&self, status: u16, headers: &HeaderMap) -> Result<Fate, Fate> {
        match status < API_FAILS {
            true => {
                let cost = self.pass.standing.limits.cost(headers);
                cost.map(Fate::Spent).map_err(Fate::Spent)
            }
            false => Ok(Fate::GivenBack),
        }
    }

    /// Whether the meter is to hear how the call ends.
    pub const fn is_followed(&self) -> bool {
        self.pass.standing.limits.is_followed()
    }

    /// Whether it matters how long the call takes.
    pub const fn has_a_place(&self) -> bool {
        self.pass.standing.limits.concurrency.is_some()
    }

    /// What the meter is told of the call now. `is_again`: it may have heard the same before.
    pub const fn told(
        &self,
        fate: Fate,
        is_over: bool,
        is_again: bool,
        now: UnixMillis,
    ) -> MeterCommand {
        MeterCommand::Tell(Tell {
            call: self.call,
            meter: self.pass.meter,
            fate,
            is_over,
            is_again,
            at: now,
            lease: self.lease,
        })
    }

    /// The headers of the answer that say how the grant stands after this call.
    pub fn headers(&self, fate: Fate, now: UnixSeconds) -> Vec<(HeaderName, String)> {
        let before = self.pass.standing;
        let units = match fate {
            Fate::Spent(units) => units,
            Fate::GivenBack => 0,
        };
        let after = Standing {
            left: before.left.saturating_sub(units),
            ..before
        };
        rate_limit_headers(&after, now)
    }
}
