//! The RPC endpoints: a list that is tried in order, and what is remembered of each endpoint.
//!
//! No answer from another chain is believed. The first question to an endpoint is sent in one batch with the questions
//! for its chain id and for USDC's domain separator, so that the check costs no round trip. An endpoint that does not
//! answer, or is not on our chain, is asked last for a while, and is checked again when it is asked.

use core::cell::RefCell;
use core::future::Future;

use crate::json;
use alloy_primitives::hex;
use serde_json::Value;

use super::rpc_error::RpcError;
use super::usdc;
use crate::pauses::ENDPOINT;
use crate::types::{HttpUrl, Network, UnixMillis};

/// How long an answer may take if there is another endpoint to ask.
const DEADLINE_MILLIS: u32 = 3_000;
/// How long the answer of the last endpoint may take.
const LAST_DEADLINE_MILLIS: u32 = 5_000;
/// An endpoint is checked again after this time, because its address may come to lead to another node.
const CHECK_AGAIN_MILLIS: u64 = 600_000;
/// The JSON-RPC codes with which nodes refuse transactions, or answer that a call cannot be done. Any other code means
/// that this endpoint does not answer this call: a rate limit, an unknown method, a fault of its own.
const REFUSALS: [i64; 6] = [3, -32000, -32003, -32010, -32015, -32602];
/// The call data of `DOMAIN_SEPARATOR()`.
const DOMAIN_SEPARATOR: &str = "0x3644e515";

/// How endpoints are reached. The implementation follows no redirect and bounds the answer's size.
pub trait Http {
    /// Posts JSON and returns the answer's body, if its status is 2xx or it is a JSON object or array.
    fn post(
        &self,
        url: &str,
        body: Vec<u8>,
        deadline_millis: u32,
    ) -> impl Future<Output = Result<Vec<u8>, HttpFault>>;

    /// The clock.
    fn now(&self) -> UnixMillis;

    /// Tells the operator that an endpoint is asked last from now on, and why.
    fn skipped(&self, endpoint: usize, fault: &str);
}

/// Why there is no answer. The texts are for the log and do not contain the URL.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HttpFault {
    /// No answer came in time.
    NoAnswer(String),
    /// The answer was longer than the limit.
    TooLarge,
    /// The status is no success, and the body is no JSON.
    Status(u16),
}

/// What an isolate remembers of its endpoints.
#[derive(Debug, Default)]
pub struct EndpointMemory(RefCell<Vec<Seen>>);

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Until this time the endpoint's chain need not be checked.
    checked_until: UnixMillis,
    /// Until this time the endpoint is asked last.
    paused_until: UnixMillis,
    failures: u32,
}

impl EndpointMemory {
    fn seen(&self, at: usize) -> Seen {
        self.0.borrow().get(at).copied().unwrap_or_default()
    }

    fn change(&self, at: usize, change: impl FnOnce(&mut Seen)) {
        let mut all = self.0.borrow_mut();
        if all.len() <= at {
            all.resize(at.saturating_add(1), Seen::default());
        }
        if let Some(seen) = all.get_mut(at) {
            change(seen);
        }
    }

    /// The order in which to ask `count` endpoints now.
    fn order(&self, count: usize, now: UnixMillis) -> Vec<usize> {
        let (mut order, paused): (Vec<_>, Vec<_>) =
            (0..count).partition(|at| self.seen(*at).paused_until <= now);
        for at in &order {
            // The endpoint failed before: this call tries it again, and other calls ask it last meanwhile.
            if self.seen(*at).failures > 0 {
                self.change(*at, |seen| {
                    seen.paused_until = now.plus(LAST_DEADLINE_MILLIS.into());
                });
            }
        }
        order.extend(paused);
        order
    }

    fn answered(&self, at: usize) {
        self.change(at, |seen| {
            seen.failures = 0;
            seen.paused_until = UnixMillis::default();
        });
    }

    fn failed(&self, at: usize, now: UnixMillis) {
        self.change(at, |seen| {
            let pause = ENDPOINT.after(seen.failures);
            *seen = Seen {
                checked_until: UnixMillis::default(),
                paused_until: now.plus(pause),
                failures: seen.failures.saturating_add(1),
            };
        });
    }
}

/// Whether the answer of an endpoint can be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Worth {
    /// A good answer.
    Good,
    /// A good answer that is older than it should be; another endpoint may have a newer one. Of two such answers, the
    /// one with the higher number is newer.
    Stale(u64),
    /// An answer that makes no sense.
    Malformed,
}

