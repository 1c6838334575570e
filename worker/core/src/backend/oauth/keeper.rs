//! Keeps one access token for the whole deployment. So the authorization server is not asked for every purchase, and
//! however many purchases need a token at the same time, only one renewal is under way.

use core::cell::{Cell, RefCell};
use core::future::Future;

use super::client::{HeldToken, TOKEN_DEADLINE_MILLIS, read_answer};
use crate::pauses::RENEWAL;
use crate::types::UnixMillis;

/// A token is renewed this long before it ends, because the call that it is for takes time.
const MARGIN_MILLIS: u64 = 10_000;

/// What a [`TokenKeeper`] needs from outside: a clock, and the authorization server.
pub trait TokenEnv {
    /// The clock.
    fn now(&self) -> UnixMillis;
    /// Waits this long.
    fn sleep(&self, millis: u64) -> impl Future<Output = ()>;
    /// The token that was kept last, if it was requested for the same purpose as now.
    fn load(&self) -> Option<HeldToken>;
    /// Keeps a token. If that fails, another token is requested once memory is lost.
    fn store(&self, token: &HeldToken);
    /// Asks the authorization server for a token, and returns the body of a success.
    fn fetch(&self) -> impl Future<Output = Result<Vec<u8>, String>>;
    /// Writes a line for the operator.
    fn log(&self, event: &str, detail: &str);
}

/// The keeper. Whatever it has in memory may be lost at any time.
#[derive(Debug, Default)]
pub struct TokenKeeper {
    known: RefCell<Option<HeldToken>>,
    /// Until when other callers wait for the renewal that is under way, in milliseconds.
    busy_until: Cell<u64>,
    /// When the last renewal failed.
    failed_at: Cell<Option<UnixMillis>>,
}

/// The right to renew the token; given back when dropped.
struct Turn<'a>(&'a Cell<u64>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(0);
    }
}

impl TokenKeeper {
    /// The token, or `None` when the authorization server gives none. Requests a new one if it is needed and no other caller
    /// is requesting it. `refused` is the number of a token that the backend has refused.
    pub async fn token<E: TokenEnv>(&self, env: &E, refused: Option<u64>) -> Option<HeldToken> {
        let began = env.now();
        loop {
            let known = self.known(env);
            if let Some(token) = known.as_ref().filter(|token| refused != Some(token.number))
                // A token that was issued since this call began is used until it expires, however soon: another request
                // would get no token that lasts longer.
                && (env.now().plus(MARGIN_MILLIS) < token.expires_at || token.number >= began.0)
            {
                return Some(token.clone());
            }
            // A failure since this call began answers this call as well.
            if self.failed_at.get().is_some_and(|at| at >= began) {
                return None;
            }
            if env.now().0 < self.busy_until.get() {
                env.sleep(RENEWAL).await;
                continue;
            }
            self.renew(env, known.map_or(0, |known| known.number)).await;
        }
    }

    fn known<E: TokenEnv>(&self, env: &E) -> Option<HeldToken> {
        let mut known = self.known.borrow_mut();
        if known.is_none() {
            *known = env.load();
        }
        known.clone()
    }

    async fn renew<E: TokenEnv>(&self, env: &E, last: u64) {
        let deadline = u64::from(TOKEN_DEADLINE_MILLIS) + 2_000;
        self.busy_until.set(env.now().plus(deadline).0);
        let _turn = Turn(&self.busy_until);
        let outcome = env.fetch().await;
        let now = env.now();
        let number = now.0.max(last.saturating_add(1));
        let token = outcome.and_then(|body| {
            read_answer(&body, now, number)
                .ok_or_else(|| "the answer has no usable access_token".to_owned())
        });
        match token {
            Ok(token) => {
                env.store(&token);
                self.known.replace(Some(token));
            }
            Err(fault) => {
                env.log("oauth_failed", &fault);
                self.failed_at.set(Some(now));
            }
        }
    }
}

#[cfg(test)]
mod tests;
