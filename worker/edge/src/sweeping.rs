//! Runs the sweep when the cron trigger fires.

use core::ops::RangeInclusive;

use key0_core::chain::base::Seen;
use key0_core::chain::base::{Head, Receipt};
use key0_core::chain::rpc::RpcChain;
use key0_core::chain::{Chain as _, ChainError};
use key0_core::config::Config;
use key0_core::json;
use key0_core::ledger::{Layout, LedgerCommand, LedgerReply, Ledgers, Shard};
use key0_core::sweep::{SweepEnv, sweep};
use key0_core::types::{Address, B256, CallFault, RequestId, UnixMillis};
use worker::Env;

use crate::objects::Objects;
use crate::outbound::{self, FetchHttp};
use crate::platform;
use crate::settings::settings;

/// Runs one sweep, if the settings are valid.
pub(crate) async fn run(env: &Env) {
    match settings(env) {
        Ok(config) => {
            let outside = Outside {
                objects: Objects::new(env),
                chain: outbound::chain(&config),
                config: &config,
            };
            sweep(&outside).await;
        }
        Err(_) => platform::log("sweep_failed", json!({"detail": "misconfigured"})),
    }
}

struct Outside<'a> {
    objects: Objects<'a>,
    chain: RpcChain<'a, FetchHttp>,
    config: &'a Config,
}

impl Ledgers for Outside<'_> {
    fn layout(&self) -> Layout {
        self.config.ledger.clone()
    }

    async fn ask(&self, shard: Shard, command: &LedgerCommand) -> Result<LedgerReply, CallFault> {
        Ledgers::ask(&self.objects, shard, command).await
    }
}

impl SweepEnv for Outside<'_> {
    fn config(&self) -> &Config {
        self.config
    }

    fn now(&self) -> UnixMillis {
        platform::now()
    }

    async fn head(&self) -> Result<Head, ChainError> {
        self.chain.head().await
    }

    async fn transfers(
        &self,
        wallets: &[Address],
        blocks: RangeInclusive<u64>,
    ) -> Result<Vec<Seen>, ChainError> {
        self.chain.transfers_to(wallets, blocks).await
    }

    async fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        self.chain.receipt(transaction).await
    }

    async fn owner(&self, payer: Address, payment: B256) -> Result<Option<RequestId>, CallFault> {
        let network = self.config.network;
        self.objects.owner(network, payer, payment).await
    }

    async fn nudge(&self, request_id: &RequestId) -> Result<bool, CallFault> {
        self.objects.nudge(request_id).await
    }

    fn log(&self, event: &str, detail: &str) {
        platform::log(event, json!({"detail": detail}));
    }
}
