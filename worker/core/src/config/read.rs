//! The settings as they are read: every part, whatever is wrong with the others. What is dangerous only together is then
//! checked across the parts.

use super::problem::Problem;
use super::settings::Config;
#[cfg(test)]
use super::vars::Declared;
use super::vars::{Read, Vars};
use super::{
    a2a, backend, chain, gas, ledger, mcp, offers, refund, safety, seal, secrets, seller,
    settlement, token, wallets,
};
use crate::catalog::{Catalog, default_catalog};
use crate::settlement::Settlement;
use crate::types::{AdminSecret, Network, WalletKey};

/// The seller's file of plans, which is packed with the worker and read like a setting.
pub const CATALOG_FILE: &str = "catalog.json";

impl Config {
    /// Reads all settings through `lookup`, which answers `None` for a variable that is not set. An empty value counts
    /// as not set.
    pub fn from_vars(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<Problem>> {
        let mut vars = Vars::new(&lookup);
        let config = read(&mut vars);
        match config {
            Some(config) if vars.problems.is_empty() => Ok(config),
            _ => Err(vars.problems),
        }
    }
}

// A part is `None` only together with at least one recorded problem. Every part is read before anything is given up, so that
// all problems are reported together.
fn read(vars: &mut Vars<'_>) -> Option<Config> {
    let network = network(vars);
    let public_url = vars.url("KEY0_PUBLIC_URL");
    let wallets = wallets::read(vars);
    let pay_to = wallets.as_ref().map(|wallets| wallets.pay_to);
    let mut secrets = secrets::read(vars);
    secrets.seal = seal::read(vars, &secrets);
    let offers = offers::read(vars, &secrets);
    let token = token::read(vars, &secrets);
    let chain = chain::read(vars, network);
    let settlement = settlement::read(vars, network);
    let gas = gas::read(vars, settlement.as_ref());
    let refund = refund::read(vars, pay_to);
    let backend = backend::read(vars, &secrets);
    let ledger = ledger::read(vars);
    let a2a = a2a::read(vars, &public_url);
    let mcp = mcp::read(vars);
    let catalog = catalog(vars);
    let seller = seller::read(vars);
    if network == Some(Network::Base) {
        let gas_wallet = settlement.as_ref().and_then(Settlement::gas_wallet);
        safety::check_mainnet(vars, pay_to, gas_wallet.map(WalletKey::address));
    }

    let mut config = Config {
        network: network?,
        public_url: public_url.into_option(),
        wallets: wallets?,
        offers: offers?,
        token: token?,
        chain: chain?,
        settlement: settlement?,
        gas: gas?,
        refund: refund?,
        backend: backend?,
        ledger: ledger?,
        a2a: a2a?,
        mcp: mcp?,
        catalog: catalog?,
        seller: seller?,
        admin_secret: secrets.admin.as_ref().map(AdminSecret::new),
        warnings: Vec::new(),
    };
    config.warnings = safety::warnings(&config);
    Some(config)
}

/// Many know the chains and not our words for them, so the message has both.
fn network(vars: &mut Vars<'_>) -> Option<Network> {
    let networks = [
        ("testnet", Network::BaseSepolia),
        ("mainnet", Network::Base),
    ];
    let before = vars.problems.len();
    let network = vars.choice("KEY0_NETWORK", "testnet", &networks);
    for problem in vars.problems.iter_mut().skip(before) {
        "must be testnet (Base Sepolia) or mainnet (Base)".clone_into(&mut problem.reason);
    }
    network
}

/// The setting wins over the file, so that one deployment can sell something else with the same files.
fn catalog(vars: &mut Vars<'_>) -> Option<Catalog> {
    let plans = vars.optional("PLANS", |text| {
        Catalog::from_json(text).map_err(|error| error.to_string())
    });
    let plans = match plans {
        Read::Absent => vars.optional(CATALOG_FILE, |text| {
            Catalog::from_file(text).map_err(|error| error.to_string())
        }),
        set => set,
    };
    match plans {
        Read::Value(catalog) => Some(catalog),
        Read::Absent => default_catalog().ok(),
        Read::Bad => None,
    }
}

/// Every setting that there is, as its reader states it.
#[cfg(test)]
pub(super) fn declared() -> Vec<Declared> {
    let mut vars = Vars::new(&|_| None);
    let _ = read(&mut vars);
    vars.declared.retain(|setting| setting.name != CATALOG_FILE);
    vars.declared
}
