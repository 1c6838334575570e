//! The checked lists of what is sold.

use super::plan::Plan;
use super::read::{self, CatalogError};
use super::route::Route;
use crate::types::{PlanId, RouteId};

/// The checked lists of plans and routes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Catalog {
    plans: Vec<Plan>,
    routes: Vec<Route>,
}

impl Catalog {
    /// A catalog of plans and routes, each of which was read as part of a whole list.
    pub const fn new(plans: Vec<Plan>, routes: Vec<Route>) -> Self {
        Self { plans, routes }
    }

    /// A catalog of the plans in this text, which has the form of `PLANS`. It has no routes.
    pub fn from_json(plans: &str) -> Result<Self, CatalogError> {
        read::plans(plans).map(|plans| Self::new(plans, Vec::new()))
    }

    /// Whether nothing is sold.
    pub const fn is_empty(&self) -> bool {
        self.plans.is_empty() && self.routes.is_empty()
    }

    /// A catalog of these plans and routes, without any check.
    pub const fn with_routes(plans: Vec<Plan>, routes: Vec<Route>) -> Self {
        Self { plans, routes }
    }

    /// All plans, in the seller's order.
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// The plan with this id.
    pub fn plan(&self, id: &PlanId) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.id == *id)
    }

    /// All routes, in the seller's order.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The route with this id.
    pub fn route(&self, id: &RouteId) -> Option<&Route> {
        self.routes.iter().find(|route| route.id == *id)
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
    fn the_default_plans_have_the_documented_prices_and_limits() {
        let catalog = default_catalog().unwrap();
        let plans = catalog.plans().iter();
        let told = plans.map(|plan| {
            let limits = plan.limits.to_string();
            (plan.id.as_str(), plan.price.to_string(), limits)
        });
        let told: Vec<_> = told.collect();
        let told: Vec<_> = told
            .iter()
            .map(|(id, price, limits)| (*id, price.as_str(), limits.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (
                    "basic",
                    "$0.015",
                    "at most 10 calls a minute and 2 at a time"
                ),
                (
                    "starter-monthly",
                    "$15.00",
                    "1,650 calls, at most 100 a minute and 10 at a time"
                ),
                (
                    "starter-yearly",
                    "$168.00",
                    "19,800 calls, at most 100 a minute and 10 at a time"
                ),
                (
                    "pro-monthly",
                    "$150.00",
                    "16,500 calls, at most 1,000 a minute and 50 at a time"
                ),
            ]
        );
        let mut plans = catalog.plans().iter();
        assert!(plans.all(|plan| !plan.description.is_empty()));
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
