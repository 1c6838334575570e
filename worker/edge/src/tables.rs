//! The tables of an object. The object's first write creates them. Reading from an object that stores nothing creates
//! no tables, and finds nothing.

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;

use js_sys::Uint8Array;
use key0_core::types::UnixMillis;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use worker::{Result, SqlStorage, SqlStorageValue, State, Storage};

use crate::json;
use crate::platform;
use crate::storage::{self, rows, run};

/// How much earlier than asked for an alarm may ring. Setting an alarm costs as much as writing a row, and an alarm that
/// rings early only looks again.
const EARLY: u64 = 500;

/// The tables of one object. What memory knows of them saves a question; it may be lost at any time.
pub(crate) struct Tables {
    storage: Storage,
    schema: &'static Schema,
    /// Whether the tables exist, if that is known.
    exist: AssertUnwindSafe<Cell<Option<bool>>>,
    /// The tables outside the schema that are known to exist.
    apart: AssertUnwindSafe<RefCell<Vec<&'static str>>>,
    /// When the alarm rings, if that is known.
    alarm: AssertUnwindSafe<Cell<Option<UnixMillis>>>,
    /// Whether the current transaction has dropped all tables.
    dropped: AssertUnwindSafe<Cell<bool>>,
}

impl Tables {
    pub(crate) fn new(state: &State, schema: &'static Schema) -> Self {
        Self {
            storage: state.storage(),
            schema,
            exist: AssertUnwindSafe(Cell::new(None)),
            apart: AssertUnwindSafe(RefCell::new(Vec::new())),
            alarm: AssertUnwindSafe(Cell::new(None)),
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
            self.exist.set(Some(true));
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
        self.forget();
        self.dropped.set(true);
        Ok(())
    }

    /// Whether a table exists that is created and dropped separately from the schema.
    pub(crate) fn has(&self, name: &'static str) -> Result<bool> {
        if self.apart.borrow().contains(&name) {
            return Ok(true);
        }
        let query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = ?";
        let found: Option<IgnoredAny> = self.row(query, vec![name.into()])?;
        if found.is_some() {
            self.apart.borrow_mut().push(name);
        }
        Ok(found.is_some())
    }

    /// Creates a table separately from the schema with this `CREATE TABLE IF NOT EXISTS`, inside a transaction.
    pub(crate) fn create_apart(&self, name: &'static str, statement: &str) -> Result<()> {
        if self.apart.borrow().contains(&name) {
            return Ok(());
        }
        self.write(statement, vec![])?;
        self.apart.borrow_mut().push(name);
        Ok(())
    }

    /// Drops a table that was created separately from the schema, if it exists, inside a transaction.
    pub(crate) fn drop_apart(&self, name: &'static str) -> Result<()> {
        self.apart.borrow_mut().retain(|known| *known != name);
        self.write(&format!("DROP TABLE IF EXISTS {name}"), vec![])
    }

    /// Runs `body` in a transaction: an error or a panic undoes everything, the alarm included.
    pub(crate) fn transaction<T>(&self, body: impl FnOnce() -> Result<T>) -> Result<T> {
        let outcome = storage::transaction(&self.storage, body);
        if outcome.is_err() {
            // The rollback has undone the tables that `body` created, and the alarm that it set.
            self.forget();
        }
        if self.dropped.take() && outcome.is_ok() {
            self.forget();
            storage::delete_all(&self.storage)?;
        }
        outcome
    }

    /// Sets the object's one alarm, or removes it. Inside a transaction, the change is part of the transaction. An alarm
    /// that is set already, and rings at that time or a little earlier, stays.
    pub(crate) fn set_alarm(&self, at: Option<UnixMillis>) -> Result<()> {
        if let (Some(known), Some(at)) = (self.alarm.get(), at)
            // One that should have rung may be lost.
            && platform::now() < known
            && known <= at
            && at.since(known) <= EARLY
        {
            return Ok(());
        }
        self.alarm.set(None);
        storage::set_alarm(&self.storage, at)?;
        self.alarm.set(at);
        Ok(())
    }

    /// Notes that the alarm has rung: none is set now. Every alarm handler begins with this.
    pub(crate) fn rang(&self) {
        self.alarm.set(None);
    }

    /// When the object's one alarm fires; `None` when none is set, or while one is being handled.
    pub(crate) async fn alarm(&self) -> Result<Option<UnixMillis>> {
        let at = storage::alarm(&self.storage).await?;
        if at.is_none() {
            self.alarm.set(None);
        }
        Ok(at)
    }

    /// Whether the tables exist.
    pub(crate) fn exist(&self) -> Result<bool> {
        if let Some(exist) = self.exist.get() {
            return Ok(exist);
        }
        let exist = self.schema.open(&self.sql())?;
        self.exist.set(Some(exist));
        Ok(exist)
    }

    /// Makes memory know nothing.
    fn forget(&self) {
        self.exist.set(None);
        self.apart.borrow_mut().clear();
        self.alarm.set(None);
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
        let number = steps_taken(sql)?;
        run(
            sql,
            &format!("DROP VIEW IF EXISTS {NUMBER}{number}"),
            vec![],
        )
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
            run(sql, &format!("DROP VIEW IF EXISTS {NUMBER}{taken}"), vec![])?;
        }
        if number == 1 {
            return Ok(());
        }
        run(
            sql,
            &format!("CREATE VIEW {NUMBER}{number} AS SELECT {number} AS number"),
            vec![],
        )
    }
}

/// The number of steps taken is stored as the name of a view: a table would take up a page in every object. Tables
/// without such a view have taken the first step only: a view costs two written rows.
const NUMBER: &str = "schema_";

fn steps_taken(sql: &SqlStorage) -> Result<usize> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
    }
    let query = "SELECT name FROM sqlite_master
                 WHERE type IN ('table', 'view') AND name NOT GLOB '_cf_*' AND name NOT GLOB 'sqlite_*'";
    let rows: Vec<Row> = rows(sql, query, vec![])?;
    let numbers = rows.iter().map(|row| match row.name.strip_prefix(NUMBER) {
        Some(number) => number.parse().unwrap_or_default(),
        None => 1,
    });
    Ok(numbers.max().unwrap_or_default())
}
