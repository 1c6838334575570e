//! The tables of an object. The object's first write creates them. Reading from an object that stores nothing creates
//! no tables, and finds nothing.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;

use js_sys::Uint8Array;
use key0_core::types::UnixMillis;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use worker::{Result, SqlStorage, SqlStorageValue, State, Storage};

use crate::json;
use crate::storage::{self, rows, run};

/// The tables of one object.
pub(crate) struct Tables {
    storage: Storage,
    schema: &'static Schema,
    /// Whether the tables are known to exist.
    exist: AssertUnwindSafe<Cell<bool>>,
    /// Whether the current transaction has dropped all tables.
    dropped: AssertUnwindSafe<Cell<bool>>,
}

impl Tables {
    pub(crate) fn new(state: &State, schema: &'static Schema) -> Self {
        Self {
            storage: state.storage(),
            schema,
            exist: AssertUnwindSafe(Cell::new(false)),
            dropped: AssertUnwindSafe(Cell::new(false)),
        }
    }

    /// Waits until what was written is safe on disk.
    pub(crate) async fn sync(&self) -> Result<()> {
        self.storage.sync().await
    }

    /// Runs a query; without tables it finds nothing.
    pub(crate) fn rows<T: DeserializeOwned>(
        &self,
        query: &str,
        bindings: Vec<SqlStorageValue>,
    ) -> Result<Vec<T>> {
        match self.exist()? {
            true => rows(&self.sql(), query, bindings),
            false => Ok(Vec::new()),
        }
    }

    /// The first row that a query finds.
    pub(crate) fn row<T: DeserializeOwned>(
        &self,
        query: &str,
        bindings: Vec<SqlStorageValue>,
    ) -> Result<Option<T>> {
        Ok(self.rows(query, bindings)?.into_iter().next())
    }

    /// Runs a query whose rows are JSON texts in a column named `body`, and reads what they say.
    pub(crate) fn bodies<T: DeserializeOwned>(
        &self,
        query: &str,
        bindings: Vec<SqlStorageValue>,
    ) -> Result<Vec<T>> {
        #[derive(Deserialize)]
        struct Row {
            body: String,
        }
        let rows: Vec<Row> = self.rows(query, bindings)?;
        rows.iter()
            .map(|row| Ok(json::read(row.body.as_bytes())?))
            .collect()
    }

    /// Runs a query as [`Tables::bodies`] does, and reads only the first text that it finds.
    pub(crate) fn body<T: DeserializeOwned>(
        &self,
        query: &str,
        bindings: Vec<SqlStorageValue>,
    ) -> Result<Option<T>> {
        Ok(self.bodies(query, bindings)?.into_iter().next())
    }

    /// Runs a statement that writes, inside a transaction of [`Tables::transaction`]; the first one creates the tables.
    pub(crate) fn write(&self, statement: &str, bindings: Vec<SqlStorageValue>) -> Result<()> {
        self.create()?;
        run(&self.sql(), statement, bindings)
    }

    /// Runs a statement that writes, as [`Tables::write`] does. The last value of the statement is these bytes.
    pub(crate) fn write_bytes(
        &self,
        statement: &str,
        bindings: Vec<SqlStorageValue>,
        bytes: &Uint8Array,
    ) -> Result<()> {
        self.create()?;
        storage::run_with_bytes(&self.sql(), statement, bindings, bytes)
    }

    /// The bytes in the column `body` of the first row that a query finds.
    pub(crate) fn bytes(
        &self,
        query: &str,
        bindings: Vec<SqlStorageValue>,
    ) -> Result<Option<Uint8Array>> {
        match self.exist()? {
            true => storage::bytes(&self.sql(), query, bindings),
            false => Ok(None),
        }
    }

    /// Creates the tables if they do not exist, inside a transaction. Returns whether they had to be created.
    pub(crate) fn create(&self) -> Result<bool> {
        let is_missing = !self.exist()?;
        if is_missing {
            self.schema.create(&self.sql())?;
            self.exist.set(true);
            self.dropped.set(false);
        }
        Ok(is_missing)
    }

