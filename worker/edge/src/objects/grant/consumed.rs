//! The calls that a backend has named: a call that is named again gets the same reply, and is not counted again.

use key0_core::meter::MeterReply;
use key0_core::pauses::{METER_NAMED, METER_PURGE};
use key0_core::types::UnixMillis;
use serde::Deserialize;

use crate::storage::integer;
use crate::tables::Tables;

pub(super) const NAME: &str = "consumed";
/// Its rows are numbered in the order of their times.
pub(super) const TABLE: &str = "CREATE TABLE consumed (
        number INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        reply TEXT NOT NULL,
        at INTEGER NOT NULL
    ) STRICT";
/// How many rows one alarm removes.
const MOST_PURGED: u64 = 500;

/// The reply to the call with this name, if it is counted.
pub(super) fn reply(tables: &Tables, key: &str) -> worker::Result<Option<MeterReply>> {
    let query = "SELECT reply AS body FROM consumed WHERE key = ?";
    tables.body(query, vec![key.into()])
}

/// Notes that a call is counted, and with which reply. The first note sets the alarm that removes it; that alarm sets the next.
pub(super) fn note(
    tables: &Tables,
    key: &str,
    reply: &MeterReply,
    now: UnixMillis,
) -> worker::Result<()> {
    if oldest(tables)?.is_none() {
        tables.set_alarm(Some(now.plus(METER_NAMED)))?;
    }
    let statement = "INSERT INTO consumed (key, reply, at) VALUES (?, ?, ?)";
    let reply = serde_json::to_string(reply)?;
    tables.write(statement, vec![key.into(), reply.into(), integer(now.0)?])
}

/// Removes some of the rows that have been kept for long enough, inside a transaction. Returns when the next ones have.
pub(super) fn purge(tables: &Tables, now: UnixMillis) -> worker::Result<Option<UnixMillis>> {
    let Some(first) = oldest(tables)? else {
        return Ok(None);
    };
    let kept_until = first.plus(METER_NAMED);
    if now < kept_until {
        return Ok(Some(kept_until));
    }
    let statement = "DELETE FROM consumed WHERE at <= ? AND number IN
        (SELECT number FROM consumed ORDER BY number LIMIT ?)";
    let over = integer(now.minus(METER_NAMED).0)?;
    tables.write(statement, vec![over, integer(MOST_PURGED)?])?;
    let next = oldest(tables)?.map(|first| first.plus(METER_NAMED));
    Ok(next.map(|next| next.max(now.plus(METER_PURGE))))
}

/// When the oldest row was written.
fn oldest(tables: &Tables) -> worker::Result<Option<UnixMillis>> {
    #[derive(Deserialize)]
    struct Row {
        at: UnixMillis,
    }
    let query = "SELECT at FROM consumed ORDER BY number LIMIT 1";
    let row: Option<Row> = tables.row(query, vec![])?;
    Ok(row.map(|row| row.at))
}
