//! The OpenAPI document as a whole.

use std::collections::BTreeMap;

use crate::json;
use crate::json::Put as _;
use serde::Serialize;
use serde_json::Value;

use super::super::paths::LLMS_PATH;
use super::super::words;
use super::operation::{Detail, NAMED, Operation, TOKEN, TOO_FAST, UNPAID};
use super::schemas::Schemas;
use crate::catalog::{Route, Segment};
use crate::config::Config;
use crate::types::HttpUrl;

/// The most bytes that registries read.
const MAX_BYTES: usize = 64_000;

/// `GET /openapi.json`: what can be bought and called, for registries and programs (OpenAPI 3.1).
#[derive(Debug, Serialize)]
struct Document {
    openapi: &'static str,
    info: Value,
    servers: [Value; 1],
    paths: BTreeMap<String, BTreeMap<String, Operation>>,
    components: Value,
    #[serde(rename = "x-service-info")]
    service: Value,
    #[serde(
        rename = "x-agentcash-guidance",
        skip_serializing_if = "Option::is_none"
    )]
    guidance: Option<Guidance>,
    #[serde(rename = "externalDocs")]
    docs: Docs,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Guidance {
    llms_txt_url: String,
}

#[derive(Debug, Serialize)]
struct Docs {
    description: &'static str,
    url: String,
}

/// The document of this deployment, as seen at `origin`. It has as much of each operation as fits into what registries
/// read. Where not even the least of all operations fits, the last routes are left out, and the document says so: what is
/// cut off by its reader is no document any more.
pub fn openapi(config: &Config, origin: &HttpUrl) -> Value {
    let all = config.catalog.routes();
    let of = |detail, routes| {
        let document = document(config, origin, detail, routes);
        serde_json::to_value(document).unwrap_or_default()
    };
    let fits = |document: &Value| document.to_string().len() <= MAX_BYTES;
    let mut documents = Detail::DESCENDING.map(|detail| of(detail, all)).into_iter();
    if let Some(document) = documents.find(fits) {
        return document;
    }
    let shorter = |count| {
        let routes = all.get(..count).unwrap_or_default();
        let mut document = of(Detail::Least, routes);
        if let Some(info) = document.get_mut("info").and_then(Value::as_object_mut) {
            let said = format!(
                "This document has {count} of {} routes. {} has all.",
                all.len(),
                origin.join("/discover")
            );
            info.put("x-left-out", said.into());
        }
        document
    };
    // One more route never makes the document shorter.
    let counts: Vec<usize> = (0..all.len()).collect();
    let fitting = counts.partition_point(|count| fits(&shorter(*count)));
    shorter(fitting.saturating_sub(1))
}

fn document(config: &Config, origin: &HttpUrl, detail: Detail, routes: &[Route]) -> Document {
    let mut schemas = Schemas::default();
    let mut paths: BTreeMap<String, BTreeMap<String, Operation>> = BTreeMap::new();
    if let Some(access) = Operation::access(config, detail) {
        let path = paths.entry(words::ACCESS_PATH.to_owned()).or_default();
        path.insert("post".to_owned(), access);
    }
    for route in routes {
        // To OpenAPI, paths that differ only in the names of their parameters are one path.
        let first = routes.iter().find(|other| form(other) == form(route));
        let path = first.unwrap_or(route);
        let names: Vec<&str> = path.path_parameters().map(|it| it.name).collect();
        let operation = Operation::call(config, route, &names, &mut schemas, detail);
        let method = route.method.as_str().to_ascii_lowercase();
        paths
            .entry(template(path))
            .or_default()
            .insert(method, operation);
    }
    let llms = config.documents.llms;
    Document {
        openapi: "3.1.0",
        info: info(config, origin),
        servers: [json!({"url": origin.as_str()})],
        paths,
        components: components(config, schemas),
        service: service(origin, llms),
        guidance: llms.then(|| Guidance {
            llms_txt_url: origin.join(LLMS_PATH),
        }),
        docs: Docs {
            description: "Prices and how to buy, for people",
            url: origin.join("/"),
        },
    }
}

