//! The wallet's nonces: which of them open jobs hold, and which of them the chain reports as used.

use std::collections::{BTreeMap, VecDeque};

use alloy_primitives::U256;

use super::cost::DataFee;
use super::job::{JobKey, Sent};
use crate::types::UnixMillis;

/// The nonces that open jobs hold. This is a copy of what is stored, so that a question about the whole queue does not
/// have to read the storage again.
#[derive(Debug, Default)]
pub(super) struct Line {
    held: BTreeMap<(u64, JobKey), Hold>,
}

#[derive(Clone, Copy, Debug)]
struct Hold {
    /// The most that the gas of the job's newest transaction may cost, in wei.
    gas: U256,
    /// The size of that transaction, in bytes.
    bytes: usize,
}

const fn first_at(nonce: u64) -> (u64, JobKey) {
    (nonce, JobKey(String::new()))
}

impl Line {
    /// Notes that a job was stored.
    pub(super) fn put(&mut self, sent: &Sent) {
        for version in sent.live(0) {
            let hold = Hold {
                gas: version.fees.most(version.gas_limit),
                bytes: version.raw.len(),
            };
            self.held.insert((version.nonce, sent.key.clone()), hold);
        }
    }

    /// Notes that a job is done.
    pub(super) fn close(&mut self, sent: &Sent) {
        for version in &sent.versions {
            self.held.remove(&(version.nonce, sent.key.clone()));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The lowest nonce from `floor` on that no open job holds.
    pub(super) fn free_from(&self, floor: u64) -> u64 {
        let mut free = floor;
        for (nonce, _) in self.held.range(first_at(floor)..).map(|(held, _)| held) {
            match *nonce == free {
                true => free = free.saturating_add(1),
                false if *nonce > free => break,
                false => {}
            }
        }
        free
    }

    /// The nonce after the last one that is held.
    pub(super) fn tail(&self) -> u64 {
        let last = self.held.keys().next_back();
        last.map_or(0, |(nonce, _)| nonce.saturating_add(1))
    }

    /// The most that all transactions from this nonce on may cost, in wei.
    pub(super) fn cost_from(&self, nonce: u64, data: DataFee) -> U256 {
        let holds = self.held.range(first_at(nonce)..).map(|(_, hold)| hold);
        holds.fold(U256::ZERO, |sum, hold| {
            sum.saturating_add(hold.gas)
                .saturating_add(data.of(hold.bytes))
        })
    }

    /// The jobs that hold a nonce from this one on, the lowest first, at most `limit`.
    pub(super) fn jobs_from(&self, nonce: u64, limit: usize) -> Vec<JobKey> {
        let held = self.held.range(first_at(nonce)..).map(|((_, key), _)| key);
        distinct(held, limit)
    }

    /// The jobs that hold a nonce below this one, the lowest first, at most `limit`.
    pub(super) fn jobs_below(&self, nonce: u64, limit: usize) -> Vec<JobKey> {
        let held = self.held.range(..first_at(nonce)).map(|((_, key), _)| key);
        distinct(held, limit)
    }

    /// The jobs that hold this nonce.
    pub(super) fn jobs_at(&self, nonce: u64) -> Vec<JobKey> {
        let held = self.held.range(first_at(nonce)..);
        let held = held.take_while(|((held, _), _)| *held == nonce);
        held.map(|((_, key), _)| key.clone()).collect()
    }

    /// How many nonces are held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }
}

fn distinct<'a>(keys: impl Iterator<Item = &'a JobKey>, limit: usize) -> Vec<JobKey> {
    let mut found: Vec<JobKey> = Vec::new();
    for key in keys {
        if found.len() >= limit {
            break;
        }
        if !found.contains(key) {
            found.push(key.clone());
        }
    }
    found
}

/// Two answers that are further apart say nothing about the time between them.
const LONGEST_PAUSE_MILLIS: u64 = 45_000;
/// For how long answers are remembered.
const REMEMBERED_MILLIS: u64 = 180_000;

/// The chain's latest answers to the question how many of the wallet's transactions are included. One answer proves nothing: an
/// endpoint may be wrong for a moment.
#[derive(Debug, Default)]
pub(super) struct Looks(VecDeque<(UnixMillis, u64)>);

impl Looks {
    /// Remembers an answer.
    pub(super) fn add(&mut self, now: UnixMillis, count: u64) {
        let last = self.0.back().map(|(at, _)| *at);
        if last.is_some_and(|last| now.since(last) > LONGEST_PAUSE_MILLIS) {
            self.0.clear();
        }
        self.0.push_back((now, count));
        while let Some((oldest, _)) = self.0.front()
            && now.since(*oldest) > REMEMBERED_MILLIS
        {
            self.0.pop_front();
        }
    }

    /// The lowest answer of the last `millis` milliseconds, if the remembered answers reach back that far.
    pub(super) fn lowest(&self, now: UnixMillis, millis: u64) -> Option<u64> {
        self.during(now, millis)?.min()
    }

    /// The highest answer of the last `millis` milliseconds, if the remembered answers reach back that far.
    pub(super) fn highest(&self, now: UnixMillis, millis: u64) -> Option<u64> {
        self.during(now, millis)?.max()
    }

    fn during(&self, now: UnixMillis, millis: u64) -> Option<impl Iterator<Item = u64> + '_> {
        let begin = self
            .0
            .iter()
            .rposition(|(at, _)| now.since(*at) >= millis)?;
        Some(self.0.iter().skip(begin).map(|(_, count)| *count))
    }
}
