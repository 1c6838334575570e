//! The chain over Ethereum JSON-RPC.
//!
//! Reads may go to any endpoint; if one gives no usable answer, the next is asked. A send hands over the identical
//! signed transaction, so repeating it elsewhere is harmless. Answers are untrusted: every member is parsed.

use core::cell::Cell;
use core::ops::RangeInclusive;

use crate::json;
use alloy_primitives::{Address, B256, Bloom, Bytes, U256, hex};
use serde_json::Value;

use super::authorization::SignedAuthorization;
use super::base::Seen;
use super::base::{
    AuthorizationEvents, Chain, ChainError, Completeness, Head, Log, Receipt, SendOutcome,
    Simulation,
};
use super::endpoints::{CallError, Condition, EndpointMemory, Endpoints, Http, Worth};
use super::gas_oracle;
use super::rpc_error::RpcError;
use super::settlement_call::{SettlementCall, settlement_call};
use super::signature::Deployment;
use super::usdc;
use super::wallet_call::{self, WalletAnswer};
use crate::types::{HttpUrl, Network};

/// A node whose newest block is more than this many seconds old may be stuck: the chain makes a block every two
/// seconds.
const FRESH_SECONDS: u64 = 60;

/// The chain behind a list of RPC endpoints.
#[derive(Debug)]
pub struct RpcChain<'a, H>(Endpoints<'a, H>);

/// The state of an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndpointState {
    /// The endpoint's newest block.
    Good(Head),
    /// The endpoint's newest block, which is older than another endpoint's by more than a minute.
    Behind(Head),
    /// The endpoint serves another chain.
    OtherChain,
    /// The endpoint does not answer, or does not answer what was asked.
    NoAnswer,
}

impl<'a, H: Http> RpcChain<'a, H> {
    /// Asks the endpoints in this order; those that `memory` has paused come last.
    pub fn new(http: H, urls: &'a [HttpUrl], network: Network, memory: &'a EndpointMemory) -> Self {
        Self(Endpoints {
            http,
            urls,
            network,
            memory,
        })
    }

    /// The state of each endpoint, in their order.
    pub async fn endpoints(&self) -> Vec<EndpointState> {
        let mut states: Vec<_> = self
            .0
            .examine()
            .await
            .into_iter()
            .map(|condition| match condition {
                Condition::Good(block) => {
                    head(&block).map_or(EndpointState::NoAnswer, EndpointState::Good)
                }
                Condition::OtherChain => EndpointState::OtherChain,
                Condition::NoAnswer => EndpointState::NoAnswer,
            })
            .collect();
        let newest = states.iter().filter_map(|state| match state {
            EndpointState::Good(head) => Some(head.timestamp),
            _ => None,
        });
        let newest = newest.max().unwrap_or_default();
        for state in &mut states {
            if let EndpointState::Good(head) = *state
                && head.timestamp.saturating_add(FRESH_SECONDS) < newest
            {
                *state = EndpointState::Behind(head);
            }
        }
        states
    }

    /// The transfers of USDC to these wallets in these blocks, without transfers of zero.
    pub async fn transfers_to(
        &self,
        wallets: &[Address],
        blocks: RangeInclusive<u64>,
    ) -> Result<Vec<Seen>, ChainError> {
        let wallets: Vec<B256> = wallets.iter().map(Address::into_word).collect();
        let filter = json!({
            "address": self.usdc(),
            "topics": [usdc::TRANSFER_TOPIC, null, wallets],
            "fromBlock": format!("{:#x}", blocks.start()),
            "toBlock": format!("{:#x}", blocks.end()),
        });
        let method = "eth_getLogs";
        let is_good = |logs: &Value| transfers(logs).is_some();
        let logs = self.read(method, json!([filter]), &is_good).await?;
        transfers(&logs).ok_or_else(|| malformed(method))
    }

    fn usdc(&self) -> Address {
        self.0.network.usdc()
    }

