//! The grants with a meter that a payer has bought, for whoever has signed as that payer.

use serde::{Deserialize, Serialize};

use super::command::PayerReply;
use super::store::PayerStore;
use crate::types::{PlanId, RequestId, UnixMillis, UnixSeconds};

/// For how long a grant is listed after its end.
pub const LISTED_SECONDS: u64 = 35 * 24 * 3_600;
/// The most grants that one look finds.
pub const MAX_FOUND: usize = 40;
/// For how much longer than it is good a nonce is remembered: clocks differ.
const REMEMBERED_SECONDS: u64 = 60;

/// A grant whose calls are counted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BoughtGrant {
    /// Its id: the purchase that founded it.
    pub id: RequestId,
    /// The plan that was bought.
    pub plan: PlanId,
    /// When it ends, as far as the book knows.
    pub ends_at: UnixSeconds,
}

/// The question of a wallet for its grants.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FindGrants {
    /// The grant that is meant; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    /// The nonce that the wallet has signed.
    pub nonce: String,
    /// Until when that is good.
    pub until: UnixSeconds,
}

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
