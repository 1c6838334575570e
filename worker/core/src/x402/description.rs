//! The part of an offer that tells catalogues how a route is called and what it answers (the extension `bazaar`).
//!
//! The description is sent in a header, which has to stay short. Parts of it may be left out, since the document at
//! `/openapi.json` has everything.

use serde_json::{Map, Value};

use crate::json;
use crate::json::Put as _;

use super::extensions::{self, BAZAAR, DIALECT};
use super::resource::ascii;
use crate::catalog::{Parameter, Route};
use crate::offer::Target;

/// The most bytes of a description that a facilitator is told.
const MAX_TOLD_BYTES: usize = 8_192;

/// The extensions that a facilitator with a catalogue gets: how to call what is sold, and nothing about a purchase.
/// `route`: the route of a call, if the catalog has it.
pub fn for_facilitators(target: &Target, route: Option<&Route>) -> Map<String, Value> {
    match (target, route) {
        (Target::Route { .. }, Some(route)) => members([(BAZAAR, Description::of(route).short())]),
        _ => extensions::for_catalogues(target),
    }
}

/// The description of how a route is called, as far as there is room for it.
#[derive(Clone, Debug)]
pub(super) struct Description<'a> {
    route: &'a Route,
    has_parameters: bool,
    body: Option<Value>,
    output: Option<Value>,
    example: Option<Value>,
}

impl<'a> Description<'a> {
    /// Everything that the seller has written about the route.
    pub(super) fn of(route: &'a Route) -> Self {
        let shapes = &route.shapes;
        Self {
            route,
            has_parameters: true,
            body: shapes.body.as_ref().and_then(schema),
            output: shapes.output.as_ref().and_then(schema),
            example: shapes.example.as_ref().and_then(plain),
        }
    }

    /// Leaves out the largest part that is left. `false` when no part was left.
    pub(super) fn shorten(&mut self) -> bool {
        let length = |part: &Option<Value>| part.as_ref().map_or(0, |part| part.to_string().len());
        let parameters = match self.has_parameters {
            true => length(&self.route.shapes.params),
            false => 0,
        };
        let parts = [
            parameters,
            length(&self.body),
            length(&self.output),
            length(&self.example),
        ];
        let largest = parts.iter().copied().max().unwrap_or_default();
        if largest == 0 {
            return false;
        }
        match parts.iter().position(|length| *length == largest) {
            Some(0) => self.has_parameters = false,
            Some(1) => self.body = None,
            Some(2) => self.output = None,
            _ => self.example = None,
        }
        true
    }

    /// Adds the description to an offer's `extensions`.
    pub(super) fn say_in(&self, extensions: &mut Value) {
        if let Some(extensions) = extensions.as_object_mut() {
            extensions.put(BAZAAR, self.bazaar());
        }
    }

    /// The value of the extension, for a message that has room for this much.
    pub(super) fn short(mut self) -> Value {
        loop {
            let bazaar = self.bazaar();
            if bazaar.to_string().len() <= MAX_TOLD_BYTES || !self.shorten() {
                return bazaar;
            }
        }
    }

    /// The value of the extension. Readers check `info` against `schema`.
    fn bazaar(&self) -> Value {
        let (input, of_input) = self.input();
        let mut info = members([("input", input)]);
        if let Some(example) = &self.example {
            let output = json!({"type": "json", "example": example});
            info.put("output", output);
        }
        // Registries expect a schema of the output, even an empty one.
        let output = self.output.clone().unwrap_or_else(|| json!({}));
        let of_output = json!({
            "type": "object",
            "properties": {"type": {"type": "string"}, "example": output},
        });
        let schema = json!({
            "$schema": DIALECT,
            "type": "object",
            "properties": {"input": of_input, "output": of_output},
            "required": ["input"],
        });
        let mut bazaar = members([("info", info.into()), ("schema", schema)]);
        if self.route.path_parameters().next().is_some() {
            let template = self.route.path.to_string();
            bazaar.put("routeTemplate", template.into());
        }
        bazaar.into()
    }

