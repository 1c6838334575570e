//! Signs requests to Coinbase's facilitator with the platform's WebCrypto.

use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use key0_core::payment::cdp::{CdpAlgorithm, CdpKey};
use wasm_bindgen::prelude::*;
use worker::wasm_bindgen_futures::JsFuture;

use crate::platform;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_namespace = ["crypto", "subtle"], js_name = importKey)]
    fn import_key(
        format: &str,
        key: Uint8Array,
        algorithm: &Object,
        extractable: bool,
        usages: Array,
    ) -> Result<Promise, JsValue>;
    #[wasm_bindgen(catch, js_namespace = ["crypto", "subtle"])]
    fn sign(algorithm: &Object, key: &JsValue, data: Uint8Array) -> Result<Promise, JsValue>;
}

/// The value of `Authorization` for one request; nobody can use it for another.
pub(crate) async fn bearer(key: &CdpKey, method: &str, path: &str) -> Result<String, JsValue> {
    let nonce = platform::random().map_err(|_| JsValue::UNDEFINED)?;
    let input = key.token_input(method, path, platform::now().to_seconds(), nonce);
    let algorithm = match key.algorithm() {
        CdpAlgorithm::Es256 => named(&[
            ("name", "ECDSA"),
            ("namedCurve", "P-256"),
            ("hash", "SHA-256"),
        ]),
        CdpAlgorithm::EdDsa => named(&[("name", "Ed25519")]),
    }?;
    let usages = Array::of1(&"sign".into());
    let import = import_key("pkcs8", key.pkcs8().into(), &algorithm, false, usages)?;
    let imported = JsFuture::from(import).await?;
    let signing = sign(&algorithm, &imported, input.as_bytes().into())?;
    let signature = Uint8Array::new(&JsFuture::from(signing).await?).to_vec();
    Ok(format!("Bearer {}", CdpKey::token(&input, &signature)))
}

fn named(members: &[(&str, &str)]) -> Result<Object, JsValue> {
    let object = Object::new();
    for (name, value) in members {
        Reflect::set(&object, &(*name).into(), &(*value).into())?;
    }
    Ok(object)
}
