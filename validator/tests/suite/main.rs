//! The validator from outside: good tokens, hostile tokens, properties, the tower layer.
#![cfg(feature = "hs256")]

#[cfg(test)]
mod accepted;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod mint;
#[cfg(test)]
mod properties;
#[cfg(feature = "tower")]
#[cfg(test)]
mod tower;
