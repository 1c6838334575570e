//! Payment by an ordinary transfer: the buyer has sent the money and names the transaction.
//!
//! The money has moved before the buyer names the transaction, so nothing is refused for having expired meanwhile: the
//! time of the transaction's block decides, and the transaction can be shown until thirty days after the offer's end.
//! First everything is checked that can be read from the chain. Then the transfers are recorded, as the intent to book
//! one of them. Then the payer's book assigns one to the purchase, for ever. Then the purchase is paid and goes on like
//! any other.

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
use crate::chain::transfer::{ProofFault, Transfer, absence, check_time, payments};
use crate::types::{Address, B256, UnixSeconds, UsdcAmount};

/// How many payers of one transaction are considered when there is no signature.
const MAX_PAYERS: usize = 8;

/// The log index of each transfer, and its amount.
type Transfers = Vec<(u32, UsdcAmount)>;

/// Checks everything that must hold before the first write: what the chain shows, what the payer's book says, and that
/// nothing else can pay the purchase. Then writes the record.
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
        // While the authorization of the failed attempt can be executed, crediting the transfer would let the purchase
        // be paid twice.
        match effects::fate_of(env, &stored.record, &attempt.broadcast).await {
            // The authorization can pay nothing any more.
            Ok(Fate::Spent | Fate::Expired) => {}
            Ok(Fate::Open) => {
                let until = effects::end(&attempt.broadcast);
                let fault = ProofFault::AuthorizationOpen(until);
                return Ok(Begun::Refused(PayReply::Unproven(fault)));
            }
            // The authorization has paid already, or the search for its transaction goes on.
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
    let stopped = |stuck| match stuck {
        Stuck::Waiting => unproven(ProofFault::TxUnconfirmed),
        Stuck::Fault(fault) => unavailable(env, &fault),
    };
    let included = included(env, prove.transaction).await.map_err(stopped)?;
    let Some((receipt, included_at)) = included else {
        let head = env.chain().head().await;
        let head = head.map_err(|error| unavailable(env, &error.0))?;
        return Err(unproven(absence(terms, UnixSeconds(head.timestamp))));
    };
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

/// The receipt of a transaction that is as deep as the seller wants, and its block's time. `None`: the transaction is
/// not on chain.
async fn included<E: PurchaseEnv>(
    env: &E,
    transaction: B256,
) -> Result<Option<(Receipt, UnixSeconds)>, Stuck> {
    let Some(receipt) = env.chain().receipt(transaction).await? else {
        return Ok(None);
    };
    effects::shown(env, &receipt).await?;
    let time = env.chain().block_time(receipt.block).await?;
    Ok(Some((receipt, UnixSeconds(time.ok_or(Stuck::Waiting)?))))
}

/// The log index and amount of each payer's transfers. With a signature there is one payer.
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
