use alloy_primitives::{Address, Bytes};

use super::super::base::{Chain as _, ChainError, Head, SendOutcome};
use super::super::rpc::EndpointState;
use super::bench::{Bench, Node};
use super::*;

const MINUTE: u64 = 60_000;

fn with(change: impl FnOnce(&mut Node)) -> Node {
    let mut node = Node::telling(json!("0x2a"));
    change(&mut node);
    node
}

fn good() -> Node {
    with(|_| ())
}

fn count(bench: &Bench) -> Result<u64, ChainError> {
    bench.ask(async |chain| chain.included_count(Address::ZERO).await)
}

fn send(bench: &Bench) -> Result<SendOutcome, ChainError> {
    let raw = Bytes::from_static(b"signed");
    bench.ask(async |chain| chain.send_raw(&raw).await)
}

/// A node whose newest block has this time.
fn at_block(number: u64, timestamp: u64) -> Node {
    Node::telling(json!({
        "number": format!("{number:#x}"),
        "hash": alloy_primitives::B256::ZERO,
        "timestamp": format!("{timestamp:#x}"),
        "baseFeePerGas": "0x1",
    }))
}

/// Endpoints that are useless, each in another way.
fn useless() -> Vec<(&'static str, Node)> {
    let foreign = hex::encode_prefixed(usdc::domain(Network::Base).separator());
    let always = |what| with(|node| node.always = Some(what));
    let on_chain = |answer| with(|node| node.chain_id = answer);
    let lying = |answer| with(|node| node.separator = answer);
    let reverted = json!({"error": {"code": 3, "message": "execution reverted"}});
    vec![
        ("dead", Node::dead()),
        ("out of order", always(Err(HttpFault::Status(503)))),
        ("flooding", always(Err(HttpFault::TooLarge))),
        ("no node", always(Ok("<html>"))),
        ("an empty list", always(Ok("[]"))),
        ("a list of nothing", always(Ok("[null, 1, \"a\"]"))),
        ("without result or error", Node::new(|_| json!({}))),
        ("no number", Node::telling(json!({"not": "a number"}))),
        ("null", Node::telling(Value::Null)),
        ("over its limit", Node::failing(-32005, "rate limited")),
        (
            "over Base's limit",
            Node::failing(-32016, "over rate limit"),
        ),
        ("in trouble", Node::failing(-32603, "internal")),
        (
            "without the block",
            Node::failing(-32000, "header not found"),
        ),
        ("on another chain", on_chain(json!({"result": "0x1"}))),
        ("on Base", on_chain(json!({"result": "0x2105"}))),
        ("on no chain", on_chain(json!({"result": "base"}))),
        (
            "silent about its chain",
            on_chain(json!({"error": {"code": -32601}})),
        ),
        ("lying, without a contract", lying(json!({"result": "0x"}))),
        (
            "lying, with another contract",
            lying(json!({"result": foreign})),
        ),
        ("lying, with one that reverts", lying(reverted)),
    ]
}

#[test]
fn whatever_is_wrong_with_the_first_endpoint_the_second_serves() {
    for knows_batches in [true, false] {
        for (name, mut first) in useless() {
            first.knows_batches = knows_batches;
            let bench = Bench::new([first, good()]);
            assert_eq!(count(&bench), Ok(42), "{name}");
            assert_eq!(bench.asked().last(), Some(&1), "{name}");
        }
    }
}

#[test]
fn when_no_endpoint_is_of_use_the_log_learns_of_each() {
    for (name, only) in useless() {
        let bench = Bench::new([only, Node::dead()]);
        let text = count(&bench).unwrap_err().0;
        if name != "without the block" {
            assert!(text.contains("endpoint 0: "), "{name}: {text}");
            assert!(text.contains("endpoint 1: timeout"), "{name}: {text}");
        }
        assert!(!text.contains("rpc0.example"), "{name}: {text}");
    }
}

#[test]
fn the_chain_is_checked_in_the_same_round_trip_as_the_first_call_and_not_again() {
    let bench = Bench::new([good()]);
    for _ in 0..3 {
        assert_eq!(count(&bench), Ok(42));
    }
    let methods = |at: usize| bench.posts.borrow()[at].methods.join(" ");
    assert_eq!(methods(0), "eth_chainId eth_call eth_getTransactionCount");
    assert_eq!(methods(1), "eth_getTransactionCount");
    assert_eq!(bench.asked().len(), 3);

    bench.pass(11 * MINUTE);
    assert_eq!(count(&bench), Ok(42));
    assert_eq!(methods(0), "eth_chainId eth_call eth_getTransactionCount");
}

