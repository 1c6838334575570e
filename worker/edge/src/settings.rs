//! The settings. They are read from the bindings once per isolate; a new deployment gets new isolates.

use std::cell::OnceCell;
use std::rc::Rc;

use key0_core::config::{CATALOG_FILE, Config, Problem};
use key0_core::json;
use wasm_bindgen::JsValue;
use worker::Env;

use crate::platform;

/// The global variable that holds the text of the catalog file. The module that sets it is packed beside the worker's
/// own.
const CATALOG_GLOBAL: &str = "KEY0_CATALOG";

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
            let packed = js_sys::global();
            let config = Config::from_vars(|name| {
                let (object, member) = match name {
                    CATALOG_FILE => (packed.as_ref(), CATALOG_GLOBAL),
                    setting => (bindings, setting),
                };
                js_sys::Reflect::get(object, &member.into())
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

/// Warns the operator of settings that are valid but dangerous.
fn warn(config: &Config) {
    for Problem { name, reason } in &config.warnings {
        let detail = format!("{name} {reason}");
        platform::log("unsafe_setting", json!({"setting": name, "detail": detail}));
    }
}
