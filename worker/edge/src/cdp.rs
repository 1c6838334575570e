//! Signs requests to Coinbase's facilitator.

use key0_core::settlement::cdp::{CdpAlgorithm, CdpKey};
use wasm_bindgen::prelude::*;

use crate::{platform, webcrypto};

/// The value of the `Authorization` header for one request; it is good for no other request.
pub(crate) async fn bearer(key: &CdpKey, method: &str, path: &str) -> Result<String, JsValue> {
    let nonce = platform::random().map_err(|_| JsValue::UNDEFINED)?;
    let input = key.token_input(method, path, platform::now().to_seconds(), nonce);
    let algorithm = webcrypto::algorithm(match key.algorithm() {
        CdpAlgorithm::Es256 => &[
            ("name", "ECDSA"),
            ("namedCurve", "P-256"),
            ("hash", "SHA-256"),
        ],
        CdpAlgorithm::EdDsa => &[("name", "Ed25519")],
    })?;
    let imported = webcrypto::signing_key(key.pkcs8(), &algorithm).await?;
    let signature = webcrypto::sign(&algorithm, &imported, input.as_bytes()).await?;
    Ok(format!("Bearer {}", CdpKey::token(&input, &signature)))
}