#[test]
fn an_endpoint_that_knows_no_batches_is_checked_before_it_is_asked() {
    for first in [
        with(|node| node.knows_batches = false),
        with(|node| {
            node.knows_batches = false;
            node.chain_id = json!({"result": "0x1"});
        }),
    ] {
        let is_ours = first.chain_id == json!({"result": "0x14a34"});
        let bench = Bench::new([first]);
        assert_eq!(count(&bench).is_ok(), is_ours);
        let asked = bench
            .posts
            .borrow()
            .iter()
            .any(|post| post.methods == ["eth_getTransactionCount"]);
        assert_eq!(asked, is_ours);
    }
}

#[test]
fn an_answer_of_another_chain_is_not_believed_even_if_there_is_no_other() {
    let bench = Bench::new([with(|node| node.chain_id = json!({"result": "0x1"}))]);
    for _ in 0..3 {
        let text = count(&bench).unwrap_err().0;
        assert_eq!(
            text,
            "eth_getTransactionCount: endpoint 0: it is chain 1, not 84532;"
        );
    }
}

#[test]
fn an_endpoint_whose_chain_changes_behind_its_address_is_found_out() {
    let bench = Bench::new([good(), Node::telling(json!("0x7"))]);
    assert_eq!(count(&bench), Ok(42));
    bench.nodes.borrow_mut()[0].chain_id = json!({"result": "0x1"});
    bench.pass(11 * MINUTE);
    assert_eq!(count(&bench), Ok(7));
}

#[test]
fn a_dead_endpoint_costs_its_deadline_once_and_is_tried_again_later() {
    let bench = Bench::new([Node::dead(), good()]);
    assert_eq!(count(&bench), Ok(42));
    assert_eq!(bench.asked(), [0, 1]);
    for _ in 0..3 {
        assert_eq!(count(&bench), Ok(42));
    }
    assert_eq!(bench.asked(), [1, 1, 1]);

    // The endpoint is tried again after 10 seconds, and next after 20.
    for seconds in [10, 20] {
        bench.pass(seconds * 1000 - 1);
        let _ = count(&bench);
        assert_eq!(bench.asked(), [1]);
        bench.pass(1);
        let _ = (count(&bench), count(&bench));
        assert_eq!(bench.asked(), [0, 1, 1]);
    }

    // The endpoint works again: it is asked first, at once and from then on, and its chain is checked.
    bench.nodes.borrow_mut()[0] = good();
    bench.pass(40_000);
    let _ = (count(&bench), count(&bench));
    assert_eq!(bench.posts.borrow()[0].methods.len(), 3);
    assert_eq!(bench.asked(), [0, 0]);
    assert_eq!(bench.skipped.borrow().len(), 3);
}

#[test]
fn pauses_end_for_endpoints_that_were_dead_for_days() {
    let bench = Bench::new([Node::dead(), good()]);
    for _ in 0..100 {
        let _ = count(&bench);
        bench.pass(6 * MINUTE);
    }
    let _ = bench.asked();
    let _ = count(&bench);
    assert_eq!(bench.asked(), [0, 1]);
}

#[test]
fn only_one_call_waits_for_an_endpoint_that_may_be_back() {
    let bench = Bench::new([Node::dead(), good()]);
    let _ = (count(&bench), bench.asked());
    bench.pass(10_000);
    // The first call tries the endpoint again; a call that begins meanwhile asks it last.
    assert_eq!(bench.memory.order(2, bench.now.get()), [0, 1]);
    assert_eq!(bench.memory.order(2, bench.now.get()), [1, 0]);
}

#[test]
fn the_last_hope_is_given_more_time_and_a_paused_endpoint_is_one() {
    let bench = Bench::new([Node::dead(), Node::dead()]);
    let deadlines = || {
        let posts = bench.posts.take();
        posts
            .iter()
            .map(|post| (post.to, post.deadline_millis))
            .collect::<Vec<_>>()
    };
    assert!(count(&bench).is_err());
    assert_eq!(deadlines(), [(0, 3_000), (1, 5_000)]);
    bench.nodes.borrow_mut()[1] = good();
    assert_eq!(count(&bench), Ok(42));
    assert_eq!(deadlines(), [(0, 3_000), (1, 5_000)]);
}

