//! The chain as the product reaches it: over an RPC that delays, fails before or after the fact, lags behind and lies.

mod receipts;

use core::cell::Cell;
use core::ops::RangeInclusive;
use std::rc::Rc;

use alloy_primitives::{Address, B256, Bytes, U256};
use key0_core::chain::SignedAuthorization;
use key0_core::chain::base::Seen;
use key0_core::chain::base::{AuthorizationEvents, Head, Receipt, SendOutcome, Simulation};
use key0_core::chain::rpc_error::RpcError;
use key0_core::chain::signature::Deployment;
use key0_core::chain::wallet_call::WalletAnswer;
use key0_core::chain::{Chain, ChainError};
use serde_json::json;

use crate::actors;
use crate::chain::{View, WalletTransaction};
use crate::faults::Fault;
use crate::rules::{self, Told};
use crate::setting::Version;
use crate::world::{Life, World};

/// How far behind a stale node may be, in blocks.
pub const MAX_LAG: u64 = 5;
/// The errors by which nodes say that they cannot answer.
const TROUBLES: [(i64, &str); 4] = [
    (-32000, "header not found"),
    (-32000, "execution aborted (timeout = 5s)"),
    (-32000, "missing trie node"),
    (-32000, "too many requests"),
];
/// The longest time that a call takes: the worker's own deadline.
const DEADLINE_MILLIS: u64 = 5_000;

/// The chain as one object reaches it.
#[derive(Debug)]
pub struct Rpc {
    world: Rc<World>,
    life: Rc<Life>,
    told: Cell<Told>,
    /// Whether this is the RPC of another network, where none of the model's wallets exists.
    is_elsewhere: bool,
}

impl Rpc {
    /// The RPC of an object in its present life.
    pub fn new(world: &Rc<World>, life: &Rc<Life>) -> Self {
        Self {
            world: Rc::clone(world),
            life: Rc::clone(life),
            told: Cell::default(),
            is_elsewhere: false,
        }
    }

    /// The RPC of a worker with this configuration.
    pub fn of_door(world: &Rc<World>, life: &Rc<Life>, version: Version) -> Self {
        Self {
            is_elsewhere: version.is_elsewhere,
            ..Self::new(world, life)
        }
    }

    /// For the rules: what was last told of the chain.
    pub fn told(&self) -> Told {
        self.told.get()
    }

    /// Makes one call: what `work` sees or does happens somewhere between question and answer.
    async fn call<T>(
        &self,
        method: &'static str,
        work: impl FnOnce(&Rc<World>) -> T,
    ) -> Result<T, ChainError> {
        let world = &self.world;
        let failed = |why: &str| Err(ChainError(format!("{method}: {why}")));
        world.survive(&self.life, method).await;
        let (mut there, mut back) = (world.random.range(1, 60), world.random.range(1, 60));
        if world.strikes(Fault::RpcSlow) {
            let (more, less) = (world.random.range(100, 6_000), world.random.range(0, 1_000));
            (there, back) = if world.random.chance(500) {
                (more, less)
            } else {
                (less, more)
            };
        }
        if world.strikes(Fault::RpcError) {
            world.sleep(there.min(DEADLINE_MILLIS)).await;
            return failed("status 503");
        }
        world.sleep(there.min(DEADLINE_MILLIS)).await;
        // A request that arrives after the deadline is still carried out.
        let outcome = work(world);
        if there + back > DEADLINE_MILLIS {
            world.sleep(DEADLINE_MILLIS.saturating_sub(there)).await;
            return failed("no answer in time");
        }
        world.sleep(back).await;
        world.survive(&self.life, method).await;
        if world.strikes(Fault::RpcErrorAfter) {
            return failed("status 502");
        }
        Ok(outcome)
    }

    fn perhaps_wrong(&self, count: u64) -> u64 {
        let random = &self.world.random;
        match self.world.strikes(Fault::CountLies) {
            true => random.pick(&[0, count / 2, count + 1, count + 7, 1_000_000]),
            false => count,
        }
    }

    /// A read, perhaps answered by a node that is behind.
    async fn read<T>(
        &self,
        method: &'static str,
        look: impl FnOnce(&View<'_>) -> T,
    ) -> Result<T, ChainError> {
        self.call(method, |world| {
            let lag = lag(world);
            look(&View::new(&world.chain.borrow(), lag))
        })
        .await
    }
}

/// How far behind the node is that answers now.
fn lag(world: &World) -> usize {
    match world.strikes(Fault::RpcStale) {
        true => world.random.range(1, MAX_LAG) as usize,
        false => 0,
    }
}

impl Rpc {
    /// The transfers to these wallets in these blocks.
    pub async fn transfers(
        &self,
        wallets: &[Address],
        blocks: RangeInclusive<u64>,
    ) -> Result<Vec<Seen>, ChainError> {
        self.read("eth_getLogs", |view| view.transfers(wallets, &blocks))
            .await?
            .map_err(|why| ChainError(why.to_owned()))
    }
}

impl Chain for Rpc {
    async fn simulate(
        &self,
        transfer: &SignedAuthorization,
        _: Address,
    ) -> Result<Simulation, ChainError> {
        let told = self
            .read("eth_estimateGas", |view| view.simulate(transfer))
            .await?;
        match self.world.strikes(Fault::RpcTrouble) {
            // The product decides what this error is worth.
            true => {
                let (code, message) = self.world.random.pick(&TROUBLES);
                let error = json!({"code": code, "message": message});
                match RpcError::read(&error).is_chains_word() {
                    true => Ok(Simulation::Reverts(message.to_owned())),
                    false => Err(ChainError(message.to_owned())),
                }
            }
            false => Ok(told),
        }
    }

