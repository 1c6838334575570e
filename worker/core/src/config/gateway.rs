//! The address to which calls of routes are forwarded, and how they are forwarded.

use super::backend::BackendSettings;
use super::secrets::Secrets;
use super::vars::{Read, Vars, secret};
use crate::backend::authentication::BackendAuth;
use crate::catalog::{Catalog, Route, Settle};
use crate::types::{HttpUrl, Secret};

/// How much longer than its call a payment takes: until it is settled and seen on chain.
const SETTLING_SECONDS: u64 = 20;

/// The longest time that a call may take. The published clients sign authorizations that last 300 seconds, and within
/// that time the payment for the call must be settled, too.
const MAX_TIMEOUT_MILLIS: u64 = 250_000;

/// The longest time that an answer may take which is passed on while it arrives. The platform keeps an object alive for so
/// long by its open connections.
const MAX_STREAM_SECONDS: u64 = 900;

/// The address to which calls of routes are forwarded, and how they are forwarded.
#[derive(Debug)]
pub struct GatewaySettings {
    /// The seller's API. It is always set when the catalog has routes.
    pub base: Option<HttpUrl>,
    /// How long the API may take to answer a call.
    pub timeout_millis: u32,
    /// The secret by which the API recognises the gateway.
    pub secret: Option<Secret>,
    /// How long the answer to a paid call is kept for a client that presents the same payment again.
    pub keep_seconds: u64,
    /// How long an answer may take that is passed on while it arrives.
    pub stream_seconds: u32,
}

/// Other settings on which those of the gateway depend, as far as each could be read.
pub(super) struct Others<'a> {
    pub(super) public_url: Option<&'a HttpUrl>,
    pub(super) secrets: &'a Secrets,
    pub(super) backend: Option<&'a BackendSettings>,
    pub(super) catalog: Option<&'a Catalog>,
    pub(super) offer_seconds: Option<u64>,
}

/// Reads the settings. `None` only together with a recorded problem.
pub(super) fn read(vars: &mut Vars<'_>, others: &Others<'_>) -> Option<GatewaySettings> {
    let base = vars.url("PROXY_TO_BASE_URL");
    let timeout_millis = vars.number("PROXY_TIMEOUT_MS", 30_000, 100, MAX_TIMEOUT_MILLIS);
    let secret = vars.optional("KEY0_PROXY_SECRET", |text| {
        let secret = secret(text)?;
        match text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(secret),
            false => Err("must be ASCII without spaces: it travels in a header".to_owned()),
        }
    });
    let secret = secret.into_option();
    let keep_seconds = vars.number("ANSWER_KEEP_SECONDS", 3600, 0, 604_800);

    let stream_seconds = vars.number("STREAM_SECONDS", MAX_STREAM_SECONDS, 1, MAX_STREAM_SECONDS);

    if secret
        .as_ref()
        .is_some_and(|secret| is_taken(secret, others))
    {
        vars.problem(
            "KEY0_PROXY_SECRET",
            "must not be the value of another secret: your API gets to know it",
        );
    }
    let routes = others.catalog.map(Catalog::routes).unwrap_or_default();
    match &base {
        Read::Absent if !routes.is_empty() => vars.problem(
            "PROXY_TO_BASE_URL",
            "is required with routes: it says where their calls are forwarded to",
        ),
        Read::Value(base) if others.public_url.is_some_and(|own| own.has_origin_of(base)) => vars
            .problem(
                "PROXY_TO_BASE_URL",
                "must not be at the address of KEY0_PUBLIC_URL: the worker would call itself",
            ),
        _ => {}
    }
    if let (Some(millis), Some(offered)) = (timeout_millis, others.offer_seconds)
        && routes.iter().any(is_settled_after)
    {
        let least = millis.div_ceil(1000).saturating_add(SETTLING_SECONDS);
        if offered < least {
            vars.problem(
                "CHALLENGE_TTL_SECONDS",
                format!(
                    "must be {least} at least, which is PROXY_TIMEOUT_MS and {SETTLING_SECONDS} seconds more: offers for routes that are \
                     settled after the call would end too early to be paid"
                ),
            );
        }
    }
    Some(GatewaySettings {
        base: base.into_option(),
        timeout_millis: u32::try_from(timeout_millis?).ok()?,
        secret,
        keep_seconds: keep_seconds?,
        stream_seconds: u32::try_from(stream_seconds?).ok()?,
    })
}

fn is_settled_after(route: &Route) -> bool {
    route.price.is_some() && route.settle == Settle::After
}