    /// Asks a question to which a revert is an answer, too. Any other error may be due to the node alone.
    async fn ask(
        &self,
        method: &str,
        params: Value,
        is_good: &dyn Fn(&Value) -> bool,
    ) -> Result<Value, CallError> {
        let worth = |answer: &Value| match is_good(answer) {
            true => Worth::Good,
            false => Worth::Malformed,
        };
        self.0
            .call(method, params, RpcError::is_chains_word, &worth)
            .await
    }

    /// Reads something; `is_good` tells whether an answer can be used. If a node refuses, the next one is asked.
    async fn read(
        &self,
        method: &str,
        params: Value,
        is_good: &dyn Fn(&Value) -> bool,
    ) -> Result<Value, ChainError> {
        self.judged(method, params, &|answer| match is_good(answer) {
            true => Worth::Good,
            false => Worth::Malformed,
        })
        .await
    }

    async fn judged(
        &self,
        method: &str,
        params: Value,
        worth: &dyn Fn(&Value) -> Worth,
    ) -> Result<Value, ChainError> {
        self.0
            .call(method, params, |_| false, worth)
            .await
            .map_err(|error| unknown(method, error))
    }

    /// Reads one quantity.
    async fn read_quantity(&self, method: &str, params: Value) -> Result<U256, ChainError> {
        let is_good = |answer: &Value| quantity(Some(answer)).is_some();
        let answer = self.read(method, params, &is_good).await?;
        quantity(Some(&answer)).ok_or_else(|| malformed(method))
    }

    async fn usdc_call(&self, data: Bytes, at: Option<u64>) -> Result<U256, ChainError> {
        let call = json!({"to": self.usdc(), "data": data});
        // A node that does not have this block refuses the call.
        let block = at.map_or_else(|| "latest".to_owned(), |at| format!("{at:#x}"));
        let method = "eth_call";
        let answer = self
            .read(method, json!([call, block]), &|answer| {
                word(answer).is_some()
            })
            .await?;
        word(&answer).ok_or_else(|| malformed(method))
    }

    async fn count(&self, account: Address, block: &str) -> Result<u64, ChainError> {
        let method = "eth_getTransactionCount";
        let count = self.read_quantity(method, json!([account, block])).await?;
        count.try_into().map_err(|_| malformed(method))
    }
}

