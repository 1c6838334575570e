//! Which parts of a call reach the seller's API, and which parts of its answer reach the caller.
//!
//! The API is called as the client would call it, without the headers that concern only the connection. Headers are
//! also left out by which a client could pose as the gateway, or have the API serve something else than what was paid
//! for. From the answer, headers are left out that would give others what one buyer has paid for, or that speak for
//! another host.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::catalog::Route;
use crate::mpp::without_payment;
use crate::types::{Address, B256, HttpUrl, RequestId, Secret};

/// The header whose secret shows the API that a call came through the gateway.
pub const INTERNAL_TOKEN: &str = "x-key0-internal-token";
const ROUTE: &str = "x-key0-route";
const PURCHASE: &str = "x-key0-purchase";
const PLAN: &str = "x-key0-plan";
const PAYER: &str = "x-key0-payer";
const TRANSACTION: &str = "x-key0-transaction";

/// Headers that belong to one connection (RFC 9110, section 7.6.1), and headers that are written anew for the next
/// connection.
const OF_THE_CONNECTION: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];
/// Headers that could make an API serve another path than the one called, or mislead it about the origin of a call.
const MISLEADING: [&str; 15] = [
    "forwarded",
    "via",
    "x-real-ip",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-rewrite-uri",
    "accept-encoding",
];
const MISLEADING_BEGINNINGS: [&str; 3] = ["x-forwarded-", "cf-", "x-key0-"];
/// Headers that are meant for the gateway.
const OURS: [&str; 4] = [
    "idempotency-key",
    "x-payment",
    "accept-payment",
    "sign-in-with-x",
];
const OURS_BEGINNINGS: [&str; 1] = ["payment-"];
/// Headers that ask for less than the whole answer. For a paid call, the goods are the whole answer.
const CONDITIONAL: [&str; 6] = [
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
];
/// Headers by which an answer would speak for the gateway's host, or to other clients.
const NOT_PASSED_BACK: [&str; 8] = [
    "alt-svc",
    "clear-site-data",
    "nel",
    "report-to",
    "service-worker-allowed",
    "set-cookie",
    "strict-transport-security",
    "trailer",
];
/// Headers by which a cache keeps an answer and gives it to others, besides those whose name ends with
/// [`CACHE_CONTROL`].
const CACHING: [&str; 7] = [
    "age",
    "edge-control",
    "etag",
    "expires",
    "pragma",
    "surrogate-control",
    "x-accel-expires",
];
/// The end of the names of the headers for caches in general, and for those of one operator (RFC 9213).
const CACHE_CONTROL: &str = "cache-control";
/// The encodings of a body that the platform undoes while the body is read. It knows them in this spelling only.
const UNDONE: [&str; 2] = ["br", "gzip"];
const NOT_PASSED_BACK_BEGINNINGS: [&str; 5] = [
    "access-control-",
    "key0-",
    "payment-",
    "x-key0-",
    "x-payment",
];

/// Why a call may be made, and who pays for it.
#[derive(Clone, Copy, Debug)]
pub enum Account<'a> {
    /// The route is free.
    Free,
    /// Access that was bought earlier opens the route.
    Access {
        /// The purchase.
        purchase: &'a str,
        /// The plan that was bought.
        plan: &'a str,
        /// The wallet that paid.
        payer: Option<&'a str>,
    },
    /// This call is bought.
    Bought {
        /// The purchase.
        purchase: &'a RequestId,
        /// The wallet that pays.
        payer: Address,
        /// The payment, if the price was settled before the call.
        transaction: Option<B256>,
    },
}

/// The headers of a request that are passed on, whoever pays. `is_ours`: whether the `Authorization` header has an access
/// token of ours. No API gets that, also where it did not open the route: it opens others.
pub fn passed_on(headers: &HeaderMap, route: &Route, is_ours: bool) -> HeaderMap {
    let dropped = named_by_connection(headers);
    let mut passed = HeaderMap::new();
    for (name, value) in headers {
        let text = as_read(name);
        let text = text.as_str();
        let is_dropped = OF_THE_CONNECTION.contains(&text)
            || MISLEADING.contains(&text)
            || OURS.contains(&text)
            || begins(text, &MISLEADING_BEGINNINGS)
            || begins(text, &OURS_BEGINNINGS)
            || dropped.contains(name)
            || (name == header::AUTHORIZATION && (is_ours || !route.forward_authorization));
        if is_dropped {
            continue;
        }
        // A payment is never passed on.
        let value = match name == header::AUTHORIZATION {
            true => others(value),
            false => Some(value.clone()),
        };
        if let Some(value) = value {
            passed.append(name, value);
        }
    }
    passed
}

/// An authentication header's value without the scheme `Payment`: as a credential it is the gateway's, and as a challenge
/// it would have the caller pay somebody else. `None` if nothing is left.
fn others(value: &HeaderValue) -> Option<HeaderValue> {
    let Ok(text) = value.to_str() else {
        return Some(value.clone());
    };
    HeaderValue::from_str(&without_payment(text)?).ok()
}

