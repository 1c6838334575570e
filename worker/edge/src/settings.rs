//! The settings, read from the bindings once per isolate. A new deployment gets new isolates.

use std::cell::OnceCell;
use std::rc::Rc;

use key0_core::config::{Config, Problem};
use serde_json::json;
use wasm_bindgen::JsValue;
use worker::Env;

use crate::platform;

thread_local! {
    static SETTINGS: OnceCell<Settings> = const { OnceCell::new() };
}

/// The settings, or everything that is wrong with them.
pub(crate) type Settings = Result<Rc<Config>, Rc<Vec<Problem>>>;

/// The settings of this deployment.
pub(crate) fn settings(env: &Env) -> Settings {
    SETTINGS.with(|cell| {
        cell.get_or_init(|| {
            let bindings: &JsValue = env.as_ref();
            let config = Config::from_vars(|name| {
                js_sys::Reflect::get(bindings, &name.into())
                    .ok()?
                    .as_string()
            });
            if let Ok(config) = &config {
                warn(config);
            }
            config.map(Rc::new).map_err(Rc::new)
        })
        .clone()
    })
}

/// What the operator must know of settings that are correct and dangerous.
fn warn(config: &Config) {
    for Problem { name, reason } in &config.warnings {
        let detail = format!("{name} {reason}");
        platform::log("unsafe_setting", json!({"setting": name, "detail": detail}));
    }
}
