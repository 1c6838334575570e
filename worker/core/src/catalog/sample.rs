//! Makes an example of a call from what the seller has written about its parameters and body.

use core::fmt::Write as _;

use serde_json::{Map, Value};

use crate::json;

use super::path::Segment;
use super::route::Route;

/// Schemas below this depth have no example: a schema may contain itself.
const MAX_DEPTH: usize = 6;

/// One parameter of a route's path or query.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Parameter<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its JSON Schema, if the seller has written one.
    pub schema: Option<&'a Value>,
    /// Whether a call must have the parameter.
    pub is_required: bool,
}

impl Route {
    /// The parameters of the path, in its order.
    pub fn path_parameters(&self) -> impl Iterator<Item = Parameter<'_>> {
        self.path
            .segments()
            .iter()
            .filter_map(|segment| match segment {
                Segment::Parameter(name) => Some(self.path_parameter(name)),
                Segment::Literal(_) => None,
            })
    }

    fn path_parameter<'a>(&'a self, name: &'a str) -> Parameter<'a> {
        Parameter {
            name,
            schema: self.properties().and_then(|known| known.get(name)),
            is_required: true,
        }
    }

    /// The parameters of the query.
    pub fn query_parameters(&self) -> impl Iterator<Item = Parameter<'_>> {
        let properties = self.properties().into_iter().flatten();
        let other = properties.filter(|(name, _)| {
            let in_path = |part: &Segment| matches!(part, Segment::Parameter(it) if it == *name);
            !self.path.segments().iter().any(in_path)
        });
        other.map(|(name, schema)| Parameter {
            name,
            schema: Some(schema),
            is_required: required(self.shapes.params.as_ref()).any(|needed| needed == name),
        })
    }

    fn properties(&self) -> Option<&Map<String, Value>> {
        self.shapes.params.as_ref()?.get("properties")?.as_object()
    }

    /// Path and query of an example call. A parameter without a known value is shown by its name in capitals.
    pub fn example_path(&self) -> String {
        let value = |parameter: &Parameter<'_>| match parameter.sample() {
            Some(Value::String(text)) => text,
            Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
            _ => parameter.name.to_uppercase(),
        };
        let mut path = String::new();
        for segment in self.path.segments() {
            path.push('/');
            match segment {
                Segment::Literal(text) => path.push_str(text),
                Segment::Parameter(name) => {
                    path.push_str(&encoded(&value(&self.path_parameter(name))));
                }
            }
        }
        if self.path.to_string().ends_with('/') {
            path.push('/');
        }
        let needed = self.query_parameters().filter(|it| it.is_required);
        for (at, parameter) in needed.enumerate() {
            path.push(if at == 0 { '?' } else { '&' });
            path.push_str(&encoded(parameter.name));
            path.push('=');
            path.push_str(&encoded(&value(&parameter)));
        }
        path
    }

    /// The body of an example call; `None` when the seller has not described a body.
    pub fn example_body(&self) -> Option<Value> {
        let schema = self.shapes.body.as_ref()?;
        Some(sample(schema).unwrap_or_else(|| json!({})))
    }
}

impl Parameter<'_> {
    /// The value that the seller gives as an example, or the only value that the parameter may have.
    pub fn given(&self) -> Option<Value> {
        given(self.schema?).cloned()
    }

    /// A value for an example; `None` where the parameter's name is the better example.
    fn sample(&self) -> Option<Value> {
        let schema = self.schema?;
        let is_text = schema.get("type").is_none_or(|kind| kind == "string");
        match given(schema) {
            Some(value) => Some(value.clone()),
            // The parameter's name says more than any example text.
            None if is_text => None,
            None => sample(schema),
        }
    }
}

/// The value that the seller's schema gives as an example.
fn given(schema: &Value) -> Option<&Value> {
    let first = |name: &str| schema.get(name)?.as_array()?.first();
    let member = |name: &str| schema.get(name);
    member("example")
        .or_else(|| first("examples"))
        .or_else(|| member("const"))
        .or_else(|| member("default"))
        .or_else(|| first("enum"))
}

fn required(schema: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = schema.and_then(|schema| schema.get("required")?.as_array());
    list.into_iter().flatten().filter_map(Value::as_str)
}

/// A value that a schema allows, as far as we read the schema; `None` where no such value is found.
pub(super) fn sample(schema: &Value) -> Option<Value> {
    sample_at(schema, 0)
}

