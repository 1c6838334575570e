//! How the chain is asked.

use super::vars::Vars;
use crate::types::{HttpUrl, Network};

const MAX_RPC_URLS: usize = 8;

/// How the chain is asked, and when its answer counts.
#[derive(Debug)]
pub struct ChainSettings {
    /// RPC endpoints, in the order in which they are tried. Never empty.
    pub rpc_urls: Vec<HttpUrl>,
    /// How many blocks, the transaction's own included, make a payment final.
    pub confirmations: u64,
}

pub(super) fn read(vars: &mut Vars<'_>, network: Option<Network>) -> Option<ChainSettings> {
    let mut rpc_urls = vars.urls("KEY0_RPC_URL", MAX_RPC_URLS);
    let confirmations = vars.number("KEY0_CONFIRMATIONS", 1, 1, 64);
    if rpc_urls.is_empty() {
        rpc_urls.push(network?.default_rpc_url().parse().ok()?);
    }
    Some(ChainSettings {
        rpc_urls,
        confirmations: confirmations?,
    })
}
