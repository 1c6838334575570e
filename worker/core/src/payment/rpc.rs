//! The chain over Ethereum JSON-RPC: a list of endpoints, tried in order.
//!
//! Reads may be asked of any endpoint. A send hands over the identical signed transaction, so repeating it elsewhere is
//! harmless. Answers are untrusted: sizes are bounded by the caller's `Http`, and every member is parsed.

use core::future::Future;

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use serde_json::{Value, json};

use super::authorization::SignedAuthorization;
use super::chain::{
    AuthorizationEvents, Chain, ChainError, Head, Log, Receipt, SendOutcome, Simulation,
};
use super::signature::Deployment;
use super::usdc;
use super::wallet_call::{self, WalletAnswer};
use crate::types::{HttpUrl, Network};

/// How an answer body gets here. The implementation sets a deadline, follows no redirect and bounds the size.
pub trait Http {
    /// Posts JSON and returns the answer's body if its status is 2xx, or else a text for the log.
    fn post(&self, url: &str, body: Vec<u8>) -> impl Future<Output = Result<Vec<u8>, String>>;
}

/// The chain behind a list of RPC endpoints.
#[derive(Debug)]
pub struct RpcChain<'a, H> {
    http: H,
    endpoints: &'a [HttpUrl],
    network: Network,
}

enum CallError {
    /// The node answered: the call is refused, with this text.
    Refused(String),
    /// No endpoint gave an answer.
    Unavailable(ChainError),
}

impl<'a, H: Http> RpcChain<'a, H> {
    /// Asks the endpoints in this order.
    pub fn new(http: H, endpoints: &'a [HttpUrl], network: Network) -> Self {
        Self {
            http,
            endpoints,
            network,
        }
    }

    async fn call(&self, method: &str, params: Value) -> Result<Value, CallError> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let body = request.to_string().into_bytes();
        let mut faults = Vec::new();
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            let answer = match self.http.post(endpoint.as_str(), body.clone()).await {
                Ok(answer) => answer,
                Err(fault) => {
                    faults.push(format!("endpoint {at}: {fault}"));
                    continue;
                }
            };
            match read_answer(&answer) {
                Ok(result) => return Ok(result),
                Err(Fault::Refused(text)) => return Err(CallError::Refused(text)),
                Err(Fault::Broken(text)) => faults.push(format!("endpoint {at}: {text}")),
            }
        }
        Err(CallError::Unavailable(ChainError(format!(
            "{method}: {}",
            faults.join("; ")
        ))))
    }

    /// A read. A refusal by the node is as useless as no answer.
    async fn read(&self, method: &str, params: Value) -> Result<Value, ChainError> {
        self.call(method, params)
            .await
            .map_err(|error| match error {
                CallError::Refused(text) => ChainError(format!("{method}: refused: {text}")),
                CallError::Unavailable(error) => error,
            })
    }

    async fn usdc_call(&self, data: Bytes, at: Option<u64>) -> Result<U256, ChainError> {
        let call = json!({"to": self.network.usdc(), "data": data});
        // A node that does not have the block refuses.
        let block = at.map_or_else(|| "latest".to_owned(), |at| format!("{at:#x}"));
        let result = self.read("eth_call", json!([call, block])).await?;
        let bytes = bytes(&result).filter(|bytes| bytes.len() == 32);
        bytes
            .map(|bytes| U256::from_be_slice(&bytes))
            .ok_or_else(|| malformed("eth_call"))
    }

    async fn count(&self, account: Address, block: &str) -> Result<u64, ChainError> {
        let result = self
            .read("eth_getTransactionCount", json!([account, block]))
            .await?;
        number(Some(&result)).ok_or_else(|| malformed("eth_getTransactionCount"))
    }
}

