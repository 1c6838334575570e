//! What a caller reads about its grant in the headers of each answer.
//!
//! <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/11/> defines `RateLimit-Policy` and `RateLimit`.
//! Its units are requests: a credit is told in [`LEFT`] alone.

use http::HeaderName;

use super::limits::Quota;
use super::message::Standing;
use crate::types::{UnixSeconds, UsdcAmount};

/// The header that says what is left: calls, like `1649`, or dollars of a credit, like `$4.98`.
pub const LEFT: HeaderName = HeaderName::from_static("key0-left");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// What is left of a quota, in its own unit. `None` without a quota.
pub fn left(standing: &Standing) -> Option<String> {
    Some(match standing.limits.quota? {
        Quota::Calls(_) => standing.left.to_string(),
        Quota::Credit(_) => UsdcAmount::from_units(standing.left).to_string(),
    })
}

/// The headers that say how a grant stands.
pub fn rate_limit_headers(standing: &Standing, now: UnixSeconds) -> Vec<(HeaderName, String)> {
    let (mut policies, mut limits) = (Vec::new(), Vec::new());
    if let Some(rate) = standing.limits.rate {
        policies.push(format!(
            "\"rate\";q={};w={}",
            rate.calls,
            rate.per.seconds()
        ));
        let (left, reset) = (standing.left_now, standing.next_in);
        limits.push(format!("\"rate\";r={left};t={reset}"));
    }
    if let Some(Quota::Calls(calls)) = standing.limits.quota {
        let reset = standing.ends_at.0.saturating_sub(now.0);
        policies.push(format!("\"quota\";q={calls}"));
        limits.push(format!("\"quota\";r={};t={reset}", standing.left));
    }
    if let Some(most) = standing.limits.concurrency {
        policies.push(format!(
            "\"concurrency\";q={most};qu=\"concurrent-requests\""
        ));
    }
    [(POLICY, policies), (RATE_LIMIT, limits)]
        .into_iter()
        .filter(|(_, items)| !items.is_empty())
        .map(|(name, items)| (name, items.join(", ")))
        .chain(left(standing).map(|left| (LEFT, left)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Limits;

    #[test]
    fn a_caller_reads_how_its_grant_stands() {
        let now = UnixSeconds(1_800_000_000);
        let told = |limits: &str| {
            let limits: Limits = serde_json::from_str(limits).unwrap();
            let standing = Standing {
                limits,
                left: 1_649,
                left_now: 99,
                next_in: 42,
                ends_at: UnixSeconds(now.0 + 3_600),
            };
            rate_limit_headers(&standing, now)
                .iter()
                .map(|(name, value)| format!("{name}: {value}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            told(
                r#"{"quota":{"calls":1650},"rate":{"calls":100,"per":"minute"},"concurrency":10}"#
            ),
            [
                r#"ratelimit-policy: "rate";q=100;w=60, "quota";q=1650, "concurrency";q=10;qu="concurrent-requests""#,
                r#"ratelimit: "rate";r=99;t=42, "quota";r=1649;t=3600"#,
                "key0-left: 1649",
            ]
        );
        assert_eq!(
            told(r#"{"quota":{"credit":"$5"}}"#),
            ["key0-left: $0.001649"]
        );
        assert_eq!(
            told(r#"{"concurrency":2}"#),
            [r#"ratelimit-policy: "concurrency";q=2;qu="concurrent-requests""#]
        );
    }
}
