//! The gas wallet's alarm: what it does for open jobs.
//!
//! - The job with the next nonce comes first, because all others wait for it. Its fee is raised when it is too low for the newest
//!   block, or when a node says so; not because time passes, the wallet is empty, or the chain makes no blocks.
//! - If a payment is no longer wanted (its authorization has expired, it was paid at another nonce, the operator gave it up), the
//!   cheapest transaction uses up its nonce.
//! - A job is done when its transaction is some blocks deep. If a block is replaced before that, the transaction is broadcast again.
//! - A job whose nonce was used by another program gets another nonce. That is believed only after several answers: see [`Looks`]
//!   and [`Sights`].
//!
//! [`Looks`]: super::line::Looks
//! [`Sights`]: super::sight::Sights

use alloy_primitives::U256;
use futures_util::future;

use super::cost::MAX_FEE;
use super::env::{Change, WalletEnv, WalletStore};
use super::job::{Sent, Signed, WalletFault};
use super::line::Line;
use super::pipeline::{GasWallet, MAX_VERSIONS, warn_empty};
use super::sight::LOST_MILLIS;
use super::transaction::Fees;
use crate::chain::Chain;
use crate::chain::base::Head;
use crate::pauses::{NOT_DEEP, NOT_INCLUDED, STUCK};
use crate::types::UnixMillis;

/// The wallet corrects its nonce only after all answers of the chain have contradicted it for this long.
pub(super) const REPAIR_MILLIS: u64 = 60_000;
/// The depth in blocks, its own block included, at which a transaction makes its job done.
pub(super) const FINAL_BLOCKS: u64 = 5;
/// The time before which no transaction can be that deep.
pub(super) const FINAL_MILLIS: u64 = 8_000;
/// How many jobs that wait for a block one alarm handles.
const MAX_WAITING: usize = 32;
/// For how many included jobs receipts are fetched at the same time, and for how many in one alarm.
const CLOSED_AT_ONCE: usize = 32;
const MAX_CLOSED: usize = 512;
/// How long finished jobs are remembered. By then each authorization has been executed or has expired.
const KEEP_DONE_MILLIS: u64 = 7 * 24 * 3_600_000;
/// How many finished jobs one alarm forgets.
pub(super) const MAX_FORGOTTEN: usize = 500;

/// The chain's answer to one alarm.
struct Look {
    head: Option<Head>,
    /// The wallet's nonces below this one are used, as far as this answer can be trusted.
    used: u64,
    /// The first nonce, from `used` on, that no job holds.
    reach: u64,
}

/// Whether a job's transaction is included.
enum Fate {
    /// Included in this block.
    Included(u64),
    /// No node has a receipt.
    Unknown,
    /// The chain could not be asked.
    NoAnswer,
}

impl GasWallet {
    /// Handles the alarm: broadcasts, replaces and closes the open jobs. Safe to run at any time, also twice.
    pub async fn wake<E: WalletEnv>(&self, env: &E) -> Result<(), WalletFault> {
        if self.with_line(env, Line::is_empty)? {
            return self.tidy(env.store(), env.now());
        }
        self.arm(env, NOT_INCLUDED)?;
        let (head, counted) = future::join(
            env.chain().head(),
            env.chain().included_count(env.key().address()),
        )
        .await;
        let mut look = self.look(env, head.ok(), counted?)?;
        self.care_for_waiting(env, &mut look).await?;
        self.close_included(env, &look).await?;
        if self.with_line(env, Line::is_empty)? {
            return self.tidy(env.store(), env.now());
        }
        let waits = self.with_line(env, |line| line.tail() > look.used)?;
        if !waits {
            self.arm(env, NOT_DEEP)?;
        }
        env.store().forget(old(env.now()), MAX_FORGOTTEN).map(drop)
    }