impl<H: Http> Chain for RpcChain<'_, H> {
    async fn simulate(
        &self,
        transfer: &SignedAuthorization,
        sender: Address,
    ) -> Result<Simulation, ChainError> {
        let usdc::SettlementCall { to, input, max_gas } =
            usdc::settlement_call(transfer, self.network);
        // A wallet that wants more than this is not paid for.
        let call = json!({"from": sender, "to": to, "data": input, "gas": format!("{max_gas:#x}")});
        match self.call("eth_estimateGas", json!([call])).await {
            Ok(result) => number(Some(&result))
                .map(|gas| Simulation::Succeeds { gas })
                .ok_or_else(|| malformed("eth_estimateGas")),
            Err(CallError::Refused(text)) => Ok(Simulation::Reverts(text)),
            Err(CallError::Unavailable(error)) => Err(error),
        }
    }

    async fn wallet_accepts(
        &self,
        wallet: Address,
        digest: B256,
        signature: &Bytes,
        deployment: Option<&Deployment>,
    ) -> Result<WalletAnswer, ChainError> {
        let question = wallet_call::question(digest, signature);
        let (to, data, gas) = match deployment {
            None => (wallet, question, wallet_call::MAX_WALLET_GAS),
            Some(deployment) => (
                wallet_call::MULTICALL,
                wallet_call::after_deployment(deployment, wallet, &question, true),
                wallet_call::MAX_DEPLOYMENT_GAS,
            ),
        };
        let call = json!({"to": to, "data": data, "gas": format!("{gas:#x}")});
        let returned = match self.call("eth_call", json!([call, "latest"])).await {
            Ok(result) => bytes(&result).ok_or_else(|| malformed("eth_call"))?,
            Err(CallError::Refused(_)) => return Ok(WalletAnswer::Refuses),
            Err(CallError::Unavailable(error)) => return Err(error),
        };
        match deployment {
            None => Ok(wallet_call::answer(&returned)),
            Some(_) => {
                wallet_call::answer_after_deployment(&returned).ok_or_else(|| malformed("eth_call"))
            }
        }
    }

    async fn authorization_used(
        &self,
        payer: Address,
        nonce: B256,
        at: Option<u64>,
    ) -> Result<bool, ChainError> {
        let state = self
            .usdc_call(usdc::authorization_state_call(payer, nonce), at)
            .await?;
        Ok(!state.is_zero())
    }

    async fn authorization_events(
        &self,
        payer: Address,
        nonce: B256,
        from_block: u64,
    ) -> Result<AuthorizationEvents, ChainError> {
        let filter = json!({
            "address": self.network.usdc(),
            "topics": [
                [usdc::AUTHORIZATION_USED_TOPIC, usdc::AUTHORIZATION_CANCELED_TOPIC],
                payer.into_word(),
                nonce,
            ],
            "fromBlock": format!("{from_block:#x}"),
            "toBlock": "latest",
        });
        let result = self.read("eth_getLogs", json!([filter])).await?;
        authorization_events(&result).ok_or_else(|| malformed("eth_getLogs"))
    }

    async fn usdc_balance(&self, account: Address) -> Result<U256, ChainError> {
        self.usdc_call(usdc::balance_call(account), None).await
    }

    async fn ether_balance(&self, account: Address) -> Result<U256, ChainError> {
        let result = self
            .read("eth_getBalance", json!([account, "latest"]))
            .await?;
        quantity(Some(&result)).ok_or_else(|| malformed("eth_getBalance"))
    }

    async fn head(&self) -> Result<Head, ChainError> {
        let block = self
            .read("eth_getBlockByNumber", json!(["latest", false]))
            .await?;
        let read = || {
            Some(Head {
                number: number(block.get("number"))?,
                timestamp: number(block.get("timestamp"))?,
                base_fee: wei(block.get("baseFeePerGas"))?,
            })
        };
        read().ok_or_else(|| malformed("eth_getBlockByNumber"))
    }

    async fn block_time(&self, number: u64) -> Result<Option<u64>, ChainError> {
        const METHOD: &str = "eth_getBlockByNumber";
        let block = self
            .read(METHOD, json!([format!("{number:#x}"), false]))
            .await?;
        if block.is_null() {
            return Ok(None);
        }
        let is_it = self::number(block.get("number")) == Some(number);
        self::number(block.get("timestamp"))
            .filter(|_| is_it)
            .map(Some)
            .ok_or_else(|| malformed(METHOD))
    }

    async fn priority_fee(&self) -> Result<u128, ChainError> {
        let result = self.read("eth_maxPriorityFeePerGas", json!([])).await?;
        wei(Some(&result)).ok_or_else(|| malformed("eth_maxPriorityFeePerGas"))
    }

    async fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        let result = self
            .read("eth_getTransactionReceipt", json!([transaction]))
            .await?;
        if result.is_null() {
            return Ok(None);
        }
        receipt(&result)
            .filter(|receipt| receipt.transaction == transaction)
            .map(Some)
            .ok_or_else(|| malformed("eth_getTransactionReceipt"))
    }

    async fn included_count(&self, account: Address) -> Result<u64, ChainError> {
        self.count(account, "latest").await
    }

    async fn pending_count(&self, account: Address) -> Result<u64, ChainError> {
        self.count(account, "pending").await
    }

    async fn send_raw(&self, transaction: &Bytes) -> Result<SendOutcome, ChainError> {
        match self
            .call("eth_sendRawTransaction", json!([transaction]))
            .await
        {
            Ok(_) => Ok(SendOutcome::Accepted),
            Err(CallError::Refused(text)) => Ok(SendOutcome::Refused(text)),
            Err(CallError::Unavailable(error)) => Err(error),
        }
    }
}

