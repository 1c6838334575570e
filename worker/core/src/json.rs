//! JSON written in place.
//!
//! [`json!`](crate::json!) reads like the macro of that name in serde_json, which writes out every insertion where it stands,
//! with what happens if it panics. This one calls a function for each member.

use serde::Serialize;
pub use serde_json::{Map, Value};

/// A JSON value, written as JSON. Members and items may be expressions of any type that serializes; a key that is no literal
/// or name stands in parentheses. What cannot be serialized is `null`.
#[macro_export]
macro_rules! json {
    (null) => {
        $crate::json::Value::Null
    };
    ([]) => {
        $crate::json::Value::Array(::std::vec::Vec::new())
    };
    ([$($items:tt)+]) => {{
        let mut items = ::std::vec::Vec::new();
        $crate::json_items!(items; $($items)+);
        $crate::json::Value::Array(items)
    }};
    ({}) => {
        $crate::json::Value::Object($crate::json::Map::new())
    };
    ({$($members:tt)+}) => {{
        let mut members = $crate::json::Map::new();
        $crate::json_members!(members; $($members)+);
        $crate::json::Value::Object(members)
    }};
    ($value:expr) => {
        $crate::json::value(&$value)
    };
}

/// Adds the rest of an object's members.
#[doc(hidden)]
#[macro_export]
macro_rules! json_members {
    ($members:ident;) => {};
    ($members:ident; $key:tt: null $(, $($rest:tt)*)?) => {
        $crate::json::Put::put(&mut $members, $key, $crate::json!(null));
        $crate::json_members!($members; $($($rest)*)?);
    };
    ($members:ident; $key:tt: [$($value:tt)*] $(, $($rest:tt)*)?) => {
        $crate::json::Put::put(&mut $members, $key, $crate::json!([$($value)*]));
        $crate::json_members!($members; $($($rest)*)?);
    };
    ($members:ident; $key:tt: {$($value:tt)*} $(, $($rest:tt)*)?) => {
        $crate::json::Put::put(&mut $members, $key, $crate::json!({$($value)*}));
        $crate::json_members!($members; $($($rest)*)?);
    };
    ($members:ident; $key:tt: $value:expr $(, $($rest:tt)*)?) => {
        $crate::json::Put::put(&mut $members, $key, $crate::json!($value));
        $crate::json_members!($members; $($($rest)*)?);
    };
}

/// Adds the rest of a list's items.
#[doc(hidden)]
#[macro_export]
macro_rules! json_items {
    ($items:ident;) => {};
    ($items:ident; null $(, $($rest:tt)*)?) => {
        $crate::json::push(&mut $items, $crate::json!(null));
        $crate::json_items!($items; $($($rest)*)?);
    };
    ($items:ident; [$($value:tt)*] $(, $($rest:tt)*)?) => {
        $crate::json::push(&mut $items, $crate::json!([$($value)*]));
        $crate::json_items!($items; $($($rest)*)?);
    };
    ($items:ident; {$($value:tt)*} $(, $($rest:tt)*)?) => {
        $crate::json::push(&mut $items, $crate::json!({$($value)*}));
        $crate::json_items!($items; $($($rest)*)?);
    };
    ($items:ident; $value:expr $(, $($rest:tt)*)?) => {
        $crate::json::push(&mut $items, $crate::json!($value));
        $crate::json_items!($items; $($($rest)*)?);
    };
}

/// The JSON of a value; `null` if it has none.
#[inline(never)]
pub fn value<T: Serialize + ?Sized>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// Adding to an object under a key that is written out.
pub trait Put {
    /// Adds a member, in place of one of the same name.
    fn put(&mut self, key: &str, value: Value);
}

impl Put for Map<String, Value> {
    #[inline(never)]
    fn put(&mut self, key: &str, value: Value) {
        self.insert(key.to_owned(), value);
    }
}

/// Adds an item.
#[inline(never)]
pub fn push(items: &mut Vec<Value>, value: Value) {
    items.push(value);
}