fn sample_at(schema: &Value, depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    if let Some(value) = given(schema) {
        return Some(value.clone());
    }
    let choices = ["oneOf", "anyOf", "allOf"].into_iter();
    let choice = choices
        .filter_map(|name| schema.get(name)?.as_array()?.first())
        .find_map(|choice| sample_at(choice, depth + 1));
    if choice.is_some() {
        return choice;
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        kind => kind.and_then(Value::as_str),
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    match (kind, properties) {
        (Some("object") | None, Some(properties)) => {
            let needed: Vec<&str> = required(Some(schema)).collect();
            let members = properties
                .iter()
                .filter(|(name, _)| needed.is_empty() || needed.contains(&name.as_str()))
                .filter_map(|(name, schema)| Some((name.clone(), sample_at(schema, depth + 1)?)));
            Some(Value::Object(members.collect()))
        }
        (Some("object"), None) => Some(json!({})),
        (Some("array"), _) => {
            let item = schema
                .get("items")
                .and_then(|items| sample_at(items, depth + 1));
            Some(Value::Array(item.into_iter().collect()))
        }
        (Some("string"), _) => text(schema).map(Value::from),
        (Some("integer" | "number"), _) => {
            Some(schema.get("minimum").cloned().unwrap_or_else(|| json!(1)))
        }
        (Some("boolean"), _) => Some(json!(true)),
        _ => None,
    }
}

fn text(schema: &Value) -> Option<&'static str> {
    if schema.get("pattern").is_some() {
        return None;
    }
    Some(match schema.get("format").and_then(Value::as_str) {
        None => "text",
        Some("date") => "2027-01-31",
        Some("date-time") => "2027-01-31T12:00:00Z",
        Some("email") => "agent@example.com",
        Some("uri" | "url") => "https://example.com",
        Some("uuid") => "7f6d8a52-9d1c-4c1e-8a55-5d1f0c9b6e10",
        Some(_) => return None,
    })
}

/// Percent-encodes a text, so that it is one value wherever it stands in a URL.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => encoded.push(char::from(byte)),
            // Writing into a `String` does not fail.
            false => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::route;
    use super::*;

    #[test]
    fn an_example_call_has_the_sellers_values_or_says_what_to_fill_in() {
        let mut weather = route("weather", "GET", "/api/weather/:city/:day");
        assert_eq!(weather.example_path(), "/api/weather/CITY/DAY");
        weather.shapes.params = Some(json!({
            "properties": {
                "city": {"type": "string", "example": "S\u{e3}o Paulo/SP"},
                "day": {"type": "integer", "minimum": 3},
                "units": {"enum": ["metric", "imperial"]},
                "lang": {"type": "string"},
            },
            "required": ["units"],
        }));
        assert_eq!(
            weather.example_path(),
            "/api/weather/S%C3%A3o%20Paulo%2FSP/3?units=metric"
        );
        let query: Vec<_> = weather
            .query_parameters()
            .map(|it| (it.name, it.is_required))
            .collect();
        assert_eq!(query, [("lang", false), ("units", true)]);
        assert_eq!(
            route("r", "GET", "/a/:b/").example_path(),
            "/a/B/",
            "the slash at the end stays"
        );
    }

    #[test]
    fn a_body_has_what_is_needed() {
        let mut note = route("note", "POST", "/api/notes");
        assert_eq!(note.example_body(), None);
        note.shapes.body = Some(json!({
            "type": "object",
            "properties": {
                "title": {"type": "string"},
                "tags": {"type": "array", "items": {"enum": ["a", "b"]}},
                "due": {"type": ["string", "null"], "format": "date"},
                "note": {"type": "string"},
            },
            "required": ["title", "tags", "due"],
        }));
        assert_eq!(
            note.example_body(),
            Some(json!({"title": "text", "tags": ["a"], "due": "2027-01-31"}))
        );
        note.shapes.body = Some(json!({"type": "string", "pattern": "^x+$"}));
        assert_eq!(note.example_body(), Some(json!({})));
    }

    fn schemas() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            Just(json!([])),
            Just(json!({"type": "object"})),
            Just(json!({"enum": []})),
            ".{0,8}".prop_map(|text| json!({"type": text, "required": text, "items": text})),
        ];
        leaf.prop_recursive(10, 40, 3, |inner| {
            let name = prop_oneof![Just("items"), Just("anyOf"), Just("properties"), Just("x")];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                (name, inner).prop_map(|(name, inner)| json!({"type": "array", name: inner})),
            ]
        })
    }

    proptest! {
        #[test]
        fn strange_schemas_never_panic(schema in schemas()) {
            let mut strange = route("r", "POST", "/a/:b");
            strange.shapes.params = Some(schema.clone());
            strange.shapes.body = Some(schema);
            let _ = (strange.example_path(), strange.example_body());
        }
    }
}
