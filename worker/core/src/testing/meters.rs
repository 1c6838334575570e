//! Meters that reply as a test says, and one that counts.

use std::cell::RefCell;

use crate::meter::{Granted, Meter, MeterCommand, MeterReply, Meters, Stored};
use crate::types::{Address, CallFault, UnixMillis, UnixSeconds};

/// Replies with each of these once, in this order.
#[derive(Debug, Default)]
pub(crate) struct ScriptedMeters {
    replies: RefCell<Vec<MeterReply>>,
    /// What was asked of which grant.
    pub(crate) asked: RefCell<Vec<(String, MeterCommand)>>,
}

impl ScriptedMeters {
    pub(crate) fn new(replies: impl IntoIterator<Item = MeterReply>) -> Self {
        let mut replies: Vec<_> = replies.into_iter().collect();
        replies.reverse();
        Self {
            replies: RefCell::new(replies),
            asked: RefCell::default(),
        }
    }
}

impl Meters for ScriptedMeters {
    async fn ask(&self, grant: &str, command: &MeterCommand) -> Result<MeterReply, CallFault> {
        let asked = (grant.to_owned(), command.clone());
        self.asked.borrow_mut().push(asked);
        let reply = self.replies.borrow_mut().pop();
        reply.ok_or_else(|| CallFault("no reply".to_owned()))
    }
}

/// The meter of one grant, without a place where it is stored.
#[derive(Debug)]
pub(crate) struct OneMeter {
    grant: String,
    meter: RefCell<Meter>,
    now: UnixMillis,
}

impl OneMeter {
    /// The meter of a grant with these limits, which ends at `ends_at`.
    pub(crate) fn new(grant: &str, limits: &str, now: UnixSeconds, ends_at: UnixSeconds) -> Self {
        let granted = Granted {
            limits: serde_json::from_str(limits).unwrap(),
            plan: "starter".parse().unwrap(),
            resource: "default".parse().unwrap(),
            payer: Address::ZERO,
            from: now,
            ends_at,
        };
        let now = now.to_millis();
        Self {
            grant: grant.to_owned(),
            meter: RefCell::new(Meter::new(1, Stored::new(granted), now)),
            now,
        }
    }

    /// The units that were used.
    pub(crate) fn used(&self) -> u64 {
        self.meter.borrow().stored().used
    }
}

impl Meters for OneMeter {
    async fn ask(&self, grant: &str, command: &MeterCommand) -> Result<MeterReply, CallFault> {
        if grant != self.grant {
            return Ok(MeterReply::NotGranted);
        }
        let mut meter = self.meter.borrow_mut();
        let (reply, stored) = match command {
            MeterCommand::Consume(ask) => meter.consume(ask, self.now),
            MeterCommand::Lease(report) => meter.lend(report, self.now),
            MeterCommand::Look => (MeterReply::Stands(meter.look(self.now)), None),
            other => panic!("{other:?}"),
        };
        if let Some(stored) = stored {
            meter.adopt(stored);
        }
        Ok(reply)
    }
}