/// Why a call has no result.
pub(super) enum CallError {
    /// An endpoint refused the call, with this text, and other endpoints would do the same.
    Final(String),
    /// Endpoints refused the call, the first of them with this text. Other endpoints might not.
    Refused(String),
    /// No endpoint gave an answer. The text is for the log.
    Unavailable(String),
}

/// The state of an endpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Condition {
    /// The endpoint serves our chain; this is its newest block.
    Good(Value),
    /// The endpoint serves another chain.
    OtherChain,
    /// The endpoint does not answer, or does not answer what was asked.
    NoAnswer,
}

enum Fault {
    /// The endpoint refused the call.
    Refused(RpcError),
    /// The endpoint does not answer this call. It may answer others.
    Declined(String),
    /// The endpoint serves another chain.
    OtherChain(String),
    /// The endpoint cannot be used for now.
    Broken(String),
}

/// A chain's endpoints.
#[derive(Debug)]
pub(super) struct Endpoints<'a, H> {
    pub(super) http: H,
    pub(super) urls: &'a [HttpUrl],
    pub(super) network: Network,
    pub(super) memory: &'a EndpointMemory,
}

impl<H: Http> Endpoints<'_, H> {
    /// Asks one endpoint after the other, until one gives a good answer or a refusal that `is_final`.
    pub(super) async fn call(
        &self,
        method: &str,
        params: Value,
        is_final: fn(&RpcError) -> bool,
        worth: &dyn Fn(&Value) -> Worth,
    ) -> Result<Value, CallError> {
        let call = question(3, method, params);
        let mut refusal = None;
        let mut faults = String::new();
        let mut stale: Vec<(u64, usize, Value)> = Vec::new();
        let order = self.memory.order(self.urls.len(), self.http.now());
        for (tried, at) in order.iter().copied().enumerate() {
            let deadline = match tried.saturating_add(1) == order.len() {
                true => LAST_DEADLINE_MILLIS,
                false => DEADLINE_MILLIS,
            };
            let fault = match self.ask(at, &call, deadline).await {
                Ok(answer) => match worth(&answer) {
                    Worth::Good => {
                        self.memory.answered(at);
                        for (_, behind, _) in stale {
                            self.skip(behind, method, "it is behind the others");
                        }
                        return Ok(answer);
                    }
                    Worth::Stale(rank) => {
                        stale.push((rank, at, answer));
                        continue;
                    }
                    Worth::Malformed => Fault::Broken("malformed answer".to_owned()),
                },
                Err(fault) => fault,
            };
            if matches!(fault, Fault::Refused(_) | Fault::Declined(_)) {
                self.memory.answered(at);
            }
            let text = match fault {
                Fault::Refused(error) if is_final(&error) => {
                    return Err(CallError::Final(error.message));
                }
                Fault::Refused(error) => {
                    refusal.get_or_insert(error.message);
                    continue;
                }
                Fault::Declined(text) => text,
                Fault::OtherChain(text) | Fault::Broken(text) => {
                    self.skip(at, method, &text);
                    text
                }
            };
            faults.push_str(&format!(" endpoint {at}: {text};"));
        }
        // No endpoint was up to date, or the chain stands still: the newest of the old answers is used.
        if let Some((_, _, answer)) = stale.into_iter().max_by_key(|(rank, _, _)| *rank) {
            return Ok(answer);
        }
        Err(match refusal {
            Some(text) => CallError::Refused(text),
            None => CallError::Unavailable(format!("{method}:{faults}")),
        })
    }

    /// Asks each endpoint, whatever is remembered of it.
    pub(super) async fn examine(&self) -> Vec<Condition> {
        let call = question(3, "eth_getBlockByNumber", json!(["latest", false]));
        let mut conditions = Vec::new();
        for at in 0..self.urls.len() {
            let look = self.ask_checking(at, &call, DEADLINE_MILLIS).await;
            conditions.push(match look {
                Ok(block) => Condition::Good(block),
                Err(Fault::OtherChain(_)) => Condition::OtherChain,
                Err(_) => Condition::NoAnswer,
            });
        }
        conditions
    }

    fn skip(&self, at: usize, method: &str, fault: &str) {
        self.memory.failed(at, self.http.now());
        self.http.skipped(at, &format!("{method}: {fault}"));
    }

    async fn ask(&self, at: usize, call: &Value, deadline: u32) -> Result<Value, Fault> {
        if self.memory.seen(at).checked_until > self.http.now() {
            return read_answer(self.post(at, call, deadline).await?);
        }
        self.ask_checking(at, call, deadline).await
    }

    /// Asks an endpoint a question together with those that prove its chain. The answer counts only when the proof is
    /// good.
    async fn ask_checking(&self, at: usize, call: &Value, deadline: u32) -> Result<Value, Fault> {
        let separator = json!([{"to": self.network.usdc(), "data": DOMAIN_SEPARATOR}, "latest"]);
        let proofs = [
            question(1, "eth_chainId", json!([])),
            question(2, "eth_call", separator),
        ];
        let batch = json!([proofs[0], proofs[1], call]);
        let batched = match self.post(at, &batch, deadline).await {
            Ok(Value::Array(answers)) => Some(answers),
            // The endpoint does not know batches.
            Ok(_) | Err(HttpFault::Status(_)) => None,
            Err(fault) => return Err(fault.into()),
        };
        let mut answers = batched.unwrap_or_default();
        let is_batch = !answers.is_empty();
        for (at_proof, proof) in proofs.iter().enumerate() {
            let answer = match is_batch {
                true => take_answer(&mut answers, proof),
                false => self.post(at, proof, deadline).await?,
            };
            let told = match read_answer(answer) {
                // The endpoint has another contract at USDC's address, or no state at all.
                Err(Fault::Refused(error)) => return Err(Fault::Broken(error.message)),
                told => told?,
            };
            self.check(at_proof == 0, &told)?;
        }
        let until = self.http.now().plus(CHECK_AGAIN_MILLIS);
        self.memory.change(at, |seen| seen.checked_until = until);
        read_answer(match is_batch {
            true => take_answer(&mut answers, call),
            false => self.post(at, call, deadline).await?,
        })
    }

    /// Checks one of the two proofs of the chain. An endpoint can name any chain id, but it can give USDC's domain
    /// separator only if our USDC is there, or if it was made to deceive us.
    fn check(&self, is_chain_id: bool, told: &Value) -> Result<(), Fault> {
        let text = told.as_str().unwrap_or_default();
        if is_chain_id {
            let id = text
                .strip_prefix("0x")
                .map(|digits| u64::from_str_radix(digits, 16));
            let wanted = self.network.chain_id();
            return match id {
                Some(Ok(id)) if id == wanted => Ok(()),
                Some(Ok(id)) => Err(Fault::OtherChain(format!("it is chain {id}, not {wanted}"))),
                _ => Err(Fault::Broken("malformed chain id".to_owned())),
            };
        }
        let separator = hex::encode_prefixed(usdc::domain(self.network).separator());
        if text.eq_ignore_ascii_case(&separator) {
            return Ok(());
        }
        Err(Fault::OtherChain(
            "the USDC contract of this network is not there".to_owned(),
        ))
    }

    async fn post(&self, at: usize, body: &Value, deadline: u32) -> Result<Value, HttpFault> {
        let url = self.urls.get(at).map(HttpUrl::as_str).unwrap_or_default();
        let body = body.to_string().into_bytes();
        let answer = self.http.post(url, body, deadline).await?;
        serde_json::from_slice(&answer).map_err(|_| HttpFault::NoAnswer("not JSON".to_owned()))
    }
}

