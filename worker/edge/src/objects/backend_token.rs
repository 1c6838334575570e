//! `BackendTokenObject`, one per deployment: the OAuth token that the gateway shows to the seller's backend.
//!
//! Stored: `token` (one row: the last token that was received, encrypted). Nothing is stored with another strategy.
//!
//! Calls: the number of a token that the backend has refused, or nothing → the token as text, or nothing.
//!
//! Why no interleaving breaks it: a call that renews the token notes that in memory before it first waits. Calls that
//! arrive meanwhile wait and take the new token. If memory is lost during a renewal, the worst case is another renewal.

use std::panic::AssertUnwindSafe;

use key0_core::backend::authentication::BackendAuth;
use key0_core::backend::oauth::{HeldToken, OAuthClient, TokenEnv, TokenKeeper};
use key0_core::config::BackendSettings;
use key0_core::json;
use key0_core::types::UnixMillis;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use super::parcel::Parcel;
use super::{body, send};
use crate::settings::settings;
use crate::tables::{Schema, Tables};
use crate::{outbound, platform};

const SCHEMA: Schema = Schema(&[&[
    "CREATE TABLE token (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL) STRICT",
]]);

#[durable_object(fetch)]
pub struct BackendTokenObject {
    env: Env,
    tables: Tables,
    keeper: AssertUnwindSafe<TokenKeeper>,
}

impl DurableObject for BackendTokenObject {
    fn new(state: State, env: Env) -> Self {
        Self {
            env,
            tables: Tables::new(&state, &SCHEMA),
            keeper: AssertUnwindSafe(TokenKeeper::default()),
        }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let refused = String::from_utf8(body(&mut request).await?)
            .ok()
            .and_then(|number| number.parse().ok());
        let Ok(config) = settings(&self.env) else {
            return send("backend_token", Err("misconfigured".to_owned()));
        };
        let BackendAuth::OAuth(client) = &config.backend.auth else {
            return send("backend_token", Err("the strategy is not oauth".to_owned()));
        };
        let outside = Outside {
            tables: &self.tables,
            settings: &config.backend,
            client,
        };
        let token = self.keeper.token(&outside, refused).await;
        let text = token.map(|token| token.to_text()).unwrap_or_default();
        send("backend_token", Ok(Parcel::text(text.into_bytes())))
    }
}

struct Outside<'a> {
    tables: &'a Tables,
    settings: &'a BackendSettings,
    client: &'a OAuthClient,
}

impl Outside<'_> {
    fn read(&self) -> worker::Result<Option<HeldToken>> {
        let sealed: Option<String> = self.tables.body("SELECT body FROM token", vec![])?;
        let key = &self.settings.credential_key;
        // A token that was sealed for another purpose, or with a secret that is no longer configured, does not open.
        Ok(sealed
            .and_then(|sealed| key.open(&self.client.fingerprint(), &sealed))
            .and_then(|text| HeldToken::from_text(core::str::from_utf8(&text).ok()?)))
    }

    fn write(&self, token: &HeldToken) -> worker::Result<()> {
        let key = &self.settings.credential_key;
        let sealed = key.seal(&self.client.fingerprint(), token.to_text().as_bytes());
        let body = serde_json::to_string(&sealed)?;
        self.tables.transaction(|| {
            self.tables.write(
                "INSERT OR REPLACE INTO token (id, body) VALUES (1, ?)",
                vec![body.into()],
            )
        })
    }
}

impl TokenEnv for Outside<'_> {
    fn now(&self) -> UnixMillis {
        platform::now()
    }

    async fn sleep(&self, millis: u64) {
        platform::sleep(millis).await;
    }

    fn load(&self) -> Option<HeldToken> {
        self.read().unwrap_or_else(|error| {
            self.log("storage_failed", &error.to_string());
            None
        })
    }

    fn store(&self, token: &HeldToken) {
        if let Err(error) = self.write(token) {
            self.log("storage_failed", &error.to_string());
        }
    }

    async fn fetch(&self) -> Result<Vec<u8>, String> {
        outbound::access_token(self.client).await
    }

    fn log(&self, event: &str, detail: &str) {
        platform::log(event, json!({"object": "backend_token", "detail": detail}));
    }
}