impl<H: Http> Chain for RpcChain<'_, H> {
    async fn simulate(
        &self,
        transfer: &SignedAuthorization,
        sender: Address,
    ) -> Result<Simulation, ChainError> {
        let SettlementCall { to, input, max_gas } = settlement_call(transfer, self.0.network);
        // A wallet that needs more gas than this is not paid for.
        let call = json!({"from": sender, "to": to, "data": input, "gas": format!("{max_gas:#x}")});
        let method = "eth_estimateGas";
        let is_good = |answer: &Value| number(Some(answer)).is_some();
        match self.ask(method, json!([call]), &is_good).await {
            Ok(gas) => number(Some(&gas))
                .map(|gas| Simulation::Succeeds { gas })
                .ok_or_else(|| malformed(method)),
            Err(CallError::Final(text)) => Ok(Simulation::Reverts(text)),
            Err(error) => Err(unknown(method, error)),
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
        let parse = |returned: &Value| {
            let returned = bytes(returned)?;
            match deployment {
                None => Some(wallet_call::answer(&returned)),
                Some(_) => wallet_call::answer_after_deployment(&returned),
            }
        };
        let method = "eth_call";
        let params = json!([call, "latest"]);
        let is_good = |returned: &Value| parse(returned).is_some();
        match self.ask(method, params, &is_good).await {
            Ok(returned) => parse(&returned).ok_or_else(|| malformed(method)),
            Err(CallError::Final(_)) => Ok(WalletAnswer::Refuses),
            Err(error) => Err(unknown(method, error)),
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
        blocks: RangeInclusive<u64>,
    ) -> Result<AuthorizationEvents, ChainError> {
        let filter = json!({
            "address": self.usdc(),
            "topics": [
                [usdc::AUTHORIZATION_USED_TOPIC, usdc::AUTHORIZATION_CANCELED_TOPIC],
                payer.into_word(),
                nonce,
            ],
            "fromBlock": format!("{:#x}", blocks.start()),
            "toBlock": format!("{:#x}", blocks.end()),
        });
        let method = "eth_getLogs";
        let is_good = |logs: &Value| authorization_events(logs).is_some();
        let logs = self.read(method, json!([filter]), &is_good).await?;
        authorization_events(&logs).ok_or_else(|| malformed(method))
    }

    async fn usdc_balance(&self, account: Address) -> Result<U256, ChainError> {
        self.usdc_call(usdc::balance_call(account), None).await
    }

    async fn has_code(&self, account: Address) -> Result<bool, ChainError> {
        let method = "eth_getCode";
        let is_good = |answer: &Value| bytes(answer).is_some();
        let answer = self
            .read(method, json!([account, "latest"]), &is_good)
            .await?;
        let code = bytes(&answer).ok_or_else(|| malformed(method))?;
        Ok(!code.is_empty())
    }

    async fn ether_balance(&self, account: Address) -> Result<U256, ChainError> {
        self.read_quantity("eth_getBalance", json!([account, "latest"]))
            .await
    }

    /// The newest block of the first endpoint that is up to date, or else the newest block of all.
    async fn head(&self) -> Result<Head, ChainError> {
        let now = self.0.http.now().to_seconds();
        let worth = |answer: &Value| match head(answer) {
            None => Worth::Malformed,
            Some(head) if head.timestamp.saturating_add(FRESH_SECONDS) < now.0 => {
                Worth::Stale(head.number)
            }
            Some(_) => Worth::Good,
        };
        let method = "eth_getBlockByNumber";
        let block = self
            .judged(method, json!(["latest", false]), &worth)
            .await?;
        head(&block).ok_or_else(|| malformed(method))
    }

    async fn block_time(&self, number: u64) -> Result<Option<u64>, ChainError> {
        let method = "eth_getBlockByNumber";
        let parse = |block: &Value| {
            let is_it = self::number(block.get("number")) == Some(number);
            self::number(block.get("timestamp")).filter(|_| is_it)
        };
        let is_good = |block: &Value| block.is_null() || parse(block).is_some();
        let params = json!([format!("{number:#x}"), false]);
        let block = self.read(method, params, &is_good).await?;
        match block.is_null() {
            true => Ok(None),
            false => parse(&block).map(Some).ok_or_else(|| malformed(method)),
        }
    }

    async fn priority_fee(&self) -> Result<u128, ChainError> {
        let method = "eth_maxPriorityFeePerGas";
        let tip = self.read_quantity(method, json!([])).await?;
        tip.try_into().map_err(|_| malformed(method))
    }

    async fn data_fee(&self, size: usize) -> Result<U256, ChainError> {
        let call = json!({"to": gas_oracle::ADDRESS, "data": gas_oracle::fee_call(size)});
        let parse = |answer: &Value| gas_oracle::fee(&bytes(answer)?);
        let is_good = |answer: &Value| parse(answer).is_some();
        let method = "eth_call";
        match self.ask(method, json!([call, "latest"]), &is_good).await {
            Ok(answer) => parse(&answer).ok_or_else(|| malformed(method)),
            // The contract is older and has no such function, or there is no contract.
            Err(CallError::Final(_)) => Ok(U256::ZERO),
            Err(CallError::Refused(text) | CallError::Unavailable(text)) => Err(ChainError(text)),
        }
    }

    async fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        let method = "eth_getTransactionReceipt";
        let parse =
            |answer: &Value| receipt(answer).filter(|receipt| receipt.transaction == transaction);
        // Another node may have the events already. A node without the receipt knows less than this one.
        let is_partial = Cell::new(false);
        let worth = |answer: &Value| {
            let partial = |rank| {
                is_partial.set(true);
                Worth::Stale(rank)
            };
            match parse(answer) {
                _ if is_without_block(answer) && is_partial.get() => Worth::Stale(0),
                _ if is_without_block(answer) => Worth::Good,
                None => Worth::Malformed,
                Some(receipt) if !receipt.success => Worth::Good,
                Some(receipt) => match receipt.completeness {
                    Completeness::Complete => Worth::Good,
                    Completeness::Unproven => partial(2),
                    Completeness::Contradictory => partial(1),
                },
            }
        };
        let answer = self.judged(method, json!([transaction]), &worth).await?;
        match is_without_block(&answer) {
            true => Ok(None),
            false => parse(&answer).map(Some).ok_or_else(|| malformed(method)),
        }
    }

    async fn included_count(&self, account: Address) -> Result<u64, ChainError> {
        self.count(account, "latest").await
    }

    async fn pending_count(&self, account: Address) -> Result<u64, ChainError> {
        self.count(account, "pending").await
    }

    async fn send_raw(&self, transaction: &Bytes) -> Result<SendOutcome, ChainError> {
        // Another node may accept a transaction that this node refuses, unless this node refuses because it has the
        // transaction.
        let is_final =
            |error: &RpcError| SendOutcome::of_refusal(&error.message) == SendOutcome::Accepted;
        let params = json!([transaction]);
        let method = "eth_sendRawTransaction";
        match self
            .0
            .call(method, params, is_final, &|_| Worth::Good)
            .await
        {
            Ok(_) => Ok(SendOutcome::Accepted),
            Err(CallError::Final(text) | CallError::Refused(text)) => {
                Ok(SendOutcome::of_refusal(&text))
            }
            Err(CallError::Unavailable(text)) => Err(ChainError(text)),
        }
    }
}