    /// Drops these tables inside a transaction, after which nothing is left of the object. `names` must list all of its
    /// tables.
    pub(crate) fn drop_all(&self, names: &[&str]) -> Result<()> {
        for name in names {
            let statement = format!("DROP TABLE IF EXISTS {name}");
            run(&self.sql(), &statement, vec![])?;
        }
        self.schema.forget(&self.sql())?;
        self.exist.set(false);
        self.dropped.set(true);
        Ok(())
    }

    /// Whether a table exists that is created and dropped separately from the schema.
    pub(crate) fn has(&self, name: &str) -> Result<bool> {
        let query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = ?";
        let found: Option<IgnoredAny> = self.row(query, vec![name.into()])?;
        Ok(found.is_some())
    }

    /// Runs `body` in a transaction: an error or a panic undoes everything, the alarm included.
    pub(crate) fn transaction<T>(&self, body: impl FnOnce() -> Result<T>) -> Result<T> {
        let outcome = storage::transaction(&self.storage, body);
        if outcome.is_err() {
            // The rollback has undone the tables that `body` created.
            self.exist.set(false);
        }
        if self.dropped.take() && outcome.is_ok() {
            storage::delete_all(&self.storage)?;
        }
        outcome
    }

    /// Sets the object's one alarm, or removes it. Inside a transaction, the change is part of the transaction.
    pub(crate) fn set_alarm(&self, at: Option<UnixMillis>) -> Result<()> {
        storage::set_alarm(&self.storage, at)
    }

    /// When the object's one alarm fires; `None` when none is set, or while one is being handled.
    pub(crate) async fn alarm(&self) -> Result<Option<UnixMillis>> {
        storage::alarm(&self.storage).await
    }

    /// Whether the tables exist.
    pub(crate) fn exist(&self) -> Result<bool> {
        if !self.exist.get() {
            self.exist.set(self.schema.open(&self.sql())?);
        }
        Ok(self.exist.get())
    }

    fn sql(&self) -> SqlStorage {
        self.storage.sql()
    }
}

/// The tables of one class of objects, as the steps that create them; each step is a list of statements. A release that
/// changes tables adds a step. Each object stores how many steps it has taken, so a later release takes the missing ones
/// when it opens the object.
pub(crate) struct Schema(pub(crate) &'static [&'static [&'static str]]);

impl Schema {
    /// Whether the tables exist. Tables of an earlier release are brought up to date. Opening an object that stores
    /// nothing creates nothing.
    fn open(&self, sql: &SqlStorage) -> Result<bool> {
        let taken = steps_taken(sql)?;
        if taken > 0 {
            self.take(sql, taken)?;
        }
        Ok(taken > 0)
    }

    /// Creates the tables. Must run in the transaction that first writes to them.
    fn create(&self, sql: &SqlStorage) -> Result<()> {
        self.take(sql, steps_taken(sql)?)
    }

    /// Removes the record that there were tables. Must run in the transaction that drops them.
    fn forget(&self, sql: &SqlStorage) -> Result<()> {
        match steps_taken(sql)? {
            0 => Ok(()),
            number => run(sql, &format!("DROP VIEW {NUMBER}{number}"), vec![]),
        }
    }

    /// Takes the missing steps. Nothing is awaited between them, so the platform writes all of them or none.
    fn take(&self, sql: &SqlStorage, taken: usize) -> Result<()> {
        if taken >= self.0.len() {
            return Ok(());
        }
        for statement in self.0.iter().skip(taken).copied().flatten() {
            run(sql, statement, vec![])?;
        }
        let number = self.0.len();
        if taken > 0 {
            run(sql, &format!("DROP VIEW {NUMBER}{taken}"), vec![])?;
        }
        run(
            sql,
            &format!("CREATE VIEW {NUMBER}{number} AS SELECT {number} AS number"),
            vec![],
        )
    }
}

/// The number of steps taken is stored as the name of a view: a table would take up a page in every object.
const NUMBER: &str = "schema_";

fn steps_taken(sql: &SqlStorage) -> Result<usize> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
    }
    let query = "SELECT name FROM sqlite_master WHERE type = 'view' AND name GLOB 'schema_[0-9]*'";
    let rows: Vec<Row> = rows(sql, query, vec![])?;
    let numbers = rows
        .iter()
        .filter_map(|row| row.name.strip_prefix(NUMBER)?.parse().ok());
    Ok(numbers.max().unwrap_or_default())
}
