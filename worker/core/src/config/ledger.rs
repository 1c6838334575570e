//! How large the ledger is, read from the settings.

use super::vars::Vars;
use crate::ledger::{Layout, UtcDay};

/// The most parts of a ledger. Each part is asked at each question of the operator.
const MAX_PARTS: usize = 12;

/// The days on each of which another part of the ledger begins to take the new purchases. `None` only together with a
/// recorded problem.
pub(super) fn read(vars: &mut Vars<'_>) -> Option<Layout> {
    const NAME: &str = "LEDGER_PARTS_FROM";
    let before = vars.problems.len();
    let days = vars.list(NAME, MAX_PARTS, |text| {
        text.parse::<UtcDay>()
            .map_err(|_| "must list days such as 2027-03-01".to_owned())
    });
    if vars.problems.len() > before {
        return None;
    }
    let layout = Layout::new(days);
    if layout.is_none() {
        vars.problem(NAME, "must list its days in order, the earliest first");
    }
    layout
}
