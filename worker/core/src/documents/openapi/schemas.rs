//! Puts the seller's schemas into the document.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::json;

/// Collects schemas that refer to parts of themselves. Each gets a place of its own in the document, to which its
/// references are changed.
#[derive(Debug, Default)]
pub(super) struct Schemas {
    schemas: BTreeMap<String, Value>,
    parameters: BTreeMap<String, Value>,
}

impl Schemas {
    /// A schema in a form that may stand anywhere in the document. If it refers to parts of itself, it is moved to the
    /// place `name`.
    pub(super) fn place(&mut self, name: &str, schema: &Value) -> Value {
        if !refers(schema) {
            return bare(schema);
        }
        let place = format!("#/components/schemas/{name}");
        self.schemas
            .insert(name.to_owned(), moved(&bare(schema), &place));
        json!({"$ref": place})
    }

    /// One of a schema's properties, in a form that may stand anywhere in the document. If the whole schema refers to
    /// parts of itself, it is moved to the place `name`.
    pub(super) fn property(
        &mut self,
        name: &str,
        whole: &Value,
        property: &str,
        schema: &Value,
    ) -> Value {
        if !refers(whole) {
            return bare(schema);
        }
        self.place(name, whole);
        let member = property.replace('~', "~0").replace('/', "~1");
        json!({"$ref": format!("#/components/schemas/{name}/properties/{member}")})
    }

    /// A parameter of a path about which only its name is said. All operations share it.
    pub(super) fn path_parameter(&mut self, name: &str) -> Value {
        let parameter =
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
        // A name of a component has no other characters.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !name.chars().all(is_plain) {
            return parameter;
        }
        // Other parameters have names without a dot.
        let place = format!("p.{name}");
        let reference = json!({"$ref": format!("#/components/parameters/{place}")});
        self.parameters.insert(place, parameter);
        reference
    }

    /// The schemas and the parameters.
    pub(super) fn into_components(self) -> (BTreeMap<String, Value>, BTreeMap<String, Value>) {
        (self.schemas, self.parameters)
    }
}

/// The schema without the members that only a schema document of its own may have.
fn bare(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(members) = schema.as_object_mut() {
        members.remove("$schema");
        members.remove("$id");
    }
    schema
}

/// Whether the schema refers to a part of itself.
fn refers(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(refers),
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| is_inner(name, value) || refers(value)),
        _ => false,
    }
}

fn is_inner(name: &str, value: &Value) -> bool {
    name == "$ref" && value.as_str().is_some_and(|to| to.starts_with('#'))
}

/// The schema with its references changed for this place of its root.
fn moved(value: &Value, place: &str) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| moved(item, place)).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| {
                let value = match value.as_str().and_then(|to| to.strip_prefix('#')) {
                    Some(inner) if name == "$ref" => format!("{place}{inner}").into(),
                    _ => moved(value, place),
                };
                (name.clone(), value)
            });
            members.collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refers_to_itself_does_so_at_its_new_place() {
        let mut schemas = Schemas::default();
        let tree = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "properties": {"children": {"items": {"$ref": "#"}}, "leaf": {"$ref": "#/$defs/leaf"}},
            "$defs": {"leaf": {"type": "string"}},
        });
        assert_eq!(
            schemas.place("tree.output", &tree),
            json!({"$ref": "#/components/schemas/tree.output"})
        );
        assert_eq!(
            schemas.property("tree.params", &tree, "a/b", &tree["properties"]["leaf"]),
            json!({"$ref": "#/components/schemas/tree.params/properties/a~1b"})
        );
        let flat = json!({"$id": "x", "type": "string", "enum": ["#"]});
        let placed = schemas.place("flat", &flat);
        assert_eq!(placed, json!({"type": "string", "enum": ["#"]}));
        let (placed, _) = schemas.into_components();
        assert_eq!(placed.len(), 2);
        assert_eq!(
            placed["tree.output"],
            json!({
                "properties": {
                    "children": {"items": {"$ref": "#/components/schemas/tree.output"}},
                    "leaf": {"$ref": "#/components/schemas/tree.output/$defs/leaf"},
                },
                "$defs": {"leaf": {"type": "string"}},
            })
        );
    }
}
