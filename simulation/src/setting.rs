//! The circumstances of one run, chosen by its seed.

use alloy_primitives::Address;
use http::Method;
use key0_core::catalog::{Catalog, Charged, Route, Settle, Shapes};
use key0_core::config::Config;
use key0_core::offer::CallDigest;
use key0_core::types::{RouteId, UsdcAmount, WalletKey};

use crate::chain::Nodes;
use crate::random::Random;

/// The time at which every run begins, in milliseconds since 1970.
pub const BEGIN_MILLIS: u64 = 1_800_000_000_000;

/// The plans on sale. The first three cost the same, so that an authorization fits all of them.
pub const PLANS: [(&str, u64); 4] = [
    ("bronze", 15_000),
    ("silver", 15_000),
    ("steel", 15_000),
    ("gold", 2_000_000),
];

/// The numbers of what is for sale: plans below this number, calls from it on.
pub const CALLS: usize = 100;
/// How many calls there are: three of each route.
pub const CALLED: u64 = 3 * ROUTES.len() as u64;
/// The routes: id, method, when their calls are paid for, and whether a call may be made again. A call costs as much as the
/// first plans.
const ROUTES: [(&str, Method, Settle, bool); 4] = [
    ("weather", Method::GET, Settle::After, true),
    ("summary", Method::POST, Settle::After, false),
    ("message", Method::POST, Settle::Before, false),
    ("label", Method::PUT, Settle::Before, true),
];
const CALL_UNITS: u64 = 15_000;

/// The call with this number: its route and its digest.
pub fn call_of(number: usize) -> Option<(RouteId, CallDigest)> {
    let at = number.checked_sub(CALLS)?;
    let (id, ..) = &ROUTES[at % ROUTES.len()];
    let city = [u8::try_from(at / ROUTES.len()).ok()?];
    let digest = CallDigest::of([id.as_bytes(), &city]);
    Some((id.parse().ok()?, digest))
}

fn routes() -> Option<Vec<Route>> {
    let routes = ROUTES.into_iter().map(|(id, method, settle, idempotent)| {
        let path = format!("/{id}/:city");
        Some(Route {
            id: id.parse().ok()?,
            method,
            path: path.parse().ok()?,
            resource: path.parse().ok()?,
            price: Some(UsdcAmount::from_units(CALL_UNITS)),
            settle,
            description: "a call".to_owned(),
            charged: Charged::default(),
            idempotent,
            max_body: 65_536,
            vary: Vec::new(),
            stream: false,
            case_sensitive: false,
            forward_authorization: false,
            notify: id == "label",
            plans: Vec::new(),
            max_cost: None,
            shapes: Shapes::default(),
        })
    });
    routes.collect()
}

/// The lifetimes of tokens, in seconds, for plans whose tokens do not last the usual hour.
const LASTING: [(&str, u64); 2] = [("steel", 7 * 86_400), ("gold", 30 * 86_400)];

/// The lifetimes of tokens, in seconds, after the catalog was edited while purchases were open.
const EDITED: [(&str, u64); 2] = [("bronze", 60), ("steel", 90 * 86_400)];

/// The plan that the catalog lacks for a while.
const REMOVED: &str = "silver";

/// The plan that costs a little less for a while.
const CHEAPER: &str = "bronze";

/// The `extra` of one plan, before and after the catalog was edited.
const EXTRAS: (&str, [&str; 2]) = ("steel", ["stainless", "rusty"]);

/// The calls of one plan, before and after the catalog was edited. Another plan than that with `extra`, so that each is
/// seen to be bound by itself.
const QUOTAS: (&str, [u64; 2]) = ("gold", [1_650, 500]);

/// The contract that creates buyers' wallets.
pub const FACTORY: Address = Address::repeat_byte(0xfa);

/// The keys of the wallets that receive payments: the first one, and the one that the seller may switch to.
const SELLER_KEYS: [&str; 2] = [
    "0x5e11e70000000000000000000000000000000000000000000000000000000001",
    "0x5e11e70000000000000000000000000000000000000000000000000000000002",
];

/// Who issues the credentials.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Issuer {
    /// The gateway itself.
    Gateway,
    /// The seller's backend.
    Backend {
        /// Whether a repeated call returns the same credential.
        remembers: bool,
        /// Whether the backend fails for good at some time.
        ends: bool,
    },
}