    /// Handles the alarm of a wallet without open jobs: only old finished jobs are left to forget.
    pub fn tidy<S: WalletStore>(&self, store: &S, now: UnixMillis) -> Result<(), WalletFault> {
        let again = match store.forget(old(now), MAX_FORGOTTEN)? {
            MAX_FORGOTTEN.. => Some(now.plus(NOT_INCLUDED)),
            _ => None,
        };
        self.set_alarm(store, again)
    }

    /// Draws the conclusions from the chain's answer. An answer that contradicts what the wallet knows changes nothing until
    /// all answers have contradicted it for a minute.
    fn look<E: WalletEnv>(
        &self,
        env: &E,
        head: Option<Head>,
        counted: u64,
    ) -> Result<Look, WalletFault> {
        let now = env.now();
        let (lowest, highest) = {
            let mut looks = self.looks.borrow_mut();
            looks.add(now, counted);
            (
                looks.lowest(now, REPAIR_MILLIS),
                looks.highest(now, REPAIR_MILLIS),
            )
        };
        let mut floor = env.store().floor()?.unwrap_or(counted);
        let tail = self.with_line(env, Line::tail)?;
        let is_beyond = lowest.filter(|lowest| *lowest > tail.max(floor));
        if let Some(agreed) = highest.filter(|highest| *highest < floor).or(is_beyond) {
            env.log(
                "gas_wallet_nonce_corrected",
                &format!(
                    "the chain has {agreed} transactions of this wallet, which believed {floor}"
                ),
            );
            floor = agreed;
            self.write(
                env,
                &Change {
                    floor: Some(agreed),
                    ..Change::default()
                },
            )?;
        }
        let used = counted.max(floor).min(tail.max(floor));
        Ok(Look {
            head,
            used,
            reach: self.with_line(env, |line| line.free_from(used))?,
        })
    }

    /// Handles the jobs that hold the next nonces, in the order of the nonces.
    async fn care_for_waiting<E: WalletEnv>(
        &self,
        env: &E,
        look: &mut Look,
    ) -> Result<(), WalletFault> {
        let waiting = self.with_line(env, |line| line.jobs_from(look.used, MAX_WAITING))?;
        let mut ready = Vec::new();
        for (at, key) in waiting.iter().enumerate() {
            let Some(mut sent) = env.store().job(key)? else {
                continue;
            };
            if !self.care(env, &mut sent, look).await? {
                continue;
            }
            // All other jobs wait for the first one, so it is sent before they are prepared.
            match (at, sent.newest_at(look.used)) {
                (0, Some(next)) => self.broadcast(env, &next.raw, Some(next.hash)).await,
                _ => ready.push(sent),
            }
        }
        let sends = ready.iter().flat_map(|sent| sent.live(look.used));
        let sends = sends.map(|version| {
            let next = (version.nonce == look.used).then_some(version.hash);
            self.broadcast(env, &version.raw, next)
        });
        future::join_all(sends).await;
        Ok(())
    }

    /// Signs what a job needs that is not included yet. Returns whether its transactions should be broadcast.
    async fn care<E: WalletEnv>(
        &self,
        env: &E,
        sent: &mut Sent,
        look: &mut Look,
    ) -> Result<bool, WalletFault> {
        let is_paid = sent.first_nonce() < look.used && is_paid(env, sent, look.head).await;
        let live: Vec<Signed> = sent.live(look.used).cloned().collect();
        if is_paid || sent.is_given_up() || sent.is_over(env.now()) {
            return self.give_up(env, sent, &live, look).await;
        }
        if let Some(next) = live.iter().find(|version| version.nonce == look.used) {
            if let Some(fees) = self.raise(env, sent, next).await? {
                self.add_version(env, sent, next.nonce, fees, None)?;
            }
        } else if live.iter().all(|version| version.nonce > look.reach)
            && sent.age(env.now()) >= STUCK
            && sent.signed(false) < MAX_VERSIONS
        {
            // No job holds the nonce before this one: another program's transaction was dropped by the network, or
            // never existed.
            let quote = self.quote(env).await?;
            self.add_version(env, sent, look.reach, quote.fees, None)?;
            look.reach = self.with_line(env, |line| line.free_from(look.used))?;
        }
        Ok(true)
    }

