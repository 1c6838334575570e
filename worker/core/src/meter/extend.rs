//! Adding to a grant and withdrawing from it, over its storage.

use super::addition::{Addition, Barred, TopUp};
use super::message::MeterReply;
use super::state::{Meter, Stored};
use crate::types::{RequestId, UnixMillis};

/// Where a grant's additions are stored.
pub trait GrantStore {
    /// Why the storage failed.
    type Error;

    /// What has come of this purchase, if anything is stored of it.
    fn addition(&self, purchase: &RequestId) -> Result<Option<Addition>, Self::Error>;

    /// Stores what has come of a purchase together with the grant, in one transaction.
    fn put(
        &self,
        purchase: &RequestId,
        addition: &Addition,
        stored: &Stored,
    ) -> Result<(), Self::Error>;
}

/// Adds a top-up, once: a repetition gets the reply that is stored.
pub fn extend<S: GrantStore>(
    meter: &mut Meter,
    store: &S,
    top_up: &TopUp,
    now: UnixMillis,
) -> Result<MeterReply, S::Error> {
    match store.addition(&top_up.purchase)? {
        Some(Addition::Added { grant, .. }) => return Ok(MeterReply::Extended(grant)),
        Some(Addition::Withdrawn) => return Ok(MeterReply::Barred(Barred::Withdrawn)),
        None => {}
    }
    let (stored, addition) = match meter.extended(top_up, now) {
        Ok(extended) => extended,
        Err(why) => return Ok(MeterReply::Barred(why)),
    };
    store.put(&top_up.purchase, &addition, &stored)?;
    let granted = stored.granted.clone();
    meter.replaced(stored, now);
    Ok(MeterReply::Extended(granted))
}

/// Withdraws what a purchase has added, if nothing of it was used; otherwise the reply is that of the addition. That it is
/// withdrawn is stored also when nothing was added: the message that adds may come late.
pub fn withdraw<S: GrantStore>(
    meter: &mut Meter,
    store: &S,
    purchase: &RequestId,
    now: UnixMillis,
) -> Result<MeterReply, S::Error> {
    let stored = match store.addition(purchase)? {
        None => meter.stored().clone(),
        Some(Addition::Withdrawn) => return Ok(MeterReply::Withdrawn),
        Some(added) => match (meter.without(&added, now), added) {
            (Some(stored), _) => stored,
            (None, Addition::Added { grant, .. }) => return Ok(MeterReply::Extended(grant)),
            (None, Addition::Withdrawn) => return Ok(MeterReply::Withdrawn),
        },
    };
    store.put(purchase, &Addition::Withdrawn, &stored)?;
    meter.replaced(stored, now);
    Ok(MeterReply::Withdrawn)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;

    use super::*;
    use crate::meter::{Adds, Granted, Quota};
    use crate::types::Address;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    #[derive(Default)]
    struct Rows {
        rows: RefCell<BTreeMap<RequestId, Addition>>,
        grant: RefCell<Option<Stored>>,
        fails: Cell<bool>,
    }

    impl GrantStore for Rows {
        type Error = ();

        fn addition(&self, purchase: &RequestId) -> Result<Option<Addition>, ()> {
            Ok(self.rows.borrow().get(purchase).cloned())
        }

        fn put(
            &self,
            purchase: &RequestId,
            addition: &Addition,
            stored: &Stored,
        ) -> Result<(), ()> {
            if self.fails.get() {
                return Err(());
            }
            self.rows
                .borrow_mut()
                .insert(purchase.clone(), addition.clone());
            self.grant.replace(Some(stored.clone()));
            Ok(())
        }
    }

    fn meter() -> Meter {
        let granted = Granted {
            limits: serde_json::from_str(r#"{"quota":{"calls":2}}"#).unwrap(),
            plan: "starter".parse().unwrap(),
            resource: "default".parse().unwrap(),
            payer: Address::ZERO,
            from: NOW.to_seconds(),
            ends_at: NOW.to_seconds().plus(60),
        };
        Meter::new(1, Stored::new(granted), NOW)
    }

    fn top_up(number: u8) -> TopUp {
        TopUp {
            purchase: RequestId::from_random([number; 16]),
            plan: "starter".parse().unwrap(),
            adds: Adds {
                quota: Some(Quota::Calls(5)),
                seconds: 60,
            },
            payer: Address::ZERO,
            is_holder: false,
            shown_at: NOW,
        }
    }

    fn quota(reply: Result<MeterReply, ()>) -> u64 {
        match reply {
            Ok(MeterReply::Extended(granted)) => granted.limits.quota.unwrap().units(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_purchase_adds_once_and_a_repetition_gets_the_reply_of_the_first_time() {
        let (mut meter, rows) = (meter(), Rows::default());
        assert_eq!(quota(extend(&mut meter, &rows, &top_up(1), NOW)), 7);
        assert_eq!(quota(extend(&mut meter, &rows, &top_up(2), NOW)), 12);
        assert_eq!(quota(extend(&mut meter, &rows, &top_up(1), NOW)), 7);
        let stored = rows.grant.borrow().clone().unwrap();
        assert_eq!(stored, *meter.stored());
        assert_eq!(stored.granted.limits.quota, Some(Quota::Calls(12)));
    }

    #[test]
    fn what_was_withdrawn_never_comes_also_if_the_message_that_adds_it_comes_late() {
        let (mut meter, rows) = (meter(), Rows::default());
        let (first, second) = (top_up(1), top_up(2));
        let barred = Ok(MeterReply::Barred(Barred::Withdrawn));
        let withdrawn = Ok(MeterReply::Withdrawn);
        for _ in 0..2 {
            assert_eq!(withdraw(&mut meter, &rows, &first.purchase, NOW), withdrawn);
            assert_eq!(extend(&mut meter, &rows, &first, NOW), barred);
        }
        assert_eq!(quota(extend(&mut meter, &rows, &second, NOW)), 7);
        for _ in 0..2 {
            assert_eq!(
                withdraw(&mut meter, &rows, &second.purchase, NOW),
                withdrawn
            );
            assert_eq!(extend(&mut meter, &rows, &second, NOW), barred);
        }
        assert_eq!(meter.stored().granted.limits.quota, Some(Quota::Calls(2)));
    }

    #[test]
    fn what_is_used_stays_and_the_reply_says_so() {
        let (mut meter, rows) = (meter(), Rows::default());
        let added = top_up(1);
        assert_eq!(quota(extend(&mut meter, &rows, &added, NOW)), 7);
        for number in 1..=3 {
            meter.begins(number, NOW).unwrap();
            meter.spends(number, 1, NOW);
        }
        assert_eq!(quota(withdraw(&mut meter, &rows, &added.purchase, NOW)), 7);
        assert_eq!(quota(extend(&mut meter, &rows, &added, NOW)), 7);
    }

    #[test]
    fn what_is_not_written_is_not_added() {
        let (mut meter, rows) = (meter(), Rows::default());
        rows.fails.set(true);
        assert_eq!(extend(&mut meter, &rows, &top_up(1), NOW), Err(()));
        assert_eq!(meter.stored().granted.limits.quota, Some(Quota::Calls(2)));
        rows.fails.set(false);
        assert_eq!(quota(extend(&mut meter, &rows, &top_up(1), NOW)), 7);
        rows.fails.set(true);
        let purchase = top_up(1).purchase;
        assert_eq!(withdraw(&mut meter, &rows, &purchase, NOW), Err(()));
        assert_eq!(meter.stored().granted.limits.quota, Some(Quota::Calls(7)));
    }
}
