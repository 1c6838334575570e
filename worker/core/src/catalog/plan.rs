//! Plans: what can be bought, for how much, and how long it lasts.

use core::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::types::{PlanId, ResourceId, SERVICE_PLAN, UsdcAmount};

const MAX_PLANS: usize = 64;
const MAX_RESOURCES: usize = 64;
/// Facilitators refuse longer ones, and the payment offer must fit into a header.
const MAX_DESCRIPTION_CHARS: usize = 500;
const MAX_EXPIRES_IN_SECONDS: u64 = 10 * 366 * 24 * 3600;
const MAX_EXTRA_MEMBERS: usize = 16;
const MAX_EXTRA_BYTES: usize = 2048;

/// One thing that can be bought.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// Its id, unique in the catalog.
    pub id: PlanId,
    /// Its price; never zero.
    pub price: UsdcAmount,
    /// What the buyer gets, for people and models.
    pub description: String,
    /// How long its tokens last, in seconds; otherwise the deployment's setting.
    pub expires_in: Option<u64>,
    /// The resources it may open; empty means any.
    pub resources: Vec<ResourceId>,
    /// What the backend that issues credentials is told of the plan besides; no buyer sees it.
    pub extra: Map<String, Value>,
}

impl Plan {
    /// How long the access lasts from its delivery, in seconds; `usual` where the plan does not say.
    pub fn lifetime(&self, usual: u64) -> u64 {
        self.expires_in.unwrap_or(usual)
    }

    /// The resource a purchase is for: the one asked for if this plan opens it; without a wish `default`, or else the
    /// first that the plan opens. `None` when the plan does not open what was asked for.
    pub fn resource(&self, wish: Option<ResourceId>) -> Option<ResourceId> {
        let opens =
            |resource: &ResourceId| self.resources.is_empty() || self.resources.contains(resource);
        match wish {
            Some(resource) => opens(&resource).then_some(resource),
            None => {
                let usual = ResourceId::default();
                if opens(&usual) {
                    Some(usual)
                } else {
                    self.resources.first().cloned()
                }
            }
        }
    }
}

/// The checked list of plans.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Catalog {
    plans: Vec<Plan>,
}

/// What is wrong with a `PLANS` text: where, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CatalogError(String);

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CatalogError {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PlanText {
    plan_id: PlanId,
    unit_amount: UsdcAmount,
    #[serde(default)]
    description: String,
    #[serde(default)]
    expires_in: Option<u64>,
    #[serde(default)]
    resource_ids: Vec<ResourceId>,
    #[serde(default)]
    extra: Map<String, Value>,
}

impl Catalog {
    /// Reads `PLANS`: a JSON array of `{planId, unitAmount, description?, expiresIn?, resourceIds?, extra?}`.
    pub fn from_json(text: &str) -> Result<Self, CatalogError> {
        let texts: Vec<PlanText> = serde_json::from_slice(text.as_bytes())
            .map_err(|error| CatalogError(format!("is not a valid list of plans: {error}")))?;
        Self::new(
            texts
                .into_iter()
                .map(|text| Plan {
                    id: text.plan_id,
                    price: text.unit_amount,
                    description: text.description,
                    expires_in: text.expires_in,
                    resources: text.resource_ids,
                    extra: text.extra,
                })
                .collect(),
        )
    }

    fn new(plans: Vec<Plan>) -> Result<Self, CatalogError> {
        if plans.is_empty() || plans.len() > MAX_PLANS {
            return Err(CatalogError(format!("must list 1 to {MAX_PLANS} plans")));
        }
        for (at, plan) in plans.iter().enumerate() {
            let fault = |reason: &str| Err(CatalogError(format!("plan \"{}\" {reason}", plan.id)));
            if plans.iter().take(at).any(|earlier| earlier.id == plan.id) {
                return fault("is listed twice");
            }
            if plan.id.as_str() == SERVICE_PLAN {
                return fault("has an id that is reserved");
            }
            if plan.price.is_zero() {
                return fault("needs a price above zero");
            }
            if plan.description.chars().count() > MAX_DESCRIPTION_CHARS {
                return fault(&format!(
                    "has a description of over {MAX_DESCRIPTION_CHARS} characters"
                ));
            }
            if plan
                .expires_in
                .is_some_and(|s| s == 0 || s > MAX_EXPIRES_IN_SECONDS)
            {
                return fault("has an expiresIn that is not between 1 second and 10 years");
            }
            if plan.resources.len() > MAX_RESOURCES {
                return fault(&format!("lists over {MAX_RESOURCES} resourceIds"));
            }
            let bytes = Value::Object(plan.extra.clone()).to_string().len();
            if plan.extra.len() > MAX_EXTRA_MEMBERS || bytes > MAX_EXTRA_BYTES {
                return fault(&format!(
                    "has an extra of over {MAX_EXTRA_MEMBERS} members or {MAX_EXTRA_BYTES} bytes"
                ));
            }
        }
        Ok(Self { plans })
    }

    /// All plans, in the seller's order.
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// The plan with this id.
    pub fn plan(&self, id: &PlanId) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.id == *id)
    }
}

