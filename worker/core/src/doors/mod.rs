//! The ways in. A door reads its wire format, asks the rooms below, and writes the answer.

pub mod admin;
pub mod http;
#[cfg(test)]
mod sketch;
#[cfg(test)]
pub(crate) mod test_support;
