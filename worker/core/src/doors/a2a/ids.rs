//! The ids of a conversation. A task's id names the object that holds the task, and whoever knows the id may see the
//! task: half of it is random.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Names the object of one context: the first 16 bytes of the SHA-256 of the context's id.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ContextKey([u8; 16]);

impl ContextKey {
    /// The key of the context with this id.
    pub fn of(context_id: &str) -> Self {
        let digest = Sha256::digest(context_id);
        Self(core::array::from_fn(|at| {
            digest.get(at).copied().unwrap_or_default()
        }))
    }

    /// The object's name.
    pub fn name(&self) -> String {
        alloy_primitives::hex::encode(self.0)
    }
}

/// The id of a task: its context's key and 16 random bytes. Whoever knows it may see the task.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct TaskId {
    context: ContextKey,
    random: [u8; 16],
}

impl TaskId {
    /// A new task's id. Nobody else may know the random bytes, and they may be used for nothing else.
    pub const fn new(context: ContextKey, random: [u8; 16]) -> Self {
        Self { context, random }
    }

    /// Reads an id. `None` if we cannot have made it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        let (context, random) = bytes.split_first_chunk()?;
        (length == 32).then_some(Self {
            context: ContextKey(*context),
            random: *random.first_chunk()?,
        })
    }

    /// The context that the task belongs to.
    pub const fn context(&self) -> ContextKey {
        self.context
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.context.0, self.random].concat();
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl Serialize for TaskId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TaskId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no task id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_context_and_is_read_back() {
        let id = TaskId::new(ContextKey::of("c-1"), [7; 16]);
        let text = id.to_string();
        assert_eq!(text.len(), 43);
        assert_eq!(TaskId::parse(&text), Some(id));
        assert_eq!(id.context(), ContextKey::of("c-1"));
        assert_ne!(id.context(), ContextKey::of("c-2"));
        assert_eq!(ContextKey::of("c-1").name().len(), 32);
    }

    #[test]
    fn what_is_no_id_of_ours_is_refused() {
        let text = TaskId::new(ContextKey::of("c"), [7; 16]).to_string();
        let long = format!("{text}AA");
        for bad in ["", "t-1", &text[1..], &long, &format!("{text}="), "ä"] {
            assert_eq!(TaskId::parse(bad), None, "{bad}");
        }
    }
}
