//! What a receipt proves: nothing before its block exists, nothing without its events, and of a refund nothing before a
//! few more blocks.

use super::*;
use crate::purchase::{RefundStage, Sent};

const USED: &str = "execution reverted: FiatTokenV2: authorization is used or canceled";

/// A purchase that waits for the stranger's transaction as if the gas wallet had sent it.
fn waiting() -> Outside {
    Outside::new(record_after([
        attempted(1),
        Event::Reserved,
        sent(STRANGERS),
    ]))
}

/// A purchase that waits for the stranger's transaction because a facilitator has named it.
fn waiting_for_a_facilitator() -> Outside {
    waiting().by_facilitators(1)
}

/// A purchase whose refund has this transaction.
fn refunding() -> Outside {
    Outside::new(record_after([
        attempted(1),
        Event::Reserved,
        sent(OURS),
        settled(),
        UNDELIVERED,
        refund_begun(),
        Event::RefundPrepared {
            gas_limit: 100_000,
            from_block: 7,
        },
        sent(STRANGERS),
    ]))
}

/// Lets enough time pass for a waiting purchase to ask who else may have used its authorization.
fn later(outside: &mut Outside) {
    outside.time += 6;
}

#[test]
fn a_receipt_ahead_of_the_newest_block_is_not_money_yet() {
    for mut outside in [waiting(), waiting_for_a_facilitator()] {
        (outside.head, outside.state) = (BLOCK - 1, BLOCK - 1);
        assert_eq!(outside.run(), None);
        (outside.head, outside.state) = (BLOCK, BLOCK);
        assert!(is_settled_by_the_stranger(outside.run()));
    }
}

#[test]
fn a_block_that_came_without_the_transaction_is_no_money() {
    for mut outside in [waiting(), waiting_for_a_facilitator()] {
        outside.head_hash = B256::repeat_byte(9);
        assert_eq!(outside.run(), None, "another block of the same number");
        // The receipt is shown before the newest block is asked for, and no longer afterwards.
        (outside.head, outside.state) = (BLOCK + 1, BLOCK + 1);
        outside.receipts_left.set(1);
        assert_eq!(outside.run(), None);
        outside.receipts_left.set(2);
        assert!(is_settled_by_the_stranger(outside.run()));
    }
}

#[test]
fn a_receipt_without_its_events_does_not_say_that_no_money_moved() {
    use Completeness::{Complete, Contradictory, Unproven};
    let hidden = |mut outside: Outside, completeness| {
        outside.completeness = completeness;
        outside.hides_events.set(true);
        outside
    };
    let show = |outside: &mut Outside| {
        outside.completeness = Complete;
        outside.hides_events.set(false);
    };
    // The transaction is found as the purchase's own, as a facilitator's, and as that of a stranger who was faster.
    let under_way = [
        (waiting as fn() -> Outside, &[Unproven, Contradictory][..]),
        (
            waiting_for_a_facilitator,
            &[Unproven, Contradictory, Complete],
        ),
        (
            || Outside::new(submitted()),
            &[Unproven, Contradictory, Complete],
        ),
    ];
    for (outside, kinds) in under_way {
        for completeness in kinds {
            let mut outside = hidden(outside(), *completeness);
            for _ in 0..3 {
                assert_eq!(outside.run(), None, "{completeness:?}");
                later(&mut outside);
            }
            show(&mut outside);
            assert!(is_settled_by_the_stranger(outside.run()));
        }
    }
    // While events are hidden, the buyer is not asked to pay again.
    for completeness in [Unproven, Contradictory, Complete] {
        for record in [failed(), expired()] {
            let mut outside = hidden(Outside::new(record), completeness);
            let unknown = PayReply::Pending { transaction: None };
            assert_eq!(outside.ask(), unknown, "{completeness:?}");
            show(&mut outside);
            outside.ask();
            let state = outside.store.record().state;
            assert_eq!(state.transaction(), Some(STRANGERS));
        }
    }
}

#[test]
fn a_refusal_because_of_a_use_that_no_node_shows_yet_is_not_passed_on() {
    let mut outside = Outside::new(failed());
    (outside.is_used, outside.balance) = (false, U256::ZERO);
    let reason = Refusal::InsufficientFunds;
    let transaction = None;
    let refused = PayReply::Refused {
        reason,
        transaction,
        begun: true,
    };
    assert_eq!(outside.ask(), refused);
    // The node that simulates knows a newer block, in which the money may have gone to the seller.
    outside.refusal = USED;
    assert_eq!(outside.ask(), PayReply::Pending { transaction: None });
}

#[test]
fn a_refund_is_final_when_blocks_stand_on_it() {
    for (confirmations, last_waiting) in [(1, BLOCK + 3), (5, BLOCK + 3), (7, BLOCK + 5)] {
        for is_gone in [false, true] {
            let mut outside = refunding();
            outside.config.chain.confirmations = confirmations;
            // The refund is found by its hash, or by the authorization that it has used.
            if is_gone {
                outside.store.put(refund_under(OURS).store.record());
                outside.is_included = false;
                later(&mut outside);
            }
            for head in BLOCK..=last_waiting {
                (outside.head, outside.state) = (head, head);
                assert_eq!(outside.run(), None, "{confirmations} {head}");
            }
            (outside.head, outside.state) = (last_waiting + 1, last_waiting + 1);
            assert!(is_settled_by_the_stranger(outside.run()));
        }
    }
}

/// A refund that was sent under this hash.
fn refund_under(hash: B256) -> Outside {
    let outside = refunding();
    let mut record = outside.store.record();
    if let State::RefundPending { refund, .. } = &mut record.state {
        refund.stage = RefundStage::Submitted(Sent {
            hashes: vec![hash],
            since: NOW,
        });
    }
    outside.store.put(record);
    outside
}

#[test]
fn a_refund_whose_block_was_replaced_is_sent_again() {
    let mut outside = refunding();
    assert_eq!(outside.run(), None, "it is in the newest block");
    outside.receipts_left.set(0);
    outside.is_used = false;
    later(&mut outside);
    assert!(
        matches!(outside.run(), Some(Event::Submitted { hashes }) if hashes == [OURS]),
        "the wallet is asked, and sends it under another hash"
    );
}

#[test]
fn what_used_the_authorization_without_paying_the_seller_is_no_payment() {
    let mut outside = Outside::new(submitted());
    outside.pays_the_seller = false;
    let reason = Refusal::InvalidExactEvmNonceAlreadyUsed;
    let transaction = None;
    assert_eq!(
        outside.run(),
        Some(Event::AttemptFailed {
            reason,
            transaction
        })
    );
}

#[test]
fn a_refund_has_not_failed_while_nodes_disagree_why_the_chain_refuses() {
    let record = record_after([
        attempted(1),
        Event::Reserved,
        sent(OURS),
        settled(),
        UNDELIVERED,
        refund_begun(),
    ]);
    let mut outside = Outside::new(record);
    outside.head = BLOCK - 1;
    assert_eq!(outside.run(), None);
    (outside.head, outside.state) = (BLOCK + 4, BLOCK + 4);
    assert!(is_settled_by_the_stranger(outside.run()));
}
