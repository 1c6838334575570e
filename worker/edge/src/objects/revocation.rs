//! `RevocationObject`, one per deployment: the list of the grants that were taken back, which backends read.
//!
//! Stored: `revoked` (8 bytes of the hash of each grant, and until when it stays; at most 10,000), `missing` (one row: until when
//! the list is not whole, because there was no room). What has ended is removed when something is added.
//!
//! Calls: `ListCommand` → `RevokedList`.
//!
//! Why no interleaving breaks it: a command runs in one synchronous transaction and waits for nothing. The grants' own objects
//! are the truth, and report again until they are heard.

use key0_core::meter::{ListCommand, ListStore, execute};
use key0_core::types::UnixSeconds;
use serde::de::IgnoredAny;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use super::{command, reply};
use crate::platform;
use crate::storage::integer;
use crate::tables::{Schema, Tables};

const SCHEMA: Schema = Schema(&[&[
    "CREATE TABLE revoked (
        id TEXT PRIMARY KEY,
        until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX revoked_by_end ON revoked (until)",
    "CREATE TABLE missing (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        until INTEGER NOT NULL
    ) STRICT",
]]);

#[durable_object(fetch)]
pub struct RevocationObject {
    list: List,
}

impl DurableObject for RevocationObject {
    fn new(state: State, _env: Env) -> Self {
        Self {
            list: List(Tables::new(&state, &SCHEMA)),
        }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let command: ListCommand = command(&mut request).await?;
        let (list, now) = (&self.list, platform::now().to_seconds());
        reply(
            "revocation",
            list.0.transaction(|| execute(list, &command, now)),
        )
    }
}

struct List(Tables);

impl List {
    /// The one number that a query finds, as text in a column named `body`.
    fn number(&self, query: &str) -> worker::Result<u64> {
        Ok(self.0.body(query, vec![])?.unwrap_or_default())
    }
}

impl ListStore for List {
    type Error = worker::Error;

    fn count(&self) -> worker::Result<usize> {
        let count = self.number("SELECT CAST(COUNT(*) AS TEXT) AS body FROM revoked")?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn has(&self, grant: &str) -> worker::Result<bool> {
        let query = "SELECT 1 FROM revoked WHERE id = ?";
        let found: Option<IgnoredAny> = self.0.row(query, vec![grant.into()])?;
        Ok(found.is_some())
    }

    fn after(&self, now: UnixSeconds) -> worker::Result<Vec<String>> {
        let query = "SELECT json_group_array(id) AS body FROM revoked WHERE until > ?";
        let grants = self.0.body(query, vec![integer(now.0)?])?;
        Ok(grants.unwrap_or_default())
    }

    fn put(&self, grant: &str, until: UnixSeconds) -> worker::Result<()> {
        let statement = "INSERT INTO revoked (id, until) VALUES (?, ?)";
        self.0
            .write(statement, vec![grant.into(), integer(until.0)?])
    }

    fn remove(&self, now: UnixSeconds) -> worker::Result<()> {
        let statement = "DELETE FROM revoked WHERE until <= ?";
        self.0.write(statement, vec![integer(now.0)?])
    }

    fn missing_until(&self) -> worker::Result<UnixSeconds> {
        self.number("SELECT CAST(until AS TEXT) AS body FROM missing")
            .map(UnixSeconds)
    }

    fn set_missing_until(&self, until: UnixSeconds) -> worker::Result<()> {
        let statement = "INSERT OR REPLACE INTO missing (id, until) VALUES (1, ?)";
        self.0.write(statement, vec![integer(until.0)?])
    }
}
