//! The platform's rate limit, and the callers that this isolate refuses because they have exceeded it. A deployment without
//! the binding has no limit.

use std::cell::RefCell;

use key0_core::limit::{BINDING, Turned, counts};
use key0_core::response::Response;
use worker::Env;

pub(crate) use key0_core::limit::Caller;

use crate::platform;

thread_local! {
    static TURNED: RefCell<Turned> = RefCell::default();
}

/// The 429 for this caller, if it must be refused now.
pub(crate) fn refusal(caller: Option<&Caller>) -> Option<Response> {
    TURNED.with_borrow(|turned| turned.refusal(caller?, platform::now()))
}

/// Counts the answer against its caller, if it is one of those that count. If the platform gives no answer, nobody is
/// refused.
pub(crate) async fn count(env: &Env, caller: Option<Caller>, response: &Response) {
    let (Some(caller), true) = (caller, counts(response)) else {
        return;
    };
    let Ok(limiter) = env.rate_limiter(BINDING) else {
        return;
    };
    if let Ok(outcome) = limiter.limit(caller.key().to_owned()).await
        && !outcome.success
    {
        TURNED.with_borrow_mut(|turned| turned.add(caller, platform::now()));
    }
}