/// The segments of a route's path, without the names of the parameters.
fn form(route: &Route) -> Vec<Option<&str>> {
    let segments = route.path.segments().iter();
    let parts = segments.map(|segment| match segment {
        Segment::Literal(text) => Some(text.as_str()),
        Segment::Parameter(_) => None,
    });
    let ends_in_slash = route.path.to_string().ends_with('/');
    parts.chain(ends_in_slash.then_some(Some(""))).collect()
}

/// A path as OpenAPI writes it.
fn template(route: &Route) -> String {
    let mut path = String::new();
    for segment in route.path.segments() {
        match segment {
            Segment::Literal(text) => path.extend(["/", text]),
            Segment::Parameter(name) => path.extend(["/{", name, "}"]),
        }
    }
    if route.path.to_string().ends_with('/') {
        path.push('/');
    }
    path
}

fn info(config: &Config, origin: &HttpUrl) -> Value {
    let seller = &config.seller;
    let provider = seller.provider.as_ref();
    let name = provider.map_or(&seller.agent_name, |provider| &provider.name);
    let url = provider.map_or_else(
        || origin.join("/"),
        |provider| provider.url.as_str().to_owned(),
    );
    let contact = match &seller.contact {
        Some(email) => json!({"name": name, "url": url, "email": email}),
        None => json!({"name": name, "url": url}),
    };
    json!({
        "title": seller.agent_name,
        "description": seller.agent_description,
        "version": env!("CARGO_PKG_VERSION"),
        "contact": contact,
        "x-guidance": words::guidance(config, origin),
    })
}

fn service(origin: &HttpUrl, llms: bool) -> Value {
    let docs = match llms {
        true => json!({"homepage": origin.join("/"), "llms": origin.join(LLMS_PATH)}),
        false => json!({"homepage": origin.join("/")}),
    };
    json!({"docs": docs})
}

fn components(config: &Config, schemas: Schemas) -> Value {
    let has_tokens = config
        .catalog
        .routes()
        .iter()
        .any(|route| !route.plans.is_empty());
    let schemes = match has_tokens {
        true => json!({TOKEN: {
            "type": "http",
            "scheme": "bearer",
            "description": "The access token of a plan that opens the operation. Without one, pay for the call.",
        }}),
        false => json!({}),
    };
    let (schemas, mut parameters) = schemas.into_components();
    let named = json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "description": "Names the purchase, so that the same request sent again is charged once. A UUID of your own.",
        "schema": {"type": "string", "maxLength": 255},
    });
    parameters.insert(NAMED.to_owned(), named);
    let mut routes = config.catalog.routes().iter();
    let is_metered = routes.any(|route| words::is_metered(route, config));
    let mut responses = json!({UNPAID: unpaid()});
    if let (true, Some(all)) = (is_metered, responses.as_object_mut()) {
        all.put(TOO_FAST, too_fast());
    }
    json!({
        "schemas": schemas,
        "securitySchemes": schemes,
        "parameters": parameters,
        "responses": responses,
    })
}

fn unpaid() -> Value {
    json!({
        "description": "Not paid yet. The header PAYMENT-REQUIRED has the price (base64 of JSON, x402 version 2), the body has it \
                        for x402 version 1, and the header WWW-Authenticate, if it is there, for the Machine Payments Protocol. \
                        Nothing was charged.",
        "headers": {"PAYMENT-REQUIRED": {"schema": {"type": "string"}}},
        "content": {"application/json": {"schema": {
            "type": "object",
            "properties": {
                "x402Version": {"const": 1},
                "accepts": {"type": "array", "items": {"type": "object"}},
                "error": {"type": "string"},
                "message": {"type": "string"},
            },
        }}},
    })
}

fn too_fast() -> Value {
    json!({
        "description": "With the token of a plan with limits: its calls come too fast, or too many are under way. Nothing was charged or \
                        counted.",
        "headers": {
            "Retry-After": {
                "description": "After so many seconds the same call may be made.",
                "schema": {"type": "integer"},
            },
            "Key0-Left": {
                "description": "What is left of a plan that says how much there is: calls, like 1649, or dollars, like $4.98. Answers to calls that are counted have it too.",
                "schema": {"type": "string"},
            },
            "RateLimit": {
                "description": "The same as in draft-ietf-httpapi-ratelimit-headers, with RateLimit-Policy.",
                "schema": {"type": "string"},
            },
        },
    })
}

#[cfg(test)]
mod tests;