/// The headers of a paid request that are passed on: as for [`passed_on`], but always asking for the whole answer.
pub fn passed_on_for_payment(headers: &HeaderMap, route: &Route, is_ours: bool) -> HeaderMap {
    let passed = passed_on(headers, route, is_ours);
    let is_kept = |name: &HeaderName| !CONDITIONAL.contains(&as_read(name).as_str());
    let kept = passed.iter().filter(|(name, _)| is_kept(name));
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A header's name as an API may read it. CGI makes one variable of all names that differ only in characters other than
/// letters and digits (RFC 3875, section 4.1.18), and so do its successors: an API could take `x_key0_payer` for the
/// gateway's header.
fn as_read(name: &HeaderName) -> String {
    let read = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    name.as_str().chars().map(read).collect()
}

/// The headers that the gateway adds to a call.
pub fn said_by_us(
    route: &str,
    account: &Account<'_>,
    secret: Option<&Secret>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut said = vec![
        ("accept-encoding", Some("identity".to_owned())),
        (ROUTE, Some(route.to_owned())),
        (
            INTERNAL_TOKEN,
            secret.map(|secret| secret.expose().to_owned()),
        ),
    ];
    match account {
        Account::Free => {}
        Account::Access {
            purchase,
            plan,
            payer,
        } => said.extend([
            (PURCHASE, Some((*purchase).to_owned())),
            (PLAN, Some((*plan).to_owned())),
            (PAYER, payer.map(str::to_owned)),
        ]),
        Account::Bought {
            purchase,
            payer,
            transaction,
        } => said.extend([
            (PURCHASE, Some(purchase.to_string())),
            ("idempotency-key", Some(purchase.to_string())),
            (PAYER, Some(payer.to_checksum(None))),
            (TRANSACTION, transaction.map(|hash| hash.to_string())),
        ]),
    }
    said.into_iter()
        .filter_map(|(name, text)| {
            let value = HeaderValue::from_str(&text?).ok()?;
            Some((HeaderName::from_static(name), value))
        })
        .collect()
}

/// The headers of an answer that the caller gets. Unless the call was free, no cache may keep the answer for others.
pub fn passed_back(headers: &HeaderMap, is_free: bool) -> HeaderMap {
    let dropped = named_by_connection(headers);
    let mut passed = HeaderMap::new();
    for (name, value) in headers {
        let text = name.as_str();
        let is_dropped = OF_THE_CONNECTION.contains(&text)
            || NOT_PASSED_BACK.contains(&text)
            || begins(text, &NOT_PASSED_BACK_BEGINNINGS)
            || (!is_free && (CACHING.contains(&text) || text.ends_with(CACHE_CONTROL)))
            || (name == header::CONTENT_ENCODING && UNDONE.iter().any(|coding| value == coding))
            || dropped.contains(name);
        if is_dropped {
            continue;
        }
        let value = match name == header::WWW_AUTHENTICATE {
            true => others(value),
            false => Some(value.clone()),
        };
        if let Some(value) = value {
            passed.append(name, value);
        }
    }
    if !is_free {
        let private = HeaderValue::from_static("private, no-store");
        passed.insert(header::CACHE_CONTROL, private);
    }
    passed
}

/// Whether a redirect leads to a place that only the gateway can reach: to the API itself, past the route that was
/// paid, or to an address of a private network. `called` is the URL that was called.
pub fn leads_inside(base: &HttpUrl, called: &str, location: &str) -> bool {
    let target = Url::parse(called).and_then(|called| called.join(location));
    let Ok(target) = target else {
        return true;
    };
    let is_web = matches!(target.scheme(), "http" | "https");
    let host = target.host_str().unwrap_or_default();
    !is_web || host.eq_ignore_ascii_case(base.host()) || is_private(&target)
}

fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            let of = |end: &str| name == end || name.ends_with(&format!(".{end}"));
            of("localhost") || of("local") || of("internal") || !name.contains('.')
        }
        Some(url::Host::Ipv4(address)) => is_private_v4(address),
        Some(url::Host::Ipv6(address)) => match address.to_ipv4_mapped() {
            Some(address) => is_private_v4(address),
            None => {
                let [first, ..] = address.segments();
                let is_unique_local = first & 0xfe00 == 0xfc00;
                let is_link_local = first & 0xffc0 == 0xfe80;
                address.is_loopback()
                    || address.is_unspecified()
                    || address.is_multicast()
                    || is_unique_local
                    || is_link_local
            }
        },
        None => true,
    }
}

fn is_private_v4(address: std::net::Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_broadcast()
        || address.is_multicast()
        || is_shared
        || a == 0
}

fn begins(name: &str, beginnings: &[&str]) -> bool {
    beginnings
        .iter()
        .any(|beginning| name.starts_with(beginning))
}

/// The headers that belong to this connection because `Connection` says so.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests;
