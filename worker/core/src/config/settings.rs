//! The deployment's settings, typed.

use super::gas_limit::GasLimit;
use super::policy::Policy;
use super::problem::Problem;
use super::proof::ProofBinding;
use crate::backend::authentication::BackendAuth;
use crate::backend::issuance::{CredentialKey, IssuingBackend};
use crate::backend::notification::Notified;
use crate::catalog::Catalog;
use crate::ledger::Layout;
use crate::offer::SealKeys;
use crate::settlement::Settlement;
use crate::token::{RsaPublicKey, TokenSigner};
use crate::types::{Address, AdminSecret, HttpUrl, Network, WalletKey};

/// All settings of a deployment, checked.
#[derive(Debug)]
pub struct Config {
    /// The chain that is sold on.
    pub network: Network,
    /// The seller's wallet: where the money goes.
    pub pay_to: Address,
    /// Earlier wallets of the seller: offers that name them are still taken.
    pub old_wallets: Vec<Address>,
    /// The public address, when the seller fixed one; otherwise each request's own origin is used.
    pub public_url: Option<HttpUrl>,
    /// RPC endpoints, in the order in which they are tried.
    pub rpc_urls: Vec<HttpUrl>,
    /// How many blocks, the transaction's own included, make a payment final.
    pub confirmations: u64,
    /// The shortest time for which an offer can be paid.
    pub challenge_ttl_seconds: u64,
    /// How long a token lasts when its plan does not say.
    pub token_ttl_seconds: u64,
    /// What challenge ids are sealed and opened with.
    pub seal_keys: SealKeys,
    /// What tokens are signed with.
    pub token_signer: TokenSigner,
    /// The public keys whose tokens may be good, the current one first.
    pub public_keys: Vec<RsaPublicKey>,
    /// Who broadcasts payments.
    pub settlement: Settlement,
    /// How much the gas wallet may pay for a payment's gas.
    pub gas_limit: GasLimit,
    /// Factories whose smart wallets are created when they pay for the first time.
    pub wallet_factories: Vec<Address>,
    /// What binds a plain transfer to who presents it.
    pub proof_binding: ProofBinding,
    /// Which parts the ledger has.
    pub ledger: Layout,
    /// The seller's own wallet, when its key is given: what it received can be sent back.
    pub refund_wallet: Option<WalletKey>,
    /// After how many milliseconds a paid purchase that cannot be delivered is refunded.
    pub refund_min_age_millis: u64,
    /// The pause after a refund's first failure, in milliseconds.
    pub refund_interval_millis: u64,
    /// The backend that issues the credentials; `None` when the gateway issues them itself.
    pub issuing_backend: Option<IssuingBackend>,
    /// How the gateway authenticates towards the backend.
    pub backend_auth: BackendAuth,
    /// Who is told how purchases end.
    pub notified: Option<Notified>,
    /// What the backend's credentials are stored under.
    pub credential_key: CredentialKey,
    /// Where a buyer uses the token: a URL, with `{resourceId}` standing for the resource.
    pub resource_endpoint: Option<String>,
    /// Plans and prices.
    pub catalog: Catalog,
    /// Who sells.
    pub seller: Seller,
    /// What opens the operator's door; without it there is none.
    pub admin_secret: Option<AdminSecret>,
    /// What is correct and dangerous: the operator should know.
    pub warnings: Vec<Problem>,
}

/// How the seller appears in the discovery documents.
#[derive(Debug)]
pub struct Seller {
    /// The agent's name.
    pub agent_name: String,
    /// What it sells.
    pub agent_description: String,
    /// The organisation behind it.
    pub provider: Option<Provider>,
}

/// The organisation behind the agent.
#[derive(Debug)]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// Its home page.
    pub url: HttpUrl,
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
        Policy {
            network: self.network,
            refund_after_millis: self
                .refund_wallet
                .as_ref()
                .map(|_| self.refund_min_age_millis),
            refund_interval_millis: self.refund_interval_millis,
            notifies: self.notified.is_some(),
        }
    }

    /// Whether an offer that names this wallet is still taken. (Whoever has the token secret can seal offers.)
    pub fn is_paid_at(&self, wallet: Address) -> bool {
        self.wallets().any(|own| own == wallet)
    }

    /// The wallets that offers may name: today's, and the earlier ones that are still listed.
    pub fn wallets(&self) -> impl Iterator<Item = Address> {
        core::iter::once(self.pay_to).chain(self.old_wallets.iter().copied())
    }

    /// The wallet that sends refunds and pays their gas: the gas wallet, or else the seller's own.
    pub fn refund_sender(&self) -> Option<&WalletKey> {
        self.settlement.gas_wallet().or(self.refund_wallet.as_ref())
    }

    /// The key of a wallet of ours that sends transactions.
    pub fn sender(&self, address: Address) -> Option<&WalletKey> {
        [self.settlement.gas_wallet(), self.refund_wallet.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| key.address() == address)
    }
}
