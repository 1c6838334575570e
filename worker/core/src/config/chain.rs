//! The settings for the chain.

use super::vars::Vars;
use crate::types::{HttpUrl, Network};

const MAX_RPC_URLS: usize = 8;

/// Which endpoints answer for the chain, and when their answers count.
#[derive(Debug)]
pub struct ChainSettings {
    /// The RPC endpoints, in the order in which they are tried. There is at least one.
    pub rpc_urls: Vec<HttpUrl>,
    /// How many blocks make a payment final, the block of its transaction included.
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
