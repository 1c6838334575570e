//! Which questions may begin a purchase, as far as that does not depend on the chain.

use super::question::{Ask, Pay, Sale};
use super::reply::PayReply;
use super::sold::Sold;
use super::state::Purchase;
use crate::catalog::Settle;
use crate::chain::transfer::{ProofFault, SHOW_SECONDS};
use crate::config::Config;
use crate::pauses::{CALL_MARGIN, DAY};
use crate::types::UnixMillis;
use crate::x402::Refusal;

/// Why this question may not begin a purchase. `None`: it may. (A purchase that has begun is answered in any case.)
pub(super) fn refusal(
    config: &Config,
    ask: &Ask,
    record: Option<&Purchase>,
    now: UnixMillis,
) -> Option<PayReply> {
    let wallets = &config.wallets;
    match ask {
        Ask::Pay(pay) => {
            let sale = pay.sale.as_ref()?;
            let terms = &sale.offer.terms;
            // A failed attempt is not repeated; its failure is the reply.
            let withdrawn = || record.and_then(Ask::failure).unwrap_or(PayReply::Withdrawn);
            // If it is not known what was sold, nothing could be delivered, so nothing is charged.
            let is_known = record.is_some() || sale.sold.is_some();
            if !is_known || !wallets.is_paid_at(terms.pay_to) {
                return Some(withdrawn());
            }
            let reason = too_short_or_long(config, pay, sale, record, now)?;
            Some(PayReply::Refused {
                reason,
                transaction: None,
                begun: record.is_some(),
            })
        }
        Ask::Prove(prove) => {
            let terms = &prove.offer.terms;
            // A call is paid for by an authorization only: a transfer cannot be made after its answer.
            if terms.target.plan().is_none() {
                return Some(PayReply::Conflict);
            }
            // The transfer would pay another wallet than the one in the record's terms, which is the one that refunds
            // the purchase.
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

/// What is wrong with the times of a payment for a call that is charged after its answer. When the answer comes, the
/// payment must still be good. (Whether the offer is paid in time is judged now; its end does not matter later.) And an
/// authorization that is never charged must expire soon, because its purchase is kept until then.
fn too_short_or_long(
    config: &Config,
    pay: &Pay,
    sale: &Sale,
    record: Option<&Purchase>,
    now: UnixMillis,
) -> Option<Refusal> {
    let sold = match record {
        Some(record) => record.call(),
        None => sale.sold.as_ref().and_then(Sold::call),
    };
    sold.filter(|sold| sold.settle == Settle::After)?;
    let authorization = pay.authorization.authorization();
    if authorization.expires_at() > now.plus(DAY).to_seconds() {
        return Some(Refusal::CallAuthorizationTooLong);
    }
    // The answer is stored already, so there is no call to wait for.
    if record.is_some_and(|record| record.held().is_some()) {
        return None;
    }
    let answered_at = now
        .plus(config.gateway.timeout_millis.into())
        .plus(CALL_MARGIN)
        .to_seconds();
    let end = authorization.expires_at().min(sale.offer.terms.expires_at);
    (end < answered_at).then_some(Refusal::CallOfferTooShort)
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
        assert_eq!(refusal(&config, &payment(), None, NOW), None);
        assert_eq!(refusal(&config, &proof(), None, NOW), None);
        let earlier = config.wallets.pay_to;
        config.wallets.pay_to = Address::repeat_byte(9);
        assert_eq!(
            refusal(&config, &payment(), None, NOW),
            Some(PayReply::Withdrawn)
        );
        let fault = ProofFault::WalletNotUsed;
        assert_eq!(
            refusal(&config, &proof(), None, NOW),
            Some(PayReply::Unproven(fault))
        );
        // A purchase whose attempt has failed answers with the failure.
        let answer = refusal(&config, &payment(), Some(&failed()), NOW);
        assert!(matches!(
            answer,
            Some(PayReply::Refused { begun: true, .. })
        ));
        config.wallets.old = vec![earlier];
        for ask in [payment(), proof()] {
            assert_eq!(refusal(&config, &ask, None, NOW), None);
        }
    }

    #[test]
    fn a_transfer_can_be_shown_for_thirty_days_after_its_offer() {
        let config = test_config();
        let end = EXPIRES_AT.plus(30 * 86_400).to_millis();
        let at = |now| refusal(&config, &proof(), None, now);
        assert_eq!(at(UnixMillis(end.0 - 1)), None);
        let late = PayReply::Unproven(ProofFault::ShownTooLate);
        assert_eq!(at(end), Some(late.clone()));
        assert_eq!(refusal(&config, &proof(), Some(&failed()), end), Some(late));
    }

    #[test]
    fn a_purchase_is_not_paid_at_another_wallet_than_its_own() {
        let config = test_config();
        let mut record = failed();
        assert_eq!(refusal(&config, &proof(), Some(&record), NOW), None);
        record.terms.pay_to = Address::repeat_byte(9);
        let answer = refusal(&config, &proof(), Some(&record), NOW);
        assert_eq!(answer, Some(PayReply::Conflict));
    }

    #[test]
    fn what_could_not_be_delivered_begins_nothing_and_what_has_begun_is_answered() {
        let config = test_config();
        let mut unknown = pay(1);
        unknown.sale.as_mut().unwrap().sold = None;
        let ask = Ask::Pay(Box::new(unknown));
        assert_eq!(refusal(&config, &ask, None, NOW), Some(PayReply::Withdrawn));
        assert_eq!(refusal(&config, &ask, Some(&failed()), NOW), None);
    }
}
