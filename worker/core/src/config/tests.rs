//! Tests of the settings' defaults, and of the problem that each bad setting gives.

mod documented;

use super::*;
use crate::settlement::Route;
use crate::types::{Address, Network, TEST_CARD_KEY, WalletKey};

pub(super) fn valid(name: &str) -> Option<&'static str> {
    Some(match name {
        "KEY0_WALLET_ADDRESS" => "0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
        "KEY0_ACCESS_TOKEN_SECRET" => "0123456789abcdef0123456789abcdef",
        "USE_GAS_WALLET" => "true",
        "GAS_WALLET_PRIVATE_KEY" => {
            "0x0000000000000000000000000000000000000000000000000000000000000001"
        }
        "BACKEND_API_URL" => "https://backend.example",
        _ => return None,
    })
}

/// A valid configuration for tests of this crate.
pub(crate) fn test_config() -> Config {
    Config::from_vars(|name| valid(name).map(str::to_owned)).unwrap()
}

/// A variable of that configuration, for tests that change some of them.
pub(crate) fn test_var(name: &str) -> Option<&'static str> {
    valid(name)
}

fn problems(change: &[(&str, &str)]) -> Vec<Problem> {
    let lookup = |name: &str| {
        change
            .iter()
            .find(|(changed, _)| *changed == name)
            .map(|(_, value)| *value)
            .or_else(|| valid(name))
            .map(str::to_owned)
    };
    Config::from_vars(lookup).err().unwrap_or_default()
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let config = test_config();
    assert_eq!(config.network, Network::BaseSepolia);
    assert_eq!(config.offers.ttl_seconds, 900);
    assert_eq!(config.token.ttl_seconds, 3600);
    assert_eq!(config.chain.confirmations, 1);
    assert_eq!(config.offers.proof_binding, ProofBinding::Signature);
    assert!(config.a2a.enabled && config.a2a.card_key.is_none());
    assert!(config.mcp.enabled && config.mcp.allowed_origins.is_empty());
    assert_eq!(config.catalog.plans().len(), 4);
    assert_eq!(
        config.backend.resource_endpoint.as_deref(),
        Some("https://backend.example/{resourceId}")
    );
}

#[test]
fn offers_may_name_the_wallet_and_the_earlier_ones_that_are_listed() {
    let earlier = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf";
    let lookup = |name: &str| match name {
        "KEY0_WALLET_ADDRESSES_OLD" => Some(earlier.to_owned()),
        _ => valid(name).map(str::to_owned),
    };
    let config = Config::from_vars(lookup).unwrap();
    assert!(config.wallets.is_paid_at(config.wallets.pay_to));
    assert!(config.wallets.is_paid_at(earlier.parse().unwrap()));
    assert!(!config.wallets.is_paid_at(Address::repeat_byte(9)));
    assert!(!test_config().wallets.is_paid_at(earlier.parse().unwrap()));
}

#[test]
fn an_empty_environment_names_everything_that_is_required() {
    let problems = Config::from_vars(|_| None).unwrap_err();
    let names: Vec<_> = problems.iter().map(|problem| problem.name).collect();
    assert_eq!(names, ["KEY0_WALLET_ADDRESS", "KEY0_ACCESS_TOKEN_SECRET"]);
}

