//! The A2A agent card (<https://a2a-protocol.org/latest/specification/>): the pure 1.0 card, or the hybrid that 0.3
//! clients read too.

use serde_json::Value;

use crate::json;

use super::a2a::{A2A_PATH, X402_EXTENSIONS};
use super::card_signature::signature;
use crate::catalog::Plan;
use crate::config::Config;
use crate::types::HttpUrl;

/// The binding of `/x402/access`: how requests to it are made. A custom binding is named by the address of its
/// description.
const X402_HTTP_BINDING: &str =
    "https://github.com/x402-foundation/x402/blob/main/specs/transports-v2/http.md";
const X402_PATH: &str = "/x402/access";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain";

/// Which form of the card a client reads, from its `A2A-Version` header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AgentCardVersion {
    /// `A2A-Version: 1.0`: the card of that version and nothing else.
    V1_0,
    /// No header, or any other version: the 1.0 card with the three members that 0.3 clients need.
    Hybrid,
}

impl AgentCardVersion {
    /// Reads the header's value; only major and minor count.
    pub fn negotiate(header: Option<&str>) -> Self {
        let mut parts = header.unwrap_or_default().trim().split('.');
        match (parts.next(), parts.next()) {
            (Some("1"), Some("0")) => Self::V1_0,
            _ => Self::Hybrid,
        }
    }
}

/// The door that the card declares.
struct Door {
    url: String,
    binding: &'static str,
    /// The versions of A2A that the door speaks, the newest first.
    versions: &'static [&'static str],
    /// The media types that the door reads and answers with.
    modes: &'static [&'static str],
    /// How the door lists the plans; a phrase.
    discover: &'static str,
    /// How a plan is bought there; a phrase.
    buy: &'static str,
    /// How a route is called there; a phrase.
    call: &'static str,
}

impl Door {
    /// The A2A door.
    ///
    /// The x402 door is not declared beside it: an interface has all operations of A2A, and there are no tasks behind that
    /// door. The extension's parameters name it.
    fn a2a(origin: &HttpUrl) -> Self {
        Self {
            url: origin.join(A2A_PATH),
            binding: "JSONRPC",
            versions: &["1.0", "0.3"],
            modes: &[JSON, TEXT],
            discover: "send an AccessRequest without a plan, {} is enough",
            buy: "send an AccessRequest with a planId, then pay the x402 offer of the answer on the same task",
            call: "send an AccessRequest with a routeId and the call in resource, then pay like for a plan; the answer is a ResourceResponse",
        }
    }

    /// The x402 door, where A2A is off: a card must have an interface.
    fn x402(origin: &HttpUrl) -> Self {
        Self {
            url: origin.join(X402_PATH),
            binding: X402_HTTP_BINDING,
            versions: &["1.0"],
            modes: &[JSON],
            discover: "GET /discover",
            buy: "POST /x402/access with an x402 client",
            call: "call its path with an x402 client, or POST /x402/access with a routeId and the call in resource",
        }
    }

    fn interfaces(&self) -> Vec<Value> {
        let interface = |version: &&str| {
            json!({
                "url": self.url,
                "protocolBinding": self.binding,
                "protocolVersion": version,
            })
        };
        self.versions.iter().map(interface).collect()
    }
}

/// The card of this deployment, as seen at `origin`.
///
/// The card declares only what is served. No member is empty, because readers drop such members before they check a
/// signature. Both forms of the card have the same signature.
pub fn agent_card(config: &Config, origin: &HttpUrl, version: AgentCardVersion) -> Value {
    let seller = &config.seller;
    let door = match config.a2a.enabled {
        true => Door::a2a(origin),
        false => Door::x402(origin),
    };
    let mut card = json!({
        "name": seller.agent_name,
        "description": seller.agent_description,
        "version": env!("CARGO_PKG_VERSION"),
        "supportedInterfaces": door.interfaces(),
        "documentationUrl": origin.join("/discover"),
        "capabilities": {
            "streaming": false,
            "pushNotifications": false,
            "extensions": extensions(config, origin),
        },
        "defaultInputModes": door.modes,
        "defaultOutputModes": door.modes,
        "skills": skills(config, &door),
    });
    if let Some(provider) = &seller.provider {
        let provider = json!({"organization": provider.name, "url": provider.url.as_str()});
        set(&mut card, "provider", provider);
    }
    let key = config.a2a.card_key.as_ref();
    if let Some(signature) = key.and_then(|key| signature(&card, key, origin)) {
        set(&mut card, "signatures", json!([signature]));
    }
    if version == AgentCardVersion::Hybrid {
        set(&mut card, "url", json!(door.url));
        set(&mut card, "preferredTransport", json!(door.binding));
        set(&mut card, "protocolVersion", json!("0.3.0"));
    }
    card
}

