use proptest::prelude::*;

use super::super::endpoints::bench::{Bench, Node};
use super::*;

fn transfer() -> SignedAuthorization {
    let authorization = crate::x402::Authorization {
        from: Address::ZERO,
        to: Address::ZERO,
        value: U256::ZERO,
        valid_after: U256::ZERO,
        valid_before: U256::ZERO,
        nonce: B256::ZERO,
    };
    let signature = alloy_primitives::Signature::from_raw_array(&[27; 65]).unwrap();
    SignedAuthorization {
        authorization,
        signature: crate::chain::signature::PayerSignature::Key(signature),
    }
}

fn simulate(nodes: Vec<Node>) -> Result<Simulation, ChainError> {
    let transfer = transfer();
    Bench::new(nodes).ask(async |chain| chain.simulate(&transfer, Address::ZERO).await)
}

fn ask_wallet(nodes: Vec<Node>) -> Result<WalletAnswer, ChainError> {
    let signature = Bytes::from_static(&[1]);
    Bench::new(nodes).ask(async |chain| {
        chain
            .wallet_accepts(Address::ZERO, B256::ZERO, &signature, None)
            .await
    })
}

fn yes() -> Node {
    Node::telling(json!(format!("0x1626ba7e{:056}", 0)))
}

fn gas() -> Node {
    Node::telling(json!("0x5208"))
}

/// Errors by which nodes say that the call itself fails on the chain, whichever node is asked.
fn words_of_the_chain() -> Vec<(i64, &'static str, Value)> {
    let reason = json!("0x08c379a0");
    vec![
        (
            3,
            "execution reverted: FiatTokenV2: invalid signature",
            reason.clone(),
        ),
        (3, "execution reverted", json!("0x")),
        (
            -32000,
            "execution reverted: FiatTokenV2: invalid signature",
            Value::Null,
        ),
        (-32000, "VM Exception while processing transaction", reason),
        (-32015, "VM execution error.", json!("Reverted 0x08c379a0")),
        (
            -32000,
            "gas required exceeds allowance (400000)",
            Value::Null,
        ),
        (
            -32003,
            "Out of gas: gas required exceeds allowance: 400000",
            Value::Null,
        ),
        (-32603, "EVM error OutOfGas", Value::Null),
        (-32000, "invalid opcode: INVALID", Value::Null),
    ]
}

/// Errors by which nodes say that they cannot tell.
fn trouble() -> Vec<(i64, &'static str, Value)> {
    vec![
        (-32000, "header not found", Value::Null),
        (-32000, "execution aborted (timeout = 5s)", Value::Null),
        (
            -32000,
            "missing trie node 4f1d (path ) state 0x4f1d is not available",
            Value::Null,
        ),
        (
            -32000,
            "too many requests",
            json!({"see": "https://example.com/limits"}),
        ),
        (-32000, "too many requests", json!("0x")),
        (-32000, "", Value::Null),
        (-32002, "request timed out", Value::Null),
        (-32003, "transaction rejected", Value::Null),
        (-32005, "limit exceeded", Value::Null),
        (-32010, "not now", Value::Null),
        (-32015, "the backend is busy", Value::Null),
        (-32016, "over rate limit", Value::Null),
        (
            -32602,
            "BlockOutOfRangeError: block height is 0 but requested was 65535",
            Value::Null,
        ),
        (-32603, "internal error", Value::Null),
    ]
}

