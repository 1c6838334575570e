//! The signed list of the grants that were taken back. Each isolate asks for it at most every ten seconds.

use std::cell::RefCell;

use http::HeaderMap;
use key0_core::config::Config;
use key0_core::documents::{REVOKED_TYPE, revoked};
use key0_core::error::{Code, Error};
use key0_core::response::{self, Response};
use key0_core::types::{HttpUrl, UnixMillis};
use worker::Env;

use crate::objects::Objects;
use crate::{platform, rsa};

/// For how long an isolate, and whoever asks it, keeps the list.
const KEPT_SECONDS: u32 = 10;

thread_local! {
    /// The last list, for whom it was signed, and until when it is kept.
    static LAST: RefCell<Option<(String, UnixMillis, String)>> = RefCell::default();
}

/// Answers a request for the list. One that cannot be read is never an empty one: then there is no answer.
pub(crate) async fn answer(
    env: &Env,
    config: &Config,
    origin: &HttpUrl,
    headers: &HeaderMap,
) -> Response {
    let now = platform::now();
    let kept = LAST.with_borrow(|last| {
        let (signed_for, until, list) = last.as_ref()?;
        (signed_for == origin.as_str() && now < *until).then(|| list.clone())
    });
    let list = match kept {
        Some(list) => list,
        None => match signed(env, config, origin, now).await {
            Some(list) => list,
            None => {
                return response::error(&Error::new(
                    Code::TemporarilyUnavailable,
                    "The list of revoked grants cannot be read now. Keep the one that you have, and ask again in a few seconds.",
                ));
            }
        },
    };
    response::text_document(list, REVOKED_TYPE, headers, KEPT_SECONDS)
}

async fn signed(env: &Env, config: &Config, origin: &HttpUrl, now: UnixMillis) -> Option<String> {
    let list = Objects::new(env).revoked().await.ok()?;
    let signing = revoked(config, origin, &list, now.to_seconds(), &rsa::WebCrypto);
    let text = signing.await.ok()?;
    let until = now.plus(u64::from(KEPT_SECONDS) * 1_000);
    LAST.set(Some((origin.as_str().to_owned(), until, text.clone())));
    Some(text)
}
