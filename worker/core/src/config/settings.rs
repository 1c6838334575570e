//! The deployment's settings, typed.

use super::a2a::A2aSettings;
use super::backend::BackendSettings;
use super::chain::ChainSettings;
use super::documents::DocumentSettings;
use super::gas::GasSettings;
use super::gateway::GatewaySettings;
use super::mcp::McpSettings;
use super::mpp::MppSettings;
use super::offers::OfferSettings;
use super::policy::Policy;
use super::problem::Problem;
use super::refund::RefundSettings;
use super::seller::Seller;
use super::token::TokenSettings;
use super::wallets::SellerWallets;
use crate::catalog::{Catalog, Plan};
use crate::ledger::Layout;
use crate::settlement::Settlement;
use crate::types::{Address, BearerSecret, HttpUrl, Network, WalletKey};

/// All settings of a deployment, checked. Each part has a file that also reads it; a new setting belongs in that file.
#[derive(Debug)]
pub struct Config {
    /// The chain on which things are sold.
    pub network: Network,
    /// The public address, if the seller has fixed one; otherwise the origin of each request is used.
    pub public_url: Option<HttpUrl>,
    /// The wallets that receive the money.
    pub wallets: SellerWallets,
    /// How offers are made.
    pub offers: OfferSettings,
    /// How access tokens are made.
    pub token: TokenSettings,
    /// Which endpoints answer for the chain, and when their answers count.
    pub chain: ChainSettings,
    /// The ways to get payments included.
    pub settlement: Settlement,
    /// What the gas wallet pays for.
    pub gas: GasSettings,
    /// How money is sent back.
    pub refund: RefundSettings,
    /// The seller's backend: which calls it gets, and how.
    pub backend: BackendSettings,
    /// Which parts the ledger has.
    pub ledger: Layout,
    /// Whether agents may buy through A2A.
    pub a2a: A2aSettings,
    /// Whether agents may buy through MCP.
    pub mcp: McpSettings,
    /// Whether clients may pay by the Machine Payments Protocol.
    pub mpp: MppSettings,
    /// Which documents for models are published.
    pub documents: DocumentSettings,
    /// Plans, routes and prices.
    pub catalog: Catalog,
    /// The address to which calls of routes are forwarded.
    pub gateway: GatewaySettings,
    /// The seller, as documents describe it.
    pub seller: Seller,
    /// The secret of the operator's door; without this setting the door does not exist.
    pub admin_secret: Option<BearerSecret>,
    /// The secret of the backends that have their calls counted; without this setting their doors do not exist.
    pub meter_secret: Option<BearerSecret>,
    /// Settings that are allowed but dangerous.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Whether this plan can be bought for a grant that has begun. One without limits has nothing that is counted, and where
    /// the backend issues the credentials, it counts them.
    pub fn tops_up(&self, plan: &Plan) -> bool {
        !plan.limits.is_none() && self.backend.issuing.is_none()
    }

    /// The public address of this deployment: the one in the settings, or else the origin of this request.
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
            answer_kept_millis: self.gateway.keep_seconds.saturating_mul(1_000),
        }
    }

    /// The wallet that sends refunds and pays their gas: the gas wallet, or else the seller's own.
    pub fn refund_sender(&self) -> Option<&WalletKey> {
        self.settlement.gas_wallet().or(self.refund.wallet.as_ref())
    }

    /// The key of the wallet with this address, if it is one of our wallets that send transactions.
    pub fn sender(&self, address: Address) -> Option<&WalletKey> {
        [self.settlement.gas_wallet(), self.refund.wallet.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| key.address() == address)
    }
}
