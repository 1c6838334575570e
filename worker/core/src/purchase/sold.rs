//! What a purchase delivers, as the catalog described it when the purchase began.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::stored_form::is_default;
use crate::catalog::{Charged, Settle};
use crate::config::Config;
use crate::meter::{Adds, Limits};
use crate::offer::{Target, Terms};

/// What the buyer gets for the money. It is fixed when the purchase begins, and read from the record afterwards: if the
/// seller later edits, renames or removes the plan or the route, what was sold before does not change.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Sold {
    /// Access for a period.
    Access(Access),
    /// More of an access that was bought before.
    TopUp(SoldTopUp),
    /// One call.
    Call(SoldCall),
}

/// Access for a period.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// How long the access lasts from its delivery, in seconds.
    pub lifetime: u64,
    /// How many calls the access is good for, how fast and how many at a time.
    #[serde(default, skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// The plan's `extra` members, sent to the backend that issues the credential.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

/// More of an access that was bought before.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SoldTopUp {
    /// What is added.
    pub adds: Adds,
    /// Whether the buyer has shown a token of the grant. If not, only the grant's own wallet may top it up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub by_holder: bool,
}

/// One call of a route.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SoldCall {
    /// Whether the price is settled before or after the call.
    pub settle: Settle,
    /// Which answers are charged for.
    pub charged: Charged,
    /// Whether the call may be made a second time when it is not known whether the first one arrived.
    #[serde(default, skip_serializing_if = "is_default")]
    pub idempotent: bool,
    /// Whether the answer is passed on while it arrives, however short it is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stream: bool,
    /// Whether the backend is notified when the call is delivered.
    #[serde(default, skip_serializing_if = "is_default")]
    pub notify: bool,
}

impl Sold {
    /// What these terms sell. `None` when that is not known: the catalog no longer describes the plan as it did when
    /// the offer was made, or has neither the plan nor the route. Then nothing can be delivered.
    ///
    /// For a plan, the terms themselves say what is sold, except for `extra` and the limits, of which they hold a digest.
    pub fn of(terms: &Terms, config: &Config) -> Option<Self> {
        let (extra, limits) = match (&terms.target, terms.extra) {
            // A plan that has got limits since sells what it sold when the offer was made: any number of calls.
            (Target::Plan(_), None) => (Map::new(), Limits::default()),
            // There is nothing to add to a grant without limits.
            (Target::TopUp { .. }, None) => return None,
            (Target::Plan(id) | Target::TopUp { plan: id, .. }, Some(digest)) => {
                let plan = config.catalog.plan(id)?;
                let keys = &config.offers.keys;
                let is_unchanged = keys.is_extra(digest, &plan.extra, &plan.limits);
                is_unchanged.then(|| (plan.extra.clone(), plan.limits))?
            }
            (Target::Route { id, .. }, _) => {
                let route = config.catalog.route(id)?;
                // The offer binds the path (by the call's digest) and the resource.
                (route.price.is_some() && route.resource == terms.resource).then_some(())?;
                return Some(Self::Call(SoldCall {
                    settle: route.settle,
                    charged: route.charged.clone(),
                    idempotent: route.idempotent,
                    stream: route.stream,
                    notify: route.notify,
                }));
            }
        };
        if terms.target.grant().is_some() {
            return Some(Self::TopUp(SoldTopUp {
                adds: Adds {
                    quota: limits.quota,
                    seconds: terms.lifetime,
                },
                by_holder: terms.by_holder,
            }));
        }
        Some(Self::Access(Access {
            lifetime: terms.lifetime,
            limits,
            extra,
        }))
    }

    /// The same; if it is a top-up, the buyer may have shown a token of the grant with the payment.
    #[must_use]
    pub const fn shown_by(mut self, holder: bool) -> Self {
        if let Self::TopUp(top_up) = &mut self {
            top_up.by_holder |= holder;
        }
        self
    }

    /// The access, if that was sold.
    pub const fn access(&self) -> Option<&Access> {
        match self {
            Self::Access(access) => Some(access),
            Self::TopUp(_) | Self::Call(_) => None,
        }
    }

