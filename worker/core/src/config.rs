//! The deployment's settings (`design.md`, section 8): read once, checked as a whole, typed from there on.
//!
//! Every problem is reported at once, by name and reason. No message repeats a value: it might be a secret.

use core::str::FromStr;

use serde::Serialize;

use crate::admin::AdminSecret;
use crate::catalog::{Catalog, default_catalog};
use crate::challenge::{Policy, SealKeys};
use crate::credential::backend::BackendAuth;
use crate::credential::notice::Notified;
use crate::credential::remote::{CredentialKey, IssuingBackend};
use crate::credential::{RsaPrivateKey, RsaPublicKey, TokenSigner};
use crate::payment::Settlement;
use crate::types::{Address, HttpUrl, Network, Secret};
use crate::wallet::WalletKey;

mod backend;
mod factories;
mod proof;
mod settlement;

pub use proof::ProofBinding;

const MIN_SECRET_BYTES: usize = 32;
const MAX_RPC_URLS: usize = 8;
const MAX_OLD_SECRETS: usize = 4;

/// All settings of a deployment, checked.
#[derive(Debug)]
pub struct Config {
    /// The chain that is sold on.
    pub network: Network,
    /// The seller's wallet: where the money goes.
    pub pay_to: Address,
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
    /// Factories whose smart wallets are created when they pay for the first time.
    pub wallet_factories: Vec<Address>,
    /// What binds a plain transfer to who presents it.
    pub proof_binding: ProofBinding,
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
        let mut vars = Vars {
            lookup,
            problems: Vec::new(),
        };
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
            refund_after_millis: self
                .refund_wallet
                .as_ref()
                .map(|_| self.refund_min_age_millis),
            refund_interval_millis: self.refund_interval_millis,
            notifies: self.notified.is_some(),
        }
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
        let wallet_factories = factories::read(vars, settlement.as_ref());
        let proof_binding = proof::read(vars);
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
        if admin_secret.is_some() && admin_secret == secret {
            // Backends know that one.
            vars.problem(
                "KEY0_ADMIN_SECRET",
                "must not be the value of KEY0_ACCESS_TOKEN_SECRET",
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
        let backend_auth = backend::read(
            vars,
            backend_url.as_ref(),
            &[secret.as_ref(), admin_secret.as_ref()],
        );
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

        let (network, secret) = (network?, secret?);
        let timeout_millis = u32::try_from(issue_timeout?).ok()?;
        let retries = u32::try_from(issue_retries?).ok()?;
        Some(Self {
            network,
            pay_to: pay_to?,
            public_url: public_url.into_option(),
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
            wallet_factories,
            proof_binding: proof_binding?,
            refund_wallet,
            refund_min_age_millis: refund_min_age_millis?,
            refund_interval_millis: refund_interval_millis?,
            issuing_backend: backend_url
                .clone()
                .filter(|_| issues_remotely == Some(true))
                .map(|url| IssuingBackend {
                    url,
                    timeout_millis,
                    retries,
                }),
            backend_auth: backend_auth?,
            notified: notified?,
            credential_key: CredentialKey::new(&secret, &old_secrets),
            resource_endpoint: resource_endpoint
                .into_option()
                .or_else(|| backend_url.map(|url| url.join("/{resourceId}"))),
            catalog: catalog?,
            seller: Seller {
                agent_name: agent_name?,
                agent_description: agent_description?,
                provider,
            },
            admin_secret: admin_secret.as_ref().map(AdminSecret::new),
        })
    }
}

struct Vars<F> {
    lookup: F,
    problems: Vec<Problem>,
}

/// What reading an optional variable gave.
enum Read<T> {
    Value(T),
    Absent,
    Bad,
}

impl<T> Read<T> {
    fn into_option(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Bad => None,
        }
    }
}

impl<F: Fn(&str) -> Option<String>> Vars<F> {
    fn problem(&mut self, name: &'static str, reason: impl Into<String>) {
        self.problems.push(Problem {
            name,
            reason: reason.into(),
        });
    }

    fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Read<T> {
        let text = (self.lookup)(name);
        let Some(text) = text
            .as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty())
        else {
            return Read::Absent;
        };
        match parse(text) {
            Ok(value) => Read::Value(value),
            Err(reason) => {
                self.problem(name, reason);
                Read::Bad
            }
        }
    }

    fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.optional(name, parse) {
            Read::Value(value) => Some(value),
            Read::Absent => {
                self.problem(name, "is required");
                None
            }
            Read::Bad => None,
        }
    }

    fn parse<T>(
        &mut self,
        name: &'static str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.optional(name, &parse) {
            Read::Value(value) => Some(value),
            Read::Absent => match parse(default) {
                Ok(value) => Some(value),
                Err(reason) => {
                    self.problem(name, reason);
                    None
                }
            },
            Read::Bad => None,
        }
    }

    fn number(&mut self, name: &'static str, default: u64, least: u64, most: u64) -> Option<u64> {
        self.parse(name, &default.to_string(), |text| {
            text.parse()
                .ok()
                .filter(|number| (least..=most).contains(number))
                .ok_or_else(|| format!("must be a whole number from {least} to {most}"))
        })
    }

    fn text(&mut self, name: &'static str, default: &str, most_chars: usize) -> Option<String> {
        self.parse(name, default, |text| {
            (text.chars().count() <= most_chars && !text.chars().any(char::is_control))
                .then(|| text.to_owned())
                .ok_or_else(|| format!("must be one line of at most {most_chars} characters"))
        })
    }

    fn list<T>(
        &mut self,
        name: &'static str,
        most: usize,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let read = self.optional(name, |text| {
            let items: Vec<&str> = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .collect();
            if items.len() > most {
                return Err(format!("must list at most {most} values"));
            }
            items
                .into_iter()
                .map(&parse)
                .collect::<Result<Vec<T>, String>>()
        });
        read.into_option().unwrap_or_default()
    }
}

fn parsed<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn address(text: &str) -> Result<Address, String> {
    let address: Address = text
        .parse()
        .map_err(|_| "must be an address: 0x and 40 hex digits".to_owned())?;
    let mixed = text.bytes().any(|b| b.is_ascii_lowercase() && b != b'x')
        && text.bytes().any(|b| b.is_ascii_uppercase());
    if mixed && address.to_checksum(None) != text {
        return Err("has a wrong checksum: a character was changed".to_owned());
    }
    if address.is_zero() {
        return Err("must not be the zero address".to_owned());
    }
    Ok(address)
}

fn private_key(text: &str) -> Result<WalletKey, String> {
    WalletKey::from_hex(text)
        .ok_or_else(|| "must be a private key: 0x and 64 hex digits".to_owned())
}

fn secret(text: &str) -> Result<Secret, String> {
    if text.contains("-----BEGIN") {
        return Err("must be a shared secret, not a PEM key".to_owned());
    }
    (text.len() >= MIN_SECRET_BYTES)
        .then(|| Secret::new(text))
        .ok_or_else(|| {
            format!(
                "must have at least {MIN_SECRET_BYTES} characters; `openssl rand -hex 32` makes one"
            )
        })
}

fn secret_in_list(text: &str) -> Result<Secret, String> {
    secret(text)
        .map_err(|_| format!("must list secrets of at least {MIN_SECRET_BYTES} characters each"))
}

fn resource_template(text: &str) -> Result<String, String> {
    let sample: Result<HttpUrl, _> = text.replace("{resourceId}", "default").parse();
    match sample {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!(
            "{error} (`{{resourceId}}` may stand for the resource)"
        )),
    }
}

/// A valid configuration for tests of this crate.
#[cfg(test)]
pub(crate) fn test_config() -> Config {
    Config::from_vars(|name| tests::valid(name).map(str::to_owned)).unwrap()
}

#[cfg(test)]
mod tests;
