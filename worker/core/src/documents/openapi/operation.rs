//! The operations: buying a plan, and each route.

use crate::json;
use crate::json::Put as _;
use http::Method;
use serde::Serialize;
use serde_json::Value;

use super::super::{markdown, words};
use super::payment::PaymentInfo;
use super::schemas::Schemas;
use crate::catalog::{Parameter, Route};
use crate::config::Config;

/// The name of the security scheme for access tokens.
pub(super) const TOKEN: &str = "accessToken";
/// The name of the component for the answer to a request without a payment.
pub(super) const UNPAID: &str = "402";
/// The name of the component for the answer to a token whose calls come faster, or more at a time, than its plan has.
pub(super) const TOO_FAST: &str = "429";
/// The name of the component for the header that carries the request id.
pub(super) const NAMED: &str = "IdempotencyKey";
const MAX_SUMMARY_CHARS: usize = 120;
/// As [`MAX_SUMMARY_CHARS`], in a document that has room for little.
const MAX_SHORT_SUMMARY_CHARS: usize = 40;

/// How much the document says of each operation. Registries read at most 64 kB.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Detail {
    /// What a registry cannot do without: the path, its parameters and the price.
    Least,
    /// The price and the path, and a short title.
    Price,
    /// The price, the path, and how the operation is called.
    Inputs,
    /// All that [`Detail::Inputs`] has, and what the operation answers.
    Outputs,
    /// All that [`Detail::Outputs`] has, and examples.
    All,
}

impl Detail {
    /// All levels of detail, the most detailed first.
    pub(super) const DESCENDING: [Self; 5] = [
        Self::All,
        Self::Outputs,
        Self::Inputs,
        Self::Price,
        Self::Least,
    ];
}

/// One operation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Operation {
    #[serde(skip_serializing_if = "String::is_empty")]
    operation_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    summary: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    security: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_body: Option<Value>,
    responses: Value,
    #[serde(rename = "x-payment-info", skip_serializing_if = "Option::is_none")]
    payment: Option<PaymentInfo>,
}

impl Operation {
    /// The operation that buys a plan. `None` when there are no plans.
    pub(super) fn access(config: &Config, detail: Detail) -> Option<Self> {
        let plans = config.catalog.plans();
        let prices = plans.iter().map(|plan| (plan.price, plan.id.as_str()));
        let payment = PaymentInfo::new(config, prices, true)?;
        let ids: Vec<&str> = plans.iter().map(|plan| plan.id.as_str()).collect();
        let described = plans.iter().map(|plan| {
            let terms = words::terms(plan, config);
            match detail {
                Detail::Price | Detail::Least => format!("- `{}`, {terms}", plan.id),
                _ => format!(
                    "- `{}`, {terms}: {}",
                    plan.id,
                    markdown::text(&plan.description)
                ),
            }
        });
        let mut id = "buyAccess".to_owned();
        while config
            .catalog
            .routes()
            .iter()
            .any(|route| route.id.as_str() == id)
        {
            id.push('_');
        }
        Some(Self {
            operation_id: id,
            summary: "Buy access: a plan for an access token".to_owned(),
            description: format!(
                "The answer without a payment is 402 with the price. Plans:\n\n{}",
                described.collect::<Vec<_>>().join("\n")
            ),
            security: Some(Vec::new()),
            parameters: Vec::new(),
            request_body: Some(body(
                &order(&ids, plans.iter().any(|plan| config.tops_up(plan))),
                ids.first().map(|id| json!({"planId": id})),
            )),
            responses: json!({
                "200": {"description": "The access.", "content": content(&grant(), None)},
                "402": unpaid(),
            }),
            payment: Some(payment),
        })
    }

    /// The operation that calls a route. `names` are the names that the document has for the parameters of the path.
    pub(super) fn call(
        config: &Config,
        route: &Route,
        names: &[&str],
        schemas: &mut Schemas,
        detail: Detail,
    ) -> Self {
        let shapes = &route.shapes;
        let prices = route.price.iter().map(|price| (*price, route.id.as_str()));
        let payment = PaymentInfo::new(config, prices, detail > Detail::Price);
        let is_paid = payment.is_some();
        let mut parameters = parameters(route, names, schemas, detail);
        // Registries expect that something can be sent with a paid call.
        if is_paid && (detail > Detail::Least || parameters.is_empty()) {
            parameters.push(json!({"$ref": format!("#/components/parameters/{NAMED}")}));
        }
        let takes_body = ![Method::GET, Method::DELETE].contains(&route.method);
        let request_body = shapes.body.as_ref().filter(|_| takes_body).map(|schema| {
            let schema = match detail {
                Detail::Price | Detail::Least => json!({}),
                _ => schemas.place(&format!("{}.body", route.id), schema),
            };
            let example = route.example_body().filter(|_| detail == Detail::All);
            body(&schema, example)
        });
        Self {
            operation_id: match detail {
                Detail::Least => String::new(),
                _ => route.id.to_string(),
            },
            summary: match detail {
                Detail::Least => String::new(),
                Detail::Price => summary(route, MAX_SHORT_SUMMARY_CHARS),
                _ => summary(route, MAX_SUMMARY_CHARS),
            },
            description: match detail {
                Detail::Price | Detail::Least => String::new(),
                _ => description(config, route),
            },
            security: match (is_paid, route.plans.is_empty()) {
                // Either no token, and the caller pays; or a token of a plan instead of the payment.
                (true, false) if detail > Detail::Least => {
                    Some(vec![json!({}), json!({TOKEN: []})])
                }
                // A price says by itself that nothing else is needed.
                (true, _) if detail == Detail::Least => None,
                _ => Some(Vec::new()),
            },
            parameters,
            request_body,
            responses: {
                let is_metered = words::is_metered(route, config) && detail > Detail::Price;
                responses(route, schemas, detail, (is_paid, is_metered))
            },
            payment,
        }
    }
}