    /// Uses up the nonces of a job whose payment is no longer wanted. Nonces after a gap are left alone: nothing can be
    /// included there, so they can be assigned again.
    async fn give_up<E: WalletEnv>(
        &self,
        env: &E,
        sent: &mut Sent,
        live: &[Signed],
        look: &Look,
    ) -> Result<bool, WalletFault> {
        let near = live.iter().filter(|version| version.nonce < look.reach);
        let near: Vec<&Signed> = near.collect();
        if near.is_empty() {
            if sent.first_nonce() >= look.used {
                self.close(env, sent, None)?;
            }
            return Ok(false);
        }
        for version in near {
            match version.cancels {
                false => self.cancel_at(env, sent, version).await?,
                true if version.nonce == look.used => {
                    if let Some(fees) = self.raise(env, sent, version).await? {
                        self.cancel(env, sent, version.nonce, fees)?;
                    }
                }
                true => {}
            }
        }
        Ok(true)
    }

    /// Replaces a payment by a transaction that only uses up its nonce.
    pub(super) async fn cancel_at<E: WalletEnv>(
        &self,
        env: &E,
        sent: &mut Sent,
        version: &Signed,
    ) -> Result<(), WalletFault> {
        let quote = self.quote(env).await?;
        let fees = version.fees.bumped(quote.fees);
        if fees.max_fee > MAX_FEE || sent.signed(true) >= MAX_VERSIONS {
            return Ok(());
        }
        env.log(
            "gas_wallet_gives_up",
            &format!("nonce {} is used up without a payment", version.nonce),
        );
        self.cancel(env, sent, version.nonce, fees)
    }

    /// Higher fees for the next transaction in line, if the fees that it offers are too low.
    async fn raise<E: WalletEnv>(
        &self,
        env: &E,
        sent: &Sent,
        next: &Signed,
    ) -> Result<Option<Fees>, WalletFault> {
        if env.now().since(next.signed_at) < STUCK || sent.signed(next.cancels) >= MAX_VERSIONS {
            return Ok(None);
        }
        let quote = self.quote(env).await?;
        let most = |fees: Fees| {
            let data = quote.data.of(next.raw.len());
            fees.most(next.gas_limit).saturating_add(data)
        };
        if quote.balance < most(next.fees) {
            warn_empty(env, quote.balance, U256::ZERO, most(next.fees));
            return Ok(None);
        }
        if !quote.is_above(next.fees) && !self.is_underpriced(next.hash) {
            return Ok(None);
        }
        let Some(fees) = quote.raised(next.fees) else {
            env.log(
                "gas_wallet_fee_limit",
                "a transaction is stuck and its fee has reached the limit",
            );
            return Ok(None);
        };
        if quote.balance < most(fees) {
            warn_empty(env, quote.balance, U256::ZERO, most(fees));
            return Ok(None);
        }
        env.log(
            "gas_wallet_replaces",
            "a transaction offers too little for the newest block and is sent with a new fee",
        );
        Ok(Some(fees))
    }

    /// Closes the jobs that are deep enough, and gives another nonce to those whose own was used by another program.
    async fn close_included<E: WalletEnv>(&self, env: &E, look: &Look) -> Result<(), WalletFault> {
        let keys = self.with_line(env, |line| line.jobs_below(look.used, MAX_CLOSED))?;
        for keys in keys.chunks(CLOSED_AT_ONCE) {
            let mut jobs = Vec::new();
            for key in keys {
                let job = env.store().job(key)?;
                jobs.extend(job.filter(|sent| sent.age(env.now()) >= FINAL_MILLIS));
            }
            let fates = future::join_all(jobs.iter().map(|sent| fate(env, sent))).await;
            // The endpoint is down, or the platform's limit of calls is reached: the next alarm handles the rest.
            let is_over = fates.iter().any(|fate| matches!(fate, Fate::NoAnswer));
            // The highest nonce first, so that the floor is written once for all of them.
            for (sent, fate) in jobs.into_iter().zip(fates).rev() {
                self.settle(env, sent, &fate, look).await?;
            }
            if is_over {
                break;
            }
        }
        Ok(())
    }

