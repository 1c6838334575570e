//! The secrets that several parts of the settings share.

use super::vars::{Vars, secret, secret_in_list};
use crate::types::Secret;

const MAX_OLD_SECRETS: usize = 4;

const METER: &str = "KEY0_METER_SECRET";

/// The settings that are secrets: they are set with `wrangler secret put`, and never written into `wrangler.toml`.
pub(super) const SECRETS: [&str; 15] = [
    "KEY0_ACCESS_TOKEN_SECRET",
    "KEY0_ACCESS_TOKEN_SECRETS_OLD",
    "KEY0_SEAL_SECRET",
    "KEY0_ADMIN_SECRET",
    "KEY0_ACCESS_TOKEN_PRIVATE_KEY",
    "KEY0_WALLET_PRIVATE_KEY",
    "GAS_WALLET_PRIVATE_KEY",
    "CDP_API_KEY_ID",
    "CDP_API_KEY_SECRET",
    "INTERNAL_AUTH_SECRET",
    "OAUTH_CLIENT_SECRET",
    "WEBHOOK_SIGNING_SECRET",
    "A2A_CARD_KEY",
    "KEY0_PROXY_SECRET",
    METER,
];

/// The secrets that several parts need, as far as each could be read.
pub(super) struct Secrets {
    /// The token secret. It also protects offers and stored credentials, unless those have another secret.
    pub(super) token: Option<Secret>,
    /// The predecessors of the token secret, which still open what was sealed with them.
    pub(super) old: Vec<Secret>,
    /// The secret of the operator's door.
    pub(super) admin: Option<Secret>,
    /// The secrets that seal offers, if they are not the token secret.
    pub(super) seal: Vec<Secret>,
}

impl Secrets {
    /// Whether this is a secret for tokens: backends know those, too.
    fn is_for_tokens(&self, other: &Secret) -> bool {
        self.token.as_ref() == Some(other) || self.old.contains(other)
    }

    /// Whether this is one of all these secrets. None of them is sent to anybody.
    pub(super) fn contains(&self, other: &Secret) -> bool {
        self.is_for_tokens(other) || self.admin.as_ref() == Some(other) || self.seal.contains(other)
    }
}

pub(super) fn read(vars: &mut Vars<'_>) -> Secrets {
    let secrets = Secrets {
        token: vars.required("KEY0_ACCESS_TOKEN_SECRET", secret),
        old: vars.list(
            "KEY0_ACCESS_TOKEN_SECRETS_OLD",
            MAX_OLD_SECRETS,
            secret_in_list,
        ),
        admin: vars.optional("KEY0_ADMIN_SECRET", secret).into_option(),
        seal: Vec::new(),
    };
    if let Some(admin) = &secrets.admin
        && secrets.is_for_tokens(admin)
    {
        vars.problem(
            "KEY0_ADMIN_SECRET",
            "must not be the value of KEY0_ACCESS_TOKEN_SECRET, nor one of KEY0_ACCESS_TOKEN_SECRETS_OLD",
        );
    }
    secrets
}

/// The secret of the backends that have their calls counted. `None` without this setting, or with a recorded problem.
pub(super) fn meter(vars: &mut Vars<'_>) -> Option<Secret> {
    let own = vars.optional(METER, secret).into_option()?;
    let mut others = SECRETS.iter().filter(|name| **name != METER);
    if others.any(|name| vars.lists(name, own.expose())) {
        vars.problem(
            METER,
            "must not be the value of another secret: the backends that have their calls counted know it",
        );
    }
    Some(own)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{changed, refused};
    use super::*;

    const OWN: &str = "a-secret-of-backends-that-count-calls";

    #[test]
    fn a_backend_s_secret_is_optional_and_no_other_secret() {
        assert!(changed(&[]).unwrap().meter_secret.is_none());
        let own = changed(&[(METER, OWN)]).unwrap();
        assert!(own.meter_secret.is_some());
        for name in SECRETS.into_iter().filter(|name| *name != METER) {
            let same = refused(&[(METER, OWN), (name, OWN)]);
            assert!(same.contains(&METER), "{name}: {same:?}");
        }
        let olds = format!("an-earlier-token-secret-of-32-characters, {OWN}");
        for name in ["KEY0_ACCESS_TOKEN_SECRETS_OLD", "KEY0_SEAL_SECRET"] {
            assert_eq!(refused(&[(METER, OWN), (name, &olds)]), [METER], "{name}");
        }
    }
}