/// The circumstances of one run.
#[derive(Clone, Debug)]
pub struct Setting {
    /// How many confirmations the seller waits for.
    pub confirmations: u64,
    /// How long an offer lasts, in seconds.
    pub ttl: u64,
    /// How long new purchases keep beginning, in milliseconds.
    pub arrivals: u64,
    /// The lifetimes of buyers' authorizations, in seconds; each authorization has one of them.
    pub validities: [u64; 3],
    /// How many purchases are made.
    pub purchases: u64,
    /// How many buyers make these purchases.
    pub buyers: u64,
    /// Who issues the credentials.
    pub issuer: Issuer,
    /// How long the backend may take, in milliseconds.
    pub issue_timeout: u64,
    /// Whether the backend is notified of how purchases end.
    pub notifies: bool,
    /// How often a failed call is repeated at once.
    pub issue_retries: u64,
    /// Whether refunds are on.
    pub refunds: bool,
    /// After how many milliseconds a refund begins.
    pub refund_after: u64,
    /// The pause after a refund's first failure, in milliseconds.
    pub refund_interval: u64,
    /// Whether an operator retries refunds that have failed.
    pub operator: bool,
    /// How many facilitators settle.
    pub facilitators: u64,
    /// Whether the gas wallet settles, alone or after the facilitators.
    pub gas_wallet: bool,
    /// How many of a thousand purchases are paid by an ordinary transfer.
    pub transfers: u64,
    /// How many of a thousand purchases are calls.
    pub calls: u64,
    /// How long the seller's API may take, in milliseconds.
    pub call_timeout: u32,
    /// How long a paid answer is kept, in seconds.
    pub answers_kept: u64,
    /// How many of a thousand purchases are made in a conversation.
    pub conversations: u64,
    /// Whether a transfer counts for the first client that shows it, without a signature.
    pub unsigned: bool,
    /// The most that a payment's gas may cost, in percent of its price.
    pub gas_share: u64,
    /// The limits of the nodes.
    pub nodes: Nodes,
    /// When the seller switches to another wallet, together with its key, in milliseconds since 1970; and when it
    /// switches back to the first one.
    pub moves: (Option<u64>, Option<u64>),
    /// Whether offers are accepted that name the wallet the seller does not use at the moment.
    pub lists_old_wallets: bool,
    /// When the catalog is edited and loses a plan, and when it gets the plan back.
    pub edits: Option<[u64; 2]>,
    /// The beginning and the end of the time in which the deployment sells on another network.
    pub elsewhere: Option<[u64; 2]>,
}

/// One of the configurations that the deployment runs with in turn.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Version {
    /// The first wallet, or the other one.
    pub wallet: usize,
    /// The first catalog, the edited one that lacks a plan, or the one that has the plan again.
    pub catalog: usize,
    /// Whether the deployment sells on another network.
    pub is_elsewhere: bool,
}

impl Version {
    /// All versions, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..12).map(|number| Self {
            wallet: number % 2,
            catalog: number / 2 % 3,
            is_elsewhere: number >= 6,
        })
    }

    /// The version's index in [`Version::all`].
    pub fn number(self) -> usize {
        self.wallet + 2 * self.catalog + 6 * usize::from(self.is_elsewhere)
    }
}

impl Setting {
    /// The circumstances of a seed.
    pub fn choose(random: &Random, purchases: u64) -> Self {
        let ttl = random.pick(&[30, 60, 180, 900]);
        let mut setting = Self {
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
            issuer: if random.chance(700) {
                Issuer::Backend {
                    remembers: random.chance(700),
                    ends: random.chance(150),
                }
            } else {
                Issuer::Gateway
            },
            issue_timeout: random.pick(&[500, 5_000, 15_000]),
            notifies: random.chance(700),
            issue_retries: random.pick(&[0, 2, 5]),
            refunds: random.chance(850),
            refund_after: random.pick(&[0, 1_000, 10_000, 30_000, 120_000]),
            refund_interval: random.pick(&[100, 1_000, 5_000, 15_000]),
            operator: random.chance(500),
            facilitators: random.pick(&[0, 0, 0, 1, 1, 2]),
            gas_wallet: random.chance(500),
            transfers: random.pick(&[0, 0, 200, 500, 1_000]),
            calls: random.pick(&[0, 300, 300, 600, 1_000]),
            call_timeout: random.pick(&[1_000, 5_000, 20_000]),
            answers_kept: random.pick(&[0, 600, 3_600]),
            conversations: random.pick(&[0, 0, 150, 300, 600]),
            unsigned: random.chance(150),
            gas_share: random.pick(&[100, 1_000_000]),
            nodes: Nodes {
                states_kept: random.pick(&[128, 128, u64::MAX]),
                blocks_searched: random.pick(&[10, 100, 2_000, u64::MAX]),
            },
            moves: (None, None),
            lists_old_wallets: random.chance(600),
            edits: None,
            elsewhere: None,
        };
        let moment = || BEGIN_MILLIS + random.range(0, setting.arrivals);
        let span = |likely| {
            let (a, b) = (moment(), moment());
            random.chance(likely).then(|| [a.min(b), a.max(b)])
        };
        (setting.edits, setting.elsewhere) = (span(400), span(150));
        // A seller's wallet that sends its refunds itself would also have to send those of the old wallet, but the model
        // has only one wallet that sends.
        if setting.sends_itself() && random.chance(300) {
            let moves_at = BEGIN_MILLIS + random.range(0, 2 * setting.arrivals);
            let back_at = moves_at + random.range(0, setting.arrivals);
            setting.moves = (Some(moves_at), random.chance(500).then_some(back_at));
        }
        setting
    }

    /// Whether the gas wallet settles. Only then do buyers have contract wallets that do not exist yet.
    pub const fn sends_itself(&self) -> bool {
        self.gas_wallet || self.facilitators == 0
    }