    /// Every signature that the model's doors ask about is its payer's. So the answer depends only on whether the
    /// wallet exists.
    async fn wallet_accepts(
        &self,
        wallet: Address,
        _: B256,
        _: &Bytes,
        deployment: Option<&Deployment>,
    ) -> Result<WalletAnswer, ChainError> {
        self.read("isValidSignature", |view| {
            match deployment.is_some() || (view.has_code(wallet) && view.can_answer(wallet)) {
                true if !self.is_elsewhere => WalletAnswer::Accepts,
                _ => WalletAnswer::NoCode,
            }
        })
        .await
    }

    async fn authorization_used(
        &self,
        payer: Address,
        nonce: B256,
        at: Option<u64>,
    ) -> Result<bool, ChainError> {
        self.read("authorizationState", |view| view.used_at(payer, nonce, at))
            .await?
            .map_err(|why| ChainError(why.to_owned()))
    }

    async fn authorization_events(
        &self,
        payer: Address,
        nonce: B256,
        blocks: RangeInclusive<u64>,
    ) -> Result<AuthorizationEvents, ChainError> {
        self.read("eth_getLogs", |view| view.events(payer, nonce, &blocks))
            .await?
            .map_err(|why| ChainError(why.to_owned()))
    }

    async fn usdc_balance(&self, account: Address) -> Result<U256, ChainError> {
        self.read("balanceOf", |view| U256::from(view.balance(account)))
            .await
    }

    async fn has_code(&self, account: Address) -> Result<bool, ChainError> {
        self.read("eth_getCode", |view| view.has_code(account))
            .await
    }

    async fn ether_balance(&self, _: Address) -> Result<U256, ChainError> {
        let balance = self
            .read("eth_getBalance", |_| U256::from(u128::MAX))
            .await?;
        Ok(match self.world.strikes(Fault::WalletPoor) {
            true => U256::from(self.world.random.range(0, 1_000_000_000)),
            false => balance,
        })
    }

    async fn head(&self) -> Result<Head, ChainError> {
        let (head, replacements) = self
            .read("eth_getBlockByNumber", |view| {
                (view.head(), view.replacements())
            })
            .await?;
        self.told.set(Told {
            block: head.number,
            replacements,
        });
        Ok(head)
    }

    async fn block_time(&self, number: u64) -> Result<Option<u64>, ChainError> {
        self.read("eth_getBlockByNumber", |view| view.time(number))
            .await
    }

    async fn priority_fee(&self) -> Result<u128, ChainError> {
        self.read("eth_maxPriorityFeePerGas", |_| 1_000_000).await
    }

    async fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        let (receipt, newest, replacements) = self
            .call("eth_getTransactionReceipt", |world| {
                let receipt = receipts::show(world, transaction, lag(world));
                let chain = world.chain.borrow();
                (receipt, chain.head().number, chain.replacements())
            })
            .await?;
        // A receipt from a block that the node has not reached yet proves nothing.
        if let Some(block) = receipt.as_ref().map(|receipt| receipt.block)
            && block <= newest
        {
            self.told.set(Told {
                block,
                replacements,
            });
        }
        Ok(receipt)
    }

    async fn included_count(&self, _: Address) -> Result<u64, ChainError> {
        let count = self
            .read("eth_getTransactionCount", |view| view.included_count())
            .await?;
        Ok(self.perhaps_wrong(count))
    }

    async fn pending_count(&self, _: Address) -> Result<u64, ChainError> {
        let count = self
            .call("eth_getTransactionCount", |world| {
                world.chain.borrow().pending_nonce()
            })
            .await?;
        Ok(self.perhaps_wrong(count))
    }

    async fn send_raw(&self, transaction: &Bytes) -> Result<SendOutcome, ChainError> {
        let raw = transaction.clone();
        self.call("eth_sendRawTransaction", move |world| send(world, &raw))
            .await
    }
}

fn send(world: &Rc<World>, raw: &Bytes) -> SendOutcome {
    let Some(transaction) = WalletTransaction::decode(raw) else {
        return SendOutcome::Refused("rlp: input string too short".to_owned());
    };
    rules::on_broadcast(world, &transaction);
    leave_out(world, &transaction.input);
    let (hash, nonce, input) = (
        transaction.hash,
        transaction.nonce,
        transaction.input.clone(),
    );
    let entry = world.chain.borrow_mut().submit(transaction);
    world.trace(|| format!("chain receives {hash} nonce {nonce}: {entry:?}"));
    match entry {
        Ok(()) => {
            let seen = world.chain.borrow().genuine(&input).cloned();
            if let Some(seen) = seen {
                actors::on_public(world, &seen);
            }
            SendOutcome::Accepted
        }
        Err(text) => SendOutcome::Refused(text.to_owned()),
    }
}

/// Decides by chance that no block ever includes this payment. (A refund's authorization lasts for years: only its
/// operator would end that.)
fn leave_out(world: &World, call: &Bytes) {
    let chain = world.chain.borrow();
    let payer = chain.genuine(call).map(SignedAuthorization::payer);
    drop(chain);
    let is_buyer = payer.is_some_and(|payer| !world.is_seller(payer));
    if is_buyer && world.strikes(Fault::NeverIncluded) {
        world.trace(|| "no block will include this payment".to_owned());
        world.chain.borrow_mut().leave_out(call.clone());
    }
}
