//! The circumstances of one run, chosen by its seed.

use key0_core::config::Config;

use crate::random::Random;

/// When every run begins, in milliseconds since 1970.
pub const BEGIN_MILLIS: u64 = 1_800_000_000_000;

/// The plans on sale. The first three cost the same, so that an authorization fits all of them.
pub const PLANS: [(&str, u64); 4] = [
    ("bronze", 15_000),
    ("silver", 15_000),
    ("steel", 15_000),
    ("gold", 2_000_000),
];

/// The circumstances of one run.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Confirmations waited for.
    pub confirmations: u64,
    /// How long an offer lasts, in seconds.
    pub ttl: u64,
    /// For how long new purchases begin, in milliseconds.
    pub arrivals: u64,
    /// How long buyers' authorizations last, in seconds: one of these.
    pub validities: [u64; 3],
    /// How many purchases.
    pub purchases: u64,
    /// How many buyers share them.
    pub buyers: u64,
}

impl Setting {
    /// The circumstances of a seed.
    pub fn choose(random: &Random, purchases: u64) -> Self {
        let ttl = random.pick(&[30, 60, 180, 900]);
        Self {
            confirmations: random.pick(&[1, 1, 2, 3, 5]),
            ttl,
            arrivals: random.pick(&[20_000, 60_000, 300_000, 1_200_000]),
            validities: random.pick(&[
                [300, 300, 300],
                [10, 20, 40],
                [40, 300, 3_000],
                [20, 60, ttl],
            ]),
            purchases,
            buyers: (purchases / random.range(1, 5)).max(1),
        }
    }

    /// The deployment's configuration.
    pub fn config(&self) -> Result<Config, String> {
        let plans: Vec<String> = PLANS
            .iter()
            .map(|(id, units)| {
                let price = format!("${}.{:06}", units / 1_000_000, units % 1_000_000);
                format!(r#"{{"planId":"{id}","unitAmount":"{price}","description":"{id}"}}"#)
            })
            .collect();
        let lookup = |name: &str| {
            Some(match name {
                "KEY0_WALLET_ADDRESS" => "0x209693Bc6afc0C5328bA36FaF03C514EF312287C".to_owned(),
                "KEY0_ACCESS_TOKEN_SECRET" => {
                    "a secret of the simulation, and of nothing else".to_owned()
                }
                "USE_GAS_WALLET" => "true".to_owned(),
                "GAS_WALLET_PRIVATE_KEY" => format!("0x{:064x}", 0x6a5),
                "KEY0_CONFIRMATIONS" => self.confirmations.to_string(),
                "CHALLENGE_TTL_SECONDS" => self.ttl.to_string(),
                "PLANS" => format!("[{}]", plans.join(",")),
                _ => return None,
            })
        };
        Config::from_vars(lookup).map_err(|problems| format!("{problems:?}"))
    }
}
