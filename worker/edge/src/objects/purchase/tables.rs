//! The tables of one purchase.

use key0_core::purchase::{AuditLine, AuditRow, Versioned};
use serde::Deserialize;

use crate::storage::integer;
use crate::tables::{Schema, Tables};

/// The table that a purchase has from its beginning.
pub(super) const SCHEMA: Schema = Schema(&[&["CREATE TABLE record (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        version INTEGER NOT NULL,
        status TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT"]]);

/// The history, in a table that is created and dropped separately: a purchase may go on after its
/// history was removed.
const AUDIT: &str = "CREATE TABLE IF NOT EXISTS audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    event TEXT NOT NULL,
    status TEXT NOT NULL,
    tx TEXT
) STRICT";

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
            record: serde_json::from_slice(row.body.as_bytes())?,
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
    tables.write(AUDIT, vec![])?;
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
    tables.write("DROP TABLE IF EXISTS audit", vec![])
}
