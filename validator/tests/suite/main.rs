//! The validator from outside: good tokens, hostile tokens, properties, keys, frameworks. With every feature but aws-lc-rs.

#[cfg(test)]
mod accepted;
#[cfg(test)]
mod actix;
#[cfg(test)]
mod admission;
#[cfg(test)]
mod axum;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod jwks;
#[cfg(test)]
mod jwks_http;
#[cfg(test)]
mod mint;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod revoked;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod rs256;
#[cfg(test)]
mod service;
#[cfg(test)]
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod threads;
#[cfg(test)]
mod tower;
