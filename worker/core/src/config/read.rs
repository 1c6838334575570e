//! The settings as they are read: all, whatever is wrong with some, and then checked against each other.

use super::problem::Problem;
use super::settings::{Config, Provider, Seller};
use super::vars::{
    Read, Vars, address, named, parsed, private_key, resource_template, secret, secret_in_list,
    template_sample,
};
use super::{backend, factories, ledger, proof, safety, seal, settlement};
use crate::backend::authentication::BackendAuth;
use crate::backend::issuance::{CredentialKey, IssuingBackend};
use crate::catalog::{Catalog, default_catalog};
use crate::settlement::{Route, Settlement};
use crate::token::{RsaPrivateKey, RsaPublicKey, TokenSigner};
use crate::types::{AdminSecret, HttpUrl, Network, Secret, WalletKey};

const MAX_RPC_URLS: usize = 8;
const MAX_OLD_SECRETS: usize = 4;
const MAX_OLD_WALLETS: usize = 8;

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
        let mut known: Vec<&Secret> = secret
            .iter()
            .chain(&admin_secret)
            .chain(&old_secrets)
            .collect();
        let seal_secrets = seal::read(vars, &known);
        known.extend(&seal_secrets);
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
            seal_keys: seal::keys(&seal_secrets, &secret, &old_secrets),
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
