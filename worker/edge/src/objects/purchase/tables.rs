//! The tables of one purchase.

use key0_core::purchase::{AuditLine, AuditRow, Versioned};
use serde::Deserialize;
use worker::{SqlStorage, SqlStorageValue};

use crate::storage::{self, Schema};

/// The tables of a purchase.
pub(super) const SCHEMA: Schema = Schema(&[&[
    "CREATE TABLE record (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        version INTEGER NOT NULL,
        status TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT",
    AUDIT,
]]);

/// The history comes and goes on its own: what was paid by a transfer goes on also after its history was removed.
const AUDIT: &str = "CREATE TABLE IF NOT EXISTS audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    event TEXT NOT NULL,
    status TEXT NOT NULL,
    tx TEXT
) STRICT";

/// Creates the tables.
pub(super) fn create(sql: &SqlStorage) -> worker::Result<()> {
    SCHEMA.create(sql)?;
    storage::run(sql, AUDIT, vec![])
}

/// The stored record.
pub(super) fn record(sql: &SqlStorage) -> worker::Result<Option<Versioned>> {
    #[derive(Deserialize)]
    struct Row {
        version: u64,
        body: String,
    }
    let rows: Vec<Row> = storage::rows(sql, "SELECT version, body FROM record", vec![])?;
    rows.into_iter()
        .next()
        .map(|row| {
            Ok(Versioned {
                version: row.version,
                record: serde_json::from_slice(row.body.as_bytes())?,
            })
        })
        .transpose()
}

/// The history, oldest first; nothing once it was removed.
pub(super) fn history(sql: &SqlStorage) -> worker::Result<Vec<AuditLine>> {
    if !storage::has_table(sql, "audit")? {
        return Ok(Vec::new());
    }
    storage::bodies(
        sql,
        "SELECT json_object('at', at, 'event', event, 'status', status, 'transaction', tx) AS body FROM audit ORDER BY seq",
        vec![],
    )
}

/// Writes the record if the stored version is the expected one.
pub(super) fn put_record(
    sql: &SqlStorage,
    expected: Option<u64>,
    status: &str,
    body: String,
) -> worker::Result<bool> {
    let written: Vec<serde::de::IgnoredAny> = match expected {
        None => storage::rows(
            sql,
            "INSERT INTO record (id, version, status, body) VALUES (1, 1, ?, ?)
             ON CONFLICT DO NOTHING RETURNING version",
            vec![status.into(), body.into()],
        )?,
        Some(version) => storage::rows(
            sql,
            "UPDATE record SET version = version + 1, status = ?, body = ? WHERE version = ? RETURNING version",
            vec![status.into(), body.into(), integer(version)?],
        )?,
    };
    Ok(!written.is_empty())
}

/// Writes a line of history.
pub(super) fn put_audit(sql: &SqlStorage, row: &AuditRow) -> worker::Result<()> {
    storage::run(
        sql,
        "INSERT INTO audit (at, event, status, tx) VALUES (?, ?, ?, ?)",
        vec![
            integer(row.at.0)?,
            row.event.into(),
            row.status.as_str().into(),
            row.transaction.map(|hash| hash.to_string()).into(),
        ],
    )
}

/// Removes the history, table and all: an empty table would still take a page for ever.
pub(super) fn remove_history(sql: &SqlStorage) -> worker::Result<()> {
    storage::run(sql, "DROP TABLE IF EXISTS audit", vec![])
}

fn integer(number: u64) -> worker::Result<SqlStorageValue> {
    let number = i64::try_from(number).map_err(|_| "a number is too large to be stored")?;
    SqlStorageValue::try_from_i64(number)
}