#[test]
fn an_endpoint_that_declines_a_call_is_asked_first_the_next_time() {
    for error in [
        Node::failing(-32005, "rate limited"),
        Node::failing(-32000, "header not found"),
    ] {
        let bench = Bench::new([error, good()]);
        let _ = (count(&bench), count(&bench));
        assert_eq!(bench.asked(), [0, 1, 0, 1]);
        assert!(bench.skipped.borrow().is_empty());
    }
}

#[test]
fn an_answer_that_is_too_large_is_the_questions_fault_and_not_the_endpoints() {
    let bench = Bench::new([good(), good()]);
    let _ = (count(&bench), bench.asked());
    bench.nodes.borrow_mut()[0].always = Some(Err(HttpFault::TooLarge));
    let _ = (count(&bench), count(&bench));
    assert_eq!(bench.asked(), [0, 1, 0, 1]);
}

#[test]
fn a_send_hands_the_identical_transaction_to_the_next_endpoint_also_when_one_refuses() {
    let accepting = || Node::telling(json!("0x01"));
    for (first, posts) in [
        (accepting(), 1),
        (Node::failing(-32000, "already known"), 1),
        (Node::failing(-32000, "txpool is full"), 2),
        (Node::failing(-32601, "not here"), 2),
        (Node::dead(), 2),
    ] {
        let bench = Bench::new([first, accepting()]);
        assert_eq!(send(&bench), Ok(SendOutcome::Accepted));
        let sent: Vec<Value> = bench
            .posts
            .take()
            .into_iter()
            .map(|post| post.body[2]["params"].clone())
            .collect();
        assert_eq!(sent, vec![json!(["0x7369676e6564"]); posts]);
    }
    let bench = Bench::new([Node::failing(-32000, "nonce too low"), Node::dead()]);
    assert_eq!(
        send(&bench),
        Ok(SendOutcome::Refused("nonce too low".to_owned()))
    );
}

#[test]
fn a_refusal_of_another_chain_is_no_refusal() {
    let foreign = Node {
        chain_id: json!({"result": "0x1"}),
        ..Node::failing(-32000, "invalid sender")
    };
    let bench = Bench::new([foreign]);
    assert!(send(&bench).is_err());
}

#[test]
fn a_node_that_is_stuck_is_passed_over_when_another_one_is_not() {
    let bench = Bench::new([]);
    let now = bench.now.get().to_seconds().0;
    let head = |bench: &Bench| bench.ask(async |chain| chain.head().await).unwrap();
    let number = |bench: &Bench| head(bench).number;

    let bench = Bench::new([at_block(5, now - 300), at_block(150, now - 2)]);
    assert_eq!(number(&bench), 150);
    assert_eq!(number(&bench), 150);
    assert_eq!(bench.asked(), [0, 1, 1]);
    assert_eq!(bench.skipped.borrow()[0].0, 0);

    // All endpoints are stuck, or nothing happens on this chain: the newest answer is used, and no endpoint is paused.
    let bench = Bench::new([
        at_block(5, now - 300),
        at_block(6, now - 200),
        at_block(4, now - 400),
    ]);
    for _ in 0..2 {
        assert_eq!(
            head(&bench),
            Head {
                number: 6,
                hash: alloy_primitives::B256::ZERO,
                timestamp: now - 200,
                base_fee: 1
            }
        );
        assert_eq!(bench.asked(), [0, 1, 2]);
    }
    assert!(bench.skipped.borrow().is_empty());
}

#[test]
fn every_endpoint_is_examined_on_its_own() {
    let now = 1_800_000_000;
    let head = |number, timestamp| Head {
        number,
        hash: alloy_primitives::B256::ZERO,
        timestamp,
        base_fee: 1,
    };
    let bench = Bench::new([
        at_block(5, now),
        Node::dead(),
        Node {
            chain_id: json!({"result": "0x1"}),
            ..at_block(5, now)
        },
        Node {
            separator: json!({"result": "0x"}),
            ..at_block(5, now)
        },
        at_block(4, now - 61),
        at_block(4, now - 60),
        good(),
    ]);
    let states = bench.ask(async |chain| chain.endpoints().await);
    assert_eq!(
        states,
        [
            EndpointState::Good(head(5, now)),
            EndpointState::NoAnswer,
            EndpointState::OtherChain,
            EndpointState::OtherChain,
            EndpointState::Behind(head(4, now - 61)),
            EndpointState::Good(head(4, now - 60)),
            EndpointState::NoAnswer,
        ]
    );
}
