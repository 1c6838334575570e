//! How far the hourly sweep has come. It is kept with the ledger, which every sweep reads first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cursor::Cursor;
use crate::types::Status;

/// How far the sweep has come.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The first block whose transfers were not searched yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_block: Option<u64>,
    /// For each open state, the entry after which the next sweep goes on. A state without one is swept from the
    /// beginning.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub after: BTreeMap<Status, Cursor>,
}
