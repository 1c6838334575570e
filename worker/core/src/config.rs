//! The deployment's settings (`design.md`, section 8): read once, checked as a whole, typed from there on.
//!
//! Every problem is reported at once, by name and reason. No message repeats a value: it might be a secret.

use serde::Serialize;

use crate::backend::authentication::BackendAuth;
use crate::backend::issuance::{CredentialKey, IssuingBackend};
use crate::backend::notification::Notified;
use crate::catalog::{Catalog, default_catalog};
use crate::ledger::Layout;
use crate::offer::SealKeys;
use crate::purchase::{GasLimit, Policy};
use crate::settlement::{Route, Settlement};
use crate::token::{RsaPrivateKey, RsaPublicKey, TokenSigner};
use crate::types::AdminSecret;
use crate::types::WalletKey;
use crate::types::{Address, HttpUrl, Network, Secret};

mod backend;
mod factories;
mod ledger;
mod proof;
mod safety;
mod settlement;
mod vars;

pub use proof::ProofBinding;
use vars::{
    Read, Vars, address, named, parsed, private_key, resource_template, secret, secret_in_list,
    template_sample,
};

const MAX_RPC_URLS: usize = 8;
const MAX_OLD_SECRETS: usize = 4;
const MAX_OLD_WALLETS: usize = 8;

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
    /// The shortest time for which a challenge can be paid.
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

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// The variable.
    pub name: &'static str,
    /// What is wrong with it and what is expected; reads as the end of a sentence. Never contains the value.
    pub reason: String,
}

