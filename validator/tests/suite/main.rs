//! The validator from outside: good tokens, hostile tokens, properties, the tower layer.
#![cfg(all(feature = "hs256", feature = "rs256"))]

#[cfg(test)]
mod accepted;
#[cfg(test)]
mod admission;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod jwks;
#[cfg(test)]
mod mint;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod rs256;
#[cfg(test)]
mod service;
#[cfg(feature = "tower")]
#[cfg(test)]
mod tower;
