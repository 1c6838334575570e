//! The limit by client address, for requests that cost something and bring no money.
//!
//! A price costs next to nothing, and payments that succeed are never limited: agents in clouds share addresses. But a refused
//! payment or proof may have used up RPC calls, which paid purchases need to be confirmed, and an A2A message is stored for a
//! while. Those requests count. The platform counts them after each answer; once it reports too many, the isolate remembers the
//! address and refuses it, without another question, until the window is over.

use std::collections::HashMap;
use std::net::IpAddr;

use http::header::{HeaderMap, RETRY_AFTER};
use http::{StatusCode, header};

use crate::error::{Code, Error};
use crate::response::{self, Response};
use crate::types::UnixMillis;

/// The rate limiting binding of `wrangler.toml`.
pub const BINDING: &str = "CALLERS";
/// The period of that binding.
const WINDOW_MILLIS: u64 = 10_000;
/// How many refused addresses an isolate remembers.
const MAX_ADDRESSES: usize = 1_024;
const CLIENT_ADDRESS: &str = "cf-connecting-ip";

/// The client's address, as far as the platform knows it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Caller(String);

impl Caller {
    /// Reads the address from the header that Cloudflare sets. Of an IPv6 address only the first 64 bits count, because
    /// one client usually has all addresses that begin with them. `None` without that header.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let address: IpAddr = headers.get(CLIENT_ADDRESS)?.to_str().ok()?.parse().ok()?;
        Some(Self(match address.to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        }))
    }

    /// The key under which the platform counts.
    pub fn key(&self) -> &str {
        &self.0
    }
}

/// Marks an answer that counts against the limit.
#[derive(Clone, Copy, Debug)]
struct Counted;

/// Marks the answer: it counts against the limit.
#[must_use]
pub fn counted(mut response: Response) -> Response {
    response.extensions_mut().insert(Counted);
    response
}

/// Marks the answer to a payment or a proof if it was refused, or is not on chain yet.
#[must_use]
pub fn judge(response: Response) -> Response {
    match is_refusal(response.status()) {
        true => counted(response),
        false => response,
    }
}

/// Whether a payment or a proof with this status as its answer counts.
pub fn is_refusal(status: StatusCode) -> bool {
    let is_refused = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
    is_refused || status == StatusCode::ACCEPTED
}

/// Whether the answer counts against the limit.
pub fn counts(response: &Response) -> bool {
    response.extensions().get::<Counted>().is_some()
}

/// The addresses that this isolate refuses for now.
#[derive(Debug, Default)]
pub struct Turned(HashMap<Caller, UnixMillis>);

impl Turned {
    /// Refuses an address from now until the window is over.
    pub fn add(&mut self, caller: Caller, now: UnixMillis) {
        if self.0.len() >= MAX_ADDRESSES {
            self.0.retain(|_, until| *until > now);
        }
        // Without room here, the platform's count still refuses the address, after each request.
        if self.0.len() < MAX_ADDRESSES {
            self.0.insert(caller, now.plus(WINDOW_MILLIS));
        }
    }

    /// 429, if this address is refused now.
    pub fn refusal(&self, caller: &Caller, now: UnixMillis) -> Option<Response> {
        let until = self.0.get(caller)?;
        let left = until.since(now);
        (left > 0).then(|| too_many(left.div_ceil(1_000)))
    }
}

fn too_many(seconds: u64) -> Response {
    let error = Error::new(
        Code::RateLimited,
        "Too many requests from this address have cost something and paid nothing: payments and proofs that were refused or \
         are not on chain yet, A2A messages that do not pay or that begin a task, and calls for A2A tasks that do not exist. Nothing was charged for this request. Repeat it after Retry-After seconds.",
    )
    .with_details(crate::json!({"reason": "too_many_refusals", "retryAfterSeconds": seconds}));
    let mut response = response::error(&error);
    response::set(&mut response, RETRY_AFTER, &seconds.to_string());
    response::set(&mut response, header::CACHE_CONTROL, "no-store");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(address: &str) -> Option<Caller> {
        let mut headers = HeaderMap::new();
        headers.insert(CLIENT_ADDRESS, address.parse().unwrap());
        Caller::of(&headers)
    }

    fn answer(status: u16) -> Response {
        let mut response = Response::new(Vec::new());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
    }

    #[test]
    fn a_network_of_one_client_is_one_caller() {
        assert_eq!(caller("192.0.2.7").unwrap().key(), "192.0.2.7");
        assert_eq!(caller("::ffff:192.0.2.7"), caller("192.0.2.7"));
        assert_eq!(caller("2001:db8::1"), caller("2001:db8::ffff:1"));
        assert_ne!(caller("2001:db8::1"), caller("2001:db8:0:1::1"));
        assert_ne!(caller("192.0.2.7"), caller("192.0.2.8"));
        assert_eq!(caller("nonsense"), None);
        assert_eq!(Caller::of(&HeaderMap::new()), None);
    }

    #[test]
    fn refusals_count_and_nothing_else_does() {
        for status in [202, 400, 402, 404, 409, 410] {
            assert!(counts(&judge(answer(status))), "{status}");
        }
        for status in [200, 429, 500, 502, 503, 504] {
            assert!(!counts(&judge(answer(status))), "{status}");
        }
        assert!(counts(&counted(answer(502))));
    }

    #[test]
    fn an_address_is_refused_until_the_window_is_over_and_no_other_is() {
        let (one, other) = (caller("192.0.2.1").unwrap(), caller("192.0.2.2").unwrap());
        let mut turned = Turned::default();
        let now = UnixMillis(1_000_000);
        assert!(turned.refusal(&one, now).is_none());
        turned.add(one.clone(), now);
        let refusal = turned.refusal(&one, now.plus(1)).unwrap();
        assert_eq!(refusal.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refusal.headers()[RETRY_AFTER], "10");
        let late = turned.refusal(&one, now.plus(WINDOW_MILLIS - 1)).unwrap();
        assert_eq!(late.headers()[RETRY_AFTER], "1");
        assert!(turned.refusal(&other, now).is_none());
        assert!(turned.refusal(&one, now.plus(WINDOW_MILLIS)).is_none());
    }

    #[test]
    fn a_flood_of_addresses_takes_bounded_memory_and_leaves_room_afterwards() {
        let mut turned = Turned::default();
        let now = UnixMillis(1_000_000);
        let address = |at: usize| caller(&format!("10.0.{}.{}", at / 256, at % 256)).unwrap();
        for at in 0..2 * MAX_ADDRESSES {
            turned.add(address(at), now);
        }
        assert_eq!(turned.0.len(), MAX_ADDRESSES);
        let later = now.plus(WINDOW_MILLIS);
        turned.add(address(2 * MAX_ADDRESSES), later);
        assert_eq!(turned.0.len(), 1);
    }

    #[test]
    fn the_window_is_that_of_the_deployment() {
        let settings = include_str!("../../../wrangler.toml");
        assert!(settings.contains(&format!("name = \"{BINDING}\"")));
        assert!(settings.contains(&format!("period = {}", WINDOW_MILLIS / 1_000)));
    }
}
