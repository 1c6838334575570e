//! The keys that seal offers, read from the settings.

use super::secrets::Secrets;
use super::vars::{Vars, secret_in_list};
use crate::offer::SealKeys;
use crate::types::Secret;

const NAME: &str = "KEY0_SEAL_SECRET";
/// The first secret seals; the others open what they have sealed before.
const MAX_SECRETS: usize = 4;

/// The secrets of `KEY0_SEAL_SECRET`; the first one seals.
///
/// Backends know the secrets for tokens. So the secret that seals now must not be one of `known`. The other ones may
/// be, so that offers stay good that were sealed with the token secret before this setting was used.
pub(super) fn read(vars: &mut Vars<'_>, known: &Secrets) -> Vec<Secret> {
    let secrets = vars.list(NAME, MAX_SECRETS, secret_in_list);
    if secrets.first().is_some_and(|first| known.contains(first)) {
        vars.problem(
            NAME,
            "must begin with a secret of its own: not KEY0_ACCESS_TOKEN_SECRET, one of KEY0_ACCESS_TOKEN_SECRETS_OLD or KEY0_ADMIN_SECRET",
        );
    }
    secrets
}

/// The keys for offers. If there are no secrets for them, the keys are made from the token secret and its predecessors:
/// whoever checks tokens with HS256 could then make offers, too.
pub(super) fn keys(own: &[Secret], secrets: &Secrets) -> Option<SealKeys> {
    Some(match own.split_first() {
        Some((secret, old)) => SealKeys::new(secret, old),
        None => SealKeys::new(secrets.token.as_ref()?, &secrets.old),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::tests::valid;
    use crate::offer::Offer;
    use crate::purchase::test_offer;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    const FIRST: &str = "the-first-secret-for-offers-0123";
    const SECOND: &str = "the-second-secret-for-offers-012";

    /// The settings with these secrets for offers.
    fn sealing(secrets: &str) -> Config {
        with(&[("KEY0_SEAL_SECRET", secrets)]).unwrap()
    }

    fn with(change: &[(&str, &str)]) -> Result<Config, Vec<&'static str>> {
        let lookup = |name: &str| {
            let changed = change.iter().find(|(changed, _)| *changed == name);
            let value = changed.map(|(_, value)| *value).or_else(|| valid(name));
            value.map(str::to_owned)
        };
        Config::from_vars(lookup)
            .map_err(|problems| problems.iter().map(|problem| problem.name).collect())
    }

    fn sealed(config: &Config) -> Offer {
        config.offers.keys.seal(test_offer().terms)
    }

    fn opens(config: &Config, offer: &Offer) -> bool {
        config.offers.keys.open(offer.id.as_str()).is_some()
    }

    #[test]
    fn with_a_secret_for_offers_the_token_secret_seals_none() {
        let by_token = sealed(&with(&[]).unwrap());
        let own = sealing(FIRST);
        assert!(!opens(&own, &by_token));
        assert!(opens(&own, &sealed(&own)));
        assert!(!opens(&with(&[]).unwrap(), &sealed(&own)));
    }

    #[test]
    fn the_first_secret_seals_and_those_behind_it_open_what_was_sealed_before() {
        let by_token = sealed(&with(&[]).unwrap());
        let begun = sealing(&format!("{FIRST},{TOKEN}"));
        assert!(opens(&begun, &by_token));
        assert_eq!(sealed(&begun), sealed(&sealing(FIRST)));
        let changed = sealing(&format!("{SECOND},{FIRST}"));
        assert!(opens(&changed, &sealed(&begun)));
        assert!(!opens(&changed, &by_token));
        assert_eq!(sealed(&changed), sealed(&sealing(SECOND)));
    }

    #[test]
    fn what_seals_is_no_secret_that_others_have() {
        let seal = |secrets| ("KEY0_SEAL_SECRET", secrets);
        let refused = |change: &[(&str, &str)]| with(change).err().unwrap_or_default();
        assert_eq!(refused(&[seal(TOKEN)]), ["KEY0_SEAL_SECRET"]);
        for other in ["KEY0_ACCESS_TOKEN_SECRETS_OLD", "KEY0_ADMIN_SECRET"] {
            let change = [seal(FIRST), (other, FIRST)];
            assert_eq!(refused(&change), ["KEY0_SEAL_SECRET"], "{other}");
        }
        let sent = [seal(FIRST), ("INTERNAL_AUTH_SECRET", FIRST)];
        assert_eq!(refused(&sent), ["INTERNAL_AUTH_SECRET"]);
        assert_eq!(refused(&[seal("tooshort")]), ["KEY0_SEAL_SECRET"]);
    }

    #[test]
    fn the_secrets_for_offers_are_shown_nowhere() {
        assert!(!format!("{:?}", sealing(FIRST)).contains(FIRST));
    }
}
