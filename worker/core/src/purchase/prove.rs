//! Payment by an ordinary transfer: the buyer has sent the money and names the transaction.
//!
//! The money has moved before we hear of it, so nothing is refused for having expired meanwhile: the block's time decides,
//! and it can be shown until thirty days after the offer's end. First everything is checked that can be read from the chain; then the
//! transfers are recorded as the intent to book one of them; then the payer's book gives one, for ever; then the purchase
//! is paid and goes on like any other.

use super::access::look;
use super::begun::{Begun, unavailable, unknown};
use super::effects::{self, Fate};
use super::env::{PurchaseEnv, StoreFault, Stuck, Versioned};
use super::lifecycle::Event;
use super::question::Prove;
use super::reply::PayReply;
use super::state::{Proof, Purchase};
use super::store::{commit, record_fact};
use crate::chain::Chain;
use crate::chain::base::Receipt;
use crate::chain::transfer::{ProofFault, Transfer, check_time, payments};
use crate::types::{Address, B256, UnixSeconds, UsdcAmount};

/// Without a signature, no more payers than this of one transaction are looked at.
const MAX_PAYERS: usize = 8;

/// Places among a transaction's events, and amounts.
type Transfers = Vec<(u32, UsdcAmount)>;

/// Everything that must hold before the first write: the chain, the payer's book, and that nothing else can pay the purchase.
pub(super) async fn begin<E: PurchaseEnv>(
    env: &E,
    prove: &Prove,
    stored: Option<Versioned>,
) -> Result<Begun, StoreFault> {
    let record = stored.as_ref().map(|stored| &stored.record);
    let event = match check(env, prove, record).await {
        Ok(event) => event,
        Err(refusal) => return Ok(refusal),
    };
    if let Some(stored) = &stored
        && let Some(attempt) = stored.record.state.open_attempt()
    {
        // While it can be executed, crediting the transfer besides would let the purchase be paid twice.
        match effects::fate_of(env, &stored.record, &attempt.broadcast).await {
            // It can pay nothing any more.
            Ok(Fate::Spent | Fate::Expired) => {}
            Ok(Fate::Open) => {
                let until = effects::end(&attempt.broadcast);
                let fault = ProofFault::AuthorizationOpen(until);
                return Ok(Begun::Refused(PayReply::Unproven(fault)));
            }
            // It has paid already. Or the search for that goes on.
            Ok(fate) => {
                record_fact(env, stored, &fate.event())?;
                return Ok(Begun::LookAgain);
            }
            Err(stuck) => return Ok(unknown(env, &stuck)),
        }
    }
    // Losing against an identical request is no failure: the caller reads the winner's record.
    Ok(match commit(env, stored.as_ref(), event)? {
        true => Begun::Now,
        false => Begun::LookAgain,
    })
}

async fn check<E: PurchaseEnv>(
    env: &E,
    prove: &Prove,
    record: Option<&Purchase>,
) -> Result<Event, Begun> {
    let unproven = |fault| Begun::Refused(PayReply::Unproven(fault));
    let terms = &prove.offer.terms;
    let (receipt, included_at) =
        included(env, prove.transaction)
            .await
            .map_err(|stuck| match stuck {
                Stuck::Waiting => unproven(ProofFault::TxUnconfirmed),
                Stuck::Fault(fault) => unavailable(env, &fault),
            })?;
    // A purchase that has begun keeps its payer.
    let payer = prove.payer.or(record.map(|record| record.payer));
    let transfers = payments(&receipt, terms, payer).map_err(unproven)?;
    check_time(terms, included_at).map_err(unproven)?;
    for (payer, transfers) in by_payer(transfers) {
        let keys = effects::booking_keys(receipt.transaction, &transfers);
        match look(env, payer, keys, None).await {
            Ok(seen) if !seen.is_free_for(&terms.request_id) => {}
            Ok(_) => {
                return Ok(Event::Proven {
                    offer: prove.offer.clone(),
                    sold: prove.sold.clone(),
                    issuer: prove.issuer.clone(),
                    payer,
                    proof: Proof {
                        transaction: receipt.transaction,
                        block: receipt.block,
                        included_at,
                        transfers,
                        signed: prove.payer.is_some(),
                    },
                });
            }
            Err(fault) => return Err(unavailable(env, &fault.0)),
        }
    }
    Err(Begun::Refused(PayReply::Taken))
}

/// The receipt of a transaction that is as deep as the seller wants, and its block's time.
async fn included<E: PurchaseEnv>(
    env: &E,
    transaction: B256,
) -> Result<(Receipt, UnixSeconds), Stuck> {
    let receipt = env.chain().receipt(transaction).await?;
    let receipt = receipt.ok_or(Stuck::Waiting)?;
    effects::shown(env, &receipt).await?;
    let time = env.chain().block_time(receipt.block).await?;
    Ok((receipt, UnixSeconds(time.ok_or(Stuck::Waiting)?)))
}

/// The places and amounts of each payer's transfers. With a signature there is one payer.
fn by_payer(transfers: Vec<Transfer>) -> Vec<(Address, Transfers)> {
    let mut groups: Vec<(Address, Transfers)> = Vec::new();
    for Transfer { from, log, amount } in transfers {
        let mut known = groups.iter_mut();
        match known.find(|(payer, _)| *payer == from) {
            Some((_, group)) => group.push((log, amount)),
            None => groups.push((from, vec![(log, amount)])),
        }
    }
    groups.truncate(MAX_PAYERS);
    groups
}

#[cfg(test)]
mod tests;