fn saying((code, message, data): &(i64, &'static str, Value)) -> Node {
    let error = json!({"code": code, "message": message, "data": data});
    Node::new(move |_| json!({"error": error}))
}

#[test]
fn a_revert_is_an_answer_and_not_a_fault() {
    for word in &words_of_the_chain() {
        assert_eq!(
            simulate(vec![saying(word), gas()]),
            Ok(Simulation::Reverts(word.1.to_owned())),
            "{word:?}"
        );
        let answer = ask_wallet(vec![saying(word), yes()]);
        assert_eq!(answer, Ok(WalletAnswer::Refuses), "{word:?}");
    }
}

#[test]
fn a_node_in_trouble_is_no_word_of_the_chain() {
    for fault in &trouble() {
        assert_eq!(
            simulate(vec![saying(fault), gas()]),
            Ok(Simulation::Succeeds { gas: 21_000 }),
            "{fault:?}"
        );
        let answer = ask_wallet(vec![saying(fault), yes()]);
        assert_eq!(answer, Ok(WalletAnswer::Accepts), "{fault:?}");
        // Without another node the question stays open.
        assert!(simulate(vec![saying(fault)]).is_err(), "{fault:?}");
        assert!(ask_wallet(vec![saying(fault)]).is_err(), "{fault:?}");
    }
}

#[test]
fn a_revert_counts_also_after_a_node_in_trouble() {
    let (fault, word) = (&trouble()[0], &words_of_the_chain()[0]);
    assert_eq!(
        simulate(vec![saying(fault), saying(word)]),
        Ok(Simulation::Reverts(word.1.to_owned()))
    );
}

#[test]
fn a_receipt_for_another_transaction_is_refused() {
    let (own, other) = (B256::repeat_byte(0x11), B256::repeat_byte(0x22));
    let ask = |answer: Value, transaction| {
        let bench = Bench::new([Node::telling(answer)]);
        bench.ask(async |chain| chain.receipt(transaction).await)
    };
    let answer = json!({
        "transactionHash": own, "blockNumber": "0x1", "blockHash": other, "status": "0x1", "logs": [],
    });
    assert!(ask(answer.clone(), own).unwrap().unwrap().success);
    assert!(ask(answer, other).is_err());
    assert_eq!(ask(Value::Null, own), Ok(None));
}

/// A receipt with this block hash and this bloom filter, with or without one event.
fn receipt_of(block: Value, filter: Value, has_event: bool) -> Value {
    let event =
        json!({"address": Address::repeat_byte(1), "topics": [B256::repeat_byte(2)], "data": "0x"});
    json!({
        "transactionHash": TRANSACTION, "blockNumber": "0x1", "blockHash": block, "status": "0x1",
        "logs": if has_event { json!([event]) } else { json!([]) }, "logsBloom": filter,
    })
}

/// The bloom filter of that event.
fn filter() -> Value {
    let mut filter = Bloom::ZERO;
    filter.accrue_raw_log(Address::repeat_byte(1), &[B256::repeat_byte(2)]);
    json!(filter)
}

const TRANSACTION: B256 = B256::repeat_byte(0x11);

fn ask_receipt(bench: &Bench) -> Result<Option<Receipt>, ChainError> {
    bench.ask(async |chain| chain.receipt(TRANSACTION).await)
}

#[test]
fn a_receipt_from_a_block_that_is_still_being_built_is_none() {
    let ask = |block: Value| {
        ask_receipt(&Bench::new([Node::telling(receipt_of(
            block,
            filter(),
            true,
        ))]))
    };
    assert_eq!(ask(json!(B256::ZERO)), Ok(None));
    assert_eq!(ask(Value::Null), Ok(None));
    assert!(ask(json!("0x1234")).is_err());
    let receipt = ask(json!(B256::repeat_byte(3))).unwrap().unwrap();
    assert_eq!(receipt.block_hash, B256::repeat_byte(3));
}

#[test]
fn a_receipt_tells_by_its_filter_whether_it_shows_all_events() {
    let other = json!(Bloom::repeat_byte(1));
    for (filter, has_event, completeness) in [
        (filter(), true, Completeness::Complete),
        (filter(), false, Completeness::Contradictory),
        (other.clone(), true, Completeness::Contradictory),
        (other, false, Completeness::Contradictory),
        (json!(Bloom::ZERO), true, Completeness::Unproven),
        (json!(Bloom::ZERO), false, Completeness::Unproven),
        (Value::Null, true, Completeness::Unproven),
        (Value::Null, false, Completeness::Unproven),
    ] {
        let answer = receipt_of(json!(B256::repeat_byte(3)), filter, has_event);
        let receipt = ask_receipt(&Bench::new([Node::telling(answer)]));
        assert_eq!(receipt.unwrap().unwrap().completeness, completeness);
    }
}

#[test]
fn a_receipt_without_its_events_is_asked_for_at_the_next_endpoint() {
    let node = |filter: Value, has_event| {
        Node::telling(receipt_of(json!(B256::repeat_byte(3)), filter, has_event))
    };
    let complete = || node(filter(), true);
    for bare in [filter(), json!(Bloom::ZERO), Value::Null] {
        let bench = Bench::new([node(bare.clone(), false), complete()]);
        assert_eq!(ask_receipt(&bench).unwrap().unwrap().logs.len(), 1);
        let alone = Bench::new([node(bare.clone(), false), node(bare.clone(), false)]);
        assert!(ask_receipt(&alone).unwrap().unwrap().logs.is_empty());
        assert!(alone.skipped.borrow().is_empty());
        let behind = Node::telling(Value::Null);
        let ahead = Bench::new([node(bare.clone(), false), behind]);
        assert!(ask_receipt(&ahead).unwrap().is_some());
        assert!(
            ahead.skipped.borrow().is_empty(),
            "it knows more than the other"
        );
    }
    // A transaction that reverted has no events.
    let mut reverted = receipt_of(json!(B256::repeat_byte(3)), json!(Bloom::ZERO), false);
    reverted["status"] = json!("0x0");
    let bench = Bench::new([Node::telling(reverted), complete()]);
    assert!(!ask_receipt(&bench).unwrap().unwrap().success);
    assert_eq!(bench.asked(), [0]);
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