#[test]
fn each_bad_value_is_named_and_not_repeated() {
    for (name, value) in [
        ("KEY0_NETWORK", "sepolia"),
        ("PROOF_BINDING", "none"),
        ("KEY0_WALLET_ADDRESS", "0x123"),
        (
            "KEY0_WALLET_ADDRESS",
            "0x0000000000000000000000000000000000000000",
        ),
        (
            "KEY0_WALLET_ADDRESS",
            "0x209693bc6afc0C5328bA36FaF03C514EF312287C",
        ),
        ("KEY0_WALLET_ADDRESSES_OLD", "0x123"),
        ("KEY0_ACCESS_TOKEN_SECRET", "tooshort"),
        (
            "KEY0_ACCESS_TOKEN_SECRET",
            "-----BEGIN PRIVATE KEY-----abcdefghijklmnop",
        ),
        ("KEY0_ACCESS_TOKEN_SECRETS_OLD", "tooshort"),
        ("KEY0_TOKEN_ALGORITHM", "none"),
        (
            "KEY0_ACCESS_TOKEN_PRIVATE_KEY",
            "-----BEGIN PRIVATE KEY-----MTIzNDU2-----END PRIVATE KEY-----",
        ),
        ("KEY0_ACCESS_TOKEN_PUBLIC_KEYS_NEXT", "nonsense-next"),
        ("KEY0_ACCESS_TOKEN_PUBLIC_KEYS_OLD", "nonsense-keys"),
        ("KEY0_TOKEN_TTL_SECONDS", "0.25"),
        ("KEY0_PUBLIC_URL", "example.com"),
        ("KEY0_RPC_URL", "https://a.example,nonsense"),
        ("KEY0_CONFIRMATIONS", "-7777"),
        ("CHALLENGE_TTL_SECONDS", "9.5e3"),
        ("USE_GAS_WALLET", "maybe"),
        ("GAS_WALLET_PRIVATE_KEY", "0xdeadbeef"),
        ("FACILITATOR_URL", "https://a.example,nonsense"),
        ("CDP_API_KEY_ID", "two words"),
        ("CDP_API_KEY_SECRET", "c2VjcmV0"),
        ("KEY0_RESOURCE_ENDPOINT", "nowhere"),
        ("PLANS", "[{]"),
        ("TOKEN_MODE", "magic"),
        ("KEY0_WALLET_PRIVATE_KEY", "0xdeadbeef"),
        (
            "KEY0_WALLET_PRIVATE_KEY",
            "0x0000000000000000000000000000000000000000000000000000000000000007",
        ),
        ("KEY0_ADMIN_SECRET", "0123456789abcdef0123456789abcde"),
        ("KEY0_ADMIN_SECRET", "0123456789abcdef0123456789abcdef"),
        ("REFUND_MIN_AGE_MS", "soon"),
        ("REFUND_INTERVAL_MS", "99"),
        ("TOKEN_ISSUE_TIMEOUT_MS", "99.5"),
        ("LEDGER_PARTS_FROM", "next-month"),
        ("LEDGER_PARTS_FROM", "2028-01-01,2027-01-01"),
        ("A2A_ENABLED", "perhaps"),
        ("MCP_ENABLED", "1"),
        ("LLMS_ENABLED", "yes"),
        ("SKILLS_MD_ENABLED", "0"),
        ("CONTACT_EMAIL", "nobody"),
        ("CONTACT_EMAIL", "a@b@c.example"),
        ("CONTACT_EMAIL", "a b@c.example"),
        ("MCP_ALLOWED_ORIGINS", "https://app.example/chat"),
        ("MCP_ALLOWED_ORIGINS", "app.example"),
        (
            "A2A_CARD_KEY",
            "0x0000000000000000000000000000000000000000000000000000000000000007",
        ),
        (
            "A2A_CARD_KEY",
            "-----BEGIN PRIVATE KEY-----MTIzNDU2-----END PRIVATE KEY-----",
        ),
        ("PROVIDER_NAME", "Acme-without-url"),
        ("ROUTES", "[{]"),
        ("ROUTES", "{\"routes\":7777}"),
        ("PROXY_TO_BASE_URL", "api.example"),
        ("PROXY_TIMEOUT_MS", "soonish"),
        ("KEY0_PROXY_SECRET", "tooshort"),
        ("KEY0_PROXY_SECRET", "a secret of the gateway and the api"),
        ("KEY0_PROXY_SECRET", "0123456789abcdef0123456789abcdef"),
        ("KEY0_METER_SECRET", "too-short"),
        ("KEY0_METER_SECRET", "0123456789abcdef0123456789abcdef"),
        ("ANSWER_KEEP_SECONDS", "604801"),
        ("STREAM_SECONDS", "901"),
    ] {
        let problems = problems(&[(name, value)]);
        assert_eq!(problems.len(), 1, "{name}={value}: {problems:?}");
        assert_eq!(problems[0].name, name);
        assert!(!problems[0].reason.contains(value), "{problems:?}");
    }
}

#[test]
fn the_public_address_has_one_form_which_is_also_the_issuer_of_tokens() {
    for text in ["https://shop.example/", "HTTPS://Shop.Example:443"] {
        let lookup = |name: &str| match name {
            "KEY0_PUBLIC_URL" => Some(text.to_owned()),
            _ => valid(name).map(str::to_owned),
        };
        let config = Config::from_vars(lookup).unwrap();
        let origin = config.origin("https://worker.example/x").unwrap();
        assert_eq!(origin.as_str(), "https://shop.example");
    }
}

#[test]
fn a_key_for_the_agent_card_is_read_and_not_shown() {
    let lookup = |name: &str| match name {
        "A2A_CARD_KEY" => Some(TEST_CARD_KEY.replace('\n', "\\n")),
        "KEY0_PUBLIC_URL" => Some("https://shop.example".to_owned()),
        _ => valid(name).map(str::to_owned),
    };
    let config = Config::from_vars(lookup).unwrap();
    let key = config.a2a.card_key.as_ref().unwrap();
    let shown = format!("{config:?}");
    assert!(shown.contains(&format!("CardKey(kid {})", key.key_id())));
    assert!(!shown.contains("PRIVATE KEY"));
}

#[test]
fn a_card_is_signed_for_one_address() {
    let problems = problems(&[("A2A_CARD_KEY", TEST_CARD_KEY)]);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].name, "KEY0_PUBLIC_URL");
}

#[test]
fn rs256_needs_a_private_key() {
    let problems = problems(&[("KEY0_TOKEN_ALGORITHM", "RS256")]);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].name, "KEY0_ACCESS_TOKEN_PRIVATE_KEY");
}

