//! What is sold: the plans and routes of the settings `PLANS` and `ROUTES`, or else those of the seller's file.

use super::vars::{Read, Vars};
use crate::catalog::read::{self, File, OtherPlans};
use crate::catalog::{Catalog, Plan, default_catalog};
use crate::types::PlanId;

/// The name of the seller's file of plans and routes, which is packed with the worker and read like a setting.
pub const CATALOG_FILE: &str = "catalog.json";

/// Reads what is sold. Each setting replaces its part of the file, so that one deployment can sell something else with
/// the same files. `None` only together with a recorded problem.
pub(super) fn read(vars: &mut Vars<'_>) -> Option<Catalog> {
    let plans = vars.optional("PLANS", |text| {
        read::plans(text).map_err(|error| error.to_string())
    });
    let routes = vars.optional("ROUTES", |text| Ok(text.to_owned()));
    let file = match (&plans, &routes) {
        (Read::Absent, _) | (_, Read::Absent) => file(vars, &plans),
        _ => Read::Value(File::default()),
    };
    let is_nothing_said = matches!(
        (&plans, &routes, &file),
        (Read::Absent, Read::Absent, Read::Absent)
    );
    if is_nothing_said {
        return default_catalog().ok();
    }
    let name = if matches!(plans, Read::Absent) {
        "ROUTES"
    } else {
        "PLANS"
    };
    let file = match file {
        Read::Value(file) => Some(file),
        Read::Absent => Some(File::default()),
        Read::Bad => None,
    };
    let (its_plans, its_routes) = file.map(|file| (file.plans, file.routes)).unzip();
    let plans = match plans {
        Read::Value(plans) => Some(plans),
        Read::Absent => its_plans.map(Option::unwrap_or_default),
        Read::Bad => None,
    };
    let routes = match routes.into_option() {
        Some(text) => match read::routes(&text, plans.as_deref().map(ids).as_deref()) {
            Ok(routes) => Some(routes),
            Err(error) => {
                vars.problem("ROUTES", error.to_string());
                None
            }
        },
        None => its_routes.map(Option::unwrap_or_default),
    };
    let catalog = Catalog::new(plans?, routes?);
    if catalog.is_empty() {
        vars.problem(name, "must list a plan or a route: nothing else is sold");
        return None;
    }
    Some(catalog)
}

fn file(vars: &mut Vars<'_>, plans: &Read<Vec<Plan>>) -> Read<File> {
    let ids = match plans {
        Read::Value(plans) => ids(plans),
        Read::Absent | Read::Bad => Vec::new(),
    };
    let others = match plans {
        Read::Value(_) => OtherPlans::These(&ids),
        Read::Absent => OtherPlans::Nowhere,
        Read::Bad => OtherPlans::Unreadable,
    };
    vars.optional(CATALOG_FILE, |text| {
        read::file(text, others).map_err(|error| error.to_string())
    })
}

fn ids(plans: &[Plan]) -> Vec<PlanId> {
    plans.iter().map(|plan| plan.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::tests::valid;
    use super::*;

    const FILE: (&str, &str) = (
        CATALOG_FILE,
        r#"{"plans":[{"planId":"f","unitAmount":"1"}],"routes":[{"routeId":"fr","method":"GET","path":"/f","unitAmount":"1","plans":["f"]}]}"#,
    );
    const PLANS: (&str, &str) = ("PLANS", r#"[{"planId":"s","unitAmount":"1"}]"#);
    const ROUTES: (&str, &str) = (
        "ROUTES",
        r#"[{"routeId":"sr","method":"GET","path":"/s","unitAmount":"1"}]"#,
    );

    /// The ids of what is sold; or the settings that are wrong, each with the reason.
    fn sold(change: &[(&str, &str)]) -> Result<Vec<String>, Vec<(&'static str, String)>> {
        let config = Config::from_vars(|name| {
            let changed = change.iter().find(|(changed, _)| *changed == name);
            let value = changed.map(|(_, value)| *value).or_else(|| match name {
                "PROXY_TO_BASE_URL" => Some("https://api.example"),
                _ => valid(name),
            });
            value.map(str::to_owned)
        });
        let config = config.map_err(|problems| {
            let pairs = problems
                .into_iter()
                .map(|problem| (problem.name, problem.reason));
            pairs.collect::<Vec<_>>()
        })?;
        let plans = config
            .catalog
            .plans()
            .iter()
            .map(|plan| plan.id.to_string());
        let routes = config.catalog.routes().iter();
        Ok(plans
            .chain(routes.map(|route| route.id.to_string()))
            .collect())
    }

    #[test]
    fn each_setting_wins_over_its_part_of_the_file() {
        for (change, ids) in [
            (&[FILE][..], &["f", "fr"][..]),
            (&[FILE, ROUTES], &["f", "sr"]),
            (&[FILE, PLANS, ROUTES], &["s", "sr"]),
            (&[FILE, ("ROUTES", "[]")], &["f"]),
            (&[FILE, ("PLANS", ""), ("ROUTES", "")], &["f", "fr"]),
            (&[PLANS], &["s"]),
            (&[ROUTES], &["sr"]),
            (&[("PLANS", "[]"), ROUTES], &["sr"]),
            (&[PLANS, ("ROUTES", "[]")], &["s"]),
            (
                &[],
                &["basic", "starter-monthly", "starter-yearly", "pro-monthly"],
            ),
        ] {
            assert_eq!(sold(change).unwrap(), ids, "{change:?}");
        }
        // If both settings are there, the file is not read.
        let broken = (CATALOG_FILE, "{");
        assert_eq!(sold(&[broken, PLANS, ROUTES]).unwrap(), ["s", "sr"]);
    }

    #[test]
    fn what_is_wrong_is_said_of_the_text_that_has_it() {
        let opened = |plan: &str| {
            format!(
                r#"[{{"routeId":"r","method":"GET","path":"/r","unitAmount":"1","plans":["{plan}"]}}]"#
            )
        };
        let (of_file, of_setting) = (opened("f"), opened("s"));
        assert!(sold(&[FILE, ("ROUTES", &of_file)]).is_ok());
        assert!(sold(&[PLANS, ("ROUTES", &of_setting)]).is_ok());
        for (change, name, part) in [
            (
                &[(CATALOG_FILE, "{}")][..],
                CATALOG_FILE,
                "must list a plan",
            ),
            (&[("PLANS", "[]")], "PLANS", "must list a plan or a route"),
            (&[("ROUTES", "[]")], "ROUTES", "must list a plan or a route"),
            (
                &[("PLANS", "[]"), ("ROUTES", "[]")],
                "PLANS",
                "must list a plan or a route",
            ),
            (
                &[FILE, PLANS],
                CATALOG_FILE,
                "names \"f\", and there is no such plan",
            ),
            (&[FILE, ("ROUTES", &of_setting)], "ROUTES", "names \"s\""),
            (&[PLANS, ("ROUTES", &of_file)], "ROUTES", "names \"f\""),
            (&[("ROUTES", &of_file)], "ROUTES", "names \"f\""),
            // The plans cannot be read, so it is not known which plans there are.
            (
                &[("PLANS", "[{}]"), ("ROUTES", &of_file)],
                "PLANS",
                "plan 1:",
            ),
            (&[("PLANS", "[{}]"), FILE], "PLANS", "plan 1:"),
        ] {
            let faults = sold(change).unwrap_err();
            let [(wrong, said)] = faults.as_slice() else {
                panic!("{change:?}: {faults:?}")
            };
            assert_eq!(*wrong, name, "{change:?}");
            assert!(said.contains(part), "{change:?}: {said}");
        }
    }
}
