//! Reads from the settings how the gateway authenticates to the seller's backend.

use super::secrets::Secrets;
use super::vars::{Read, Vars, parsed, secret};
use crate::backend::authentication::BackendAuth;
use crate::backend::oauth::OAuthClient;
use crate::types::{HttpUrl, Secret};

pub(super) const MAX_SCOPES: usize = 32;
pub(super) const MAX_CLIENT_SECRET: usize = 4096;
/// Headers that have another meaning in these calls.
const TAKEN_HEADERS: [&str; 8] = [
    "content-type",
    "content-length",
    "host",
    "connection",
    "idempotency-key",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

#[derive(Clone, Copy)]
enum Strategy {
    None,
    SharedSecret,
    Jwt,
    OAuth,
}

/// The strategy with all that it needs. None of `secrets` may be sent to anybody. `None` only together with a recorded
/// problem.
pub(super) fn read(
    vars: &mut Vars<'_>,
    backend_url: Option<&HttpUrl>,
    secrets: &Secrets,
) -> Option<BackendAuth> {
    let strategies = [
        ("none", Strategy::None),
        ("shared-secret", Strategy::SharedSecret),
        ("jwt", Strategy::Jwt),
        ("oauth", Strategy::OAuth),
    ];
    let strategy = vars.choice("BACKEND_AUTH_STRATEGY", "none", &strategies);
    let shared = vars.optional("INTERNAL_AUTH_SECRET", |text| {
        secret(text).and_then(|secret| {
            text.bytes()
                .all(|byte| byte.is_ascii_graphic())
                .then_some(secret)
                .ok_or_else(|| "must be ASCII without spaces: it travels in a header".to_owned())
        })
    });
    if let Read::Value(shared) = &shared
        && secrets.contains(shared)
    {
        vars.problem(
            "INTERNAL_AUTH_SECRET",
            "must not be the value of KEY0_ACCESS_TOKEN_SECRET, KEY0_ADMIN_SECRET or KEY0_SEAL_SECRET, nor one of KEY0_ACCESS_TOKEN_SECRETS_OLD",
        );
    }
    let header = vars.parse("INTERNAL_AUTH_HEADER", "X-Internal-Auth", header_name);
    let audience = vars.text("BACKEND_AUTH_AUDIENCE", "", 500);
    let token_url = vars.optional("OAUTH_TOKEN_URL", parsed::<HttpUrl>);
    let client_id = vars.text("OAUTH_CLIENT_ID", "", 500);
    let client_secret = vars.optional("OAUTH_CLIENT_SECRET", |text| {
        (text.len() <= MAX_CLIENT_SECRET)
            .then(|| Secret::new(text))
            .ok_or_else(|| format!("must have at most {MAX_CLIENT_SECRET} characters"))
    });
    let scope = vars.optional("OAUTH_SCOPES", scopes);
    let oauth_audience = vars.text("OAUTH_AUDIENCE", "", 500);

    match strategy? {
        Strategy::None => Some(BackendAuth::None),
        Strategy::SharedSecret => Some(BackendAuth::SharedSecret {
            secret: wanted(vars, "INTERNAL_AUTH_SECRET", "shared-secret", shared)?,
            header: header?,
        }),
        Strategy::Jwt => Some(BackendAuth::ServiceToken {
            audience: audience
                .filter(|audience| !audience.is_empty())
                .or_else(|| backend_url.map(|url| url.as_str().to_owned()))
                .unwrap_or_default(),
        }),
        Strategy::OAuth => {
            let id = match client_id {
                Some(id) if id.is_empty() => Read::Absent,
                Some(id) => Read::Value(id),
                None => Read::Bad,
            };
            let token_url = wanted(vars, "OAUTH_TOKEN_URL", "oauth", token_url);
            let id = wanted(vars, "OAUTH_CLIENT_ID", "oauth", id);
            let secret = wanted(vars, "OAUTH_CLIENT_SECRET", "oauth", client_secret);
            if let Some(token_url) = &token_url {
                vars.sends_to("OAUTH_TOKEN_URL", token_url);
            }
            Some(BackendAuth::OAuth(Box::new(OAuthClient {
                token_url: token_url?,
                id: id?,
                secret: secret?,
                scope: scope.into_option().unwrap_or_default(),
                audience: oauth_audience.filter(|audience| !audience.is_empty()),
            })))
        }
    }
}

fn wanted<T>(vars: &mut Vars<'_>, name: &'static str, strategy: &str, value: Read<T>) -> Option<T> {
    if matches!(value, Read::Absent) {
        vars.problem(
            name,
            format!("is required when BACKEND_AUTH_STRATEGY is {strategy}"),
        );
    }
    value.into_option()
}

/// Reads the name of a header (RFC 9110, section 5.1) that has no other meaning in these calls.
fn header_name(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (name.len() <= 100 && name.bytes().all(is_token) && !TAKEN_HEADERS.contains(&name.as_str()))
        .then_some(name)
        .ok_or_else(|| "must be the name of a header that has no other meaning".to_owned())
}

/// Reads scopes that are separated by commas or spaces (RFC 6749, section 3.3), and joins them as they are sent.
fn scopes(text: &str) -> Result<String, String> {
    let scopes: Vec<&str> = text
        .split([',', ' '])
        .filter(|scope| !scope.is_empty())
        .collect();
    let is_scope = |scope: &&str| {
        let allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
        scope.len() <= 200 && scope.bytes().all(allowed)
    };
    (scopes.len() <= MAX_SCOPES && scopes.iter().all(is_scope))
        .then(|| scopes.join(" "))
        .ok_or_else(|| format!("must list at most {MAX_SCOPES} scopes, separated by commas"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::valid;
    use super::super::{Config, Problem};
    use super::*;

    const SHARED: &str = "an-internal-secret-of-32-characters";

    fn config(change: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
        Config::from_vars(|name| {
            let changed = change.iter().find(|(changed, _)| *changed == name);
            let value = changed.map(|(_, value)| *value).or_else(|| valid(name));
            value.map(str::to_owned)
        })
    }

    fn problems(change: &[(&str, &str)]) -> Vec<&'static str> {
        let problems = config(change).err().unwrap_or_default();
        problems.iter().map(|problem| problem.name).collect()
    }

    #[test]
    fn without_a_strategy_the_gateway_does_not_authenticate() {
        assert!(matches!(
            config(&[]).unwrap().backend.auth,
            BackendAuth::None
        ));
    }

    #[test]
    fn each_strategy_names_what_it_lacks() {
        let lacks = |strategy| problems(&[("BACKEND_AUTH_STRATEGY", strategy)]);
        assert_eq!(lacks("basic"), ["BACKEND_AUTH_STRATEGY"]);
        assert_eq!(lacks("shared-secret"), ["INTERNAL_AUTH_SECRET"]);
        assert!(lacks("jwt").is_empty());
        assert_eq!(
            lacks("oauth"),
            ["OAUTH_TOKEN_URL", "OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET"]
        );
    }

    #[test]
    fn a_complete_oauth_client_is_read_with_its_scopes_joined_by_spaces() {
        let config = config(&[
            ("BACKEND_AUTH_STRATEGY", "oauth"),
            ("OAUTH_TOKEN_URL", "https://auth.example/token"),
            ("OAUTH_CLIENT_ID", "key0"),
            ("OAUTH_CLIENT_SECRET", "s3cret"),
            ("OAUTH_SCOPES", "issue, notify read"),
        ]);
        let BackendAuth::OAuth(client) = config.unwrap().backend.auth else {
            panic!("not oauth")
        };
        assert_eq!(client.scope, "issue notify read");
        assert_eq!(client.audience, None);
    }

    #[test]
    fn the_audience_of_service_tokens_is_the_backends_address_unless_set() {
        let audience = |change: &[(&str, &str)]| {
            let change = [change, &[("BACKEND_AUTH_STRATEGY", "jwt")]].concat();
            match config(&change).unwrap().backend.auth {
                BackendAuth::ServiceToken { audience } => audience,
                _ => panic!("not jwt"),
            }
        };
        assert_eq!(audience(&[]), "https://backend.example");
        assert_eq!(audience(&[("BACKEND_AUTH_AUDIENCE", "issuing")]), "issuing");
    }

    #[test]
    fn bad_values_are_named() {
        let token_secret = valid("KEY0_ACCESS_TOKEN_SECRET").unwrap();
        for (name, value) in [
            ("INTERNAL_AUTH_SECRET", "short"),
            (
                "INTERNAL_AUTH_SECRET",
                "an internal secret with some spaces",
            ),
            ("INTERNAL_AUTH_SECRET", token_secret),
            ("INTERNAL_AUTH_HEADER", "X Internal"),
            ("INTERNAL_AUTH_HEADER", "Idempotency-Key"),
            ("OAUTH_TOKEN_URL", "auth.example"),
            ("OAUTH_SCOPES", "a\"b"),
            ("BACKEND_NOTIFICATIONS", "maybe"),
            ("WEBHOOK_SIGNING_SECRET", "whsec_c2hvcnQ="),
        ] {
            assert_eq!(problems(&[(name, value)]), [name], "{value}");
        }
        let good = [
            ("BACKEND_AUTH_STRATEGY", "shared-secret"),
            ("INTERNAL_AUTH_SECRET", SHARED),
            ("INTERNAL_AUTH_HEADER", "Authorization"),
        ];
        let BackendAuth::SharedSecret { header, .. } = config(&good).unwrap().backend.auth else {
            panic!("not a shared secret")
        };
        assert_eq!(header, "authorization");
    }
}
