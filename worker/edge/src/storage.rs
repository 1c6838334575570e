//! SQL in a Durable Object, made safe: the platform crate's own cursor throws through Rust on a missing row, and its
//! alarm is not part of a transaction.

use std::panic::AssertUnwindSafe;

use key0_core::types::UnixMillis;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use worker::{Error, Result, SqlStorage, SqlStorageValue, Storage};

#[wasm_bindgen]
extern "C" {
    type RawStorage;
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &RawStorage,
        body: &mut dyn FnMut() -> std::result::Result<(), JsValue>,
    ) -> std::result::Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = setAlarm)]
    fn set_alarm(this: &RawStorage, unix_ms: f64) -> std::result::Result<js_sys::Promise, JsValue>;
    #[wasm_bindgen(method, catch, js_name = getAlarm)]
    fn get_alarm(this: &RawStorage) -> std::result::Result<js_sys::Promise, JsValue>;
    #[wasm_bindgen(method, catch, js_name = deleteAlarm)]
    fn delete_alarm(this: &RawStorage) -> std::result::Result<js_sys::Promise, JsValue>;

    type RawSql;
    #[wasm_bindgen(method, catch, variadic)]
    fn exec(
        this: &RawSql,
        query: &str,
        bindings: js_sys::Array,
    ) -> std::result::Result<RawCursor, JsValue>;

    type RawCursor;
    #[wasm_bindgen(method, catch, js_name = toArray)]
    fn to_array(this: &RawCursor) -> std::result::Result<js_sys::Array, JsValue>;
}

/// Runs one statement and reads all its rows.
pub(crate) fn rows<T: DeserializeOwned>(
    sql: &SqlStorage,
    query: &str,
    bindings: Vec<SqlStorageValue>,
) -> Result<Vec<T>> {
    let sql: &RawSql = AsRef::<JsValue>::as_ref(sql).unchecked_ref();
    let bindings: js_sys::Array = bindings.into_iter().map(JsValue::from).collect();
    let rows = sql
        .exec(query, bindings)
        .map_err(Error::from)?
        .to_array()
        .map_err(Error::from)?;
    rows.iter()
        .map(|row| serde_wasm_bindgen::from_value(row).map_err(Error::from))
        .collect()
}

/// Runs one statement whose rows are JSON texts in a column named `body`, and reads what they say.
pub(crate) fn bodies<T: DeserializeOwned>(
    sql: &SqlStorage,
    query: &str,
    bindings: Vec<SqlStorageValue>,
) -> Result<Vec<T>> {
    #[derive(Deserialize)]
    struct Row {
        body: String,
    }
    let rows: Vec<Row> = rows(sql, query, bindings)?;
    rows.iter()
        .map(|row| Ok(serde_json::from_slice(row.body.as_bytes())?))
        .collect()
}

/// Runs one statement that returns nothing.
pub(crate) fn run(sql: &SqlStorage, query: &str, bindings: Vec<SqlStorageValue>) -> Result<()> {
    rows::<serde::de::IgnoredAny>(sql, query, bindings).map(drop)
}

/// Whether a table exists. Asking creates nothing.
pub(crate) fn has_table(sql: &SqlStorage, name: &str) -> Result<bool> {
    let query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = ?";
    let found: Vec<serde::de::IgnoredAny> = rows(sql, query, vec![name.into()])?;
    Ok(!found.is_empty())
}

/// The tables of one class of objects, as the steps that lead to them: each a list of statements. A release that changes
/// tables adds a step. The number of steps that an object has taken is stored with it, so a later release takes the others
/// when it opens the object.
pub(crate) struct Schema(pub(crate) &'static [&'static [&'static str]]);

impl Schema {
    /// Whether the tables exist; those of an earlier release are brought up to date. Asking an object that stores nothing
    /// creates nothing.
    pub(crate) fn open(&self, sql: &SqlStorage) -> Result<bool> {
        let taken = steps_taken(sql)?;
        if taken > 0 {
            self.take(sql, taken)?;
        }
        Ok(taken > 0)
    }

    /// Creates the tables. To be called in the transaction that first writes to them.
    pub(crate) fn create(&self, sql: &SqlStorage) -> Result<()> {
        self.take(sql, steps_taken(sql)?)
    }

    /// Forgets that there were tables. To be called in the transaction that drops them.
    pub(crate) fn forget(&self, sql: &SqlStorage) -> Result<()> {
        match steps_taken(sql)? {
            0 => Ok(()),
            number => run(sql, &format!("DROP VIEW {NUMBER}{number}"), vec![]),
        }
    }

    /// Takes the steps that were not taken. Nothing is awaited between them, so the platform writes all or none.
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

/// The number is the name of a view. A table would take a page of every object.
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

/// Runs `body` in a transaction: an error or a panic undoes everything, the alarm included.
pub(crate) fn transaction<T>(storage: &Storage, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let mut outcome = None;
    {
        let mut call = AssertUnwindSafe((Some(body), &mut outcome));
        raw(storage)
            .transaction_sync(&mut move || {
                let (body, outcome) = &mut *call;
                let body = body.take().ok_or("a transaction body ran twice")?;
                **outcome = Some(body().map_err(JsValue::from)?);
                Ok(())
            })
            .map_err(Error::from)?;
    }
    outcome.ok_or_else(|| Error::RustError("the transaction did not run".to_owned()))
}

/// Sets the object's one alarm, or removes it. Inside a transaction it is part of it.
pub(crate) fn set_alarm(storage: &Storage, at: Option<UnixMillis>) -> Result<()> {
    let storage = raw(storage);
    // Milliseconds of this age are exact in a double.
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact for moments within 285,000 years"
    )]
    let promise = match at {
        Some(at) => storage.set_alarm(at.0 as f64),
        None => storage.delete_alarm(),
    };
    promise.map(drop).map_err(Error::from)
}

/// When the object's one alarm rings; `None` when none is set, or while one is being handled.
pub(crate) async fn alarm(storage: &Storage) -> Result<Option<UnixMillis>> {
    let promise = raw(storage).get_alarm().map_err(Error::from)?;
    let at = JsFuture::from(promise).await.map_err(Error::from)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole milliseconds since 1970"
    )]
    Ok(at.as_f64().map(|at| UnixMillis(at as u64)))
}

fn raw(storage: &Storage) -> &RawStorage {
    AsRef::<JsValue>::as_ref(storage.as_raw()).unchecked_ref()
}