/// Whether this is also the value of a secret that the seller's API must not have, or of a secret with another meaning
/// for the API.
fn is_taken(secret: &Secret, others: &Others<'_>) -> bool {
    let auth = others.backend.map(|backend| &backend.auth);
    let shared = match auth {
        Some(BackendAuth::SharedSecret { secret, .. }) => Some(secret),
        Some(BackendAuth::OAuth(client)) => Some(&client.secret),
        _ => None,
    };
    others.secrets.contains(secret) || shared == Some(secret)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{changed, refused, warned};

    const ROUTE: &str = r#"[{"routeId":"r","method":"GET","path":"/r","unitAmount":"1"}]"#;
    const BASE: (&str, &str) = ("PROXY_TO_BASE_URL", "https://api.example/v1");
    const SECRET: (&str, &str) = ("KEY0_PROXY_SECRET", "a-secret-of-the-gateway-and-the-api");

    #[test]
    fn the_gateway_has_the_documented_defaults() {
        let gateway = changed(&[]).unwrap().gateway;
        assert_eq!((gateway.base, gateway.secret), (None, None));
        assert_eq!(
            (gateway.timeout_millis, gateway.keep_seconds),
            (30_000, 3600)
        );
        assert_eq!(gateway.stream_seconds, 900);
        let gateway = changed(&[("ROUTES", ROUTE), BASE, SECRET]).unwrap().gateway;
        assert_eq!(gateway.base.unwrap().join("/r"), "https://api.example/v1/r");
        assert_eq!(gateway.secret.unwrap().expose(), SECRET.1);
    }

    #[test]
    fn routes_need_an_api_that_is_not_the_worker() {
        let routes = ("ROUTES", ROUTE);
        assert_eq!(refused(&[routes]), ["PROXY_TO_BASE_URL"]);
        assert_eq!(refused(&[routes, BASE]), [] as [&str; 0]);
        for (own, is_refused) in [
            ("https://api.example", true),
            ("https://API.example:443", true),
            ("https://api.example/shop", true),
            ("https://shop.example", false),
            ("https://api.example:8443", false),
            ("http://api.example", false),
        ] {
            let refused = refused(&[routes, BASE, ("KEY0_PUBLIC_URL", own)]);
            assert_eq!(refused == ["PROXY_TO_BASE_URL"], is_refused, "{own}");
        }
        let clear = ("PROXY_TO_BASE_URL", "http://api.example");
        let mainnet = ("KEY0_NETWORK", "mainnet");
        assert_eq!(refused(&[routes, clear, mainnet]), ["PROXY_TO_BASE_URL"]);
        assert_eq!(refused(&[routes, clear]), [] as [&str; 0]);
        let local = ("PROXY_TO_BASE_URL", "http://127.0.0.1:9000");
        assert_eq!(refused(&[routes, local, mainnet]), [] as [&str; 0]);
    }

    #[test]
    fn the_apis_secret_is_no_other_secret() {
        let shared = "an-internal-secret-of-32-characters";
        let strategy = ("BACKEND_AUTH_STRATEGY", "shared-secret");
        for (name, value) in [
            ("KEY0_ADMIN_SECRET", "an-operators-secret-of-32-characters"),
            ("KEY0_SEAL_SECRET", "a-sealing-secret-of-some-32-characters"),
            (
                "KEY0_ACCESS_TOKEN_SECRETS_OLD",
                "an-earlier-secret-of-32-characters",
            ),
            ("INTERNAL_AUTH_SECRET", shared),
        ] {
            let internal = ("INTERNAL_AUTH_SECRET", shared);
            let same = ("KEY0_PROXY_SECRET", value);
            let refused = refused(&[(name, value), strategy, internal, same]);
            assert_eq!(refused, ["KEY0_PROXY_SECRET"], "{name}");
        }
    }

    #[test]
    fn an_offer_lasts_until_its_call_is_answered_and_settled() {
        let with = |seconds, more: &[(&'static str, &'static str)]| {
            let change = [("ROUTES", ROUTE), BASE, ("CHALLENGE_TTL_SECONDS", seconds)];
            refused(&[&change, more].concat())
        };
        assert_eq!(with("49", &[]), ["CHALLENGE_TTL_SECONDS"]);
        assert!(with("50", &[]).is_empty());
        assert!(with("49", &[("PROXY_TIMEOUT_MS", "29000")]).is_empty());
        assert_eq!(
            with("49", &[("PROXY_TIMEOUT_MS", "29001")]),
            ["CHALLENGE_TTL_SECONDS"]
        );
        let before = r#"[{"routeId":"r","method":"POST","path":"/r","unitAmount":"1"}]"#;
        assert!(
            with("1", &[]).len() == 1
                && refused(&[("ROUTES", before), BASE, ("CHALLENGE_TTL_SECONDS", "1")]).is_empty()
        );
    }

    #[test]
    fn what_a_gateway_lacks_is_warned_of() {
        let none = [] as [&str; 0];
        let routes = ("ROUTES", ROUTE);
        assert_eq!(warned(&[routes, BASE, SECRET]), none);
        assert_eq!(warned(&[routes, BASE]), ["KEY0_PROXY_SECRET"]);
        let free = (
            "ROUTES",
            r#"[{"routeId":"r","method":"GET","path":"/r","free":true}]"#,
        );
        assert_eq!(warned(&[free, BASE]), none);
        let before = (
            "ROUTES",
            r#"[{"routeId":"r","method":"POST","path":"/r","unitAmount":"1"}]"#,
        );
        assert_eq!(warned(&[before, BASE, SECRET]), ["KEY0_WALLET_PRIVATE_KEY"]);
        let opened = (
            "ROUTES",
            r#"[{"routeId":"r","method":"GET","path":"/r","unitAmount":"1","plans":["basic"]}]"#,
        );
        let plans = ("PLANS", r#"[{"planId":"basic","unitAmount":"1"}]"#);
        assert_eq!(warned(&[opened, plans, BASE, SECRET]), none);
        let remote = [("TOKEN_MODE", "remote"), ("BACKEND_AUTH_STRATEGY", "jwt")];
        assert_eq!(
            warned(&[opened, plans, BASE, SECRET, remote[0], remote[1]]),
            ["TOKEN_MODE"]
        );
        assert_eq!(warned(&[BASE]), ["PROXY_TO_BASE_URL"]);
    }
}
