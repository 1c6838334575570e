//! What the stored forms of a purchase leave out.

/// What most attempts say need not be stored.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