/// What the agent does. A member without a value is left out.
fn skills(config: &Config, door: &Door) -> Vec<Value> {
    let (plans, routes) = (config.catalog.plans(), config.catalog.routes());
    let listed = match routes {
        [] => "plans and prices",
        _ => "plans, routes of the API, and prices",
    };
    let mut skills = vec![json!({
        "id": "discover-plans",
        "name": "Discover plans",
        "description": format!("Lists {listed}. Free: {}.", door.discover),
        "tags": ["catalog", "x402"],
        "examples": ["{}"],
    })];
    if let Some(plan) = plans.first() {
        skills.push(json!({
            "id": "request-access",
            "name": "Request access",
            "description": format!("Buys a plan with USDC and returns a bearer token: {}.", door.buy),
            "tags": ["payment", "x402"],
            "examples": [example(plan)],
        }));
    }
    let paid = routes.iter().find(|route| route.price.is_some());
    if let Some(route) = paid.or(routes.first()) {
        let resource = json!({"method": route.method.as_str(), "path": route.example_path()});
        let request = json!({"type": "AccessRequest", "routeId": route.id, "resource": resource});
        skills.push(json!({
            "id": "call-route",
            "name": "Call the API",
            "description": format!("Makes one call of a route of the API, paid with USDC: {}.", door.call),
            "tags": ["payment", "x402"],
            "examples": [request.to_string()],
        }));
    }
    skills
}

/// All versions of the x402 extension.
///
/// The newest version has parameters, with things that no other member of a card may hold: the plans, and where they
/// are sold without A2A. No version is `required`: a client that only asks for the plans pays nothing, and several
/// clients that pay send no extension header.
fn extensions(config: &Config, origin: &HttpUrl) -> [Value; 2] {
    let mut extensions = X402_EXTENSIONS
        .map(|uri| json!({"uri": uri, "description": "Pay with USDC on Base through x402."}));
    let [newest, _] = &mut extensions;
    let mut params = json!({
        "network": config.network.caip2(),
        "asset": config.network.usdc().to_checksum(None),
        "payTo": config.wallets.pay_to.to_checksum(None),
        "httpUrl": origin.join(X402_PATH),
    });
    let plans: Vec<_> = config.catalog.plans().iter().map(plan_entry).collect();
    if !plans.is_empty() {
        set(&mut params, "plans", json!(plans));
    }
    set(newest, "params", params);
    extensions
}

/// A message that buys a plan.
fn example(plan: &Plan) -> String {
    json!({"type": "AccessRequest", "planId": plan.id}).to_string()
}

fn plan_entry(plan: &Plan) -> Value {
    let mut entry = json!({"planId": plan.id, "unitAmount": plan.price});
    let description = plan.described();
    if !description.is_empty() {
        set(&mut entry, "description", json!(description));
    }
    entry
}