    async fn settle<E: WalletEnv>(
        &self,
        env: &E,
        sent: Sent,
        fate: &Fate,
        look: &Look,
    ) -> Result<(), WalletFault> {
        let is_possible = |version: &Signed| version.nonce < look.reach;
        if sent.live(look.used).any(is_possible) {
            return Ok(());
        }
        let Some(highest) = sent.highest_below(look.used) else {
            return Ok(());
        };
        let behind = highest.saturating_add(1);
        let floor = env.store().floor()?.unwrap_or_default();
        match fate {
            Fate::NoAnswer => Ok(()),
            Fate::Included(block) => {
                self.sights.borrow_mut().seen(&sent.key);
                let head = look.head.map_or(0, |head| head.number);
                match block.saturating_add(FINAL_BLOCKS) <= head.saturating_add(1) {
                    true => self.close(env, &sent, Some(behind).filter(|behind| *behind > floor)),
                    false => Ok(()),
                }
            }
            Fate::Unknown => {
                let now = env.now();
                let closes = is_at_its_end(&sent, now);
                if !self.sights.borrow_mut().missing(&sent.key, now, closes) {
                    return Ok(());
                }
                let agreed = self.looks.borrow().lowest(env.now(), LOST_MILLIS);
                match agreed.filter(|agreed| *agreed >= behind) {
                    Some(agreed) => self.lost(env, sent, floor, agreed).await,
                    None => Ok(()),
                }
            }
        }
    }

    /// Handles a job whose nonce was used by a transaction that is not its own.
    async fn lost<E: WalletEnv>(
        &self,
        env: &E,
        mut sent: Sent,
        floor: u64,
        agreed: u64,
    ) -> Result<(), WalletFault> {
        self.sights.borrow_mut().forget(&sent.key);
        if is_at_its_end(&sent, env.now()) {
            env.log(
                "gas_wallet_gave_up",
                "a payment was given up before it was included",
            );
            return self.close(env, &sent, None);
        }
        env.log(
            "gas_wallet_nonce_lost",
            "another program uses the gas wallet's key: give it a wallet of its own",
        );
        let quote = self.quote(env).await?;
        // Until a count beyond the wallet's own transactions is believed, more time must pass.
        let tail = self.with_line(env, Line::tail)?;
        let floor = floor.max(agreed.min(tail));
        let nonce = self.with_line(env, |line| line.free_from(floor))?;
        self.add_version(env, &mut sent, nonce, quote.fees, Some(floor))
    }
}

fn old(now: UnixMillis) -> UnixMillis {
    UnixMillis(now.0.saturating_sub(KEEP_DONE_MILLIS))
}

/// Whether no further payment may be signed for the job.
fn is_at_its_end(sent: &Sent, now: UnixMillis) -> bool {
    sent.is_given_up() || sent.is_over(now) || sent.signed(false) >= MAX_VERSIONS
}

/// Whether one of the job's payments is included, successful or not: then the job's other payments are not wanted any
/// more.
async fn is_paid<E: WalletEnv>(env: &E, sent: &Sent, head: Option<Head>) -> bool {
    let Some(head) = head else {
        return false;
    };
    for hash in sent.hashes().iter().rev() {
        if let Ok(Some(receipt)) = env.chain().receipt(*hash).await
            && head.covers(&receipt)
        {
            return true;
        }
    }
    false
}

async fn fate<E: WalletEnv>(env: &E, sent: &Sent) -> Fate {
    for version in sent.versions.iter().rev() {
        match env.chain().receipt(version.hash).await {
            Ok(Some(receipt)) => return Fate::Included(receipt.block),
            Ok(None) => {}
            Err(error) => {
                env.log("gas_wallet_receipt_failed", &error.0);
                return Fate::NoAnswer;
            }
        }
    }
    Fate::Unknown
}
