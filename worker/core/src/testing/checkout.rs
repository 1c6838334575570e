//! A checkout in front of purchases and a chain that say what the test says.

use crate::checkout::Checkout;
use crate::config::Config;
use crate::token::NoRsa;
use crate::types::UnixSeconds;

/// The checkout of `https://shop.example`.
pub(crate) fn checkout<D>(config: &Config, deployment: D, now: UnixSeconds) -> Checkout<'_, D> {
    Checkout {
        config,
        deployment,
        rsa: &NoRsa,
        origin: "https://shop.example".parse().unwrap(),
        now,
        random: [1; 16],
    }
}
