use proptest::prelude::*;

use super::super::endpoints::bench::{Bench, Node};
use super::*;

#[test]
fn a_revert_is_an_answer_and_not_a_fault() {
    let authorization = crate::payment::Authorization {
        from: Address::ZERO,
        to: Address::ZERO,
        value: U256::ZERO,
        valid_after: U256::ZERO,
        valid_before: U256::ZERO,
        nonce: B256::ZERO,
    };
    let signature = alloy_primitives::Signature::from_raw_array(&[27; 65]).unwrap();
    let transfer = SignedAuthorization {
        authorization,
        signature: crate::payment::signature::PayerSignature::Key(signature),
    };
    let simulate =
        |bench: Bench| bench.ask(async |chain| chain.simulate(&transfer, Address::ZERO).await);
    let other = || Node::telling(json!("0x5208"));
    let text = "execution reverted: FiatTokenV2: invalid signature";
    for code in [3, -32000, -32015, -32602] {
        assert_eq!(
            simulate(Bench::new([Node::failing(code, text), other()])),
            Ok(Simulation::Reverts(text.to_owned()))
        );
    }
    assert_eq!(
        simulate(Bench::new([
            Node::failing(-32016, "over rate limit"),
            other()
        ])),
        Ok(Simulation::Succeeds { gas: 21_000 })
    );
    assert!(simulate(Bench::new([Node::failing(-32016, "over rate limit")])).is_err());
}

#[test]
fn a_receipt_for_another_transaction_is_refused() {
    let (own, other) = (B256::repeat_byte(0x11), B256::repeat_byte(0x22));
    let ask = |answer: Value, transaction| {
        let bench = Bench::new([Node::telling(answer)]);
        bench.ask(async |chain| chain.receipt(transaction).await)
    };
    let answer = json!({"transactionHash": own, "blockNumber": "0x1", "status": "0x1", "logs": []});
    assert!(ask(answer.clone(), own).unwrap().unwrap().success);
    assert!(ask(answer, other).is_err());
    assert_eq!(ask(Value::Null, own), Ok(None));
}

#[test]
fn where_no_contract_tells_the_data_fee_there_is_none() {
    let fee = |node: Node| {
        let bench = Bench::new([node]);
        bench.ask(async |chain| chain.data_fee(4_096).await)
    };
    let answer = format!("0x{:064x}", 77);
    assert_eq!(fee(Node::telling(json!(answer))), Ok(U256::from(77)));
    assert_eq!(fee(Node::telling(json!("0x"))), Ok(U256::ZERO));
    let reverts = Node::failing(3, "execution reverted");
    assert_eq!(fee(reverts), Ok(U256::ZERO));
    assert!(fee(Node::telling(json!("0x01"))).is_err());
}

#[test]
fn the_time_of_a_block_is_that_of_the_block_that_was_asked_for() {
    let time = |answer: Value| {
        let bench = Bench::new([Node::telling(answer)]);
        let time = bench.ask(async |chain| chain.block_time(50).await);
        assert_eq!(bench.posts.borrow()[0].body[2]["params"][0], "0x32");
        time
    };
    let block = |number: &str| json!({"number": number, "timestamp": "0x6b49d200"});
    assert_eq!(time(block("0x32")), Ok(Some(1_800_000_000)));
    assert_eq!(time(Value::Null), Ok(None));
    assert!(time(block("0x33")).is_err());
}

#[test]
fn the_state_of_a_block_is_asked_for_by_its_number() {
    let answer = format!("0x{:064x}", 1);
    for (at, block) in [(Some(50), "0x32"), (None, "latest")] {
        let bench = Bench::new([Node::telling(json!(answer))]);
        let used = bench.ask(async |chain| {
            chain
                .authorization_used(Address::ZERO, B256::ZERO, at)
                .await
        });
        assert_eq!(used, Ok(true));
        assert_eq!(bench.posts.borrow()[0].body[2]["params"][1], block);
    }
    let behind = || Node::failing(-32000, "header not found");
    let used = |nodes: Vec<Node>| {
        Bench::new(nodes).ask(async |chain| {
            chain
                .authorization_used(Address::ZERO, B256::ZERO, Some(50))
                .await
        })
    };
    assert!(
        used(vec![behind()]).is_err(),
        "a node without the block cannot tell"
    );
    assert_eq!(
        used(vec![behind(), Node::telling(json!(answer))]),
        Ok(true),
        "another one can"
    );
}

#[test]
fn uses_and_cancellations_are_told_apart() {
    let log = |topic: B256, transaction: u8| json!({"topics": [topic], "transactionHash": B256::repeat_byte(transaction)});
    let logs = json!([
        log(usdc::AUTHORIZATION_USED_TOPIC, 1),
        log(usdc::AUTHORIZATION_CANCELED_TOPIC, 2),
    ]);
    let events = authorization_events(&logs).unwrap();
    assert_eq!(events.used_in, [B256::repeat_byte(1)]);
    assert!(events.cancelled);
    assert!(authorization_events(&json!([{}])).is_none());
}

proptest! {
    #[test]
    fn hostile_answers_never_panic(text in ".{0,200}") {
        let value = serde_json::from_str::<Value>(&text).unwrap_or(Value::String(text));
        let _ = receipt(&value);
        let _ = authorization_events(&value);
        let _ = quantity(Some(&value));
        let _ = bytes(&value);
        let _ = hash(Some(&value));
    }
}