    /// An example of a call, and the schema of such calls.
    fn input(&self) -> (Value, Value) {
        let method = self.route.method.as_str();
        let mut input = members([("type", "http".into()), ("method", method.into())]);
        let mut properties = members([
            ("type", json!({"const": "http"})),
            ("method", json!({"const": method})),
        ]);
        let in_path = self.parameters(self.route.path_parameters());
        let in_query = match self.has_parameters {
            true => self.parameters(self.route.query_parameters()),
            false => None,
        };
        for (name, parameters) in [("pathParams", in_path), ("queryParams", in_query)] {
            if let Some((values, schema)) = parameters {
                if !values.is_empty() {
                    input.insert(name.to_owned(), values.into());
                }
                properties.insert(name.to_owned(), schema);
            }
        }
        let mut required = vec!["type", "method"];
        if !takes_body(method) {
            let none = properties.entry("queryParams");
            none.or_insert_with(|| json!({"type": "object"}));
        } else {
            input.put("bodyType", "json".into());
            input.put("body", self.sample_body());
            properties.put("bodyType", json!({"const": "json"}));
            properties.put("body", self.body.clone().unwrap_or_else(|| json!({})));
            required.extend(["bodyType", "body"]);
        }
        let schema = json!({"type": "object", "properties": properties, "required": required});
        (input.into(), schema)
    }

    /// Values of these parameters that the seller has given as examples, and the schema of all parameters.
    fn parameters<'p>(
        &self,
        parameters: impl Iterator<Item = Parameter<'p>>,
    ) -> Option<(Map<String, Value>, Value)> {
        let (mut values, mut properties) = (Map::new(), Map::new());
        let mut required = Vec::new();
        for parameter in parameters.filter(|parameter| parameter.name.is_ascii()) {
            let known = parameter.schema.filter(|_| self.has_parameters);
            let known = known.and_then(schema);
            properties.insert(
                parameter.name.to_owned(),
                known.unwrap_or_else(|| json!({"type": "string"})),
            );
            if let Some(value) = parameter.given().filter(|_| self.has_parameters)
                && let Some(value) = plain(&value)
            {
                values.insert(parameter.name.to_owned(), value);
            }
            if parameter.is_required {
                required.push(parameter.name);
            }
        }
        if properties.is_empty() {
            return None;
        }
        // The schema must not require a parameter that the example does not have.
        required.retain(|name| values.contains_key(*name));
        let schema = json!({"type": "object", "properties": properties, "required": required});
        Some((values, schema))
    }

    fn sample_body(&self) -> Value {
        let sample = self
            .body
            .as_ref()
            .and_then(|_| self.route.example_body())
            .and_then(|body| plain(&body));
        sample.unwrap_or_else(|| json!({}))
    }
}

fn members<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    let members = members.map(|(name, value)| (name.to_owned(), value));
    Map::from_iter(members)
}

/// Whether catalogues expect a body in calls with this method. They know calls with and without a body.
fn takes_body(method: &str) -> bool {
    matches!(method, "POST" | "PUT" | "PATCH")
}

/// A schema of the seller's as a part of another schema. `None` when that is not possible, because the schema refers to
/// parts of itself.
fn schema(schema: &Value) -> Option<Value> {
    if refers(schema) {
        return None;
    }
    let mut schema = plain(schema)?;
    if let Some(members) = schema.as_object_mut() {
        members.remove("$schema");
        members.remove("$id");
    }
    Some(schema)
}

fn refers(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(refers),
        Value::Object(members) => {
            members.get("$ref").is_some_and(Value::is_string) || members.values().any(refers)
        }
        _ => false,
    }
}

