//! The tables of one payer's book.

use core::cell::Cell;

use key0_core::book::{
    BOUND_MILLIS, Booking, HOLD_MILLIS, MAX_BOUND, Open, PayerStore, RECENT_MILLIS, Recent,
    Standing, TargetKey, UnderWay,
};
use key0_core::types::{B256, RequestId, UnixMillis, UsdcAmount};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use worker::{SqlStorage, SqlStorageValue};

use crate::storage::{self, Schema};

/// Few payers name their payments, and each table takes a page.
const IDENTIFIERS: &str = "CREATE TABLE IF NOT EXISTS identifiers (
        identifier TEXT PRIMARY KEY,
        nonce TEXT NOT NULL
    ) STRICT, WITHOUT ROWID";

const SCHEMA: Schema = Schema(&[&[
    "CREATE TABLE payments (
        nonce TEXT PRIMARY KEY,
        claimant TEXT NOT NULL,
        owner TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    // Only what is to be forgotten: of a million payments that were attempted it holds none.
    "CREATE INDEX payments_bound ON payments (at) WHERE attempt = 0",
    "CREATE TABLE open (
        request_id TEXT PRIMARY KEY,
        target TEXT NOT NULL,
        amount INTEGER NOT NULL,
        chosen INTEGER NOT NULL,
        held INTEGER NOT NULL,
        at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE recent (
        at INTEGER NOT NULL,
        request_id TEXT NOT NULL,
        target TEXT NOT NULL,
        amount INTEGER NOT NULL,
        PRIMARY KEY (at, request_id)
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE standing (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        reverts INTEGER NOT NULL,
        last_at INTEGER NOT NULL,
        slots INTEGER NOT NULL
    ) STRICT",
]]);

/// The book. Its tables are created by the first write.
pub(super) struct Book {
    sql: SqlStorage,
    has_tables: Cell<bool>,
}

impl Book {
    pub(super) fn new(sql: SqlStorage) -> worker::Result<Self> {
        let has_tables = Cell::new(SCHEMA.open(&sql)?);
        Ok(Self { sql, has_tables })
    }

    fn rows<T: DeserializeOwned>(
        &self,
        query: &str,
        bindings: Vec<SqlStorageValue>,
    ) -> worker::Result<Vec<T>> {
        if !self.has_tables.get() {
            return Ok(Vec::new());
        }
        storage::rows(&self.sql, query, bindings)
    }

    fn write(&self, statement: &str, bindings: Vec<SqlStorageValue>) -> worker::Result<()> {
        if !self.has_tables.get() {
            SCHEMA.create(&self.sql)?;
            let first = Standing::default();
            storage::run(
                &self.sql,
                "INSERT INTO standing (id, reverts, last_at, slots) VALUES (1, 0, 0, ?)",
                vec![i64::from(first.slots).into()],
            )?;
            self.has_tables.set(true);
        }
        storage::run(&self.sql, statement, bindings)
    }
}

fn millis(at: UnixMillis) -> SqlStorageValue {
    i64::try_from(at.0).unwrap_or(i64::MAX).into()
}

fn units(amount: UsdcAmount) -> SqlStorageValue {
    i64::try_from(amount.units()).unwrap_or(i64::MAX).into()
}

fn ago(now: UnixMillis, span: u64) -> SqlStorageValue {
    millis(UnixMillis(now.0.saturating_sub(span)))
}

#[derive(Deserialize)]
struct OpenRow {
    request_id: RequestId,
    target: TargetKey,
    amount: u64,
    chosen: u8,
    held: u32,
    at: u64,
}

impl From<OpenRow> for Open {
    fn from(row: OpenRow) -> Self {
        Self {
            request_id: row.request_id,
            target: row.target,
            amount: UsdcAmount::from_units(row.amount),
            chosen: row.chosen != 0,
            held: row.held,
            at: UnixMillis(row.at),
        }
    }
}

#[derive(Deserialize)]
struct Id {
    request_id: RequestId,
}

impl PayerStore for Book {
    type Error = worker::Error;

    fn booking(&self, nonce: B256) -> worker::Result<Option<Booking>> {
        #[derive(Deserialize)]
        struct Row {
            claimant: RequestId,
            owner: RequestId,
            attempt: u32,
        }
        let query = "SELECT claimant, owner, attempt FROM payments WHERE nonce = ?";
        let rows: Vec<Row> = self.rows(query, vec![nonce.to_string().into()])?;
        Ok(rows.into_iter().next().map(|row| Booking {
            claimant: row.claimant,
            owner: row.owner,
            attempt: row.attempt,
        }))
    }

    fn book(&self, nonce: B256, booking: &Booking, now: UnixMillis) -> worker::Result<()> {
        self.write(
            "INSERT OR REPLACE INTO payments (nonce, claimant, owner, attempt, at) VALUES (?, ?, ?, ?, ?)",
            vec![
                nonce.to_string().into(),
                booking.claimant.as_str().into(),
                booking.owner.as_str().into(),
                i64::from(booking.attempt).into(),
                millis(now),
            ],
        )
    }

    fn identified(&self, identifier: B256) -> worker::Result<Option<B256>> {
        #[derive(Deserialize)]
        struct Row {
            nonce: B256,
        }
        if !storage::has_table(&self.sql, "identifiers")? {
            return Ok(None);
        }
        let query = "SELECT nonce FROM identifiers WHERE identifier = ?";
        let rows: Vec<Row> = self.rows(query, vec![identifier.to_string().into()])?;
        Ok(rows.into_iter().next().map(|row| row.nonce))
    }

    fn identify(&self, identifier: B256, nonce: B256) -> worker::Result<()> {
        self.write(IDENTIFIERS, vec![])?;
        self.write(
            "INSERT OR IGNORE INTO identifiers (identifier, nonce) VALUES (?, ?)",
            vec![identifier.to_string().into(), nonce.to_string().into()],
        )
    }

    fn opened(&self, request_id: &RequestId) -> worker::Result<Option<Open>> {
        let query =
            "SELECT request_id, target, amount, chosen, held, at FROM open WHERE request_id = ?";
        let rows: Vec<OpenRow> = self.rows(query, vec![request_id.as_str().into()])?;
        Ok(rows.into_iter().next().map(Open::from))
    }

    fn holder(&self, target: &TargetKey, other_than: &RequestId) -> worker::Result<Option<Open>> {
        let rows: Vec<OpenRow> = self.rows(
            "SELECT request_id, target, amount, chosen, held, at FROM open
             WHERE target = ? AND request_id <> ? ORDER BY held = 0, at LIMIT 1",
            vec![target.as_str().into(), other_than.as_str().into()],
        )?;
        Ok(rows.into_iter().next().map(Open::from))
    }

    fn under_way(
        &self,
        except: &RequestId,
        delivered_since: UnixMillis,
    ) -> worker::Result<UnderWay> {
        #[derive(Deserialize)]
        struct Row {
            purchases: u32,
            amount: u64,
        }
        let rows: Vec<Row> = self.rows(
            "SELECT count(*) FILTER (WHERE amount > 0) AS purchases, coalesce(sum(amount), 0)
                 + (SELECT coalesce(sum(amount), 0) FROM recent WHERE at >= ?) AS amount
             FROM open WHERE request_id <> ?",
            vec![millis(delivered_since), except.as_str().into()],
        )?;
        Ok(rows
            .into_iter()
            .next()
            .map_or_else(UnderWay::default, |row| UnderWay {
                purchases: row.purchases,
                amount: row.amount,
            }))
    }

    fn open(&self, open: &Open) -> worker::Result<()> {
        self.write(
            "INSERT OR REPLACE INTO open (request_id, target, amount, chosen, held, at) VALUES (?, ?, ?, ?, ?, ?)",
            vec![
                open.request_id.as_str().into(),
                open.target.as_str().into(),
                units(open.amount),
                i64::from(open.chosen).into(),
                i64::from(open.held).into(),
                millis(open.at),
            ],
        )
    }

    fn close(&self, request_id: &RequestId) -> worker::Result<()> {
        let statement = "DELETE FROM open WHERE request_id = ?";
        self.write(statement, vec![request_id.as_str().into()])
    }

    fn recent(&self, target: &TargetKey, after: UnixMillis) -> worker::Result<Option<RequestId>> {
        let rows: Vec<Id> = self.rows(
            "SELECT request_id FROM recent WHERE at > ? AND target = ? ORDER BY at DESC LIMIT 1",
            vec![millis(after), target.as_str().into()],
        )?;
        Ok(rows.into_iter().next().map(|row| row.request_id))
    }

    fn delivered(&self, recent: &Recent, now: UnixMillis) -> worker::Result<()> {
        let old = "DELETE FROM recent WHERE at <= ?";
        self.write(old, vec![ago(now, RECENT_MILLIS)])?;
        self.write(
            "INSERT OR REPLACE INTO recent (request_id, target, amount, at) VALUES (?, ?, ?, ?)",
            vec![
                recent.request_id.as_str().into(),
                recent.target.as_str().into(),
                units(recent.amount),
                millis(now),
            ],
        )
    }

    fn forget(&self, now: UnixMillis) -> worker::Result<()> {
        if !self.has_tables.get() {
            return Ok(());
        }
        self.write(
            "DELETE FROM open WHERE held = 0 AND at <= ?",
            vec![ago(now, HOLD_MILLIS)],
        )?;
        self.write(
            "DELETE FROM payments WHERE attempt = 0 AND at <= ?",
            vec![ago(now, BOUND_MILLIS)],
        )?;
        self.write(
            "DELETE FROM payments WHERE nonce IN
                 (SELECT nonce FROM payments WHERE attempt = 0 ORDER BY at DESC LIMIT -1 OFFSET ?)",
            vec![i64::from(MAX_BOUND).into()],
        )
    }

    fn forget_stranger(&self) -> worker::Result<()> {
        let query =
            "SELECT 1 FROM open UNION ALL SELECT 1 FROM payments WHERE attempt <> 0 LIMIT 1";
        if !self.rows::<IgnoredAny>(query, vec![])?.is_empty() {
            return Ok(());
        }
        for table in ["payments", "open", "recent", "identifiers", "standing"] {
            let statement = format!("DROP TABLE IF EXISTS {table}");
            storage::run(&self.sql, &statement, vec![])?;
        }
        SCHEMA.forget(&self.sql)?;
        self.has_tables.set(false);
        Ok(())
    }

    fn standing(&self) -> worker::Result<Standing> {
        #[derive(Deserialize)]
        struct Row {
            reverts: u32,
            last_at: u64,
            slots: u32,
        }
        let query = "SELECT reverts, last_at, slots FROM standing";
        let rows: Vec<Row> = self.rows(query, vec![])?;
        Ok(rows
            .into_iter()
            .next()
            .map_or_else(Standing::default, |row| Standing {
                reverts: row.reverts,
                last: UnixMillis(row.last_at),
                slots: row.slots,
            }))
    }

    fn set_standing(&self, standing: Standing) -> worker::Result<()> {
        self.write(
            "UPDATE standing SET reverts = ?, last_at = ?, slots = ?",
            vec![
                i64::from(standing.reverts).into(),
                millis(standing.last),
                i64::from(standing.slots).into(),
            ],
        )
    }
}
