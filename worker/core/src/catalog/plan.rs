//! Plans: what can be bought, for how much, and how long it lasts.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::meter::Limits;
use crate::types::{PlanId, ResourceId, UsdcAmount};

/// One thing that can be bought.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// Its id, unique in the catalog.
    pub id: PlanId,
    /// Its price; never zero.
    pub price: UsdcAmount,
    /// What the buyer gets, in the seller's words. Buyers read [`Self::described`].
    pub description: String,
    /// How long the plan's tokens last, in seconds; `None` for the deployment's setting.
    pub expires_in: Option<u64>,
    /// The resources that the plan may open; empty means any.
    pub resources: Vec<ResourceId>,
    /// How many calls the plan is good for, how fast and how many at a time.
    pub limits: Limits,
    /// What else the backend that issues credentials is told about the plan. No buyer sees it.
    pub extra: Map<String, Value>,
}

impl Plan {
    /// What the buyer gets, for people and models: the seller's words, and the limits after them.
    pub fn described(&self) -> Cow<'_, str> {
        let limits = self.limits.to_string();
        let mut letters = limits.chars();
        let Some(first) = letters.next() else {
            return Cow::Borrowed(&self.description);
        };
        let said = self.description.trim_end();
        let pause = match said.chars().next_back() {
            None => "",
            Some(last) if last.is_alphanumeric() => ". ",
            Some(_) => " ",
        };
        let (first, rest) = (first.to_ascii_uppercase(), letters.as_str());
        Cow::Owned(format!("{said}{pause}{first}{rest}."))
    }

    /// How long the access lasts from its delivery, in seconds; `usual` if the plan has no time of its own.
    pub fn lifetime(&self, usual: u64) -> u64 {
        self.expires_in.unwrap_or(usual)
    }

    /// The resource that a purchase of this plan is for. That is the one asked for, if the plan opens it. If none is
    /// asked for, it is `default`, or else the first that the plan opens. `None` when the plan does not open what was
    /// asked for.
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

#[cfg(test)]
mod tests {
    use crate::catalog::Catalog;

    #[test]
    fn limits_are_told_after_the_sellers_words() {
        let described = |members: &str| {
            let plans = format!(r#"[{{"planId":"a","unitAmount":"1"{members}}}]"#);
            let catalog = Catalog::from_json(&plans).unwrap();
            catalog.plans()[0].described().into_owned()
        };
        for (members, said) in [
            ("", ""),
            (r#","description":"An hour ""#, "An hour "),
            (r#","concurrency":2"#, "At most 2 calls at a time."),
            (
                r#","description":"An hour ","quota":{"calls":5}"#,
                "An hour. 5 calls.",
            ),
            (
                r#","description":"An hour!","quota":{"calls":5}"#,
                "An hour! 5 calls.",
            ),
            (
                r#","description":"An hour.","quota":{"credit":"$1"}"#,
                "An hour. Calls for $1.00.",
            ),
        ] {
            assert_eq!(described(members), said);
        }
    }
}