/// The value with its texts in ASCII, like everything that clients send back. `None` when a name would change by that.
fn plain(value: &Value) -> Option<Value> {
    Some(match value {
        Value::String(text) => ascii(text).into(),
        Value::Array(items) => items.iter().map(plain).collect::<Option<Vec<_>>>()?.into(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| {
                let name = name.is_ascii().then(|| name.clone())?;
                Some((name, plain(value)?))
            });
            members.collect::<Option<Map<_, _>>>()?.into()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::header::{decode, encode};
    use super::super::{PaymentRequired, Resource};
    use super::*;
    use crate::catalog::testing::route;
    use crate::catalog::{Route, Shapes};
    use crate::offer::{CallDigest, SealKeys, Terms};
    use crate::types::{Network, Secret, UnixSeconds};

    const MAX_OFFER_CHARS: usize = 4_608;

    fn weather() -> Route {
        let mut weather = route("weather", "GET", "/api/weather/:city");
        weather.shapes = Shapes {
            params: Some(json!({
                "$schema": "http://json-schema.org/draft-07/schema#",
                "properties": {
                    "city": {"type": "string", "example": "london"},
                    "units": {"enum": ["metric", "imperial"]},
                },
            })),
            body: None,
            output: Some(json!({"type": "object", "properties": {"celsius": {"type": "number"}}})),
            example: Some(json!({"celsius": 11})),
        };
        weather
    }

    #[test]
    fn a_call_is_described_by_example_and_schema() {
        assert_eq!(
            Description::of(&weather()).bazaar(),
            json!({
                "info": {
                    "input": {
                        "type": "http",
                        "method": "GET",
                        "pathParams": {"city": "london"},
                        "queryParams": {"units": "metric"},
                    },
                    "output": {"type": "json", "example": {"celsius": 11}},
                },
                "schema": {
                    "$schema": DIALECT,
                    "type": "object",
                    "properties": {
                        "input": {
                            "type": "object",
                            "properties": {
                                "type": {"const": "http"},
                                "method": {"const": "GET"},
                                "pathParams": {
                                    "type": "object",
                                    "properties": {"city": {"type": "string", "example": "london"}},
                                    "required": ["city"],
                                },
                                "queryParams": {
                                    "type": "object",
                                    "properties": {"units": {"enum": ["metric", "imperial"]}},
                                    "required": [],
                                },
                            },
                            "required": ["type", "method"],
                        },
                        "output": {
                            "type": "object",
                            "properties": {
                                "type": {"type": "string"},
                                "example": {"type": "object", "properties": {"celsius": {"type": "number"}}},
                            },
                        },
                    },
                    "required": ["input"],
                },
                "routeTemplate": "/api/weather/:city",
            })
        );
    }

    #[test]
    fn a_call_with_a_body_says_so_and_has_one() {
        let mut note = route("note", "POST", "/api/notes");
        let bare = Description::of(&note).bazaar();
        assert_eq!(bare["info"]["input"]["body"], json!({}));
        let output =
            |bazaar: &Value| bazaar["schema"]["properties"]["output"]["properties"].clone();
        assert_eq!(output(&bare)["example"], json!({}));
        assert_eq!(bare.get("routeTemplate"), None);
        note.shapes.body = Some(json!({"properties": {"title": {"const": "x"}}}));
        let bazaar = Description::of(&note).bazaar();
        assert_eq!(bazaar["info"]["input"]["body"], json!({"title": "x"}));
        assert_eq!(bazaar["info"]["input"]["bodyType"], "json");
        let properties = &bazaar["schema"]["properties"]["input"]["properties"];
        assert_eq!(properties["body"], note.shapes.body.unwrap());
    }

    #[test]
    fn a_call_without_parameters_has_the_members_that_registries_look_for() {
        let bazaar = Description::of(&route("status", "GET", "/api/status")).bazaar();
        let properties = &bazaar["schema"]["properties"];
        let input = &properties["input"]["properties"];
        assert_eq!(input["queryParams"], json!({"type": "object"}));
        assert_eq!(input.get("pathParams"), None);
        assert!(properties["output"]["properties"]["example"].is_object());
    }

    #[test]
    fn what_a_client_could_not_echo_or_a_reader_not_follow_is_left_out() {
        let mut note = route("note", "POST", "/api/notes");
        note.shapes = Shapes {
            params: None,
            body: Some(json!({"properties": {"title": {"$ref": "#/$defs/title"}}})),
            output: Some(json!({"description": "Z\u{fc}rich \u{2013} \u{1f600}"})),
            example: Some(json!({"gr\u{f6}\u{df}e": 1})),
        };
        let bazaar = Description::of(&note).bazaar();
        let properties = &bazaar["schema"]["properties"];
        assert_eq!(properties["input"]["properties"]["body"], json!({}));
        assert_eq!(
            properties["output"]["properties"]["example"],
            json!({"description": "Z?rich - ?"})
        );
        assert_eq!(bazaar["info"].get("output"), None);
    }

    /// The header with the offer of a call, including the description of the route.
    fn header(route: &Route, url: &str) -> String {
        let target = Target::Route {
            id: route.id.clone(),
            call: CallDigest::of([b"a call".as_slice()]),
        };
        let terms = Terms {
            request_id: "f47ac10b-58cc-4372-a567-0e02b2c3d479".parse().unwrap(),
            chosen: true,
            target,
            by_holder: false,
            resource: route.resource.clone(),
            lifetime: 0,
            extra: None,
            amount: route.price.unwrap(),
            pay_to: Network::Base.usdc(),
            network: Network::Base,
            issued_at: UnixSeconds(1_800_000_000),
            expires_at: UnixSeconds(1_800_000_960),
        };
        let offer = SealKeys::new(&Secret::new("s".repeat(32)), &[]).seal(terms);
        let resource = Resource::json(url, &route.description);
        let required = PaymentRequired::new(&offer, [], resource, "Payment required");
        encode(&required.describing(route, MAX_OFFER_CHARS)).unwrap()
    }

    /// A schema with a text of this length.
    fn text(length: usize) -> Option<Value> {
        Some(json!({"title": "x".repeat(length)}))
    }

    #[test]
    fn the_largest_parts_are_left_out_of_a_header_that_would_be_too_long() {
        let mut long = weather();
        long.description = "d".repeat(500);
        long.shapes.output = text(4_000);
        let short = decode(&header(&long, "https://shop.example/api/weather/london")).unwrap();
        let bazaar = &short["extensions"]["bazaar"];
        let output = &bazaar["schema"]["properties"]["output"]["properties"];
        assert_eq!(output["example"], json!({}));
        assert_eq!(bazaar["info"]["output"]["example"], json!({"celsius": 11}));
        assert_eq!(
            bazaar["info"]["input"]["queryParams"],
            json!({"units": "metric"})
        );
    }

    proptest! {
        #[test]
        fn the_header_of_a_described_call_is_short(
            lengths in prop::array::uniform4(0usize..6_000),
            description in 0usize..=500,
            query in 0usize..300,
        ) {
            let [params, body, output, example] = lengths;
            let mut long = route(&"r".repeat(64), "POST", &format!("/{}/:city", "p".repeat(100)));
            long.description = "\u{e9}".repeat(description);
            let of_city = json!({"city": {"description": "x".repeat(params)}});
            long.shapes = Shapes {
                params: Some(json!({"properties": of_city})),
                body: text(body),
                output: text(output),
                example: text(example),
            };
            let url = format!("https://shop.example/{}/x?{}", "p".repeat(100), "q".repeat(query));
            let header = header(&long, &url);
            prop_assert!(header.len() <= MAX_OFFER_CHARS, "{}", header.len());
            let bazaar = &decode(&header).unwrap()["extensions"]["bazaar"];
            prop_assert!(bazaar["schema"]["properties"]["input"].is_object());
            prop_assert!(bazaar["schema"]["properties"]["output"].is_object());
        }
    }
}
