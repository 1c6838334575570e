//! The list of the grants that were taken back and would not have ended yet, which backends read.
//!
//! A grant's own object is the truth; it reports here, again and again until it is heard. The list is bounded. What found no
//! place is not on it, and the list says for as long as that matters that it is not whole.

use alloy_primitives::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::types::UnixSeconds;

/// The most grants that the list has.
const MAX_LISTED: usize = 10_000;
/// How much longer than its grant an entry stays: backends may take a token for two minutes more.
const STAYS_SECONDS: u64 = 600;

/// The name of a grant on the list: the first 8 bytes of the SHA-256 of its id, in hex.
pub fn listed(grant: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(grant).into();
    hex::encode(digest.first_chunk::<8>().unwrap_or(&[0; 8]))
}

/// A message to the list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ListCommand {
    /// A grant was taken back. A repetition changes nothing.
    Add {
        /// The grant, as the list names it.
        grant: String,
        /// When it would have ended.
        ends_at: UnixSeconds,
    },
    /// What is on the list?
    Read,
}

/// The reply to each command: the list, which is empty in the reply to `Add`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct RevokedList {
    /// The grants, as the list names them.
    pub grants: Vec<String>,
    /// Whether grants are missing, because there were too many.
    pub truncated: bool,
}

/// Where the list is stored.
pub trait ListStore {
    /// The platform's fault.
    type Error;

    /// How many grants are on it.
    fn count(&self) -> Result<usize, Self::Error>;

    /// Whether this grant is on it.
    fn has(&self, grant: &str) -> Result<bool, Self::Error>;

    /// The grants on it that stay beyond this time.
    fn after(&self, now: UnixSeconds) -> Result<Vec<String>, Self::Error>;

    /// Adds a grant that stays until then.
    fn put(&self, grant: &str, until: UnixSeconds) -> Result<(), Self::Error>;

    /// Removes the grants that do not stay beyond this time.
    fn remove(&self, now: UnixSeconds) -> Result<(), Self::Error>;

    /// Until when the list is not whole.
    fn missing_until(&self) -> Result<UnixSeconds, Self::Error>;

    /// Notes that.
    fn set_missing_until(&self, until: UnixSeconds) -> Result<(), Self::Error>;
}

/// Carries out one command. The caller wraps it in a storage transaction.
pub fn execute<S: ListStore>(
    store: &S,
    command: &ListCommand,
    now: UnixSeconds,
) -> Result<RevokedList, S::Error> {
    match command {
        ListCommand::Read => Ok(RevokedList {
            grants: store.after(now)?,
            truncated: now < store.missing_until()?,
        }),
        ListCommand::Add { grant, ends_at } => {
            let until = UnixSeconds(ends_at.0.saturating_add(STAYS_SECONDS));
            if until <= now || store.has(grant)? {
                return Ok(RevokedList::default());
            }
            store.remove(now)?;
            if store.count()? < MAX_LISTED {
                store.put(grant, until)?;
            } else {
                store.set_missing_until(store.missing_until()?.max(until))?;
            }
            Ok(RevokedList::default())
        }
    }
}

#[cfg(test)]
mod tests {
    use core::cell::{Cell, RefCell};
    use core::convert::Infallible;
    use std::collections::BTreeMap;

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    struct Memory {
        entries: RefCell<BTreeMap<String, UnixSeconds>>,
        missing_until: Cell<UnixSeconds>,
    }

    impl ListStore for Memory {
        type Error = Infallible;

        fn count(&self) -> Result<usize, Infallible> {
            Ok(self.entries.borrow().len())
        }
        fn has(&self, grant: &str) -> Result<bool, Infallible> {
            Ok(self.entries.borrow().contains_key(grant))
        }
        fn after(&self, now: UnixSeconds) -> Result<Vec<String>, Infallible> {
            let entries = self.entries.borrow();
            let stay = entries.iter().filter(|(_, until)| **until > now);
            Ok(stay.map(|(grant, _)| grant.clone()).collect())
        }
        fn put(&self, grant: &str, until: UnixSeconds) -> Result<(), Infallible> {
            self.entries.borrow_mut().insert(grant.to_owned(), until);
            Ok(())
        }
        fn remove(&self, now: UnixSeconds) -> Result<(), Infallible> {
            self.entries.borrow_mut().retain(|_, until| *until > now);
            Ok(())
        }
        fn missing_until(&self) -> Result<UnixSeconds, Infallible> {
            Ok(self.missing_until.get())
        }
        fn set_missing_until(&self, until: UnixSeconds) -> Result<(), Infallible> {
            self.missing_until.set(until);
            Ok(())
        }
    }

    impl Memory {
        fn empty() -> Self {
            Self {
                entries: RefCell::default(),
                missing_until: Cell::new(UnixSeconds(0)),
            }
        }
        fn add(&self, grant: &str, ends_at: u64, now: UnixSeconds) {
            let (grant, ends_at) = (listed(grant), UnixSeconds(ends_at));
            execute(self, &ListCommand::Add { grant, ends_at }, now).unwrap();
        }
        fn read(&self, now: UnixSeconds) -> RevokedList {
            execute(self, &ListCommand::Read, now).unwrap()
        }
    }

    #[test]
    fn a_grant_is_listed_once_and_until_no_backend_would_take_it() {
        let list = Memory::empty();
        for _ in 0..2 {
            list.add("a", NOW.0 + 60, NOW);
        }
        list.add("long ended", NOW.0 - STAYS_SECONDS, NOW);
        let a = "ca978112ca1bbdca";
        assert_eq!(list.read(NOW).grants, [a]);
        let end = UnixSeconds(NOW.0 + 60 + STAYS_SECONDS);
        assert_eq!(list.read(UnixSeconds(end.0 - 1)).grants.len(), 1);
        assert_eq!(list.read(end), RevokedList::default());
        list.add("b", end.0 + 60, end);
        assert_eq!(list.entries.borrow().len(), 1, "what has ended is removed");
    }

    #[test]
    fn a_list_that_has_no_more_room_says_so_for_as_long_as_it_matters() {
        let list = Memory::empty();
        for number in 0..MAX_LISTED {
            list.add(&number.to_string(), NOW.0 + 60, NOW);
        }
        assert!(!list.read(NOW).truncated);
        list.add("0", NOW.0 + 60, NOW);
        assert!(!list.read(NOW).truncated, "it is on the list");
        list.add("late", NOW.0 + 9_000, NOW);
        list.add("later", NOW.0 + 60, NOW);
        let read = list.read(NOW);
        assert_eq!((read.grants.len(), read.truncated), (MAX_LISTED, true));
        let until = NOW.0 + 9_000 + STAYS_SECONDS;
        assert!(list.read(UnixSeconds(until - 1)).truncated);
        assert!(!list.read(UnixSeconds(until)).truncated);
    }
}
