//! `GET /admin`: the operator's page. It is the same for everybody: the page requests all that it shows with the secret
//! that the operator types in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header;
use sha2::{Digest, Sha256};

use crate::response::{self, Response};

const PAGE: &str = include_str!("page.html");

/// The page. It may run its own script and send requests to this origin, and nothing else.
pub(super) fn page() -> Response {
    let mut response = Response::new(PAGE.as_bytes().to_vec());
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'unsafe-inline'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        STANDARD.encode(Sha256::digest(script()))
    );
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, &policy),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response::set(&mut response, name, value);
    }
    response
}

/// The page's only script.
fn script() -> &'static str {
    let rest = PAGE.split_once("<script>").map(|(_, rest)| rest);
    rest.and_then(|rest| rest.split_once("</script>"))
        .map_or("", |(script, _)| script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_script_which_is_allowed_and_never_makes_markup() {
        assert_eq!(PAGE.matches("<script").count(), 1);
        assert!(script().contains("textContent"));
        for risky in [
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "localStorage",
            "sessionStorage",
            "cookie",
        ] {
            assert!(!PAGE.contains(risky), "{risky}");
        }
        let response = page();
        let policy = response.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"));
        assert!(!policy.contains("script-src 'unsafe"), "{policy}");
    }
}
