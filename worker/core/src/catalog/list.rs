//! The checked list of plans, from whichever text the seller has written.

use super::plan::Plan;
use super::read::{self, CatalogError};
use crate::types::PlanId;

/// The checked list of plans.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Catalog {
    plans: Vec<Plan>,
}

impl Catalog {
    /// Reads `PLANS`: a JSON array of `{planId, unitAmount, description?, expiresIn?, resourceIds?, extra?}`.
    pub fn from_json(text: &str) -> Result<Self, CatalogError> {
        read::list(text).map(|plans| Self { plans })
    }

    /// Reads `catalog.json`: `{plans}`, with the same array.
    pub fn from_file(text: &str) -> Result<Self, CatalogError> {
        read::file(text).map(|plans| Self { plans })
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
    use super::*;
    use crate::types::ResourceId;

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
}
