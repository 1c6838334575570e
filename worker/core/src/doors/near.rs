//! Recognises misspelled members of a request.

use serde_json::Value;

/// The longest name that is compared. Longer names are no misspellings, and a name that is repeated in an error may be
/// stored.
pub(super) const MAX_NAME: usize = 24;

/// The first unknown member whose name is in `list`, and the member that is meant. `list` has names in lower case and
/// without separators.
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

/// The first member that is a known one in another spelling (`requestID`, `plan_id`), and the right spelling. A member
/// is skipped if the rightly spelled one is present, too.
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
pub(super) fn bare(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}
