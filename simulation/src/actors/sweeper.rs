//! The platform's clock, which has the worker sweep.

use core::ops::RangeInclusive;
use std::rc::Rc;

use alloy_primitives::{Address, B256};
use key0_core::book::{Look, PayerCommand};
use key0_core::chain::base::Seen;
use key0_core::chain::base::{Head, Receipt};
use key0_core::chain::{Chain, ChainError};
use key0_core::config::Config;
use key0_core::ledger::{Layout, LedgerCommand, LedgerReply, Ledgers, Shard};
use key0_core::sweep::{SweepEnv, sweep};
use key0_core::types::{CallFault, RequestId, UnixMillis};

use crate::network::call;
use crate::objects::{ask_ledger, ask_payer, nudge};
use crate::rpc::Rpc;
use crate::world::{Life, Owner, World};

/// More often than in a deployment, where it is an hour.
const PERIOD_MILLIS: u64 = 600_000;
const DEADLINE_MILLIS: u64 = 10_000;

/// Sweeps again and again.
pub async fn sweep_by_the_clock(world: Rc<World>) {
    loop {
        world.sleep(PERIOD_MILLIS).await;
        let life = Life::new(Owner::World);
        let sweeper = Sweeper {
            rpc: Rpc::new(&world, &life),
            world: Rc::clone(&world),
            life,
        };
        sweep(&sweeper).await;
    }
}

struct Sweeper {
    world: Rc<World>,
    life: Rc<Life>,
    rpc: Rpc,
}

impl Ledgers for Sweeper {
    fn layout(&self) -> Layout {
        Layout::default()
    }

    /// The model has one shard, [`Shard::FIRST`]; the others answer that they are empty.
    async fn ask(&self, shard: Shard, command: &LedgerCommand) -> Result<LedgerReply, CallFault> {
        if shard != Shard::FIRST {
            return Ok(match command {
                LedgerCommand::Paid { transactions } => {
                    LedgerReply::Paid(vec![0; transactions.len()])
                }
                _ => LedgerReply::Entries {
                    entries: Vec::new(),
                    more: false,
                },
            });
        }
        let mut command = command.clone();
        if let LedgerCommand::List { limit, .. } = &mut command {
            *limit = usize::MAX;
        }
        let callee = move |world: &Rc<World>, sender| ask_ledger(world, command.clone(), sender);
        call(&self.world, &self.life, "ledger", DEADLINE_MILLIS, callee)
            .await
            .map_err(CallFault)
    }
}

impl SweepEnv for Sweeper {
    fn config(&self) -> &Config {
        self.world.config_now()
    }

    fn now(&self) -> UnixMillis {
        self.world.now()
    }

    async fn head(&self) -> Result<Head, ChainError> {
        self.rpc.head().await
    }

    async fn transfers(
        &self,
        wallets: &[Address],
        blocks: RangeInclusive<u64>,
    ) -> Result<Vec<Seen>, ChainError> {
        self.rpc.transfers(wallets, blocks).await
    }

    async fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        self.rpc.receipt(transaction).await
    }

    async fn owner(&self, payer: Address, payment: B256) -> Result<Option<RequestId>, CallFault> {
        let callee = move |world: &Rc<World>, sender| {
            let look = Look {
                payments: vec![payment],
                identifier: None,
            };
            ask_payer(world, payer, PayerCommand::Look(look), sender)
        };
        let reply = call(&self.world, &self.life, "payer", DEADLINE_MILLIS, callee).await;
        Ok(reply.map_err(CallFault)?.seen()?.owner())
    }

    async fn nudge(&self, request_id: &RequestId) -> Result<bool, CallFault> {
        let id = request_id.clone();
        let callee = move |world: &Rc<World>, sender| nudge(world, &id, sender);
        call(&self.world, &self.life, "nudge", DEADLINE_MILLIS, callee)
            .await
            .map_err(CallFault)
    }

    fn log(&self, event: &str, detail: &str) {
        self.world.trace(|| format!("sweep {event}: {detail}"));
    }
}