impl Config {
    /// Reads all settings through `lookup`, which answers `None` for a variable that is not set. An empty value counts
    /// as not set.
    pub fn from_vars(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<Problem>> {
        let mut vars = Vars::new(lookup);
        let config = Self::read(&mut vars);
        match config {
            Some(config) if vars.problems.is_empty() => Ok(config),
            _ => Err(vars.problems),
        }
    }

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

    // `None` only together with at least one recorded problem. Everything is read before anything is given up, so that
    // all problems are reported together.
    fn read<F: Fn(&str) -> Option<String>>(vars: &mut Vars<F>) -> Option<Config> {
        let network = vars.parse("KEY0_NETWORK", "testnet", |text| match text {
            "testnet" => Ok(Network::BaseSepolia),
            "mainnet" => Ok(Network::Base),
            _ => Err("must be testnet or mainnet".to_owned()),
        });
        let pay_to = vars.required("KEY0_WALLET_ADDRESS", address);
        let old_wallets = vars.list("KEY0_WALLET_ADDRESSES_OLD", MAX_OLD_WALLETS, address);
        let secret = vars.required("KEY0_ACCESS_TOKEN_SECRET", secret);
        let old_secrets = vars.list(
            "KEY0_ACCESS_TOKEN_SECRETS_OLD",
            MAX_OLD_SECRETS,
            secret_in_list,
        );
        let signs_with_rsa = vars.parse("KEY0_TOKEN_ALGORITHM", "HS256", |text| match text {
            "HS256" => Ok(false),
            "RS256" => Ok(true),
            _ => Err("must be HS256 or RS256".to_owned()),
        });
        let rsa_key = vars.optional("KEY0_ACCESS_TOKEN_PRIVATE_KEY", RsaPrivateKey::from_pem);
        let next_rsa_keys = vars.optional(
            "KEY0_ACCESS_TOKEN_PUBLIC_KEYS_NEXT",
            RsaPublicKey::list_from_pem,
        );
        let old_rsa_keys = vars.optional(
            "KEY0_ACCESS_TOKEN_PUBLIC_KEYS_OLD",
            RsaPublicKey::list_from_pem,
        );
        let issues_remotely = vars.parse("TOKEN_MODE", "native", |text| match text {
            "native" => Ok(false),
            "remote" => Ok(true),
            _ => Err("must be native or remote".to_owned()),
        });
        let issue_timeout = vars.number("TOKEN_ISSUE_TIMEOUT_MS", 15_000, 100, 60_000);
        let issue_retries = vars.number("TOKEN_ISSUE_RETRIES", 2, 0, 5);
        let refund_wallet = vars.optional("KEY0_WALLET_PRIVATE_KEY", private_key);
        let refund_min_age_millis = vars.number("REFUND_MIN_AGE_MS", 30_000, 0, 30 * 86_400_000);
        let refund_interval_millis = vars.number("REFUND_INTERVAL_MS", 15_000, 100, 86_400_000);
        let admin_secret = vars.optional("KEY0_ADMIN_SECRET", self::secret);
        let token_ttl_seconds = vars.number("KEY0_TOKEN_TTL_SECONDS", 3600, 1, 10 * 366 * 86_400);
        let public_url = vars.optional("KEY0_PUBLIC_URL", parsed);
        let rpc_urls = vars.list("KEY0_RPC_URL", MAX_RPC_URLS, parsed);
        let confirmations = vars.number("KEY0_CONFIRMATIONS", 1, 1, 64);
        let challenge_ttl_seconds = vars.number("CHALLENGE_TTL_SECONDS", 900, 1, 86_400);
        let settlement = settlement::read(vars, network);
        let gas_limit = settlement::gas_limit(vars);
        let wallet_factories = factories::read(vars, settlement.as_ref());
        let proof_binding = proof::read(vars);
        let ledger = ledger::read(vars);
        let backend_url = vars.optional("BACKEND_API_URL", parsed::<HttpUrl>);
        let resource_endpoint = vars.optional("KEY0_RESOURCE_ENDPOINT", resource_template);
        let catalog = match vars.optional("PLANS", |text| {
            Catalog::from_json(text).map_err(|error| error.to_string())
        }) {
            Read::Value(catalog) => Some(catalog),
            Read::Absent => default_catalog().ok(),
            Read::Bad => None,
        };
        let agent_name = vars.text("AGENT_NAME", "key0", 100);
        let agent_description = vars.text(
            "AGENT_DESCRIPTION",
            "Sells access to an API for USDC. Agents pay with x402 and receive an access token.",
            1000,
        );
        let provider_url = vars.optional("PROVIDER_URL", parsed::<HttpUrl>);
        let provider_name = vars.text("PROVIDER_NAME", "", 100);
        let provider = match (provider_name, provider_url.into_option()) {
            (Some(name), Some(url)) if !name.is_empty() => Some(Provider { name, url }),
            (Some(name), None) if name.is_empty() => None,
            _ => {
                vars.problem(
                    "PROVIDER_NAME",
                    "and PROVIDER_URL go together: set both or neither",
                );
                None
            }
        };

        let admin_secret = admin_secret.into_option();
        // Backends know those.
        let is_token_secret =
            |other: &Secret| secret.as_ref() == Some(other) || old_secrets.contains(other);
        if admin_secret.as_ref().is_some_and(is_token_secret) {
            vars.problem(
                "KEY0_ADMIN_SECRET",
                "must not be the value of KEY0_ACCESS_TOKEN_SECRET, nor one of KEY0_ACCESS_TOKEN_SECRETS_OLD",
            );
        }
        if let (Some(true), Read::Absent) = (signs_with_rsa, &rsa_key) {
            vars.problem(
                "KEY0_ACCESS_TOKEN_PRIVATE_KEY",
                "is required when KEY0_TOKEN_ALGORITHM is RS256",
            );
        }
        let rsa_key = rsa_key.into_option();
        let mut public_keys: Vec<RsaPublicKey> =
            rsa_key.iter().map(|key| key.public().clone()).collect();
        // The ones to come before the old ones: backends read the first of a long document.
        let others = [next_rsa_keys, old_rsa_keys].map(Read::into_option);
        for other in others.into_iter().flatten().flatten() {
            if !public_keys.contains(&other) {
                public_keys.push(other);
            }
        }
        let backend_url = backend_url.into_option();
        let known: Vec<&Secret> = secret
            .iter()
            .chain(&admin_secret)
            .chain(&old_secrets)
            .collect();
        let backend_auth = backend::read(vars, backend_url.as_ref(), &known);
        let notified = backend::notified(vars, backend_url.as_ref());
        if issues_remotely == Some(true) && backend_url.is_none() {
            vars.problem("BACKEND_API_URL", "is required when TOKEN_MODE is remote");
        }
        let refund_wallet = refund_wallet.into_option();
        if let (Some(wallet), Some(pay_to)) = (&refund_wallet, pay_to)
            && wallet.address() != pay_to
        {
            vars.problem(
                "KEY0_WALLET_PRIVATE_KEY",
                "must be the key of KEY0_WALLET_ADDRESS",
            );
        }

        let public_url = public_url.into_option();
        let resource_endpoint = resource_endpoint.into_option();
        let resource_url = resource_endpoint
            .as_deref()
            .and_then(|template| template_sample(template).ok());
        let oauth_url = match &backend_auth {
            Some(BackendAuth::OAuth(client)) => Some(&client.token_url),
            _ => None,
        };
        let facilitators = settlement.iter().flat_map(Settlement::routes);
        let facilitators = facilitators.filter_map(|route| match route {
            Route::Facilitator(facilitator) => Some(facilitator.url()),
            Route::GasWallet(_) => None,
        });
        let issues_remotely = issues_remotely == Some(true);
        let urls = named("KEY0_RPC_URL", &rpc_urls)
            .chain(named("FACILITATOR_URL", facilitators))
            .chain(named("BACKEND_API_URL", &backend_url))
            .chain(named("OAUTH_TOKEN_URL", oauth_url))
            .chain(named("KEY0_RESOURCE_ENDPOINT", &resource_url))
            .chain(named("KEY0_PUBLIC_URL", &public_url));
        let facts = safety::Facts {
            network,
            pay_to,
            gas_wallet: settlement
                .as_ref()
                .and_then(Settlement::gas_wallet)
                .map(WalletKey::address),
            urls: urls.collect(),
            proof_binding,
            issues_to_anybody: issues_remotely && matches!(backend_auth, Some(BackendAuth::None)),
            issuing_and_refund: issue_timeout
                .zip(refund_min_age_millis)
                .filter(|_| issues_remotely && refund_wallet.is_some()),
        };
        let warnings = safety::check(vars, &facts);

        let (network, secret) = (network?, secret?);
        let timeout_millis = u32::try_from(issue_timeout?).ok()?;
        let retries = u32::try_from(issue_retries?).ok()?;
        Some(Self {
            network,
            pay_to: pay_to?,
            old_wallets,
            public_url,
            rpc_urls: match rpc_urls {
                urls if urls.is_empty() => vec![network.default_rpc_url().parse().ok()?],
                urls => urls,
            },
            confirmations: confirmations?,
            challenge_ttl_seconds: challenge_ttl_seconds?,
            token_ttl_seconds: token_ttl_seconds?,
            seal_keys: SealKeys::new(&secret, &old_secrets),
            token_signer: match rsa_key {
                Some(key) if signs_with_rsa? => TokenSigner::Rs256(Box::new(key)),
                _ => TokenSigner::hs256(&secret),
            },
            public_keys,
            settlement: settlement?,
            gas_limit: gas_limit?,
            wallet_factories,
            proof_binding: proof_binding?,
            ledger: ledger?,
            refund_wallet,
            refund_min_age_millis: refund_min_age_millis?,
            refund_interval_millis: refund_interval_millis?,
            issuing_backend: backend_url.clone().filter(|_| issues_remotely).map(|url| {
                IssuingBackend {
                    url,
                    timeout_millis,
                    retries,
                }
            }),
            backend_auth: backend_auth?,
            notified: notified?,
            credential_key: CredentialKey::new(&secret, &old_secrets),
            resource_endpoint: resource_endpoint
                .or_else(|| backend_url.map(|url| url.join("/{resourceId}"))),
            catalog: catalog?,
            seller: Seller {
                agent_name: agent_name?,
                agent_description: agent_description?,
                provider,
            },
            admin_secret: admin_secret.as_ref().map(AdminSecret::new),
            warnings,
        })
    }
}

/// A valid configuration for tests of this crate.
#[cfg(test)]
pub(crate) fn test_config() -> Config {
    Config::from_vars(|name| tests::valid(name).map(str::to_owned)).unwrap()
}

/// Its variables, for tests that change some.
#[cfg(test)]
pub(crate) fn test_var(name: &str) -> Option<&'static str> {
    tests::valid(name)
}

#[cfg(test)]
mod tests;
