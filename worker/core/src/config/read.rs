//! Reads the settings: every part, whatever is wrong with the others. Combinations that are dangerous are then checked
//! across the parts.

#[cfg(test)]
use super::catalog::CATALOG_FILE;
use super::problem::Problem;
use super::settings::Config;
#[cfg(test)]
use super::vars::Declared;
use super::vars::Vars;
use super::{
    a2a, backend, catalog, chain, documents, gas, gateway, ledger, mcp, mpp, offers, refund,
    safety, seal, secrets, seller, settlement, token, wallets,
};
use crate::settlement::Settlement;
use crate::types::{BearerSecret, Network, WalletKey};

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
    let mpp = mpp::read(vars);
    let documents = documents::read(vars);
    let catalog = catalog::read(vars);
    let others = gateway::Others {
        public_url: public_url.as_option(),
        secrets: &secrets,
        backend: backend.as_ref(),
        catalog: catalog.as_ref(),
        offer_seconds: offers.as_ref().map(|offers| offers.ttl_seconds),
    };
    let gateway = gateway::read(vars, &others);
    let meter = secrets::meter(vars);
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
        mpp: mpp?,
        documents: documents?,
        catalog: catalog?,
        gateway: gateway?,
        seller: seller?,
        admin_secret: secrets.admin.as_ref().map(BearerSecret::new),
        meter_secret: meter.as_ref().map(BearerSecret::new),
        warnings: Vec::new(),
    };
    config.warnings = safety::warnings(&config);
    Some(config)
}

/// The network that is sold on. Many sellers know the names of the chains, but not ours, so the message has both.
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

/// Every setting that exists, as the code that reads it declares it.
#[cfg(test)]
pub(super) fn declared() -> Vec<Declared> {
    let mut vars = Vars::new(&|_| None);
    let _ = read(&mut vars);
    vars.declared.retain(|setting| setting.name != CATALOG_FILE);
    vars.declared
}
