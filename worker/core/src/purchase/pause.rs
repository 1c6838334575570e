//! Pauses that grow with each try.

pub(super) fn doubled(first: u64, times: u32) -> u64 {
    first.saturating_mul(1_u64.checked_shl(times.min(32)).unwrap_or(u64::MAX))
}
