//! The rules of key0: what is sold, how it is paid, and what the buyer receives.
//!
//! A payment passes through the rooms in this order, and a room imports only rooms below it: [`doors`] read the wire,
//! [`checkout`] is their one way to a purchase, [`documents`] publish the prices, [`sweep`] wakes what nothing drives, [`purchase`] drives a
//! purchase, [`config`] reads the settings, [`ledger`] is the operator's index, [`backend`] calls the seller's backend,
//! [`settlement`] broadcasts, [`book`] knows whose a payment is, [`chain`] asks Base, [`mpp`] and [`x402`] have the protocols' objects,
//! [`offer`] seals terms, [`catalog`] has the plans, [`token`] signs, [`meter`] counts what is used of a grant. Below them are [`goods`], [`limit`], [`response`],
//! [`error`], [`breaker`], [`pauses`] and [`types`]. `npm test -- --only lint` holds this order.
//! Nothing here reads a clock, a random number, a storage or a network: they come in as arguments.

#![forbid(unsafe_code)]

pub mod backend;
pub mod book;
pub mod breaker;
pub mod catalog;
pub mod chain;
pub mod checkout;
pub mod config;
pub mod documents;
pub mod doors;
pub mod error;
pub mod goods;
pub mod json;
pub mod ledger;
pub mod limit;
pub mod meter;
pub mod mpp;
pub mod offer;
pub mod pauses;
pub mod purchase;
pub mod response;
pub mod settlement;
pub mod sweep;
#[cfg(test)]
mod testing;
pub mod token;
pub mod types;
pub mod x402;
