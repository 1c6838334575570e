//! Finding the event that used an authorization. Nodes answer for few blocks at a time, some for ten only, and many
//! keep only the states of the newest blocks. So the range of blocks is halved as long as there are states to ask for,
//! and then read window by window.

use super::super::env::Stuck;
use crate::chain::Chain;
use crate::chain::base::AuthorizationEvents;
use crate::x402::Authorization;

/// How many blocks one query covers, as long as no node refuses.
const FIRST_WINDOW: u64 = 500;
/// By how much a refusal narrows the window.
const NARROWER: u64 = 8;
/// The narrowest window, in blocks. A node that refuses even this window does not answer at all.
const LAST_WINDOW: u64 = FIRST_WINDOW / NARROWER / NARROWER;
/// How many queries one search makes at most, because the platform limits them. They are enough for `LOG_MARGIN_BLOCKS`
/// in the narrowest windows, so that each search gets further.
const MAX_QUESTIONS: u64 = 40;

/// The result of a search.
pub(super) enum Search {
    /// The events of the authorization.
    Found(AuthorizationEvents),
    /// The blocks before this one have no event; the later ones are still to be searched.
    NotBefore(u64),
    /// No block has an event. One node says that the authorization is used, and another does not show how.
    Nothing,
}

/// Looks for the event of an authorization that is used in the state of block `high` and was unused before block `low`.
pub(super) async fn find_event<C: Chain>(
    chain: &C,
    authorization: &Authorization,
    mut low: u64,
    mut high: u64,
) -> Result<Search, Stuck> {
    let (payer, nonce) = (authorization.from, authorization.nonce);
    let first = low;
    let mut window = FIRST_WINDOW;
    let mut has_states = true;
    for _ in 0..MAX_QUESTIONS {
        while has_states && high.saturating_sub(low) >= window {
            let middle = low.midpoint(high);
            match chain.authorization_used(payer, nonce, Some(middle)).await {
                Ok(true) => high = middle,
                Ok(false) => low = middle.saturating_add(1),
                Err(_) => has_states = false,
            }
        }
        let last = high.min(low.saturating_add(window.saturating_sub(1)));
        match chain.authorization_events(payer, nonce, low..=last).await {
            Ok(events) if events != AuthorizationEvents::default() => {
                return Ok(Search::Found(events));
            }
            Ok(_) if last == high => return Ok(Search::Nothing),
            Ok(_) => low = last.saturating_add(1),
            // Blocks that were searched need not be searched again.
            Err(_) if window <= LAST_WINDOW && low > first => return Ok(Search::NotBefore(low)),
            Err(error) if window <= LAST_WINDOW => return Err(error.into()),
            Err(_) => window /= NARROWER,
        }
    }
    Ok(Search::NotBefore(low))
}
