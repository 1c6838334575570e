//! The members of a plan or route as they were written, and what is wrong with them.

use core::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// The members that a plan, a route, or an object inside one, may have.
pub(super) struct Kind {
    /// The word for one of the kind, like plan.
    pub(super) name: &'static str,
    /// All members.
    pub(super) members: &'static [&'static str],
    /// Other names that sellers write, in lower case and without separators, each with the member that is meant.
    pub(super) near: &'static [(&'static str, &'static str)],
}

/// The members of one plan or route, in the order of the text. A map would lose a member that occurs twice.
pub(super) struct Members {
    list: Vec<(String, Value)>,
    /// The faults of objects inside, whose values are maps.
    inside: Vec<String>,
}

/// A value, with the members that occur twice if it is an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum Nested {
    Object(Members),
    Other(Value),
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let (mut list, mut inside) = (Vec::new(), Vec::new());
                while let Some((name, value)) = map.next_entry::<String, Nested>()? {
                    let value = match value {
                        Nested::Other(value) => value,
                        Nested::Object(object) => {
                            let faults = object.twice().chain(object.inside.iter().cloned());
                            inside.extend(faults.map(|fault| format!("\"{name}\": {fault}")));
                            Value::Object(object.list.into_iter().collect())
                        }
                    };
                    list.push((name, value));
                }
                Ok(Members { list, inside })
            }
        }
        deserializer.deserialize_map(Read)
    }
}

impl Members {
    /// The members of a value inside a plan or route.
    pub(super) fn of(value: &Value) -> Result<Self, String> {
        let object = value.as_object().ok_or("must be a JSON object")?;
        let member = |(name, value): (&String, &Value)| (name.clone(), value.clone());
        Ok(Self {
            list: object.iter().map(member).collect(),
            inside: Vec::new(),
        })
    }

    /// Whether an earlier member than the one at this place has its name.
    fn is_again(&self, at: usize, name: &str) -> bool {
        let mut before = self.list.iter().take(at);
        before.any(|(earlier, _)| earlier == name)
    }

    fn twice(&self) -> impl Iterator<Item = String> {
        let again = |(at, (name, _)): (usize, &(String, Value))| {
            self.is_again(at, name).then(|| twice(name))
        };
        self.list.iter().enumerate().filter_map(again)
    }
}

/// The members while they are read, and the faults found in them so far.
pub(super) struct Reader<'a> {
    members: &'a Members,
    pub(super) faults: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Begins with the faults that the names alone show.
    pub(super) fn new(members: &'a Members, kind: &Kind) -> Self {
        let mut faults = Vec::new();
        for (at, (name, _)) in members.list.iter().enumerate() {
            if members.is_again(at, name) {
                faults.push(twice(name));
            } else if !kind.members.contains(&name.as_str()) {
                faults.push(unknown(name, kind));
            }
        }
        faults.extend_from_slice(&members.inside);
        Self { members, faults }
    }

    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        let (_, value) = self
            .members
            .list
            .iter()
            .find(|(member, _)| member == name)?;
        Some(value)
    }

    /// Notes each of these members that is absent.
    pub(super) fn require(&mut self, names: &[&str]) {
        for name in names {
            if self.value(name).is_none() {
                self.faults.push(format!("\"{name}\" is missing"));
            }
        }
    }

    /// Reads a member. `None` when it is absent, or when it is wrong and its fault was noted.
    pub(super) fn member<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        match read(self.value(name)?) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.faults.push(format!("\"{name}\" {reason}"));
                None
            }
        }
    }
}

fn twice(name: &str) -> String {
    format!("\"{name}\" is there twice")
}

fn unknown(name: &str, kind: &Kind) -> String {
    let bare: String = name
        .chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let mut spelt = kind.members.iter();
    let spelt = spelt.find(|member| member.eq_ignore_ascii_case(&bare));
    let near = kind.near.iter().find(|(near, _)| *near == bare);
    let close = || {
        let mut members = kind.members.iter();
        members.find(|member| is_misspelt(&bare, member))
    };
    match spelt.or(near.map(|(_, meant)| meant)).or_else(close) {
        Some(meant) => format!("\"{name}\" is unknown; did you mean \"{meant}\"?"),
        None => format!(
            "\"{name}\" is unknown; a {} has {}",
            kind.name,
            kind.members.join(", ")
        ),
    }
}

/// Whether one letter is missing, too much or another one, or two neighbours have changed places.
fn is_misspelt(bare: &str, member: &str) -> bool {
    let member = member.to_ascii_lowercase();
    let (mut wrong, mut right) = (bare.as_bytes(), member.as_bytes());
    while let ([first, left @ ..], [other, rest @ ..]) = (wrong, right)
        && first == other
    {
        (wrong, right) = (left, rest);
    }
    while let ([left @ .., last], [rest @ .., other]) = (wrong, right)
        && last == other
    {
        (wrong, right) = (left, rest);
    }
    match (wrong, right) {
        ([_], [] | [_]) | ([], [_]) => member.len() > 3,
        ([a, b], [c, d]) => (a, b) == (d, c),
        _ => false,
    }
}