/// The error for a question without an answer. A refusal leaves the question just as open.
fn unknown(method: &str, error: CallError) -> ChainError {
    ChainError(match error {
        CallError::Final(text) | CallError::Refused(text) => format!("{method}: refused: {text}"),
        CallError::Unavailable(text) => text,
    })
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

/// Reads exactly 32 bytes.
fn word(value: &Value) -> Option<U256> {
    let bytes = bytes(value).filter(|bytes| bytes.len() == 32)?;
    Some(U256::from_be_slice(&bytes))
}

fn hash(value: Option<&Value>) -> Option<B256> {
    let text = value?.as_str()?;
    (text.len() == 66).then(|| text.parse().ok()).flatten()
}

fn head(block: &Value) -> Option<Head> {
    Some(Head {
        number: number(block.get("number"))?,
        hash: hash(block.get("hash"))?,
        timestamp: number(block.get("timestamp"))?,
        base_fee: wei(block.get("baseFeePerGas"))?,
    })
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

/// Whether there is no receipt, or one of a block that is still being built and has no hash yet.
fn is_without_block(receipt: &Value) -> bool {
    receipt.is_null()
        || receipt
            .get("blockHash")
            .is_some_and(|block| block.is_null() || hash(Some(block)) == Some(B256::ZERO))
}

fn transfers(logs: &Value) -> Option<Vec<Seen>> {
    let mut seen = Vec::new();
    for log in logs.as_array()? {
        let transfer = Seen {
            block: number(log.get("blockNumber"))?,
            transaction: hash(log.get("transactionHash"))?,
        };
        if !word(log.get("data")?)?.is_zero() {
            seen.push(transfer);
        }
    }
    Some(seen)
}

fn receipt(value: &Value) -> Option<Receipt> {
    let logs: Vec<Log> = value
        .get("logs")?
        .as_array()?
        .iter()
        .map(log)
        .collect::<Option<_>>()?;
    Some(Receipt {
        transaction: hash(value.get("transactionHash"))?,
        block: number(value.get("blockNumber"))?,
        block_hash: hash(value.get("blockHash"))?,
        success: match number(value.get("status"))? {
            0 => false,
            1 => true,
            _ => return None,
        },
        completeness: completeness(value.get("logsBloom"), &logs),
        logs,
    })
}

fn completeness(filter: Option<&Value>, logs: &[Log]) -> Completeness {
    let filter = filter.and_then(bytes).unwrap_or_default();
    let mut fitting = Bloom::ZERO;
    for log in logs {
        fitting.accrue_raw_log(log.address, &log.topics);
    }
    if filter.iter().all(|byte| *byte == 0) {
        Completeness::Unproven
    } else if filter.as_ref() == fitting.as_slice() {
        Completeness::Complete
    } else {
        Completeness::Contradictory
    }
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
mod tests;
