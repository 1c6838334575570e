//! A call that a client describes in JSON, because its door is not the API's own path.
//!
//! What is described is read as if it had been sent: path, query, headers and body pass the same checks, and give the
//! same digest. So it makes no difference to a payment at which door the call is made.

use crate::json;
use crate::json::Put as _;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::call::{Call, Sent};
use super::whole::whole;
use crate::backend::origin::passed_on_for_payment;
use crate::catalog::{Catalog, Found, Route};
use crate::checkout::Brought;
use crate::error::{Code, Error};
use crate::types::{HttpUrl, RouteId};

const MEMBERS: [&str; 4] = ["method", "path", "headers", "body"];
const MAX_HEADERS: usize = 16;

/// A call that was described and fits its route.
#[derive(Debug)]
pub(super) struct Described<'a> {
    pub(super) call: Call<'a>,
    /// The path as it was described.
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl<'a> Described<'a> {
    /// Reads the description of a call of this route: `resource`, with the members `method`, `path`, `headers` and
    /// `body`, where only `path` is required.
    pub(super) fn read(
        catalog: &'a Catalog,
        origin: &HttpUrl,
        id: &RouteId,
        resource: Option<&Value>,
    ) -> Result<Self, Error> {
        let Some(named) = catalog.route(id) else {
            return Err(unknown(id, origin));
        };
        let Some(Value::Object(resource)) = resource else {
            return Err(no_path(named));
        };
        let member = |name: &str| resource.get(name).filter(|value| !value.is_null());
        if let Some(other) = unknown_member(resource) {
            let message = format!(
                "`{other}` in resource is not read, so nothing was called. resource has path (with its query), method, headers and body."
            );
            return Err(Error::invalid_request(message).with_details(json!({"member": other})));
        }
        let path = member("path").ok_or_else(|| no_path(named))?;
        let path = path.as_str().ok_or_else(|| no_path(named))?;
        if let Some(method) = member("method") {
            let is_its = method
                .as_str()
                .is_some_and(|method| method.eq_ignore_ascii_case(named.method.as_str()));
            if !is_its {
                return Err(not_its(named));
            }
        }
        if named.stream {
            return Err(streamed(named, origin));
        }
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let described = path.to_owned();
        let (route, path) = match catalog.find(&named.method, path) {
            Found::Route(route, path) if route.id == named.id => (route, path),
            Found::BadPath(why) => {
                let message = format!("The path {why}. Nothing was charged for this request.");
                return Err(Error::invalid_request(message));
            }
            _ => return Err(not_its(named)),
        };
        let mut headers = member("headers").map_or_else(|| Ok(HeaderMap::new()), headers)?;
        let body = match member("body") {
            None => Vec::new(),
            Some(Value::String(text)) => text.clone().into_bytes(),
            Some(value) => whole_numbers(value.clone()).to_string().into_bytes(),
        };
        if !body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let call = Call::new(route, path, query, &headers, &body);
        Ok(Self {
            call: call.map_err(|fault| fault.error())?,
            path: described,
            headers,
            body,
        })
    }

    /// The call as it would have been sent to its own path.
    pub(super) fn sent(&self) -> Sent<'_> {
        Sent {
            method: &self.call.method,
            path: &self.path,
            query: &self.call.query,
            headers: &self.headers,
            body: &self.body,
        }
    }

    /// The call in the form in which it is sent.
    pub(super) fn brought(&self) -> Brought {
        let Call { route, digest, .. } = &self.call;
        Brought {
            digest: *digest,
            route: route.id.clone(),
            method: self.call.method.clone(),
            target: self.target(),
            headers: passed_on_for_payment(&self.headers, route, false),
            body: self.body.clone(),
        }
    }

    /// The URL at which the same call can be made, and paid, without a description.
    pub(super) fn url(&self, origin: &HttpUrl) -> String {
        origin.join(&self.target())
    }

    /// How the same call is made, and paid, over HTTP; in ASCII.
    pub(super) fn over_http(&self, origin: &HttpUrl) -> String {
        let (method, url) = (&self.call.method, self.url(origin));
        match core::str::from_utf8(&self.body) {
            Ok("") => format!("method {method}, url {url}"),
            Ok(body) if body.is_ascii() => format!("method {method}, url {url}, body {body}"),
            _ => format!("method {method}, url {url}, with the body of the call"),
        }
    }

    fn target(&self) -> String {
        match (self.call.path.as_str(), self.call.query.as_str()) {
            (path, "") => path.to_owned(),
            (path, query) => format!("{path}?{query}"),
        }
    }
}

fn unknown_member(resource: &Map<String, Value>) -> Option<&str> {
    let mut members = resource.iter();
    let other =
        |(name, value): &(&String, &Value)| !value.is_null() && !MEMBERS.contains(&name.as_str());
    let (name, _) = members.find(other)?;
    Some(name)
}

fn headers(described: &Value) -> Result<HeaderMap, Error> {
    let wrong = || {
        Error::invalid_request(format!(
            "resource.headers must be an object of at most {MAX_HEADERS} headers, whose values are texts."
        ))
    };
    let members = described.as_object().ok_or_else(wrong)?;
    if members.len() > MAX_HEADERS {
        return Err(wrong());
    }
    let mut headers = HeaderMap::new();
    for (name, value) in members {
        let name: HeaderName = name.parse().map_err(|_| wrong())?;
        let value = value.as_str().and_then(|text| text.parse().ok());
        // Two names that differ only in case are one header.
        if headers.insert(name, value.ok_or_else(wrong)?).is_some() {
            return Err(wrong());
        }
    }
    Ok(headers)
}

/// Writes whole numbers as such. Some clients carry all numbers as floats, and the API may insist on `3`, not `3.0`.
fn whole_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            let number = Value::Number(number);
            whole(&number).map_or(number, Value::from)
        }
        Value::Array(items) => items.into_iter().map(whole_numbers).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, whole_numbers(value)))
            .collect(),
        other => other,
    }
}

fn unknown(id: &RouteId, origin: &HttpUrl) -> Error {
    let catalog = origin.join("/discover");
    let message =
        format!("Route \"{id}\" not found. The price list at {catalog} names what is sold.");
    Error::new(Code::TierNotFound, message)
        .with_details(json!({"routeId": id, "discover": catalog}))
}

/// How a call of this route is described, for errors.
fn shape(route: &Route) -> Value {
    let mut resource = json!({"method": route.method.as_str(), "path": route.resource});
    if let (Method::POST | Method::PUT | Method::PATCH, Some(members)) =
        (route.method.clone(), resource.as_object_mut())
    {
        members.put("body", "<the body>".into());
    }
    json!({"routeId": route.id, "resource": resource})
}

fn no_path(route: &Route) -> Error {
    let message = format!(
        "A call of route \"{}\" needs resource.path: the path that is called, with its query. details.send shows the form.",
        route.id
    );
    Error::new(Code::MissingResourceField, message).with_details(json!({"send": shape(route)}))
}

fn not_its(route: &Route) -> Error {
    let message = format!(
        "resource is no call of route \"{}\", which is {} {}. Nothing was charged for this request.",
        route.id, route.method, route.resource
    );
    Error::invalid_request(message).with_details(json!({"send": shape(route)}))
}

fn streamed(route: &Route, origin: &HttpUrl) -> Error {
    let url = origin.join(route.resource.as_str());
    let message = format!(
        "The answers of route \"{}\" are passed on while they arrive, which this door cannot do: {} {url} itself. Nothing was \
         charged for this request.",
        route.id, route.method
    );
    Error::invalid_request(message).with_details(json!({"url": url}))
}

#[cfg(test)]
mod tests;