/// Adds a member to an object.
fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::config::test_config;

    fn card(version: AgentCardVersion) -> Value {
        let origin = "https://shop.example".parse().unwrap();
        agent_card(&test_config(), &origin, version)
    }

    #[test]
    fn the_version_header_chooses_the_form() {
        for (header, version) in [
            (None, AgentCardVersion::Hybrid),
            (Some(""), AgentCardVersion::Hybrid),
            (Some("0.3"), AgentCardVersion::Hybrid),
            (Some("1.0"), AgentCardVersion::V1_0),
            (Some(" 1.0.1 "), AgentCardVersion::V1_0),
        ] {
            assert_eq!(AgentCardVersion::negotiate(header), version, "{header:?}");
        }
    }

    #[test]
    fn both_forms_have_what_their_version_requires() {
        let common = [
            "name",
            "description",
            "version",
            "supportedInterfaces",
            "capabilities",
            "defaultInputModes",
            "defaultOutputModes",
            "skills",
        ];
        let only_0_3 = ["url", "preferredTransport", "protocolVersion"];
        let (new, hybrid) = (card(AgentCardVersion::V1_0), card(AgentCardVersion::Hybrid));
        for member in common {
            assert!(
                !new[member].is_null() && !hybrid[member].is_null(),
                "{member}"
            );
        }
        for member in only_0_3 {
            assert!(
                new[member].is_null() && !hybrid[member].is_null(),
                "{member}"
            );
        }
    }

    #[test]
    fn the_a2a_door_is_declared_in_both_versions_the_newest_first() {
        let (new, hybrid) = (card(AgentCardVersion::V1_0), card(AgentCardVersion::Hybrid));
        let interface = |version| json!({"url": "https://shop.example/a2a", "protocolBinding": "JSONRPC", "protocolVersion": version});
        assert_eq!(
            new["supportedInterfaces"],
            json!([interface("1.0"), interface("0.3")])
        );
        assert_eq!(hybrid["supportedInterfaces"], new["supportedInterfaces"]);
        assert_eq!(hybrid["url"], "https://shop.example/a2a");
        assert_eq!(hybrid["preferredTransport"], "JSONRPC");
        assert_eq!(hybrid["protocolVersion"], "0.3.0");
        assert_eq!(
            new["defaultInputModes"],
            json!(["application/json", "text/plain"])
        );
    }

    #[test]
    fn without_a2a_the_card_leads_to_the_x402_door_and_names_no_other() {
        let mut config = test_config();
        config.a2a.enabled = false;
        let origin = "https://shop.example".parse().unwrap();
        for version in [AgentCardVersion::V1_0, AgentCardVersion::Hybrid] {
            let card = agent_card(&config, &origin, version);
            assert_eq!(
                card["supportedInterfaces"],
                json!([{
                    "url": "https://shop.example/x402/access",
                    "protocolBinding": X402_HTTP_BINDING,
                    "protocolVersion": "1.0",
                }])
            );
            assert_eq!(card["defaultInputModes"], json!(["application/json"]));
            let text = card.to_string();
            assert!(
                !text.contains("JSONRPC") && !text.contains("/a2a\""),
                "{text}"
            );
        }
    }

    #[test]
    fn both_versions_of_the_extension_are_declared_and_none_is_required() {
        let card = card(AgentCardVersion::V1_0);
        let extensions = card["capabilities"]["extensions"].as_array().unwrap();
        let uris: Vec<_> = extensions
            .iter()
            .map(|extension| &extension["uri"])
            .collect();
        assert_eq!(uris, X402_EXTENSIONS);
        assert!(
            extensions
                .iter()
                .all(|extension| extension["required"].is_null())
        );
        let params = &extensions[0]["params"];
        assert_eq!(params["httpUrl"], "https://shop.example/x402/access");
        assert_eq!(params["plans"].as_array().unwrap().len(), 4);
    }

    #[test]
    fn a_skills_examples_are_requests_that_can_be_sent() {
        let card = card(AgentCardVersion::V1_0);
        let example = |skill: usize| -> Value {
            serde_json::from_str(card["skills"][skill]["examples"][0].as_str().unwrap()).unwrap()
        };
        assert_eq!(example(0), json!({}));
        let plan = test_config().catalog.plans()[0].id.clone();
        assert_eq!(example(1), json!({"type": "AccessRequest", "planId": plan}));
    }

    #[test]
    fn no_member_is_empty_so_that_readers_drop_none() {
        fn walk(value: &Value) {
            match value {
                Value::Null => panic!("null in the card"),
                Value::String(text) => assert!(!text.is_empty()),
                Value::Array(items) => {
                    assert!(!items.is_empty());
                    items.iter().for_each(walk);
                }
                Value::Object(members) => {
                    assert!(!members.is_empty());
                    members.values().for_each(walk);
                }
                Value::Bool(_) | Value::Number(_) => {}
            }
        }
        let mut config = test_config();
        let plans = r#"[{"planId":"without-description","unitAmount":"$1"}]"#;
        config.catalog = Catalog::from_json(plans).unwrap();
        let origin = "https://shop.example".parse().unwrap();
        for enabled in [true, false] {
            config.a2a.enabled = enabled;
            walk(&agent_card(&config, &origin, AgentCardVersion::Hybrid));
        }
        walk(&card(AgentCardVersion::Hybrid));
    }

    #[test]
    fn the_skills_are_what_is_sold() {
        let route = crate::catalog::testing::route("weather", "GET", "/weather/:city");
        let mut config = test_config();
        let plans = config.catalog.plans().to_vec();
        for (plans, routes, skills) in [
            (
                plans.clone(),
                vec![],
                &["discover-plans", "request-access"][..],
            ),
            (
                plans,
                vec![route.clone()],
                &["discover-plans", "request-access", "call-route"],
            ),
            (vec![], vec![route], &["discover-plans", "call-route"]),
        ] {
            config.catalog = Catalog::new(plans, routes);
            let origin = "https://shop.example".parse().unwrap();
            let card = agent_card(&config, &origin, AgentCardVersion::V1_0);
            let listed = card["skills"].as_array().unwrap();
            let ids: Vec<_> = listed
                .iter()
                .map(|skill| skill["id"].as_str().unwrap())
                .collect();
            assert_eq!(ids, skills);
            assert!(!card.to_string().contains("[]"), "{card}");
            if let Some(call) = listed.iter().find(|skill| skill["id"] == "call-route") {
                let example: Value =
                    serde_json::from_str(call["examples"][0].as_str().unwrap()).unwrap();
                assert_eq!(example["routeId"], "weather");
                assert!(example["resource"]["path"].is_string());
            }
        }
    }
}
