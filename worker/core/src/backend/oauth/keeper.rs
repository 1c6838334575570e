//! Keeps one access token for the whole deployment, so that the authorization server is asked once and not by every
//! purchase: however many ask at the same time, one renewal is under way.

use core::cell::{Cell, RefCell};
use core::future::Future;

use super::client::{HeldToken, TOKEN_DEADLINE_MILLIS, read_answer};
use crate::pauses::RENEWAL;
use crate::types::UnixMillis;

/// A token is renewed this long before it ends: the call that it is for takes time.
const MARGIN_MILLIS: u64 = 10_000;

/// What keeping a token needs from outside.
pub trait TokenEnv {
    /// The clock.
    fn now(&self) -> UnixMillis;
    /// Waits.
    fn sleep(&self, millis: u64) -> impl Future<Output = ()>;
    /// The token that was kept last, if it is for the same purpose.
    fn load(&self) -> Option<HeldToken>;
    /// Keeps a token. If that fails, another one is asked for when memory is lost.
    fn store(&self, token: &HeldToken);
    /// Asks the authorization server, and returns the body of a success.
    fn fetch(&self) -> impl Future<Output = Result<Vec<u8>, String>>;
    /// Writes a line for the operator.
    fn log(&self, event: &str, detail: &str);
}

/// The keeper. What it has in memory may be lost at any time.
#[derive(Debug, Default)]
pub struct TokenKeeper {
    known: RefCell<Option<HeldToken>>,
    /// Until when a renewal that is under way is waited for, in milliseconds.
    busy_until: Cell<u64>,
    /// When the last renewal failed.
    failed_at: Cell<Option<UnixMillis>>,
}

/// The right to renew; given back when dropped.
struct Turn<'a>(&'a Cell<u64>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(0);
    }
}

impl TokenKeeper {
    /// The token, or none when the authorization server gives none. Asks for a new one if that is needed and nobody else
    /// does already. `refused` is the number of a token that the backend has refused.
    pub async fn token<E: TokenEnv>(&self, env: &E, refused: Option<u64>) -> Option<HeldToken> {
        let began = env.now();
        loop {
            let known = self.known(env);
            if let Some(token) = known.as_ref().filter(|token| refused != Some(token.number))
                // One that was given since is used up to its end, however short its life: asking again gets no longer one.
                && (env.now().plus(MARGIN_MILLIS) < token.expires_at || token.number >= began.0)
            {
                return Some(token.clone());
            }
            // The answer to somebody who asked later is an answer to this one too.
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
