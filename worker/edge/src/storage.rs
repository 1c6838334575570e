//! SQL in a Durable Object, made safe: the platform crate's own cursor throws through Rust on a missing row, and its
//! alarm is not part of a transaction.

use std::panic::AssertUnwindSafe;

use key0_core::types::UnixMillis;
use serde::de::{DeserializeOwned, IgnoredAny};
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
    #[wasm_bindgen(method, catch, js_name = deleteAll)]
    fn delete_all(this: &RawStorage) -> std::result::Result<js_sys::Promise, JsValue>;

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
    let bindings = bindings.into_iter().map(JsValue::from).collect();
    raw_rows(sql, query, bindings)?
        .iter()
        .map(|row| serde_wasm_bindgen::from_value(row).map_err(Error::from))
        .collect()
}

fn raw_rows(sql: &SqlStorage, query: &str, bindings: js_sys::Array) -> Result<js_sys::Array> {
    let sql: &RawSql = AsRef::<JsValue>::as_ref(sql).unchecked_ref();
    let cursor = sql.exec(query, bindings).map_err(Error::from)?;
    cursor.to_array().map_err(Error::from)
}

/// Runs one statement whose last value is `bytes`. The bytes stay outside of wasm's memory.
pub(crate) fn run_with_bytes(
    sql: &SqlStorage,
    query: &str,
    bindings: Vec<SqlStorageValue>,
    bytes: &js_sys::Uint8Array,
) -> Result<()> {
    let bindings: js_sys::Array = bindings.into_iter().map(JsValue::from).collect();
    bindings.push(bytes);
    raw_rows(sql, query, bindings).map(drop)
}

/// The bytes in the column `body` of the first row.
pub(crate) fn bytes(
    sql: &SqlStorage,
    query: &str,
    bindings: Vec<SqlStorageValue>,
) -> Result<Option<js_sys::Uint8Array>> {
    let bindings = bindings.into_iter().map(JsValue::from).collect();
    let row = raw_rows(sql, query, bindings)?.iter().next();
    row.map(|row| {
        let body = js_sys::Reflect::get(&row, &"body".into()).map_err(Error::from)?;
        Ok(js_sys::Uint8Array::new(&body))
    })
    .transpose()
}

/// Runs one statement that returns nothing.
pub(crate) fn run(sql: &SqlStorage, query: &str, bindings: Vec<SqlStorageValue>) -> Result<()> {
    rows::<IgnoredAny>(sql, query, bindings).map(drop)
}

/// An integer for a statement. The platform's numbers are floats, so an integer that a float cannot hold exactly is
/// a fault.
pub(crate) fn integer(number: u64) -> Result<SqlStorageValue> {
    let number = i64::try_from(number).map_err(|_| "a number is too large to be stored")?;
    SqlStorageValue::try_from_i64(number)
}

/// A row limit for a statement.
pub(crate) fn count(limit: usize) -> SqlStorageValue {
    i32::try_from(limit).unwrap_or(i32::MAX).into()
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

/// Sets the object's one alarm, or removes it. Inside a transaction, the change is part of the transaction.
pub(crate) fn set_alarm(storage: &Storage, at: Option<UnixMillis>) -> Result<()> {
    let storage = raw(storage);
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

/// Empties the storage, outside of any transaction. Dropping all tables is not enough: the platform goes on charging for
/// an empty database.
pub(crate) fn delete_all(storage: &Storage) -> Result<()> {
    let promise = raw(storage).delete_all();
    promise.map(drop).map_err(Error::from)
}

/// When the object's one alarm fires; `None` when none is set, or while one is being handled.
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
