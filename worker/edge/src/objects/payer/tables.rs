//! The tables of one payer's book.

use key0_core::book::{
    BOUND_MILLIS, Booking, BoughtGrant, HOLD_MILLIS, LISTED_SECONDS, MAX_BOUND, MAX_FOUND, Open,
    PayerStore, RECENT_MILLIS, Recent, Standing, TargetKey, UnderWay,
};
use key0_core::types::{B256, RequestId, UnixMillis, UnixSeconds, UsdcAmount};
use serde::Deserialize;
use serde::de::IgnoredAny;
use worker::{SqlStorageValue, State};

use crate::json;
use crate::storage::{count, integer};
use crate::tables::{Schema, Tables};

/// The table is created when it is first needed: few payers name their payments, and each table takes up a page.
const IDENTIFIERS: &str = "CREATE TABLE IF NOT EXISTS identifiers (
        identifier TEXT PRIMARY KEY,
        nonce TEXT NOT NULL
    ) STRICT, WITHOUT ROWID";

/// What only payers of plans with limits need, created with the first grant: the grants, and the nonces of signatures with
/// which the payer has asked for them.
const GRANTS: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS grants (
        id TEXT PRIMARY KEY,
        plan TEXT NOT NULL,
        ends_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS grants_by_end ON grants (ends_at)",
    "CREATE TABLE IF NOT EXISTS nonces (
        nonce TEXT PRIMARY KEY,
        until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
];

const GRANT: &str =
    "SELECT json_object('id', id, 'plan', plan, 'endsAt', ends_at) AS body FROM grants";

const SCHEMA: Schema = Schema(&[&[
    "CREATE TABLE payments (
        nonce TEXT PRIMARY KEY,
        claimant TEXT NOT NULL,
        owner TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    // Indexes only payments that were never attempted: only these are deleted by age. A payer may have a million
    // attempted ones.
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
        slots INTEGER NOT NULL,
        calls TEXT NOT NULL DEFAULT '{}'
    ) STRICT",
]]);

/// The book of one payer.
pub(super) struct Book(pub(super) Tables);

impl Book {
    pub(super) fn new(state: &State) -> Self {
        Self(Tables::new(state, &SCHEMA))
    }

    fn create(&self) -> worker::Result<()> {
        if self.0.create()? {
            let first = Standing::default();
            self.0.write(
                "INSERT INTO standing (id, reverts, last_at, slots) VALUES (1, 0, 0, ?)",
                vec![i64::from(first.slots).into()],
            )?;
        }
        Ok(())
    }

    fn write(&self, statement: &str, bindings: Vec<SqlStorageValue>) -> worker::Result<()> {
        self.create()?;
        self.0.write(statement, bindings)
    }
}

