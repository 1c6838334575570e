//! Settings that are correct by themselves and dangerous together. Where real money is at stake, the worst combinations
//! are refused; the others are reported to the operator in `/health`, in the log and by the doctor.

use alloy_primitives::address;

use super::offers::ProofBinding;
use super::problem::Problem;
use super::settings::Config;
use super::vars::Vars;
use crate::backend::authentication::BackendAuth;
use crate::catalog::{Plan, Route, Settle};
use crate::types::{Address, WalletKey};

/// The accounts of the mnemonic that anvil and hardhat print at every start. On public chains, bots take whatever
/// arrives in them.
const WELL_KNOWN: [Address; 20] = [
    address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
    address!("0x70997970C51812dc3A010C7d01b50e0d17dc79C8"),
    address!("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
    address!("0x90F79bf6EB2c4f870365E785982E1f101E93b906"),
    address!("0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65"),
    address!("0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc"),
    address!("0x976EA74026E726554dB657fA54763abd0C3a0aa9"),
    address!("0x14dC79964da2C08b23698B3D3cc7Ca32193d9955"),
    address!("0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f"),
    address!("0xa0Ee7A142d267C1f36714E4a8F75612F20a79720"),
    address!("0xBcd4042DE499D14e55001CcbB24a551F3b954096"),
    address!("0x71bE63f3384f5fb98995898A86B02Fb2426c5788"),
    address!("0xFABB0ac9d68B0B445fB7357272Ff202C5651694a"),
    address!("0x1CBd3b2770909D4e10f157cABC84C7264073C9Ec"),
    address!("0xdF3e18d64BC6A983f673Ab319CCaE4f1a57C7097"),
    address!("0xcd3B766CCDd6AE721141F452C550Ca635964ce71"),
    address!("0x2546BcD3c84621e976D8185a91A922aE77ECEc30"),
    address!("0xbDA5747bFD65F08deb54cb465eB87D40e51B197E"),
    address!("0xdD2FD4581271e230360230F9337D5c0430Bf44C0"),
    address!("0x8626f6940E2eb28930eFb4CeF49B2d1F2C9C1199"),
];

/// Records the problems that make a deployment on mainnet impossible, as far as each setting could be read.
/// `gas_wallet` is the account of `GAS_WALLET_PRIVATE_KEY`, when it is used.
pub(super) fn check_mainnet(
    vars: &mut Vars<'_>,
    pay_to: Option<Address>,
    gas_wallet: Option<Address>,
) {
    if gas_wallet.is_some() && gas_wallet == pay_to {
        vars.problem(
            "GAS_WALLET_PRIVATE_KEY",
            "must not be the key of KEY0_WALLET_ADDRESS: the gas wallet is a wallet of its own that holds a little ETH",
        );
    }
    for (name, account) in [
        ("GAS_WALLET_PRIVATE_KEY", gas_wallet),
        ("KEY0_WALLET_ADDRESS", pay_to),
    ] {
        if account.is_some_and(|account| WELL_KNOWN.contains(&account)) {
            vars.problem(
                name,
                "must not be one of the test accounts of anvil and hardhat: everybody has their keys",
            );
        }
    }
    for name in core::mem::take(&mut vars.in_the_clear) {
        vars.problem(
            name,
            "must begin with https:// on mainnet: what is sent by http:// can be read and changed on the way",
        );
    }
}

/// Settings that are allowed but dangerous.
pub(super) fn warnings(config: &Config) -> Vec<Problem> {
    let mut warnings = Vec::new();
    let mut warn = |name, reason: &str| {
        warnings.push(Problem {
            name,
            reason: reason.to_owned(),
        });
    };
    let gas_wallet = config.settlement.gas_wallet().map(WalletKey::address);
    if gas_wallet == Some(config.wallets.pay_to) {
        warn(
            "GAS_WALLET_PRIVATE_KEY",
            "is the key of KEY0_WALLET_ADDRESS, so the key that the worker uses all the time holds your takings; on mainnet this \
             is refused",
        );
    }
    if config.offers.proof_binding == ProofBinding::TxHash {
        warn(
            "PROOF_BINDING",
            "is txhash: a plain transfer counts for whoever presents its hash first, and everybody can read hashes on chain; set \
             it back to signature as soon as the clients can sign",
        );
    }
    let endpoint = config.backend.resource_endpoint.as_deref();
    let opens_several = |plan: &Plan| plan.resources.len() > 1;
    if endpoint.is_some_and(|template| !template.contains("{resourceId}"))
        && config.catalog.plans().iter().any(opens_several)
    {
        warn(
            "KEY0_RESOURCE_ENDPOINT",
            "has no {resourceId}, although a plan opens several resources: their buyers are all sent to the same address",
        );
    }
    let routes = config.catalog.routes();
    if routes.is_empty() && config.gateway.base.is_some() {
        warn(
            "PROXY_TO_BASE_URL",
            "is set, and there are no routes: only calls of listed routes are forwarded",
        );
    }
    if config.gateway.secret.is_none() && routes.iter().any(|route| route.price.is_some()) {
        warn(
            "KEY0_PROXY_SECRET",
            "is not set: your API cannot tell calls that were paid for from those that were sent past the gateway",
        );
    }
    let is_prepaid = |route: &Route| route.price.is_some() && route.settle == Settle::Before;
    if config.refund.wallet.is_none() && routes.iter().any(is_prepaid) {
        warn(
            "KEY0_WALLET_PRIVATE_KEY",
            "is not set, although some routes are paid before they are called: when your API fails, the money does not go back",
        );
    }
    let Some(backend) = &config.backend.issuing else {
        return warnings;
    };
    if routes.iter().any(|route| !route.plans.is_empty()) {
        warn(
            "TOKEN_MODE",
            "is remote, although routes list plans whose tokens open them: the worker cannot check what your backend issues",
        );
    }
    if matches!(config.backend.auth, BackendAuth::None) {
        warn(
            "BACKEND_AUTH_STRATEGY",
            "is none although TOKEN_MODE is remote: your backend cannot tell the worker's calls from anybody else's and issues to \
             whoever finds it",
        );
    }
    let refund = &config.refund;
    if refund.wallet.is_some() && u64::from(backend.timeout_millis) >= refund.min_age_millis {
        warn(
            "TOKEN_ISSUE_TIMEOUT_MS",
            "is not below REFUND_MIN_AGE_MS: after one slow answer the money goes back, though your backend may have issued",
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::super::tests::{refused, warned};
    use super::*;

    const ANVIL_0: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    const ANVIL_0_ACCOUNT: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    /// The account of the gas wallet's key in `valid`.
    const GAS_WALLET: &str = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf";
    const MAINNET: (&str, &str) = ("KEY0_NETWORK", "mainnet");
    const REMOTE: (&str, &str) = ("TOKEN_MODE", "remote");

    #[test]
    fn one_address_for_several_resources_is_warned_of() {
        let endpoint = |url| ("KEY0_RESOURCE_ENDPOINT", url);
        let plans = |ids| ("PLANS", ids);
        let one = plans(r#"[{"planId":"a","unitAmount":"1","resourceIds":["x"]}]"#);
        let two = plans(r#"[{"planId":"a","unitAmount":"1","resourceIds":["x","y"]}]"#);
        let fixed = endpoint("https://api.example/data");
        assert_eq!(warned(&[fixed, one]), [] as [&str; 0]);
        assert_eq!(warned(&[fixed, two]), ["KEY0_RESOURCE_ENDPOINT"]);
        let template = endpoint("https://api.example/{resourceId}");
        assert_eq!(warned(&[template, two]), [] as [&str; 0]);
        assert_eq!(
            refused(&[endpoint("https://api.example/{resource}")]),
            ["KEY0_RESOURCE_ENDPOINT"]
        );
    }

    #[test]
    fn usual_settings_are_neither_refused_nor_warned_of() {
        assert!(warned(&[]).is_empty());
        assert!(warned(&[MAINNET]).is_empty());
    }

    #[test]
    fn the_gas_wallet_must_not_hold_the_takings_where_money_is_real() {
        let same = ("KEY0_WALLET_ADDRESS", GAS_WALLET);
        assert_eq!(refused(&[MAINNET, same]), ["GAS_WALLET_PRIVATE_KEY"]);
        assert_eq!(warned(&[same]), ["GAS_WALLET_PRIVATE_KEY"]);
        let unused = [
            same,
            ("USE_GAS_WALLET", "false"),
            ("FACILITATOR_URL", "https://f.example"),
        ];
        assert!(warned(&unused).is_empty());
    }

    #[test]
    fn keys_that_everybody_has_are_refused_where_money_is_real() {
        let gas = ("GAS_WALLET_PRIVATE_KEY", ANVIL_0);
        let wallet = ("KEY0_WALLET_ADDRESS", ANVIL_0_ACCOUNT);
        assert_eq!(refused(&[MAINNET, gas]), ["GAS_WALLET_PRIVATE_KEY"]);
        let with_key = ("KEY0_WALLET_PRIVATE_KEY", ANVIL_0);
        for change in [&[MAINNET, wallet][..], &[MAINNET, wallet, with_key][..]] {
            assert_eq!(refused(change), ["KEY0_WALLET_ADDRESS"]);
        }
        assert!(refused(&[gas]).is_empty(), "on a test network");
    }

    #[test]
    fn nothing_travels_in_the_clear_where_money_is_real() {
        let oauth = [
            ("BACKEND_AUTH_STRATEGY", "oauth"),
            ("OAUTH_CLIENT_ID", "key0"),
            ("OAUTH_CLIENT_SECRET", "s3cret"),
        ];
        for (name, value, more) in [
            (
                "KEY0_RPC_URL",
                "https://a.example,http://b.example,http://c.example",
                &[][..],
            ),
            ("FACILITATOR_URL", "http://f.example/x", &[]),
            (
                "BACKEND_API_URL",
                "http://10.0.0.1",
                &[("KEY0_RESOURCE_ENDPOINT", "https://r.example")],
            ),
            (
                "KEY0_RESOURCE_ENDPOINT",
                "http://r.example/{resourceId}",
                &[],
            ),
            ("KEY0_PUBLIC_URL", "http://shop.example", &[]),
            ("OAUTH_TOKEN_URL", "http://auth.example/token", &oauth),
        ] {
            let change = [more, &[(name, value)]].concat();
            assert!(refused(&change).is_empty(), "{name} on a test network");
            let change = [&change[..], &[MAINNET]].concat();
            assert_eq!(refused(&change), [name]);
        }
        for host in [
            "127.0.0.1:8545",
            "127.9.9.9",
            "localhost",
            "rpc.localhost:1",
            "[::1]:8545",
        ] {
            let here = format!("http://{host}");
            assert!(
                refused(&[MAINNET, ("KEY0_RPC_URL", &here)]).is_empty(),
                "{host}"
            );
        }
        for host in ["localhost.example", "0.0.0.0", "127.0.0.1.example"] {
            let elsewhere = format!("http://{host}");
            let change = [MAINNET, ("KEY0_RPC_URL", elsewhere.as_str())];
            assert_eq!(refused(&change), ["KEY0_RPC_URL"], "{host}");
        }
    }

    #[test]
    fn a_backend_that_issues_to_anybody_is_warned_of() {
        for network in [("KEY0_NETWORK", "testnet"), MAINNET] {
            assert_eq!(warned(&[network, REMOTE]), ["BACKEND_AUTH_STRATEGY"]);
        }
        assert!(warned(&[REMOTE, ("BACKEND_AUTH_STRATEGY", "jwt")]).is_empty());
    }

    #[test]
    fn a_refund_that_begins_before_a_slow_answer_is_warned_of() {
        let key = format!("0x{:064x}", 7);
        let seller = WalletKey::from_hex(&key).unwrap().address();
        let seller = seller.to_string();
        let refunds = [
            ("KEY0_WALLET_PRIVATE_KEY", key.as_str()),
            ("KEY0_WALLET_ADDRESS", seller.as_str()),
            ("BACKEND_AUTH_STRATEGY", "jwt"),
            REMOTE,
        ];
        let with = |more: &[(&'static str, &'static str)]| warned(&[&refunds, more].concat());
        assert!(with(&[]).is_empty());
        let age = |millis| ("REFUND_MIN_AGE_MS", millis);
        assert_eq!(with(&[age("15000")]), ["TOKEN_ISSUE_TIMEOUT_MS"]);
        assert!(with(&[age("15001")]).is_empty());
        let native = [&refunds[..3], &[age("0")]].concat();
        assert!(warned(&native).is_empty(), "no backend issues");
    }

    #[test]
    fn a_transfer_that_counts_for_anybody_is_warned_of() {
        assert_eq!(warned(&[("PROOF_BINDING", "txhash")]), ["PROOF_BINDING"]);
    }

    #[test]
    fn the_operators_secret_is_none_that_backends_know() {
        let old = "an earlier token secret of 32 characters";
        let olds = format!("another-earlier-token-secret-of-32-chars,{old}");
        let olds = ("KEY0_ACCESS_TOKEN_SECRETS_OLD", olds.as_str());
        assert_eq!(
            refused(&[olds, ("KEY0_ADMIN_SECRET", old)]),
            ["KEY0_ADMIN_SECRET"]
        );
        let shared = (
            "INTERNAL_AUTH_SECRET",
            "another-earlier-token-secret-of-32-chars",
        );
        assert_eq!(refused(&[olds, shared]), ["INTERNAL_AUTH_SECRET"]);
    }
}