enum Fault {
    Refused(String),
    Broken(String),
}

/// JSON-RPC codes by which an endpoint says "not me, not now" instead of answering.
const ENDPOINT_FAULTS: [i64; 5] = [-32700, -32601, -32603, -32005, -32001];
const MAX_FAULT_CHARS: usize = 300;

fn read_answer(answer: &[u8]) -> Result<Value, Fault> {
    let mut answer: Value =
        serde_json::from_slice(answer).map_err(|_| Fault::Broken("not JSON".to_owned()))?;
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        let code = error.get("code").and_then(Value::as_i64);
        let message = error
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let text: String = message.chars().take(MAX_FAULT_CHARS).collect();
        return Err(match code {
            Some(code) if !ENDPOINT_FAULTS.contains(&code) => Fault::Refused(text),
            _ => Fault::Broken(text),
        });
    }
    answer
        .get_mut("result")
        .map(Value::take)
        .ok_or_else(|| Fault::Broken("neither result nor error".to_owned()))
}

fn malformed(method: &str) -> ChainError {
    ChainError(format!("{method}: malformed answer"))
}

fn quantity(value: Option<&Value>) -> Option<U256> {
    let digits = value?.as_str()?.strip_prefix("0x")?;
    (1..=64).contains(&digits.len()).then_some(())?;
    U256::from_str_radix(digits, 16).ok()
}

fn number(value: Option<&Value>) -> Option<u64> {
    quantity(value)?.try_into().ok()
}

fn wei(value: Option<&Value>) -> Option<u128> {
    quantity(value)?.try_into().ok()
}

fn bytes(value: &Value) -> Option<Bytes> {
    hex::decode(value.as_str()?.strip_prefix("0x")?)
        .ok()
        .map(Bytes::from)
}

fn hash(value: Option<&Value>) -> Option<B256> {
    let text = value?.as_str()?;
    (text.len() == 66).then(|| text.parse().ok()).flatten()
}

fn authorization_events(logs: &Value) -> Option<AuthorizationEvents> {
    let mut events = AuthorizationEvents::default();
    for log in logs.as_array()? {
        let topic = hash(log.get("topics")?.get(0))?;
        if topic == usdc::AUTHORIZATION_CANCELED_TOPIC {
            events.cancelled = true;
        } else {
            events.used_in.push(hash(log.get("transactionHash"))?);
        }
    }
    Some(events)
}

fn receipt(value: &Value) -> Option<Receipt> {
    Some(Receipt {
        transaction: hash(value.get("transactionHash"))?,
        block: number(value.get("blockNumber"))?,
        success: match number(value.get("status"))? {
            0 => false,
            1 => true,
            _ => return None,
        },
        logs: value
            .get("logs")?
            .as_array()?
            .iter()
            .map(log)
            .collect::<Option<_>>()?,
    })
}

