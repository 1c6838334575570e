//! How a wallet that has signed finds the grants that it has bought.

use super::command::PayerReply;
use super::grants::{FindGrants, LISTED_SECONDS, MAX_FOUND};
use super::store::PayerStore;
use crate::types::{UnixMillis, UnixSeconds};

/// For how much longer than it is good a nonce is remembered: clocks differ.
const REMEMBERED_SECONDS: u64 = 60;

/// Finds grants, those that end last first, and remembers the nonce. A payer without grants has nothing stored for it.
pub(super) fn find<S: PayerStore>(
    store: &S,
    question: &FindGrants,
    now: UnixMillis,
) -> Result<PayerReply, S::Error> {
    let since = UnixSeconds(now.to_seconds().0.saturating_sub(LISTED_SECONDS));
    let (mut grants, mut count) = store.grants(since)?;
    if count == 0 {
        return Ok(PayerReply::Grants { grants, more: 0 });
    }
    let until = question.until.plus(REMEMBERED_SECONDS);
    if !store.use_nonce(&question.nonce, until, now.to_seconds())? {
        return Ok(PayerReply::NonceUsed);
    }
    if let Some(id) = &question.id {
        grants = store.grant(id)?.into_iter().collect();
        count = grants.len();
    }
    grants.truncate(MAX_FOUND);
    let more = count.saturating_sub(grants.len());
    Ok(PayerReply::Grants { grants, more })
}
