//! The rules of key0: what is sold, how it is paid, and what the buyer receives.
//!
//! A payment passes through the rooms in this order: a door ([`x402`]) reads it, [`catalog`] says what it costs,
//! [`payment`] checks it, [`challenge`] drives the purchase, [`wallet`] broadcasts it, [`credential`] makes the grant.
//! [`ledger`] is the index of all of them, which [`admin`] shows to the operator.
//! Nothing here reads a clock, a random number, a storage or a network: they come in as arguments.

#![forbid(unsafe_code)]

pub mod admin;
pub mod breaker;
pub mod catalog;
pub mod challenge;
pub mod config;
pub mod credential;
pub mod error;
pub mod ledger;
pub mod limit;
pub mod payment;
pub mod response;
pub mod sweep;
pub mod types;
pub mod wallet;
pub mod x402;
