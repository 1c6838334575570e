//! How much of a grant is left, how fast and how often at a time its calls may come.

mod limits;
mod words;

pub use limits::{Limits, Period, Quota, Rate};
