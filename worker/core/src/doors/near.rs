//! Members that clients write instead of the ones that are read.

use serde_json::Value;

/// A longer name is none that was mistaken; and what is said of a name may be stored.
const MAX_NAME: usize = 24;

/// The first member of an object that has a value and was meant for another one: its name, and the other's. `list` has names
/// without separators, in small letters, and what each is meant for.
pub(super) fn miss<'v>(
    object: &'v Value,
    list: &[(&str, &'static str)],
    known: &[&str],
) -> Option<(&'v str, &'static str)> {
    let mut members = object.as_object()?.iter();
    members.find_map(|(name, value)| {
        if value.is_null() || name.len() > MAX_NAME || known.contains(&name.as_str()) {
            return None;
        }
        let bare = bare(name);
        let (_, meant) = list.iter().find(|(near, _)| *near == bare)?;
        Some((name.as_str(), *meant))
    })
}

/// The first member that is a known one in another spelling (`requestID`, `plan_id`), when the known one itself is absent: its
/// name, and the known one's.
pub(super) fn respelt<'v>(
    object: &'v Value,
    known: &[&'static str],
) -> Option<(&'v str, &'static str)> {
    let has = |name: &str| object.get(name).is_some_and(|value| !value.is_null());
    let mut members = object.as_object()?.iter();
    members.find_map(|(name, value)| {
        if value.is_null() || name.len() > MAX_NAME || known.contains(&name.as_str()) {
            return None;
        }
        let sent = bare(name);
        let meant = known.iter().find(|known| bare(known) == sent)?;
        (!has(meant)).then_some((name.as_str(), *meant))
    })
}

/// A name without separators, in lower case.
fn bare(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}
