//! Tests of transfers that the seller has returned by hand.

use super::*;
use crate::chain::base::Log;
use crate::chain::transfer::booking_key;
use crate::testing;
use crate::types::U256;

const TX: B256 = B256::repeat_byte(0x77);
const ANN: Address = Address::repeat_byte(0xa1);

fn transfer(from: Address, to: Address) -> Log {
    testing::transfer(from, to, U256::from(7))
}

fn with(logs: Vec<Log>) -> Deployment {
    Deployment {
        receipt: Some(testing::receipt(TX, 9, logs)),
        ..deployment()
    }
}

#[test]
fn the_only_transfer_of_a_transaction_is_booked_with_who_sent_it() {
    let seller = test_config().wallets.pay_to;
    let strangers = transfer(ANN, Address::repeat_byte(9));
    let deployment = with(vec![strangers, transfer(ANN, seller)]);
    let answer = ask(
        &deployment,
        &post(&format!("/admin/transfers/{TX}/returned")),
    );
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(
        body(&answer),
        json!({"status": "RETURNED", "transaction": TX, "from": ANN.to_checksum(None), "amount": "$0.000007", "event": 1})
    );
    let transfer = booking_key(TX, 1);
    let command = PayerCommand::Return { transfer };
    assert_eq!(*deployment.booked.borrow(), [(ANN, command)]);
}

#[test]
fn of_several_one_must_be_named() {
    let seller = test_config().wallets.pay_to;
    let deployment = with(vec![transfer(ANN, seller), transfer(ANN, seller)]);
    let answer = ask(
        &deployment,
        &post(&format!("/admin/transfers/{TX}/returned")),
    );
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(body(&answer)["details"]["transfers"][1]["event"], 1);
    assert!(deployment.booked.borrow().is_empty());
    let named = |event| format!("/admin/transfers/{TX}/{event}/returned");
    for (event, status) in [("1", StatusCode::OK), ("2", StatusCode::NOT_FOUND)] {
        assert_eq!(ask(&deployment, &post(&named(event))).status(), status);
    }
    assert_eq!(deployment.booked.borrow().len(), 1);
}

#[test]
fn what_pays_a_purchase_is_named_and_not_marked() {
    let mut deployment = with(vec![transfer(ANN, test_config().wallets.pay_to)]);
    let by: RequestId = ID.parse().unwrap();
    deployment.book = PayerReply::Superseded { by };
    let answer = ask(
        &deployment,
        &post(&format!("/admin/transfers/{TX}/returned")),
    );
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    assert_eq!(body(&answer)["details"]["requestId"], ID);
}
