//! The deployment's settings, typed.

use super::a2a::A2aSettings;
use super::backend::BackendSettings;
use super::chain::ChainSettings;
use super::gas::GasSettings;
use super::mcp::McpSettings;
use super::offers::OfferSettings;
use super::policy::Policy;
use super::problem::Problem;
use super::refund::RefundSettings;
use super::seller::Seller;
use super::token::TokenSettings;
use super::wallets::SellerWallets;
use crate::catalog::Catalog;
use crate::ledger::Layout;
use crate::settlement::Settlement;
use crate::types::{Address, AdminSecret, HttpUrl, Network, WalletKey};

/// All settings of a deployment, checked. Each part has a file, which also reads it: a new setting goes there.
#[derive(Debug)]
pub struct Config {
    /// The chain that is sold on.
    pub network: Network,
    /// The public address, when the seller fixed one; otherwise each request's own origin is used.
    pub public_url: Option<HttpUrl>,
    /// Where the money goes.
    pub wallets: SellerWallets,
    /// How offers are made.
    pub offers: OfferSettings,
    /// How access tokens are made.
    pub token: TokenSettings,
    /// How the chain is asked.
    pub chain: ChainSettings,
    /// Who broadcasts payments.
    pub settlement: Settlement,
    /// What the gas wallet pays for.
    pub gas: GasSettings,
    /// How money is sent back.
    pub refund: RefundSettings,
    /// What the seller's backend does.
    pub backend: BackendSettings,
    /// Which parts the ledger has.
    pub ledger: Layout,
    /// Whether agents may buy through A2A.
    pub a2a: A2aSettings,
    /// Whether agents may buy through MCP.
    pub mcp: McpSettings,
    /// Plans and prices.
    pub catalog: Catalog,
    /// Who sells.
    pub seller: Seller,
    /// What opens the operator's door; without it there is none.
    pub admin_secret: Option<AdminSecret>,
    /// What is correct and dangerous: the operator should know.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// The address under which this deployment is known: the configured one, else where the request came in.
    pub fn origin(&self, request_url: &str) -> Option<HttpUrl> {
        self.public_url
            .clone()
            .or_else(|| HttpUrl::origin_of(request_url))
    }

    /// The settings that a purchase's schedule depends on.
    pub fn policy(&self) -> Policy {
        let refund = &self.refund;
        Policy {
            network: self.network,
            refund_after_millis: refund.wallet.as_ref().map(|_| refund.min_age_millis),
            refund_interval_millis: refund.interval_millis,
            notifies: self.backend.notified.is_some(),
        }
    }

    /// The wallet that sends refunds and pays their gas: the gas wallet, or else the seller's own.
    pub fn refund_sender(&self) -> Option<&WalletKey> {
        self.settlement.gas_wallet().or(self.refund.wallet.as_ref())
    }

    /// The key of a wallet of ours that sends transactions.
    pub fn sender(&self, address: Address) -> Option<&WalletKey> {
        [self.settlement.gas_wallet(), self.refund.wallet.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| key.address() == address)
    }
}
