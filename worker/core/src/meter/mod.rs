//! How much of a grant is left, how fast and how often at a time its calls may come.

mod cost;
mod lately;
mod lease;
mod limits;
mod message;
mod state;
mod told;
mod words;

pub use cost::{COST, Cost};
pub use lately::Lately;
pub use lease::{LEASE_MILLIS, LeaseId};
pub use limits::{Limits, Period, Quota, Rate};
pub use message::{
    CallId, Consume, Fate, Granted, Lent, MeterCommand, MeterReply, Meters, Pass, Refused, Report,
    Reserve, Standing, Tell, Why,
};
pub use state::{KEPT_MILLIS, MOST_UNWRITTEN, Meter, Stored, UNWRITTEN_MILLIS};
pub use told::{LEFT, left, rate_limit_headers};