/// The first words of the description, or else the method and path.
fn summary(route: &Route, most: usize) -> String {
    let text = route
        .description
        .split(['\n', '\r'])
        .next()
        .unwrap_or_default();
    let text = text.trim();
    match text.chars().count() {
        0 => format!("{} {}", route.method, route.path),
        length if length <= most => text.to_owned(),
        _ => {
            let kept = text.chars().take(most.saturating_sub(1));
            kept.chain(['\u{2026}']).collect()
        }
    }
}

fn description(config: &Config, route: &Route) -> String {
    let own = Some(route.description.clone()).filter(|text| !text.is_empty());
    let charged = words::charged(route, config).map(str::to_owned);
    let opened = words::opened_by(route);
    let sentences = [own, charged, opened].into_iter().flatten();
    sentences.collect::<Vec<_>>().join(" ")
}

fn parameters(route: &Route, names: &[&str], schemas: &mut Schemas, detail: Detail) -> Vec<Value> {
    let schema = |schemas: &mut Schemas, parameter: &Parameter<'_>| match (
        parameter.schema,
        &route.shapes.params,
    ) {
        (Some(schema), Some(whole)) if detail > Detail::Price => {
            let name = format!("{}.params", route.id);
            schemas.property(&name, whole, parameter.name, schema)
        }
        _ => json!({"type": "string"}),
    };
    let mut parameters = Vec::new();
    for (parameter, name) in route.path_parameters().zip(names) {
        if detail == Detail::Least {
            parameters.push(schemas.path_parameter(name));
            continue;
        }
        let schema = schema(schemas, &parameter);
        parameters.push(json!({"name": name, "in": "path", "required": true, "schema": schema}));
    }
    let in_query = route.query_parameters().filter(|parameter| {
        // With the least detail, optional parameters are left out: callers may leave them out, too.
        detail > Detail::Least || parameter.is_required
    });
    for parameter in in_query {
        let (name, required) = (parameter.name, parameter.is_required);
        let schema = schema(schemas, &parameter);
        parameters
            .push(json!({"name": name, "in": "query", "required": required, "schema": schema}));
    }
    parameters
}

fn responses(
    route: &Route,
    schemas: &mut Schemas,
    detail: Detail,
    (is_paid, is_metered): (bool, bool),
) -> Value {
    let shapes = &route.shapes;
    let output = shapes.output.as_ref().filter(|_| detail >= Detail::Outputs);
    let output = output.map(|schema| schemas.place(&format!("{}.output", route.id), schema));
    let example = shapes.example.clone().filter(|_| detail == Detail::All);
    let answer = match (output, example) {
        (None, None) if detail == Detail::Least => json!({"description": ""}),
        (None, None) => json!({"description": "The answer."}),
        (schema, example) => {
            let schema = schema.unwrap_or_else(|| json!({}));
            json!({"description": "The answer.", "content": content(&schema, example)})
        }
    };
    let mut responses = match is_paid {
        true => json!({"200": answer, "402": unpaid()}),
        false => json!({"200": answer}),
    };
    if let (true, Some(all)) = (is_metered, responses.as_object_mut()) {
        let too_fast = json!({"$ref": format!("#/components/responses/{TOO_FAST}")});
        all.put("429", too_fast);
    }
    responses
}

fn unpaid() -> Value {
    json!({"$ref": format!("#/components/responses/{UNPAID}")})
}

fn body(schema: &Value, example: Option<Value>) -> Value {
    json!({"required": true, "content": content(schema, example)})
}

fn content(schema: &Value, example: Option<Value>) -> Value {
    match example {
        Some(example) => json!({"application/json": {"schema": schema, "example": example}}),
        None => json!({"application/json": {"schema": schema}}),
    }
}

/// The schema of the body that buys a plan.
fn order(plans: &[&str], is_topped_up: bool) -> Value {
    let mut schema = json!({
        "type": "object",
        "required": ["planId"],
        "properties": {
            "planId": {"type": "string", "enum": plans},
            "requestId": {
                "type": "string",
                "format": "uuid",
                "description": "Names the purchase. Choose one, and keep it secret: with the same one the same request is charged once.",
            },
            "resourceId": {"type": "string", "description": "What the token is to open, if the plan leaves a choice."},
        },
    });
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut)
        && is_topped_up
    {
        let text = "To top up an access with the plan that it was bought with: its access token; or, for the wallet that bought it, the \
                    requestId of that purchase.";
        properties.put("grant", json!({"type": "string", "description": text}));
    }
    schema
}

/// The schema of the answer to a paid plan.
fn grant() -> Value {
    let text = json!({"type": "string"});
    json!({
        "type": "object",
        "required": ["type", "accessToken", "tokenType", "planId", "requestId"],
        "properties": {
            "type": {"const": "AccessGrant"},
            "accessToken": {"type": "string", "description": "Sent as Authorization: Bearer."},
            "tokenType": text,
            "expiresAt": text,
            "resourceEndpoint": {"type": "string", "description": "Where the token is used."},
            "resourceId": text,
            "planId": text,
            "requestId": text,
            "challengeId": text,
            "txHash": text,
            "explorerUrl": text,
        },
    })
}