#[test]
fn secrets_do_not_appear_in_debug_output() {
    let shown = format!("{:?}", test_config());
    assert!(!shown.contains("0123456789abcdef"));
    assert!(!shown.contains("0000000000000001"));
}

/// The settlement routes in their order, with these changes of the settings.
fn settles_by(change: &[(&str, &str)]) -> Vec<String> {
    let lookup = |name: &str| {
        let changed = change.iter().find(|(changed, _)| *changed == name);
        let value = changed.map(|(_, value)| *value).or_else(|| valid(name));
        value.map(str::to_owned)
    };
    let config = Config::from_vars(lookup).unwrap();
    let name = |route: &Route| match route {
        Route::Facilitator(facilitator) => {
            let key = if facilitator.key().is_some() {
                " with key"
            } else {
                ""
            };
            format!("{}{key}", facilitator.url().as_str())
        }
        Route::GasWallet(key) => key.address().to_string(),
    };
    config.settlement.routes().map(name).collect()
}

#[test]
fn facilitators_settle_unless_the_gas_wallet_is_asked_for() {
    let gas_wallet = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf";
    let secret = "Bw".repeat(43) + "==";
    let secret = secret.get(..88).unwrap();
    let off = ("USE_GAS_WALLET", "false");
    let two = ("FACILITATOR_URL", "https://a.example/x , http://b.example/");
    let cdp = [("CDP_API_KEY_ID", "id"), ("CDP_API_KEY_SECRET", secret)];
    assert_eq!(settles_by(&[]), [gas_wallet]);
    assert_eq!(settles_by(&[off]), ["https://www.x402.org/facilitator"]);
    assert_eq!(
        settles_by(&[off, ("KEY0_NETWORK", "mainnet"), cdp[0], cdp[1]]),
        ["https://api.cdp.coinbase.com/platform/v2/x402 with key"]
    );
    assert_eq!(
        settles_by(&[off, two, cdp[0], cdp[1]]),
        ["https://a.example/x", "http://b.example"]
    );
    assert_eq!(
        settles_by(&[two]),
        ["https://a.example/x", "http://b.example", gas_wallet]
    );
}

#[test]
fn what_a_settlement_lacks_is_named() {
    let named = |change: &[(&str, &str)]| {
        let problems = problems(change);
        problems
            .iter()
            .map(|problem| problem.name)
            .collect::<Vec<_>>()
    };
    let off = ("USE_GAS_WALLET", "false");
    assert_eq!(
        named(&[("GAS_WALLET_PRIVATE_KEY", "")]),
        ["GAS_WALLET_PRIVATE_KEY"]
    );
    assert_eq!(named(&[off, ("GAS_WALLET_PRIVATE_KEY", "")]), [""; 0]);
    assert_eq!(
        named(&[off, ("KEY0_NETWORK", "mainnet")]),
        ["CDP_API_KEY_ID"]
    );
    assert_eq!(named(&[("CDP_API_KEY_ID", "id")]), ["CDP_API_KEY_SECRET"]);
    assert_eq!(
        named(&[
            off,
            (
                "FACILITATOR_URL",
                "https://api.cdp.coinbase.com/platform/v2/x402"
            )
        ]),
        ["CDP_API_KEY_ID"]
    );
}

#[test]
fn refunds_are_sent_by_the_gas_wallet_or_else_by_the_sellers_own() {
    let seller = format!("0x{:064x}", 7);
    let address = WalletKey::from_hex(&seller).unwrap().address();
    let sender = |use_gas_wallet: &str| {
        let lookup = |name: &str| match name {
            "KEY0_WALLET_PRIVATE_KEY" => Some(seller.clone()),
            "KEY0_WALLET_ADDRESS" => Some(address.to_string()),
            "USE_GAS_WALLET" => Some(use_gas_wallet.to_owned()),
            _ => valid(name).map(str::to_owned),
        };
        let config = Config::from_vars(lookup).unwrap();
        let sender = config.refund_sender().unwrap().address();
        assert_eq!(config.sender(sender).unwrap().address(), sender);
        sender
    };
    assert_eq!(sender("false"), address);
    assert_ne!(sender("true"), address);
}

/// Valid settings with this change.
pub(super) fn changed(change: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
    Config::from_vars(|name| {
        let changed = change.iter().find(|(changed, _)| *changed == name);
        let value = changed.map(|(_, value)| *value).or_else(|| valid(name));
        value.map(str::to_owned)
    })
}

/// The settings that are refused after this change.
pub(super) fn refused(change: &[(&str, &str)]) -> Vec<&'static str> {
    let problems = changed(change).err().unwrap_or_default();
    problems.iter().map(|problem| problem.name).collect()
}

/// The settings that are warned of after this change.
pub(super) fn warned(change: &[(&str, &str)]) -> Vec<&'static str> {
    let warnings = changed(change).unwrap().warnings;
    warnings.iter().map(|warning| warning.name).collect()
}
