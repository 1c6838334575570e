//! Which offers begin a purchase, whatever the chain says.

use super::question::Ask;
use super::reply::PayReply;
use super::state::Purchase;
use crate::chain::transfer::{ProofFault, SHOW_SECONDS};
use crate::config::SellerWallets;
use crate::types::UnixMillis;

/// Why nothing begins by this question, if nothing does. A purchase that has begun is answered all the same.
pub(super) fn refusal(
    wallets: &SellerWallets,
    ask: &Ask,
    record: Option<&Purchase>,
    now: UnixMillis,
) -> Option<PayReply> {
    match ask {
        Ask::Pay(pay) => {
            let sale = pay.sale.as_ref()?;
            let terms = &sale.offer.terms;
            // An attempt that has failed is not repeated; its failure is the answer.
            let withdrawn = || record.and_then(Ask::failure).unwrap_or(PayReply::Withdrawn);
            // What cannot be delivered is not charged for.
            let is_known = record.is_some() || sale.sold.is_some();
            (!is_known || !wallets.is_paid_at(terms.pay_to)).then(withdrawn)
        }
        Ask::Prove(prove) => {
            let terms = &prove.offer.terms;
            // It would be paid at another wallet than the one in its terms, which is the one that refunds it.
            if record.is_some_and(|record| record.terms.pay_to != terms.pay_to) {
                return Some(PayReply::Conflict);
            }
            let fault = if !wallets.is_paid_at(terms.pay_to) {
                ProofFault::WalletNotUsed
            } else if now.to_seconds() >= terms.expires_at.plus(SHOW_SECONDS) {
                ProofFault::ShownTooLate
            } else {
                return None;
            };
            Some(PayReply::Unproven(fault))
        }
        Ask::Join(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::lifecycle::Event;
    use super::super::question::Prove;
    use super::super::test_support::{
        EXPIRES_AT, NOW, attempted, buyer, pay, record_after, sold, test_offer,
    };
    use super::*;
    use crate::config::test_config;
    use crate::types::{Address, B256};
    use crate::x402::Refusal;

    fn payment() -> Ask {
        Ask::Pay(Box::new(pay(1)))
    }

    fn proof() -> Ask {
        Ask::Prove(Box::new(Prove {
            offer: test_offer(),
            sold: Some(sold()),
            issuer: "https://shop.example".to_owned(),
            payer: Some(buyer().address()),
            transaction: B256::repeat_byte(0x77),
        }))
    }

    fn failed() -> Purchase {
        let reason = Refusal::InvalidExactEvmTransactionFailed;
        let transaction = None;
        record_after([
            attempted(1),
            Event::Reserved,
            Event::AttemptFailed {
                reason,
                transaction,
            },
        ])
    }

    #[test]
    fn an_offer_of_a_wallet_that_is_not_listed_begins_nothing() {
        let mut config = test_config();
        assert_eq!(refusal(&config.wallets, &payment(), None, NOW), None);
        assert_eq!(refusal(&config.wallets, &proof(), None, NOW), None);
        let earlier = config.wallets.pay_to;
        config.wallets.pay_to = Address::repeat_byte(9);
        assert_eq!(
            refusal(&config.wallets, &payment(), None, NOW),
            Some(PayReply::Withdrawn)
        );
        let fault = ProofFault::WalletNotUsed;
        assert_eq!(
            refusal(&config.wallets, &proof(), None, NOW),
            Some(PayReply::Unproven(fault))
        );
        // What has failed says so, and nothing else is true of it.
        let answer = refusal(&config.wallets, &payment(), Some(&failed()), NOW);
        assert!(matches!(
            answer,
            Some(PayReply::Refused { begun: true, .. })
        ));
        config.wallets.old = vec![earlier];
        for ask in [payment(), proof()] {
            assert_eq!(refusal(&config.wallets, &ask, None, NOW), None);
        }
    }

    #[test]
    fn a_transfer_can_be_shown_for_thirty_days_after_its_offer() {
        let config = test_config();
        let end = EXPIRES_AT.plus(30 * 86_400).to_millis();
        let at = |now| refusal(&config.wallets, &proof(), None, now);
        assert_eq!(at(UnixMillis(end.0 - 1)), None);
        let late = PayReply::Unproven(ProofFault::ShownTooLate);
        assert_eq!(at(end), Some(late.clone()));
        assert_eq!(
            refusal(&config.wallets, &proof(), Some(&failed()), end),
            Some(late)
        );
    }

    #[test]
    fn a_purchase_is_not_paid_at_another_wallet_than_its_own() {
        let config = test_config();
        let mut record = failed();
        assert_eq!(refusal(&config.wallets, &proof(), Some(&record), NOW), None);
        record.terms.pay_to = Address::repeat_byte(9);
        let answer = refusal(&config.wallets, &proof(), Some(&record), NOW);
        assert_eq!(answer, Some(PayReply::Conflict));
    }

    #[test]
    fn what_could_not_be_delivered_begins_nothing_and_what_has_begun_is_answered() {
        let config = test_config();
        let mut unknown = pay(1);
        unknown.sale.as_mut().unwrap().sold = None;
        let ask = Ask::Pay(Box::new(unknown));
        assert_eq!(
            refusal(&config.wallets, &ask, None, NOW),
            Some(PayReply::Withdrawn)
        );
        assert_eq!(refusal(&config.wallets, &ask, Some(&failed()), NOW), None);
    }
}