    /// The top-up, if that was sold.
    pub const fn top_up(&self) -> Option<&SoldTopUp> {
        match self {
            Self::TopUp(top_up) => Some(top_up),
            Self::Access(_) | Self::Call(_) => None,
        }
    }

    /// Whether the use of what was sold is counted.
    pub fn is_counted(&self) -> bool {
        self.access().is_some_and(|access| !access.limits.is_none())
    }

    /// The call, if that was sold.
    pub const fn call(&self) -> Option<&SoldCall> {
        match self {
            Self::Access(_) | Self::TopUp(_) => None,
            Self::Call(call) => Some(call),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Plan};
    use crate::config::test_config;
    use crate::offer::CallDigest;
    use crate::purchase::test_support::{access, sold, test_offer};

    /// The settings of a shop that sells only this plan.
    fn shop(plan: &str) -> Config {
        let mut config = test_config();
        config.catalog = Catalog::from_json(&format!("[{plan}]")).unwrap();
        config
    }

    const PLAIN: &str = r#"{"planId":"basic","unitAmount":"$0.015","expiresIn":60}"#;
    const GOLD: &str = r#"{"planId":"basic","unitAmount":"$9","extra":{"tier":"gold"}}"#;
    const LEAD: &str = r#"{"planId":"basic","unitAmount":"$9","extra":{"tier":"lead"}}"#;
    const LIMITED: &str =
        r#"{"planId":"basic","unitAmount":"$9","quota":{"calls":1650},"concurrency":10}"#;
    const LESS: &str =
        r#"{"planId":"basic","unitAmount":"$9","quota":{"calls":1649},"concurrency":10}"#;
    const GOLD_LIMITED: &str =
        r#"{"planId":"basic","unitAmount":"$9","extra":{"tier":"gold"},"quota":{"calls":1650}}"#;
    const OTHER: &str = r#"{"planId":"other","unitAmount":"$0.015"}"#;

    fn gold() -> Map<String, Value> {
        serde_json::from_str(r#"{"tier":"gold"}"#).unwrap()
    }

    #[test]
    fn it_lasts_as_long_as_the_offer_says_whatever_became_of_the_plan() {
        for plan in [PLAIN, GOLD, LIMITED, GOLD_LIMITED, OTHER] {
            let found = Sold::of(&test_offer().terms, &shop(plan));
            assert_eq!(found, Some(sold()), "{plan}");
        }
    }

    #[test]
    fn what_the_backend_is_told_is_what_it_was_when_the_offer_was_made_or_nothing_is_sold() {
        let found = |plan| {
            let config = shop(plan);
            let terms = Terms {
                extra: config.offers.keys.digest(&gold(), &Limits::default()),
                ..test_offer().terms
            };
            Sold::of(&terms, &config)
        };
        let extra = gold();
        let gold = Sold::Access(Access { extra, ..access() });
        assert_eq!(found(GOLD), Some(gold));
        for changed in [LEAD, PLAIN, LIMITED, GOLD_LIMITED, OTHER] {
            assert_eq!(found(changed), None, "{changed}");
        }
    }

    #[test]
    fn limits_are_what_they_were_when_the_offer_was_made_or_nothing_is_sold() {
        let offered = |plan| {
            let Plan { extra, limits, .. } = shop(plan).catalog.plans()[0].clone();
            let terms = Terms {
                extra: test_config().offers.keys.digest(&extra, &limits),
                ..test_offer().terms
            };
            (terms, extra, limits)
        };
        for plan in [LIMITED, LESS, GOLD_LIMITED] {
            let (terms, extra, limits) = offered(plan);
            assert!(!limits.is_none());
            let sold = Access {
                extra,
                limits,
                ..access()
            };
            let found = Sold::of(&terms, &shop(plan));
            assert_eq!(found, Some(Sold::Access(sold)), "{plan}");
            let all = [PLAIN, GOLD, LIMITED, LESS, GOLD_LIMITED, OTHER];
            for changed in all.iter().filter(|changed| **changed != plan) {
                assert_eq!(Sold::of(&terms, &shop(changed)), None, "{plan} {changed}");
            }
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