fn ago(now: UnixMillis, span: u64) -> worker::Result<SqlStorageValue> {
    integer(now.0.saturating_sub(span))
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
        let row: Option<Row> = self.0.row(query, vec![nonce.to_string().into()])?;
        Ok(row.map(|row| Booking {
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
                integer(now.0)?,
            ],
        )
    }

    fn identified(&self, identifier: B256) -> worker::Result<Option<B256>> {
        #[derive(Deserialize)]
        struct Row {
            nonce: B256,
        }
        if !self.0.has("identifiers")? {
            return Ok(None);
        }
        let query = "SELECT nonce FROM identifiers WHERE identifier = ?";
        let row: Option<Row> = self.0.row(query, vec![identifier.to_string().into()])?;
        Ok(row.map(|row| row.nonce))
    }

    fn identify(&self, identifier: B256, nonce: B256) -> worker::Result<()> {
        self.create()?;
        self.0.create_apart("identifiers", IDENTIFIERS)?;
        self.write(
            "INSERT OR IGNORE INTO identifiers (identifier, nonce) VALUES (?, ?)",
            vec![identifier.to_string().into(), nonce.to_string().into()],
        )
    }

    fn unbook(&self, nonce: B256) -> worker::Result<()> {
        let statement = "DELETE FROM payments WHERE nonce = ?";
        self.write(statement, vec![nonce.to_string().into()])
    }

    fn unidentify(&self, identifier: B256) -> worker::Result<()> {
        if !self.0.has("identifiers")? {
            return Ok(());
        }
        let statement = "DELETE FROM identifiers WHERE identifier = ?";
        self.write(statement, vec![identifier.to_string().into()])
    }

    fn opened(&self, request_id: &RequestId) -> worker::Result<Option<Open>> {
        let query =
            "SELECT request_id, target, amount, chosen, held, at FROM open WHERE request_id = ?";
        let row: Option<OpenRow> = self.0.row(query, vec![request_id.as_str().into()])?;
        Ok(row.map(Open::from))
    }

    fn holder(&self, target: &TargetKey, other_than: &RequestId) -> worker::Result<Option<Open>> {
        let row: Option<OpenRow> = self.0.row(
            "SELECT request_id, target, amount, chosen, held, at FROM open
             WHERE target = ? AND request_id <> ? ORDER BY held = 0, at LIMIT 1",
            vec![target.as_str().into(), other_than.as_str().into()],
        )?;
        Ok(row.map(Open::from))
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
        let row: Option<Row> = self.0.row(
            "SELECT count(*) FILTER (WHERE amount > 0) AS purchases, coalesce(sum(amount), 0)
                 + (SELECT coalesce(sum(amount), 0) FROM recent WHERE at >= ?) AS amount
             FROM open WHERE request_id <> ?",
            vec![integer(delivered_since.0)?, except.as_str().into()],
        )?;
        Ok(row.map_or_else(UnderWay::default, |row| UnderWay {
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
                integer(open.amount.units())?,
                i64::from(open.chosen).into(),
                i64::from(open.held).into(),
                integer(open.at.0)?,
            ],
        )
    }

    fn close(&self, request_id: &RequestId) -> worker::Result<()> {
        let statement = "DELETE FROM open WHERE request_id = ?";
        self.write(statement, vec![request_id.as_str().into()])
    }

    fn recent(&self, target: &TargetKey, after: UnixMillis) -> worker::Result<Option<RequestId>> {
        let row: Option<Id> = self.0.row(
            "SELECT request_id FROM recent WHERE at > ? AND target = ? ORDER BY at DESC LIMIT 1",
            vec![integer(after.0)?, target.as_str().into()],
        )?;
        Ok(row.map(|row| row.request_id))
    }

    fn delivered(&self, recent: &Recent, now: UnixMillis) -> worker::Result<()> {
        let old = "DELETE FROM recent WHERE at <= ?";
        self.write(old, vec![ago(now, RECENT_MILLIS)?])?;
        self.write(
            "INSERT OR REPLACE INTO recent (request_id, target, amount, at) VALUES (?, ?, ?, ?)",
            vec![
                recent.request_id.as_str().into(),
                recent.target.as_str().into(),
                integer(recent.amount.units())?,
                integer(now.0)?,
            ],
        )
    }

    fn forget(&self, now: UnixMillis) -> worker::Result<()> {
        if !self.0.exist()? {
            return Ok(());
        }
        self.write(
            "DELETE FROM open WHERE held = 0 AND at <= ?",
            vec![ago(now, HOLD_MILLIS)?],
        )?;
        self.write(
            "DELETE FROM payments WHERE attempt = 0 AND at <= ?",
            vec![ago(now, BOUND_MILLIS)?],
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
        if !self.0.rows::<IgnoredAny>(query, vec![])?.is_empty() {
            return Ok(());
        }
        let all = [
            "payments",
            "open",
            "recent",
            "identifiers",
            "grants",
            "nonces",
            "standing",
        ];
        self.0.drop_all(&all)
    }

    fn add_grant(&self, grant: &BoughtGrant, now: UnixSeconds) -> worker::Result<()> {
        for statement in GRANTS {
            self.write(statement, vec![])?;
        }
        let before = integer(now.0.saturating_sub(LISTED_SECONDS))?;
        self.write("DELETE FROM grants WHERE ends_at <= ?", vec![before])?;
        self.write(
            "INSERT INTO grants (id, plan, ends_at) VALUES (?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET ends_at = max(ends_at, excluded.ends_at)",
            vec![
                grant.id.as_str().into(),
                grant.plan.as_str().into(),
                integer(grant.ends_at.0)?,
            ],
        )
    }

    fn grants(&self, since: UnixSeconds) -> worker::Result<(Vec<BoughtGrant>, usize)> {
        if !self.0.has("grants")? {
            return Ok((Vec::new(), 0));
        }
        let query = "SELECT CAST(count(*) AS TEXT) AS body FROM grants WHERE ends_at > ?";
        let all: Option<usize> = self.0.body(query, vec![integer(since.0)?])?;
        let query = format!("{GRANT} WHERE ends_at > ? ORDER BY ends_at DESC LIMIT ?");
        let bindings = vec![integer(since.0)?, count(MAX_FOUND)];
        Ok((self.0.bodies(&query, bindings)?, all.unwrap_or_default()))
    }

    fn grant(&self, id: &RequestId) -> worker::Result<Option<BoughtGrant>> {
        let query = format!("{GRANT} WHERE id = ?");
        self.0.body(&query, vec![id.as_str().into()])
    }

    fn use_nonce(&self, nonce: &str, until: UnixSeconds, now: UnixSeconds) -> worker::Result<bool> {
        let old = "DELETE FROM nonces WHERE until <= ?";
        self.write(old, vec![integer(now.0)?])?;
        let query = "SELECT 1 FROM nonces WHERE nonce = ?";
        let used = self.0.rows::<IgnoredAny>(query, vec![nonce.into()])?;
        if used.is_empty() {
            let statement = "INSERT INTO nonces (nonce, until) VALUES (?, ?)";
            self.write(statement, vec![nonce.into(), integer(until.0)?])?;
        }
        Ok(used.is_empty())
    }

    fn standing(&self) -> worker::Result<Standing> {
        #[derive(Deserialize)]
        struct Row {
            reverts: u32,
            last_at: u64,
            slots: u32,
            calls: String,
        }
        let query = "SELECT reverts, last_at, slots, calls FROM standing";
        let row: Option<Row> = self.0.row(query, vec![])?;
        let Some(row) = row else {
            return Ok(Standing::default());
        };
        Ok(Standing {
            reverts: row.reverts,
            last: UnixMillis(row.last_at),
            slots: row.slots,
            calls: json::read(row.calls.as_bytes())?,
        })
    }

    fn set_standing(&self, standing: Standing) -> worker::Result<()> {
        self.write(
            "UPDATE standing SET reverts = ?, last_at = ?, slots = ?, calls = ?",
            vec![
                i64::from(standing.reverts).into(),
                integer(standing.last.0)?,
                i64::from(standing.slots).into(),
                serde_json::to_string(&standing.calls)?.into(),
            ],
        )
    }
}
