//! `PayerObject`, one per chain and payer: the book of that payer's payments.
//!
//! Stored: `payments` (each authorization nonce, and the key of each plain transfer: which purchase presented it and which it
//! counts for, for ever), `unresolved` (each target's purchase that may still be charged), `identifiers` (the names that clients
//! gave to payments) and `reverts` (one row: how many transfers reverted since the last one that succeeded).
//!
//! Calls: `PayerCommand` → `PayerReply`.
//!
//! Why no interleaving breaks it: a command runs in one synchronous transaction and waits for nothing.

use key0_core::payment::payer::{Booking, PayerCommand, PayerStore, Reverts, TargetKey, execute};
use key0_core::types::{B256, RequestId, UnixMillis};
use serde::Deserialize;
use worker::{DurableObject, Env, Request, Response, SqlStorage, State, durable_object};

use super::{command, reply};
use crate::platform;
use crate::storage::{self, Schema};

const SCHEMA: Schema = Schema(&[&[
    "CREATE TABLE payments (
        nonce TEXT PRIMARY KEY,
        claimant TEXT NOT NULL,
        owner TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE unresolved (
        target TEXT PRIMARY KEY,
        request_id TEXT NOT NULL,
        attempt INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
]]);

#[durable_object(fetch)]
pub struct PayerObject {
    state: State,
}

impl DurableObject for PayerObject {
    fn new(state: State, _env: Env) -> Self {
        Self { state }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let command: PayerCommand = command(&mut request).await?;
        let storage = self.state.storage();
        let outcome = storage::transaction(&storage, || {
            let book = Book {
                sql: storage.sql(),
                has_tables: SCHEMA.open(&storage.sql())?,
            };
            execute(&book, &command, platform::now())
        });
        reply("payer", outcome)
    }
}

struct Book {
    sql: SqlStorage,
    has_tables: bool,
}

impl Book {
    fn create_tables(&self) -> worker::Result<()> {
        if self.has_tables {
            return Ok(());
        }
        SCHEMA.create(&self.sql)
    }
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
        if !self.has_tables {
            return Ok(None);
        }
        let query = "SELECT claimant, owner, attempt FROM payments WHERE nonce = ?";
        let rows: Vec<Row> = storage::rows(&self.sql, query, vec![nonce.to_string().into()])?;
        Ok(rows.into_iter().next().map(|row| Booking {
            claimant: row.claimant,
            owner: row.owner,
            attempt: row.attempt,
        }))
    }

    fn book(&self, nonce: B256, booking: &Booking) -> worker::Result<()> {
        self.create_tables()?;
        storage::run(
            &self.sql,
            "INSERT INTO payments (nonce, claimant, owner, attempt, at) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (nonce) DO UPDATE SET owner = excluded.owner, attempt = excluded.attempt",
            vec![
                nonce.to_string().into(),
                booking.claimant.as_str().into(),
                booking.owner.as_str().into(),
                i64::from(booking.attempt).into(),
                i64::try_from(platform::now().0).unwrap_or(i64::MAX).into(),
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
        let rows: Vec<Row> = storage::rows(&self.sql, query, vec![identifier.to_string().into()])?;
        Ok(rows.into_iter().next().map(|row| row.nonce))
    }

    fn identify(&self, identifier: B256, nonce: B256) -> worker::Result<()> {
        storage::run(
            &self.sql,
            "CREATE TABLE IF NOT EXISTS identifiers (
                identifier TEXT PRIMARY KEY,
                nonce TEXT NOT NULL
            ) STRICT, WITHOUT ROWID",
            vec![],
        )?;
        storage::run(
            &self.sql,
            "INSERT OR IGNORE INTO identifiers (identifier, nonce) VALUES (?, ?)",
            vec![identifier.to_string().into(), nonce.to_string().into()],
        )
    }

    fn unresolved(&self, target: &TargetKey) -> worker::Result<Option<RequestId>> {
        #[derive(Deserialize)]
        struct Row {
            request_id: RequestId,
        }
        if !self.has_tables {
            return Ok(None);
        }
        let query = "SELECT request_id FROM unresolved WHERE target = ?";
        let rows: Vec<Row> = storage::rows(&self.sql, query, vec![target.as_str().into()])?;
        Ok(rows.into_iter().next().map(|row| row.request_id))
    }

    fn open(&self, target: &TargetKey, request_id: &RequestId, attempt: u32) -> worker::Result<()> {
        self.create_tables()?;
        storage::run(
            &self.sql,
            "INSERT OR REPLACE INTO unresolved (target, request_id, attempt) VALUES (?, ?, ?)",
            vec![
                target.as_str().into(),
                request_id.as_str().into(),
                i64::from(attempt).into(),
            ],
        )
    }

    fn close(
        &self,
        target: &TargetKey,
        request_id: &RequestId,
        attempt: u32,
    ) -> worker::Result<bool> {
        if !self.has_tables {
            return Ok(false);
        }
        let removed: Vec<serde::de::IgnoredAny> = storage::rows(
            &self.sql,
            "DELETE FROM unresolved WHERE target = ? AND request_id = ? AND attempt <= ? RETURNING target",
            vec![
                target.as_str().into(),
                request_id.as_str().into(),
                i64::from(attempt).into(),
            ],
        )?;
        Ok(!removed.is_empty())
    }

    fn reverts(&self) -> worker::Result<Reverts> {
        #[derive(Deserialize)]
        struct Row {
            count: u32,
            last_at: u64,
        }
        if !storage::has_table(&self.sql, "reverts")? {
            return Ok(Reverts::default());
        }
        let query = "SELECT count, last_at FROM reverts";
        let rows: Vec<Row> = storage::rows(&self.sql, query, vec![])?;
        Ok(rows
            .into_iter()
            .next()
            .map_or_else(Reverts::default, |row| Reverts {
                count: row.count,
                last: UnixMillis(row.last_at),
            }))
    }

    fn set_reverts(&self, reverts: Reverts) -> worker::Result<()> {
        storage::run(
            &self.sql,
            "CREATE TABLE IF NOT EXISTS reverts (
                id INTEGER PRIMARY KEY CHECK (id = 1),
                count INTEGER NOT NULL,
                last_at INTEGER NOT NULL
            ) STRICT",
            vec![],
        )?;
        storage::run(
            &self.sql,
            "INSERT OR REPLACE INTO reverts (id, count, last_at) VALUES (1, ?, ?)",
            vec![
                i64::from(reverts.count).into(),
                i64::try_from(reverts.last.0).unwrap_or(i64::MAX).into(),
            ],
        )
    }
}
