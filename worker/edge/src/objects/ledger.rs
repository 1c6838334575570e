//! `LedgerObject`, one per shard of the ledger: the index of that shard's purchases.
//!
//! Stored: `entries` (the last report of each purchase), `removed` (sums of the entries of purchases that were removed, by
//! day, target and state); in the first shard also `sweep` (how far the sweep has come). Nothing is stored before the first report.
//!
//! Calls: `LedgerCommand` → `LedgerReply`.
//!
//! Why no interleaving breaks it: a command runs in one synchronous transaction and waits for nothing. Reports may come
//! twice or out of order: the report with the higher version stays.

use key0_core::ledger::Progress;
use key0_core::ledger::{
    Cursor, Days, LedgerCommand, LedgerEntry, LedgerStore, Removed, Total, UtcDay, execute,
};
use key0_core::types::{B256, RequestId, Status, UnixMillis, UsdcAmount};
use serde::Deserialize;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use super::{command, reply};
use crate::storage::{count, integer};
use crate::tables::{Schema, Tables};

const SCHEMA: Schema = Schema(&[
    &[
        "CREATE TABLE entries (
        request_id TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        status TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        changed_at INTEGER NOT NULL,
        amount TEXT NOT NULL,
        paid_by TEXT,
        body TEXT NOT NULL
    ) STRICT, WITHOUT ROWID",
        "CREATE INDEX entries_by_status ON entries (status, changed_at DESC)",
        "CREATE INDEX entries_by_age ON entries (created_at)",
        "CREATE INDEX entries_by_payment ON entries (paid_by) WHERE paid_by IS NOT NULL",
        "CREATE TABLE sweep (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL) STRICT",
    ],
    &["CREATE TABLE removed (
        day INTEGER NOT NULL,
        target TEXT NOT NULL,
        status TEXT NOT NULL,
        count INTEGER NOT NULL,
        units INTEGER NOT NULL,
        PRIMARY KEY (day, target, status)
    ) STRICT, WITHOUT ROWID"],
]);

#[durable_object(fetch)]
pub struct LedgerObject {
    entries: Entries,
}

impl DurableObject for LedgerObject {
    fn new(state: State, _env: Env) -> Self {
        Self {
            entries: Entries(Tables::new(&state, &SCHEMA)),
        }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let command: LedgerCommand = command(&mut request).await?;
        let entries = &self.entries;
        let outcome = entries.0.transaction(|| execute(entries, &command));
        reply("ledger", outcome)
    }
}

struct Entries(Tables);

impl LedgerStore for Entries {
    type Error = worker::Error;

    fn version(&self, request_id: &RequestId) -> worker::Result<Option<u64>> {
        #[derive(Deserialize)]
        struct Row {
            version: u64,
        }
        let query = "SELECT version FROM entries WHERE request_id = ?";
        let row: Option<Row> = self.0.row(query, vec![request_id.as_str().into()])?;
        Ok(row.map(|row| row.version))
    }

    fn put(&self, entry: &LedgerEntry) -> worker::Result<()> {
        self.0.write(
            "INSERT INTO entries (request_id, version, status, created_at, changed_at, amount, paid_by, body)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET version = excluded.version, status = excluded.status,
                changed_at = excluded.changed_at, amount = excluded.amount, paid_by = excluded.paid_by, body = excluded.body",
            vec![
                entry.request_id.as_str().into(),
                integer(entry.version)?,
                entry.status.as_str().into(),
                integer(entry.created_at.0)?,
                integer(entry.changed_at.0)?,
                entry.amount.units().to_string().into(),
                entry.paid_by().map(|hash| hash.to_string()).into(),
                serde_json::to_string(entry)?.into(),
            ],
        )
    }

    fn take(&self, request_id: &RequestId) -> worker::Result<Option<LedgerEntry>> {
        self.0.body(
            "DELETE FROM entries WHERE request_id = ? RETURNING body",
            vec![request_id.as_str().into()],
        )
    }

    fn count_removed(&self, removed: &Removed) -> worker::Result<()> {
        let (first, _) = Days {
            from: removed.day,
            to: removed.day,
        }
        .millis();
        // The amount is bound as text: as a number it would lose digits above 2^53.
        self.0.write(
            "INSERT INTO removed (day, target, status, count, units) VALUES (?, ?, ?, ?, CAST(? AS INTEGER))
             ON CONFLICT DO UPDATE SET count = count + excluded.count, units = units + excluded.units",
            vec![
                integer(first.0)?,
                removed.target.as_str().into(),
                removed.status.as_str().into(),
                integer(removed.count)?,
                removed.amount.units().to_string().into(),
            ],
        )
    }