impl From<HttpFault> for Fault {
    fn from(fault: HttpFault) -> Self {
        match fault {
            HttpFault::NoAnswer(text) => Self::Broken(text),
            HttpFault::Status(status) => Self::Broken(format!("status {status}")),
            // The size may be due to the question, and not to the endpoint.
            HttpFault::TooLarge => Self::Declined("the answer is too large".to_owned()),
        }
    }
}

fn question(id: u8, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// Takes the answer to a question out of a batch. The answers may come in any order.
fn take_answer(answers: &mut [Value], question: &Value) -> Value {
    answers
        .iter_mut()
        .find(|answer| answer.get("id") == question.get("id"))
        .map(Value::take)
        .unwrap_or_default()
}

fn read_answer(mut answer: Value) -> Result<Value, Fault> {
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        let error = RpcError::read(error);
        let is_refusal = error.code.is_some_and(|code| REFUSALS.contains(&code));
        return Err(match is_refusal || error.is_chains_word() {
            true => Fault::Refused(error),
            false => Fault::Declined(error.message),
        });
    }
    answer
        .get_mut("result")
        .map(Value::take)
        .ok_or_else(|| Fault::Broken("neither result nor error".to_owned()))
}

#[cfg(test)]
pub(super) mod bench;
#[cfg(test)]
mod tests;