fn log(value: &Value) -> Option<Log> {
    Some(Log {
        address: value.get("address")?.as_str()?.parse().ok()?,
        topics: value
            .get("topics")?
            .as_array()?
            .iter()
            .map(|topic| hash(Some(topic)))
            .collect::<Option<_>>()?,
        data: bytes(value.get("data")?)?,
    })
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;
    use std::collections::VecDeque;

    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    /// Endpoints that answer what they are told, in order.
    struct Script(
        RefCell<VecDeque<Result<&'static str, &'static str>>>,
        RefCell<Vec<Value>>,
    );

    impl Http for Script {
        async fn post(&self, _url: &str, body: Vec<u8>) -> Result<Vec<u8>, String> {
            let question = serde_json::from_slice(&body).unwrap();
            self.1.borrow_mut().push(question);
            let next = self
                .0
                .borrow_mut()
                .pop_front()
                .unwrap_or(Err("no more answers"));
            next.map(|body| body.as_bytes().to_vec())
                .map_err(str::to_owned)
        }
    }

    fn ask<T>(
        answers: &[Result<&'static str, &'static str>],
        question: impl AsyncFnOnce(&RpcChain<'_, Script>) -> T,
    ) -> T {
        let endpoints: Vec<HttpUrl> = answers
            .iter()
            .enumerate()
            .map(|(at, _)| format!("http://rpc{at}.example").parse().unwrap())
            .collect();
        let answers = answers.iter().copied().collect();
        let script = Script(RefCell::new(answers), RefCell::default());
        let chain = RpcChain::new(script, &endpoints, Network::BaseSepolia);
        question(&chain).now_or_never().unwrap()
    }

    #[test]
    fn the_next_endpoint_is_asked_when_one_fails() {
        for broken in [
            Err("connection refused"),
            Ok("<html>"),
            Ok("{}"),
            Ok(r#"{"error":{"code":-32603,"message":"internal"}}"#),
            Ok(r#"{"error":{"message":"no code"}}"#),
        ] {
            let good = Ok(r#"{"jsonrpc":"2.0","id":1,"result":"0x2a"}"#);
            let count = ask(&[broken, good], async |chain| {
                chain.included_count(Address::ZERO).await
            });
            assert_eq!(count, Ok(42), "{broken:?}");
        }
    }

    #[test]
    fn a_revert_is_an_answer_and_not_a_fault() {
        let reverts = Ok(
            r#"{"error":{"code":3,"message":"execution reverted: FiatTokenV2: invalid signature"}}"#,
        );
        let outcome = ask(&[reverts, Err("must not be asked")], async |chain| {
            chain.send_raw(&Bytes::new()).await
        });
        assert!(
            matches!(outcome, Ok(SendOutcome::Refused(text)) if text.contains("invalid signature"))
        );
    }

    #[test]
    fn a_receipt_for_another_transaction_is_refused() {
        let answer = Ok(
            r#"{"result":{"transactionHash":"0x1111111111111111111111111111111111111111111111111111111111111111","blockNumber":"0x1","status":"0x1","logs":[]}}"#,
        );
        let own = ask(&[answer], async |chain| {
            chain.receipt(B256::repeat_byte(0x11)).await
        });
        assert!(own.unwrap().unwrap().success);
        let other = ask(&[answer], async |chain| {
            chain.receipt(B256::repeat_byte(0x22)).await
        });
        assert!(other.is_err());
        let pending = ask(&[Ok(r#"{"result":null}"#)], async |chain| {
            chain.receipt(B256::ZERO).await
        });
        assert_eq!(pending, Ok(None));
    }

    #[test]
    fn the_time_of_a_block_is_that_of_the_block_that_was_asked_for() {
        let time = |answer| {
            ask(&[Ok(answer)], async |chain| {
                let time = chain.block_time(50).await;
                assert_eq!(chain.http.1.borrow()[0]["params"][0], "0x32");
                time
            })
        };
        let block = r#"{"result":{"number":"0x32","timestamp":"0x6b49d200"}}"#;
        assert_eq!(time(block), Ok(Some(1_800_000_000)));
        assert_eq!(time(r#"{"result":null}"#), Ok(None));
        let other = r#"{"result":{"number":"0x33","timestamp":"0x6b49d200"}}"#;
        assert!(time(other).is_err());
    }

    #[test]
    fn the_state_of_a_block_is_asked_for_by_its_number() {
        let answer = Ok(
            r#"{"result":"0x0000000000000000000000000000000000000000000000000000000000000001"}"#,
        );
        for (at, block) in [(Some(50), "0x32"), (None, "latest")] {
            ask(&[answer], async |chain| {
                let used = chain.authorization_used(Address::ZERO, B256::ZERO, at);
                assert_eq!(used.await, Ok(true));
                assert_eq!(chain.http.1.borrow()[0]["params"][1], block);
            });
        }
        let unknown = Ok(r#"{"error":{"code":-32000,"message":"header not found"}}"#);
        let used = ask(&[unknown], async |chain| {
            chain
                .authorization_used(Address::ZERO, B256::ZERO, Some(50))
                .await
        });
        assert!(used.is_err(), "a node without the block cannot tell");
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
}