    fn removed(&self, days: Days) -> worker::Result<Vec<Removed>> {
        #[derive(Deserialize)]
        struct Row {
            day: u64,
            target: String,
            status: Status,
            count: u64,
            units: String,
        }
        let (first, end) = days.millis();
        let rows: Vec<Row> = self.0.rows(
            "SELECT day, target, status, count, CAST(units AS TEXT) AS units FROM removed WHERE day >= ? AND day < ?",
            vec![integer(first.0)?, integer(end.0)?],
        )?;
        rows.into_iter()
            .map(|row| {
                Ok(Removed {
                    day: UtcDay::of(UnixMillis(row.day)),
                    target: row.target,
                    status: row.status,
                    count: row.count,
                    amount: UsdcAmount::from_units(row.units.parse().map_err(|_| "no sum")?),
                })
            })
            .collect()
    }

    fn of_status(
        &self,
        status: Status,
        after: Option<&Cursor>,
        limit: usize,
    ) -> worker::Result<Vec<LedgerEntry>> {
        let (at, request_id) = match after {
            Some(after) => (after.at.0.min(MAX_INTEGER), after.request_id.as_str()),
            None => (MAX_INTEGER, ""),
        };
        self.0.bodies(
            "SELECT body FROM entries WHERE status = ?1 AND changed_at <= ?2 AND (changed_at < ?2 OR request_id > ?3)
             ORDER BY changed_at DESC, request_id LIMIT ?4",
            vec![status.as_str().into(), integer(at)?, request_id.into(), count(limit)],
        )
    }

    fn of_days(
        &self,
        days: Days,
        after: Option<&Cursor>,
        limit: usize,
    ) -> worker::Result<Vec<LedgerEntry>> {
        let (first, end) = days.millis();
        let (at, request_id) = match after {
            Some(after) if after.at >= first => {
                (after.at.0.min(MAX_INTEGER), after.request_id.as_str())
            }
            _ => (first.0, ""),
        };
        self.0.bodies(
            "SELECT body FROM entries WHERE created_at >= ?1 AND created_at < ?2 AND (created_at > ?1 OR request_id > ?3)
             ORDER BY created_at, request_id LIMIT ?4",
            vec![integer(at)?, integer(end.0)?, request_id.into(), count(limit)],
        )
    }

    fn totals(&self, days: Days) -> worker::Result<Vec<Total>> {
        #[derive(Deserialize)]
        struct Row {
            day: u64,
            status: Status,
            count: u64,
            units: String,
        }
        let (first, end) = days.millis();
        // Sums are returned as text: as numbers they would lose digits above 2^53. The length of a day (86,400,000 ms) is
        // part of the query text because a bound number is a float, and dividing by a float would not give whole days.
        let rows: Vec<Row> = self.0.rows(
            "SELECT created_at / 86400000 * 86400000 AS day, status, COUNT(*) AS count,
                CAST(SUM(CAST(amount AS INTEGER)) AS TEXT) AS units
             FROM entries WHERE created_at >= ? AND created_at < ? GROUP BY 1, 2",
            vec![integer(first.0)?, integer(end.0)?],
        )?;
        rows.into_iter()
            .map(|row| {
                Ok(Total {
                    day: UtcDay::of(UnixMillis(row.day)),
                    status: row.status,
                    count: row.count,
                    amount: UsdcAmount::from_units(row.units.parse().map_err(|_| "no sum")?),
                })
            })
            .collect()
    }

    fn paid(&self, transaction: B256) -> worker::Result<u32> {
        #[derive(Deserialize)]
        struct Row {
            count: u32,
        }
        let query = "SELECT COUNT(*) AS count FROM entries WHERE paid_by = ?";
        let row: Option<Row> = self.0.row(query, vec![transaction.to_string().into()])?;
        Ok(row.map_or(0, |row| row.count))
    }

    fn swept(&self) -> worker::Result<Option<Progress>> {
        self.0.body("SELECT body FROM sweep", vec![])
    }

    fn set_swept(&self, progress: &Progress) -> worker::Result<()> {
        self.0.write(
            "INSERT OR REPLACE INTO sweep (id, body) VALUES (1, ?)",
            vec![serde_json::to_string(progress)?.into()],
        )
    }
}

/// The largest integer that a float holds exactly; later than any point in time.
const MAX_INTEGER: u64 = (1 << 53) - 1;
