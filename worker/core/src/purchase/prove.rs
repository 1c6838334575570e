//! Payment by an ordinary transfer: the buyer has sent the money and names the transaction (`design.md`, section 4).
//!
//! The money has moved before we hear of it, so nothing is refused for having expired meanwhile: the block's time decides,
//! and it can be shown until thirty days after the offer's end. First everything is checked that can be read from the chain; then the
//! transfers are recorded as the intent to book one of them; then the payer's book gives one, for ever; then the purchase
//! is paid and goes on like any other.

use serde::{Deserialize, Serialize};

use super::ask::{Next, PayReply};
use super::begin::{Begun, unavailable, unknown};
use super::driver::{commit, record_fact};
use super::effects;
use super::env::{ChallengeEnv, StoreFault, Stuck, Versioned};
use super::lifecycle::Event;
use super::record::{Record, Stage, State};
use super::sold::Sold;
use crate::book::payer::{Claim, PayerCommand, PayerReply, TargetKey};
use crate::chain::Chain;
use crate::chain::base::Receipt;
use crate::chain::transfer::{ProofFault, Transfer, booking_key, check_time, payments};
use crate::offer::Challenge;
use crate::offer::Terms;
use crate::types::{Address, B256, UnixSeconds, UsdcAmount};

/// Without a signature, no more payers than this of one transaction are looked at.
const MAX_PAYERS: usize = 8;

/// Places among a transaction's events, and amounts.
type Transfers = Vec<(u32, UsdcAmount)>;

/// A transaction that is said to have paid a challenge.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct Prove {
    /// What was paid.
    pub challenge: Challenge,
    /// What is delivered for it, if the purchase begins now; `None` when the catalog does not have it.
    pub sold: Option<Sold>,
    /// The public URL through which it is bought.
    pub issuer: String,
    /// Who has signed the challenge id; `None` when the seller asks for no signature and there is none.
    pub payer: Option<Address>,
    /// The transaction.
    pub transaction: B256,
}

/// On its way to the purchase: a list needs less code than names would.
type Wire = (Challenge, Option<Sold>, String, Option<Address>, B256);

impl From<Wire> for Prove {
    fn from((challenge, sold, issuer, payer, transaction): Wire) -> Self {
        Self {
            challenge,
            sold,
            issuer,
            payer,
            transaction,
        }
    }
}

impl From<Prove> for Wire {
    fn from(prove: Prove) -> Self {
        (
            prove.challenge,
            prove.sold,
            prove.issuer,
            prove.payer,
            prove.transaction,
        )
    }
}

impl Prove {
    /// Whether who asks may learn how this purchase stands. A signature of the payer opens it. Without one it takes the
    /// challenge id and the transaction by which it was paid, and a payment that needed no signature either: what was paid
    /// in another way shows its transaction to everybody.
    pub(super) fn fits(&self, record: &Record) -> bool {
        let terms = &self.challenge.terms;
        terms.target == record.terms.target
            && terms.resource == record.terms.resource
            && match (self.payer, record.state.payment()) {
                (Some(payer), _) => payer == record.payer,
                (None, None) => true,
                (None, Some(payment)) => {
                    self.challenge.id == record.challenge_id
                        && self.transaction == payment.transaction
                        && payment.unsigned
                }
            }
    }

    /// What a purchase without money does with a proof. `None`: it answers as it answers everybody.
    pub(super) fn next(record: &Record) -> Option<Next> {
        match &record.state {
            _ if !is_open(record) => None,
            // First it lets go of its target, as after any failure.
            _ if record.holds_target => Some(Next::Drive),
            _ => Some(Next::Begin),
        }
    }
}

/// Whether a purchase has ended without money, or its attempt has: then a transfer that was made in time still counts.
pub(super) const fn is_open(record: &Record) -> bool {
    match &record.state {
        State::Pending { attempt } => matches!(attempt.stage, Stage::Failed { .. }),
        State::Expired { .. } | State::Cancelled { .. } => true,
        State::Proving { .. }
        | State::Paid { .. }
        | State::Delivered { .. }
        | State::Closed { .. }
        | State::RefundPending { .. }
        | State::Refunded { .. }
        | State::RefundFailed { .. }
        | State::RefundBlocked { .. } => false,
    }
}

/// Everything that must hold before the first write: the chain, the payer's book, and that nothing else can pay the purchase.
pub(super) async fn begin<E: ChallengeEnv>(
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
        match effects::given_up(env, &stored.record, attempt).await {
            // It can pay nothing any more.
            Ok(
                Event::Lapsed {
                    may_still_land: false,
                }
                | Event::AttemptFailed { .. },
            ) => {}
            Ok(Event::Lapsed { .. }) => {
                let until = effects::end(attempt);
                let fault = ProofFault::AuthorizationOpen(until);
                return Ok(Begun::Refused(PayReply::Unproven(fault)));
            }
            // It has paid already. Or the search for that goes on.
            Ok(event) => {
                record_fact(env, stored, &event)?;
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

async fn check<E: ChallengeEnv>(
    env: &E,
    prove: &Prove,
    record: Option<&Record>,
) -> Result<Event, Begun> {
    let unproven = |fault| Begun::Refused(PayReply::Unproven(fault));
    let terms = &prove.challenge.terms;
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
        let look = claim(terms, receipt.transaction, &transfers, true);
        match env.payer(payer, look).await {
            Ok(PayerReply::Taken) => {}
            Ok(_) => {
                return Ok(Event::Proven {
                    challenge: prove.challenge.clone(),
                    sold: prove.sold.clone(),
                    issuer: prove.issuer.clone(),
                    payer,
                    transaction: receipt.transaction,
                    block: receipt.block,
                    included_at,
                    transfers,
                    signed: prove.payer.is_some(),
                });
            }
            Err(fault) => return Err(unavailable(env, &fault.0)),
        }
    }
    Err(Begun::Refused(PayReply::Taken))
}

/// The receipt of a transaction that is as deep as the seller wants, and its block's time.
async fn included<E: ChallengeEnv>(
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

fn claim(
    terms: &Terms,
    transaction: B256,
    transfers: &[(u32, UsdcAmount)],
    only_look: bool,
) -> PayerCommand {
    PayerCommand::Claim(Claim {
        transfers: transfers
            .iter()
            .map(|(log, _)| booking_key(transaction, *log))
            .collect(),
        request_id: terms.request_id.clone(),
        target: TargetKey::new(&terms.target, &terms.resource),
        only_look,
    })
}

/// Books one of the transfers with the payer.
pub(super) async fn book<E: ChallengeEnv>(
    env: &E,
    record: &Record,
    transaction: B256,
    transfers: &[(u32, UsdcAmount)],
) -> Result<Event, Stuck> {
    let claim = claim(&record.terms, transaction, transfers, false);
    match env.payer(record.payer, claim).await? {
        PayerReply::Taken => Some(Event::Taken),
        PayerReply::Claimed(transfer) => transfers
            .iter()
            .find(|(log, _)| booking_key(transaction, *log) == transfer)
            .map(|(log, _)| Event::Claimed { log: *log }),
        _ => None,
    }
    .ok_or_else(|| Stuck::Fault("the payer's book gave a wrong answer".to_owned()))
}

#[cfg(test)]
mod tests;
