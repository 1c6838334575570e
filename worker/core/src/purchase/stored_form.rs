//! Which members the stored forms of a purchase leave out.

/// Whether a member has its default value, so that it need not be stored.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
