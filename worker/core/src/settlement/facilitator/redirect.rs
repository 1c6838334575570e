//! Redirects of facilitators that have moved. Only a facilitator's redirects are followed, because a request to it
//! holds nothing but a payment, which anybody may see. A request that carries a secret is sent only to the address in
//! the settings.

use url::Url;

use super::call::{Action, Facilitator};

/// How many redirects one call follows.
pub const MAX_REDIRECTS: usize = 2;
const KEEP_THE_METHOD: [u16; 2] = [307, 308];
const FOUND_ELSEWHERE: [u16; 3] = [301, 302, 303];

/// The URL to which a call of `from` goes on after an answer with this status and `Location`. `None`: it does not go
/// on.
///
/// The URL must be on the same site, that is, on the same host with or without `www.`, and it must not change from
/// https to http. A call with a body goes on with that body, and only by a status that requires this (RFC 9110, section
/// 15.4). Redirects of a facilitator with a key are not followed, because the token names the host that it is for.
pub fn redirect(
    facilitator: &Facilitator,
    action: Action,
    from: &str,
    status: u16,
    location: &str,
) -> Option<String> {
    let may_follow = KEEP_THE_METHOD.contains(&status)
        || (action == Action::Supported && FOUND_ELSEWHERE.contains(&status));
    if !may_follow || facilitator.key().is_some() {
        return None;
    }
    let from = Url::parse(from).ok()?;
    let to = from.join(location).ok()?;
    let is_allowed = (to.scheme() == from.scheme() || to.scheme() == "https")
        && matches!(to.scheme(), "http" | "https")
        && to.username().is_empty()
        && to.password().is_none()
        && bare(to.host_str()?) == bare(from.host_str()?)
        && (to.port() == from.port() || to.scheme() != from.scheme());
    is_allowed.then(|| to.into())
}

/// The host of a URL, in a form that may be shown.
pub fn host_of(url: &str) -> String {
    Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_default()
}

fn bare(host: &str) -> &str {
    host.strip_prefix("www.").unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settlement::cdp::{CDP_HOST, CdpKey};

    const VERIFY: &str = "https://x402.org/facilitator/verify";

    fn follow(action: Action, status: u16, location: &str) -> Option<String> {
        let facilitator = Facilitator::new("https://x402.org/facilitator".parse().unwrap(), None);
        redirect(&facilitator, action, VERIFY, status, location)
    }

    #[test]
    fn a_facilitator_that_moved_to_www_is_followed() {
        let www = "https://www.x402.org/facilitator/verify";
        for status in [307, 308] {
            assert_eq!(follow(Action::Verify, status, www).as_deref(), Some(www));
        }
        for status in [301, 302, 303, 307, 308] {
            assert_eq!(follow(Action::Supported, status, www).as_deref(), Some(www));
        }
        assert_eq!(
            follow(Action::Settle, 308, "/v2/settle").as_deref(),
            Some("https://x402.org/v2/settle")
        );
    }

    #[test]
    fn a_body_is_not_sent_on_by_a_status_that_does_not_keep_it() {
        for status in [200, 300, 301, 302, 303, 304, 305, 306, 309] {
            let www = "https://www.x402.org/facilitator/settle";
            assert_eq!(follow(Action::Settle, status, www), None, "{status}");
        }
    }

    #[test]
    fn no_other_site_and_no_weaker_way_is_followed() {
        for location in [
            "https://x402.org.evil.example/facilitator/verify",
            "https://evil.example/facilitator/verify",
            "//evil.example/verify",
            "https://docs.x402.org/facilitator/verify",
            "https://org/facilitator/verify",
            "http://www.x402.org/facilitator/verify",
            "https://x402.org:8443/facilitator/verify",
            "https://user:pass@www.x402.org/facilitator/verify",
            "ftp://www.x402.org/verify",
            "javascript:alert(1)",
            "https://",
            "",
        ] {
            let to = follow(Action::Verify, 308, location);
            assert!(
                to.is_none() || location.is_empty(),
                "{location} gives {to:?}"
            );
        }
    }

    #[test]
    fn a_facilitator_with_a_key_is_not_followed() {
        let key = CdpKey::new("id", &format!("{}==", "A".repeat(86))).unwrap();
        let url = format!("https://{CDP_HOST}/platform/v2/x402");
        let facilitator = Facilitator::new(url.parse().unwrap(), Some(&key));
        let from = format!("{url}/verify");
        let to = redirect(&facilitator, Action::Verify, &from, 308, "/v3/verify");
        assert_eq!(to, None);
    }
}
