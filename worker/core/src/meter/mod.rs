//! How much of a grant is left, how fast and how often at a time its calls may come.

mod addition;
mod cost;
mod extend;
mod extension;
mod granted;
mod lately;
mod lease;
mod limits;
mod message;
mod revocations;
mod shown;
mod state;
mod told;
mod words;

pub use addition::{Addition, Adds, Barred, TopUp};
pub use cost::{COST, Cost};
pub use extend::{GrantStore, extend, withdraw};
pub use granted::Granted;
pub use lately::Lately;
pub use lease::{LEASE_MILLIS, LeaseId};
pub use limits::{Limits, Period, Quota, Rate};
pub use message::{
    CallId, Consume, Fate, Lent, MeterCommand, MeterReply, Meters, Pass, Refused, Report, Reserve,
    Revoked, Revoker, Standing, Tell, Told, Why,
};
pub use revocations::{ListCommand, ListStore, RevokedList, execute, listed};
pub use shown::{Condition, Shown, ShownRevoked};
pub use state::{KEPT_MILLIS, MOST_UNWRITTEN, Meter, Stored, UNWRITTEN_MILLIS};
pub use told::{LEFT, left, rate_limit_headers};