    /// The configuration that the deployment runs with at a given time.
    pub fn version(&self, now: u64) -> Version {
        let is_past = |moment: Option<u64>| moment.is_some_and(|moment| moment <= now);
        let [edited, restored] = self.edits.unwrap_or([u64::MAX; 2]);
        let [leaves, returns] = self.elsewhere.unwrap_or([u64::MAX; 2]);
        Version {
            wallet: usize::from(is_past(self.moves.0) && !is_past(self.moves.1)),
            catalog: usize::from(is_past(Some(edited))) + usize::from(is_past(Some(restored))),
            is_elsewhere: (leaves..returns).contains(&now),
        }
    }

    /// The deployment's configuration in this version.
    pub fn config(&self, version: Version) -> Result<Config, String> {
        let Version {
            wallet,
            catalog,
            is_elsewhere,
        } = version;
        let is_edited = catalog > 0;
        let plans: Vec<String> = PLANS
            .iter()
            .filter(|(id, _)| catalog != 1 || *id != REMOVED)
            .map(|(id, units)| {
                let units = units - u64::from(catalog == 1 && *id == CHEAPER);
                let price = format!("${}.{:06}", units / 1_000_000, units % 1_000_000);
                let edited = EDITED.iter().find(|(plan, _)| is_edited && plan == id);
                let lasting = LASTING.iter().find(|(plan, _)| plan == id);
                let seconds = edited.or(lasting).map_or(3_600, |(_, seconds)| *seconds);
                let extra = match EXTRAS {
                    (plan, kinds) if plan == *id => {
                        format!(r#","extra":{{"kind":"{}"}}"#, kinds[usize::from(is_edited)])
                    }
                    _ => String::new(),
                };
                let quota = match QUOTAS {
                    (plan, calls) if plan == *id => {
                        let calls = calls[usize::from(is_edited)];
                        format!(r#","quota":{{"calls":{calls}}},"concurrency":10"#)
                    }
                    _ => String::new(),
                };
                format!(
                    r#"{{"planId":"{id}","unitAmount":"{price}","expiresIn":{seconds}{extra}{quota}}}"#
                )
            })
            .collect();
        let key = SELLER_KEYS[wallet % SELLER_KEYS.len()];
        let seller = WalletKey::from_hex(key).ok_or("the seller has no key")?;
        let other = SELLER_KEYS[(wallet + 1) % SELLER_KEYS.len()];
        let other = WalletKey::from_hex(other).ok_or("the seller has no key")?;
        let facilitators: Vec<String> = (0..self.facilitators)
            .map(|number| format!("https://facilitator-{number}.example"))
            .collect();
        let is_remote = self.issuer != Issuer::Gateway;
        let lookup = |name: &str| {
            Some(match name {
                "KEY0_NETWORK" if is_elsewhere => "mainnet".to_owned(),
                "KEY0_WALLET_ADDRESSES_OLD" if self.lists_old_wallets => {
                    other.address().to_string()
                }
                "KEY0_WALLET_ADDRESS" => seller.address().to_string(),
                "KEY0_WALLET_PRIVATE_KEY" if self.refunds => key.to_owned(),
                "REFUND_MIN_AGE_MS" => self.refund_after.to_string(),
                "REFUND_INTERVAL_MS" => self.refund_interval.to_string(),
                "TOKEN_MODE" if is_remote => "remote".to_owned(),
                "BACKEND_NOTIFICATIONS" => self.notifies.to_string(),
                "BACKEND_API_URL" if is_remote || self.notifies => {
                    "https://backend.example".to_owned()
                }
                "TOKEN_ISSUE_TIMEOUT_MS" => self.issue_timeout.to_string(),
                "TOKEN_ISSUE_RETRIES" => self.issue_retries.to_string(),
                "KEY0_ACCESS_TOKEN_SECRET" => {
                    "a secret of the simulation, and of nothing else".to_owned()
                }
                "USE_GAS_WALLET" => self.sends_itself().to_string(),
                "FACILITATOR_URL" => facilitators.join(","),
                "KEY0_WALLET_FACTORIES" if self.sends_itself() => FACTORY.to_string(),
                "GAS_MAX_SHARE_PERCENT" => self.gas_share.to_string(),
                "GAS_WALLET_PRIVATE_KEY" => format!("0x{:064x}", 0x6a5),
                "PROOF_BINDING" if self.unsigned => "txhash".to_owned(),
                "KEY0_CONFIRMATIONS" => self.confirmations.to_string(),
                "CHALLENGE_TTL_SECONDS" => self.ttl.to_string(),
                "PLANS" => format!("[{}]", plans.join(",")),
                _ => return None,
            })
        };
        let config = Config::from_vars(lookup);
        let mut config = config.map_err(|problems| format!("{problems:?}"))?;
        let plans = config.catalog.plans().to_vec();
        config.catalog = Catalog::with_routes(plans, routes().ok_or("a route has no name")?);
        config.gateway.timeout_millis = self.call_timeout;
        config.gateway.keep_seconds = self.answers_kept;
        Ok(config)
    }
}