/// The plans of a seller who has not set any yet.
pub fn default_catalog() -> Result<Catalog, CatalogError> {
    Catalog::from_json(include_str!("default_plans.json"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_plans_have_the_documented_prices() {
        let catalog = default_catalog().unwrap();
        let prices: Vec<_> = catalog
            .plans()
            .iter()
            .map(|plan| (plan.id.as_str(), plan.price.to_string()))
            .collect();
        assert_eq!(
            prices,
            [
                ("basic", "$0.015".to_owned()),
                ("starter-monthly", "$15.00".to_owned()),
                ("starter-yearly", "$168.00".to_owned()),
                ("pro-monthly", "$150.00".to_owned()),
            ]
        );
        assert!(
            catalog
                .plans()
                .iter()
                .all(|plan| !plan.description.is_empty())
        );
    }

    #[test]
    fn faults_are_named_with_the_plan() {
        for (text, part) in [
            ("", "not a valid list"),
            ("{}", "not a valid list"),
            ("[]", "1 to 64 plans"),
            (r#"[{"planId":"a","unitAmount":"1.2345678"}]"#, "six digits"),
            (r#"[{"planId":"a","unitAmount":1}]"#, "not a valid list"),
            (r#"[{"planId":"a","unitAmount":"0"}]"#, "above zero"),
            (r#"[{"planId":"a b","unitAmount":"1"}]"#, "letters, digits"),
            (
                r#"[{"planId":"a","unitAmount":"1"},{"planId":"a","unitAmount":"2"}]"#,
                "twice",
            ),
            (
                r#"[{"planId":"a","unitAmount":"1","expiresIn":0}]"#,
                "expiresIn",
            ),
            (
                r#"[{"planId":"a","unitAmount":"1","price":"2"}]"#,
                "unknown field",
            ),
            (r#"[{"planId":"system","unitAmount":"1"}]"#, "reserved"),
            (
                r#"[{"planId":"a","unitAmount":"1","extra":[1]}]"#,
                "not a valid list",
            ),
        ] {
            let fault = Catalog::from_json(text).unwrap_err().to_string();
            assert!(fault.contains(part), "{text}: {fault}");
        }
        let long = format!(
            r#"[{{"planId":"a","unitAmount":"1","description":"{}"}}]"#,
            "x".repeat(501)
        );
        assert!(
            Catalog::from_json(&long)
                .unwrap_err()
                .to_string()
                .contains("500")
        );
    }

    #[test]
    fn a_plans_extra_is_bounded() {
        let plan = |extra: &Value| {
            let text = format!(r#"[{{"planId":"a","unitAmount":"1","extra":{extra}}}]"#);
            Catalog::from_json(&text)
        };
        let members = |count: usize| (0..count).map(|at| (at.to_string(), at.into())).collect();
        let most = Value::Object(members(MAX_EXTRA_MEMBERS));
        assert_eq!(plan(&most).unwrap().plans()[0].extra, members(16));
        assert!(plan(&Value::Object(members(MAX_EXTRA_MEMBERS + 1))).is_err());
        assert!(plan(&serde_json::json!({"a": "x".repeat(MAX_EXTRA_BYTES)})).is_err());
    }

    #[test]
    fn a_catalog_of_insane_size_is_refused() {
        let plan =
            |at: usize, more: &str| format!(r#"{{"planId":"p{at}","unitAmount":"1"{more}}}"#);
        let plans = |count| {
            let plans: Vec<_> = (0..count).map(|at| plan(at, "")).collect();
            Catalog::from_json(&format!("[{}]", plans.join(",")))
        };
        assert!(plans(64).is_ok());
        assert!(plans(65).unwrap_err().to_string().contains("1 to 64 plans"));
        let resources = |count| {
            let ids: Vec<_> = (0..count).map(|at| format!(r#""r{at}""#)).collect();
            let more = format!(r#","resourceIds":[{}]"#, ids.join(","));
            Catalog::from_json(&format!("[{}]", plan(0, &more)))
        };
        assert!(resources(64).is_ok());
        assert!(resources(65).unwrap_err().to_string().contains("over 64"));
        let lasting = |seconds: u64| {
            let more = format!(r#","expiresIn":{seconds}"#);
            Catalog::from_json(&format!("[{}]", plan(0, &more)))
        };
        assert!(lasting(3_652 * 86_400).is_ok());
        assert!(lasting(4_000 * 86_400).is_err());
    }

    #[test]
    fn a_plan_opens_only_its_resources() {
        let catalog = Catalog::from_json(
            r#"[{"planId":"any","unitAmount":"1"},{"planId":"eu","unitAmount":"1","resourceIds":["photos/eu","maps/eu"]}]"#,
        )
        .unwrap();
        let wish = |id: &str| Some(id.parse::<ResourceId>().unwrap());
        let [any, eu] = catalog.plans() else {
            panic!("two plans")
        };
        assert_eq!(any.resource(None), Some(ResourceId::default()));
        assert_eq!(any.resource(wish("x")), wish("x"));
        assert_eq!(eu.resource(None), wish("photos/eu"));
        assert_eq!(eu.resource(wish("maps/eu")), wish("maps/eu"));
        assert_eq!(eu.resource(wish("maps/us")), None);
    }

    proptest! {
        #[test]
        fn hostile_plans_never_panic(text in ".{0,200}") {
            let _ = Catalog::from_json(&text);
        }
    }
}
