//! What a purchase delivers, as it was said when the purchase began.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::Config;
use crate::offer::{Target, Terms};

/// What the buyer gets for the money. Fixed once, when the purchase begins, and read from the record afterwards: a plan that
/// the seller edits, renames or removes later changes nothing of what was sold before.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sold {
    /// How long the access lasts from its delivery, in seconds.
    pub lifetime: u64,
    /// What the backend that issues the credential is told of the plan.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

impl Sold {
    /// What these terms sell. They say it themselves, but for `extra`, of which they hold a digest: that is the catalog's, if the
    /// catalog still says what it said when the offer was made. `None` when it does not, or never had what was bought: then
    /// nothing can be delivered.
    pub fn of(terms: &Terms, config: &Config) -> Option<Self> {
        let extra = match (&terms.target, terms.extra) {
            (Target::Plan(_), None) => Map::new(),
            (Target::Plan(id), Some(digest)) => {
                let plan = config.catalog.plan(id)?;
                let is_unchanged = config.offers.keys.is_extra(digest, &plan.extra);
                is_unchanged.then(|| plan.extra.clone())?
            }
            // The catalog has no routes.
            (Target::Route { .. }, _) => return None,
        };
        Some(Self {
            lifetime: terms.lifetime,
            extra,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::config::test_config;
    use crate::offer::CallDigest;
    use crate::purchase::test_support::{sold, test_offer};

    /// A shop with this plan only.
    fn shop(plan: &str) -> Config {
        let mut config = test_config();
        config.catalog = Catalog::from_json(&format!("[{plan}]")).unwrap();
        config
    }

    const PLAIN: &str = r#"{"planId":"basic","unitAmount":"$0.015","expiresIn":60}"#;
    const GOLD: &str = r#"{"planId":"basic","unitAmount":"$9","extra":{"tier":"gold"}}"#;
    const LEAD: &str = r#"{"planId":"basic","unitAmount":"$9","extra":{"tier":"lead"}}"#;
    const OTHER: &str = r#"{"planId":"other","unitAmount":"$0.015"}"#;

    fn gold() -> Map<String, Value> {
        serde_json::from_str(r#"{"tier":"gold"}"#).unwrap()
    }

    #[test]
    fn it_lasts_as_long_as_the_offer_says_whatever_became_of_the_plan() {
        for plan in [PLAIN, GOLD, OTHER] {
            let found = Sold::of(&test_offer().terms, &shop(plan));
            assert_eq!(found, Some(sold()), "{plan}");
        }
    }

    #[test]
    fn what_the_backend_is_told_is_what_it_was_when_the_offer_was_made_or_nothing_is_sold() {
        let found = |plan| {
            let config = shop(plan);
            let terms = Terms {
                extra: config.offers.keys.digest(&gold()),
                ..test_offer().terms
            };
            Sold::of(&terms, &config)
        };
        let extra = gold();
        assert_eq!(found(GOLD), Some(Sold { extra, ..sold() }));
        for changed in [LEAD, PLAIN, OTHER] {
            assert_eq!(found(changed), None, "{changed}");
        }
    }

    #[test]
    fn a_call_is_not_in_the_catalog_and_is_not_taken_for_a_plan_of_its_name() {
        let terms = Terms {
            target: Target::Route {
                id: "basic".parse().unwrap(),
                call: CallDigest::of([]),
            },
            ..test_offer().terms
        };
        assert_eq!(Sold::of(&terms, &shop(PLAIN)), None);
    }
}
