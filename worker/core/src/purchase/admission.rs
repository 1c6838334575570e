//! Which offers begin a purchase, whatever the chain says.

use super::question::Ask;
use super::reply::PayReply;
use super::state::Purchase;
use crate::chain::transfer::{ProofFault, SHOW_SECONDS};
use crate::config::Config;
use crate::types::UnixMillis;

/// Why nothing begins by this question, if nothing does. A purchase that has begun is answered all the same.
pub(super) fn refusal(
    config: &Config,
    ask: &Ask,
    record: Option<&Purchase>,
    now: UnixMillis,
) -> Option<PayReply> {
    match ask {
        Ask::Pay(pay) => {
            let terms = &pay.sale.as_ref()?.offer.terms;
            // An attempt that has failed is not repeated; its failure is the answer.
            let withdrawn = || record.and_then(Ask::failure).unwrap_or(PayReply::Withdrawn);
            (!config.is_paid_at(terms.pay_to)).then(withdrawn)
        }
        Ask::Prove(prove) => {
            let terms = &prove.offer.terms;
            // It would be paid at another wallet than the one in its terms, which is the one that refunds it.
            if record.is_some_and(|record| record.terms.pay_to != terms.pay_to) {
                return Some(PayReply::Conflict);
            }
            let fault = if !config.is_paid_at(terms.pay_to) {
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
    use super::super::sold::Sold;
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
        assert_eq!(refusal(&config, &payment(), None, NOW), None);
        assert_eq!(refusal(&config, &proof(), None, NOW), None);
        let earlier = config.pay_to;
        config.pay_to = Address::repeat_byte(9);
        assert_eq!(
            refusal(&config, &payment(), None, NOW),
            Some(PayReply::Withdrawn)
        );
        let fault = ProofFault::WalletNotUsed;
        assert_eq!(
            refusal(&config, &proof(), None, NOW),
            Some(PayReply::Unproven(fault))
        );
        // What has failed says so, and nothing else is true of it.
        let answer = refusal(&config, &payment(), Some(&failed()), NOW);
        assert!(matches!(
            answer,
            Some(PayReply::Refused { begun: true, .. })
        ));
        config.old_wallets = vec![earlier];
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
    fn a_plan_without_a_lifetime_sells_the_deployments_usual_one() {
        let mut config = test_config();
        config.token_ttl_seconds = 77;
        let plans = r#"[{"planId":"basic","unitAmount":"$1"},{"planId":"pro","unitAmount":"$2","expiresIn":5}]"#;
        config.catalog = crate::catalog::Catalog::from_json(plans).unwrap();
        let lifetime = |plan: &str| {
            let target = crate::offer::Target::Plan(plan.parse().unwrap());
            Sold::today(&target, &config).map(|sold| sold.lifetime)
        };
        let found = [lifetime("basic"), lifetime("pro"), lifetime("gone")];
        assert_eq!(found, [Some(77), Some(5), None]);
    }
}
