//! Tests of the commands for the wallets' queues.

use super::*;

fn sender() -> Address {
    let config = test_config();
    config.refund_sender().map(WalletKey::address).unwrap()
}

#[test]
fn all_wallets_that_send_are_shown_and_one_that_does_not_answer_hides_no_other() {
    let mut deployment = deployment();
    let answer = body(&ask(&deployment, &get("/admin/wallets")));
    let shown = answer["wallets"].as_array().unwrap();
    assert_eq!(shown[0]["nextNonce"], 7);
    let asked = deployment.wallets.borrow().clone();
    assert!(asked.contains(&(sender(), WalletOperation::Show)));
    assert_eq!(asked.len(), shown.len());
    deployment.reply = Err(CallFault("inside detail".to_owned()));
    let answer = ask(&deployment, &get("/admin/wallets"));
    assert_eq!(answer.status(), StatusCode::OK);
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(text.contains("did not answer") && !text.contains("inside detail"));
}

#[test]
fn each_command_reaches_its_wallet() {
    let address = sender();
    for (path, operation) in [
        ("repair", WalletOperation::Repair),
        ("nonces/12/give-up", WalletOperation::GiveUp { nonce: 12 }),
    ] {
        let deployment = deployment();
        let path = format!("/admin/wallets/{address:#x}/{path}");
        assert_eq!(body(&ask(&deployment, &post(&path)))["open"], 0);
        assert_eq!(*deployment.wallets.borrow(), [(address, operation)]);
        let status = ask(&deployment, &get(&path)).status();
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(deployment.wallets.borrow().len(), 1);
    }
}

#[test]
fn other_wallets_and_what_is_no_nonce_are_refused() {
    let deployment = deployment();
    let address = sender();
    let stranger = Address::repeat_byte(7);
    for (path, status) in [
        (format!("{stranger}/repair"), StatusCode::NOT_FOUND),
        ("none/repair".to_owned(), StatusCode::NOT_FOUND),
        (
            format!("{address}/nonces/-1/give-up"),
            StatusCode::BAD_REQUEST,
        ),
        (format!("{address}/repair?now=1"), StatusCode::BAD_REQUEST),
        (format!("{address}"), StatusCode::NOT_FOUND),
    ] {
        let path = format!("/admin/wallets/{path}");
        assert_eq!(ask(&deployment, &post(&path)).status(), status, "{path}");
    }
    assert!(deployment.wallets.borrow().is_empty());
}
