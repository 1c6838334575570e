//! Did the money arrive? A receipt's events decide that, never its status alone. That an event is missing counts only
//! if the receipt shows all events.

use alloy_primitives::{Address, B256, U256};

use super::base::{Completeness, Log, Receipt};
use super::usdc::{AUTHORIZATION_USED_TOPIC, TRANSFER_TOPIC};
use crate::x402::Authorization;

/// What a receipt says about an authorization.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The authorized transfer took place.
    Transferred,
    /// The transaction reverted.
    Reverted,
    /// The transaction used the authorization's nonce for another transfer: the payer has signed this nonce twice.
    OtherTransfer,
    /// The transaction succeeded, and did not use the authorization.
    NoTransfer,
    /// The transaction succeeded, but the events that the receipt shows do not tell what it did. Another answer of the
    /// chain may tell.
    Unclear,
}

/// Reads a receipt: USDC must say that this authorization was used and, directly after it, that the authorized amount
/// went from payer to recipient. Binding the two events keeps one transfer from counting for two authorizations that
/// share a transaction.
pub fn verdict(receipt: &Receipt, authorization: &Authorization, usdc: Address) -> Verdict {
    if !receipt.success {
        return Verdict::Reverted;
    }
    let mut events = receipt.logs.iter().filter(|log| log.address == usdc);
    while let Some(event) = events.next() {
        if is_use(event, authorization) {
            return match events.next() {
                Some(next) if is_transfer(next, authorization) => Verdict::Transferred,
                Some(next)
                    if is_transfer_from(next, authorization.from)
                        && receipt.completeness != Completeness::Contradictory =>
                {
                    Verdict::OtherTransfer
                }
                // USDC emits a transfer directly after each use.
                _ => Verdict::Unclear,
            };
        }
    }
    match receipt.completeness {
        Completeness::Complete => Verdict::NoTransfer,
        Completeness::Unproven | Completeness::Contradictory => Verdict::Unclear,
    }
}

fn is_use(log: &Log, authorization: &Authorization) -> bool {
    log.topics
        == [
            AUTHORIZATION_USED_TOPIC,
            word(authorization.from),
            authorization.nonce,
        ]
}

fn is_transfer(log: &Log, authorization: &Authorization) -> bool {
    log.topics
        == [
            TRANSFER_TOPIC,
            word(authorization.from),
            word(authorization.to),
        ]
        && log.data.len() == 32
        && U256::from_be_slice(&log.data) == authorization.value
}

fn is_transfer_from(log: &Log, payer: Address) -> bool {
    log.topics.starts_with(&[TRANSFER_TOPIC, word(payer)])
}

fn word(address: Address) -> B256 {
    address.into_word()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Bytes;

    use super::super::base::Completeness;
    use super::*;

    const USDC: Address = Address::repeat_byte(0xcc);

    fn authorization() -> Authorization {
        Authorization {
            from: Address::repeat_byte(1),
            to: Address::repeat_byte(2),
            value: U256::from(15_000),
            valid_after: U256::ZERO,
            valid_before: U256::MAX,
            nonce: B256::repeat_byte(7),
        }
    }

    fn used(a: &Authorization) -> Log {
        Log {
            address: USDC,
            topics: vec![AUTHORIZATION_USED_TOPIC, word(a.from), a.nonce],
            data: Bytes::new(),
        }
    }

    fn transfer(a: &Authorization) -> Log {
        Log {
            address: USDC,
            topics: vec![TRANSFER_TOPIC, word(a.from), word(a.to)],
            data: a.value.to_be_bytes_vec().into(),
        }
    }

    fn judge(success: bool, logs: Vec<Log>) -> Verdict {
        judge_as(Completeness::Complete, success, logs)
    }

    fn judge_as(completeness: Completeness, success: bool, logs: Vec<Log>) -> Verdict {
        let receipt = Receipt {
            transaction: B256::ZERO,
            block: 1,
            block_hash: B256::ZERO,
            success,
            logs,
            completeness,
        };
        verdict(&receipt, &authorization(), USDC)
    }

    #[test]
    fn use_and_transfer_together_are_a_payment() {
        let a = authorization();
        assert_eq!(
            judge(true, vec![used(&a), transfer(&a)]),
            Verdict::Transferred
        );
    }

    #[test]
    fn a_payment_is_found_among_the_events_of_a_batch() {
        let a = authorization();
        let mut other = authorization();
        other.nonce = B256::repeat_byte(8);
        let mut foreign = transfer(&a);
        foreign.address = Address::repeat_byte(0xdd);
        assert_eq!(
            judge(
                true,
                vec![
                    used(&other),
                    transfer(&other),
                    foreign,
                    used(&a),
                    transfer(&a)
                ]
            ),
            Verdict::Transferred
        );
    }

    #[test]
    fn everything_else_is_no_payment_and_what_may_lack_events_denies_none() {
        use Verdict::{NoTransfer, OtherTransfer, Unclear};
        let a = authorization();
        let changed = |change: fn(&mut Authorization)| {
            let mut other = authorization();
            change(&mut other);
            other
        };
        let other_nonce = changed(|a| a.nonce = B256::repeat_byte(8));
        let other_amount = changed(|a| a.value = U256::from(14_999));
        let other_payer = changed(|a| a.from = Address::repeat_byte(3));
        let other_payee = changed(|a| a.to = Address::repeat_byte(3));
        let mut wrong_token = transfer(&a);
        wrong_token.address = Address::repeat_byte(0xdd);
        for (logs, complete, unproven, contradictory) in [
            (vec![], NoTransfer, Unclear, Unclear),
            (vec![transfer(&a)], NoTransfer, Unclear, Unclear),
            (
                vec![used(&other_nonce), transfer(&a)],
                NoTransfer,
                Unclear,
                Unclear,
            ),
            (vec![used(&a)], Unclear, Unclear, Unclear),
            (vec![transfer(&a), used(&a)], Unclear, Unclear, Unclear),
            (vec![used(&a), wrong_token], Unclear, Unclear, Unclear),
            (
                vec![used(&a), used(&other_nonce), transfer(&a)],
                Unclear,
                Unclear,
                Unclear,
            ),
            (
                vec![used(&a), transfer(&other_payer)],
                Unclear,
                Unclear,
                Unclear,
            ),
            (
                vec![used(&a), transfer(&other_amount)],
                OtherTransfer,
                OtherTransfer,
                Unclear,
            ),
            (
                vec![used(&a), transfer(&other_payee)],
                OtherTransfer,
                OtherTransfer,
                Unclear,
            ),
        ] {
            for (completeness, expected) in [
                (Completeness::Complete, complete),
                (Completeness::Unproven, unproven),
                (Completeness::Contradictory, contradictory),
            ] {
                let verdict = judge_as(completeness, true, logs.clone());
                assert_eq!(verdict, expected, "{completeness:?} {logs:?}");
            }
        }
    }

    #[test]
    fn a_reverted_transaction_is_no_payment_whatever_it_shows() {
        let a = authorization();
        assert_eq!(
            judge(false, vec![used(&a), transfer(&a)]),
            Verdict::Reverted
        );
    }
}
