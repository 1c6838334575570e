//! The tables of one purchase.

use js_sys::Uint8Array;
use key0_core::purchase::{AuditLine, AuditRow, Versioned};
use serde::Deserialize;

use crate::json;
use crate::storage::integer;
use crate::tables::{Schema, Tables};

/// The table that a purchase has from its beginning.
pub(super) const SCHEMA: Schema = Schema(&[&["CREATE TABLE record (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        version INTEGER NOT NULL,
        status TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT"]]);

/// The purchase's history. Its table is created and dropped separately, as a purchase may go on after its history was
/// removed.
const AUDIT: &str = "CREATE TABLE IF NOT EXISTS audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    event TEXT NOT NULL,
    status TEXT NOT NULL,
    tx TEXT
) STRICT";

/// All tables that a purchase may have.
pub(super) const ALL: [&str; 3] = ["record", "audit", "answer"];

/// The stored record.
pub(super) fn record(tables: &Tables) -> worker::Result<Option<Versioned>> {
    #[derive(Deserialize)]
    struct Row {
        version: u64,
        body: String,
    }
    let row: Option<Row> = tables.row("SELECT version, body FROM record", vec![])?;
    row.map(|row| {
        Ok(Versioned {
            version: row.version,
            record: json::read(row.body.as_bytes())?,
        })
    })
    .transpose()
}

/// The history, oldest first; empty once it was removed.
pub(super) fn history(tables: &Tables) -> worker::Result<Vec<AuditLine>> {
    if !tables.has("audit")? {
        return Ok(Vec::new());
    }
    tables.bodies(
        "SELECT json_object('at', at, 'event', event, 'status', status, 'transaction', tx) AS body FROM audit ORDER BY seq",
        vec![],
    )
}

/// Writes the record if the stored version is the expected one.
pub(super) fn put_record(
    tables: &Tables,
    expected: Option<u64>,
    status: &str,
    body: String,
) -> worker::Result<bool> {
    let written: Option<serde::de::IgnoredAny> = match expected {
        None => tables.row(
            "INSERT INTO record (id, version, status, body) VALUES (1, 1, ?, ?)
             ON CONFLICT DO NOTHING RETURNING version",
            vec![status.into(), body.into()],
        )?,
        Some(version) => tables.row(
            "UPDATE record SET version = version + 1, status = ?, body = ? WHERE version = ? RETURNING version",
            vec![status.into(), body.into(), integer(version)?],
        )?,
    };
    Ok(written.is_some())
}

/// Writes a line of history.
pub(super) fn put_audit(tables: &Tables, row: &AuditRow) -> worker::Result<()> {
    tables.create_apart("audit", AUDIT)?;
    tables.write(
        "INSERT INTO audit (at, event, status, tx) VALUES (?, ?, ?, ?)",
        vec![
            integer(row.at.0)?,
            row.event.into(),
            row.status.as_str().into(),
            row.transaction.map(|hash| hash.to_string()).into(),
        ],
    )
}

/// Removes the history by dropping its table: an empty table would still take up a page.
pub(super) fn remove_history(tables: &Tables) -> worker::Result<()> {
    tables.drop_apart("audit")
}

/// The body of an answer from the seller's API. It has a table of its own, because a record is written anew at each
/// change.
const ANSWER: &str = "CREATE TABLE IF NOT EXISTS answer (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT";

/// Writes the body of the answer with this number, in place of an earlier answer's.
pub(super) fn put_answer(tables: &Tables, number: u32, body: &Uint8Array) -> worker::Result<()> {
    tables.create_apart("answer", ANSWER)?;
    tables.write_bytes(
        "INSERT OR REPLACE INTO answer (id, number, body) VALUES (1, ?, ?)",
        vec![integer(number.into())?],
        body,
    )
}

/// The body of the answer with this number, if that is the answer that is stored.
pub(super) fn answer(tables: &Tables, number: u32) -> worker::Result<Option<Uint8Array>> {
    if !tables.has("answer")? {
        return Ok(None);
    }
    let query = "SELECT body FROM answer WHERE number = ?";
    tables.bytes(query, vec![integer(number.into())?])
}

/// Removes the stored body of the API's answer by dropping its table.
pub(super) fn remove_answer(tables: &Tables) -> worker::Result<()> {
    match tables.has("answer")? {
        true => tables.drop_apart("answer"),
        false => Ok(()),
    }
}
