//! Everything there is in one run, and what a crash does to it.

use core::cell::{Cell, RefCell};
use core::future::pending;
use std::collections::BTreeSet;
use std::rc::Rc;

use alloy_primitives::Address;
use key0_core::config::Config;
use key0_core::doors::a2a::ContextKey;
use key0_core::ledger::Removed;
use key0_core::purchase::Shared;
use key0_core::types::WalletKey;
use key0_core::types::{RequestId, UnixMillis, UnixSeconds};

use crate::actors::Market;
use crate::backend::Backend;
use crate::chain::{AuthorizationKey, ModelChain};
use crate::executor::{Executor, Sleep};
use crate::faults::{Fault, Faults};
use crate::journal::{Journal, Violation};
use crate::objects::Objects;
use crate::origin::Origin;
use crate::random::Random;
use crate::rules::Deliveries;
use crate::setting::{BEGIN_MILLIS, Setting, Version};

/// The balance of the seller's other wallet at the beginning: it may have to refund what the first one has received.
const OTHER_WALLET_UNITS: u64 = 1_000_000_000_000;

/// The part of the model that a task belongs to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Owner {
    /// A part that our crashes do not end: the chain, buyers, the network.
    #[default]
    World,
    /// The worker that takes buyers' requests.
    Door,
    /// A purchase.
    Purchase(RequestId),
    /// A payer's book.
    Payer(Address),
    /// The meter of a grant.
    Grant(RequestId),
    /// The gas wallet.
    Wallet,
    /// The tasks of a conversation.
    Context(ContextKey),
}

/// One life of an object, from its first request to its crash.
#[derive(Debug)]
pub struct Life {
    /// The part that it belongs to.
    pub owner: Owner,
    /// Whether the life goes on. Work that runs after its end has no effect any more.
    pub alive: Cell<bool>,
}

impl Life {
    /// A new life.
    pub fn new(owner: Owner) -> Rc<Self> {
        Rc::new(Self {
            owner,
            alive: Cell::new(true),
        })
    }
}

/// Everything in one run.
#[derive(Debug)]
pub struct World {
    /// Tasks and clock.
    pub executor: Rc<Executor<Owner>>,
    /// The seed's choices.
    pub random: Random,
    /// The faults that may strike.
    pub faults: Faults,
    /// The circumstances.
    pub setting: Setting,
    /// The deployment's first settings.
    pub config: Config,
    /// The configurations, by the number of their version.
    configs: Vec<Config>,
    /// The seller's gas wallet.
    pub wallet: WalletKey,
    /// The chain.
    pub chain: RefCell<ModelChain>,
    /// The seller's backend.
    pub backend: Backend,
    /// The seller's API.
    pub origin: Origin,
    /// The Durable Objects.
    pub objects: Objects,
    /// State that all purchases share until the runtime ends.
    pub shared: RefCell<Rc<Shared>>,
    /// For the rules: how deliveries have gone.
    pub deliveries: Deliveries,
    /// The worker's current life.
    pub door: RefCell<Rc<Life>>,
    /// Buyers and what they were told.
    pub market: Market,
    /// The most bytes that a purchase has left behind in its own object.
    pub left: Cell<usize>,
    /// For the rules: the entries that the ledger must have had of purchases that were removed.
    pub removed: RefCell<Vec<Removed>>,
    /// For the rules: the authorizations of purchases that were removed, and of their refunds.
    pub gone: RefCell<BTreeSet<AuthorizationKey>>,
    /// Trace and violations.
    pub journal: Journal,
}

impl World {
    /// The world of a seed.
    pub fn new(
        seed: u64,
        purchases: u64,
        without: &[Fault],
        traces: bool,
    ) -> Result<Rc<Self>, String> {
        let random = Random::new(seed);
        let setting = Setting::choose(&random, purchases);
        let faults = Faults::choose(&random, without);
        let config = setting.config(Version::default())?;
        let configs: Result<Vec<Config>, String> = Version::all()
            .map(|version| setting.config(version))
            .collect();
        let configs = configs?;
        // If no configured wallet sends anything, this one takes its place and stays idle.
        let idle = WalletKey::from_hex(&format!("{:064x}", 0x1d1e)).ok_or("no key")?;
        let wallet = config.refund_sender().cloned().unwrap_or(idle);
        let mut chain = ModelChain::new(
            config.network,
            setting.nodes,
            wallet.address(),
            BEGIN_MILLIS,
        );
        chain.mint(configs[1].wallets.pay_to, OTHER_WALLET_UNITS);
        let world = Self {
            executor: Rc::new(Executor::new(BEGIN_MILLIS)),
            random,
            faults,
            setting,
            config,
            configs,
            wallet,
            chain: RefCell::new(chain),
            backend: Backend::default(),
            origin: Origin::default(),
            objects: Objects::default(),
            shared: RefCell::default(),
            deliveries: Deliveries::default(),
            door: RefCell::new(Life::new(Owner::Door)),
            market: Market::default(),
            left: Cell::new(0),
            removed: RefCell::default(),
            gone: RefCell::default(),
            journal: Journal::new(traces),
        };
        world.trace(|| {
            format!(
                "seed {seed} {:?} faults {}",
                world.setting,
                world.faults.selection()
            )
        });
        Ok(Rc::new(world))
    }

    /// The deployment's settings now.
    pub fn config_now(&self) -> &Config {
        self.config_of(self.version())
    }

    /// The version that the deployment runs now.
    pub fn version(&self) -> Version {
        self.setting.version(self.now().0)
    }

    /// The settings of a version.
    pub fn config_of(&self, version: Version) -> &Config {
        &self.configs[version.number()]
    }

    /// The seller's wallets.
    pub fn sellers(&self) -> [Address; 2] {
        [self.config.wallets.pay_to, self.configs[1].wallets.pay_to]
    }

    /// Whether this is a wallet of the seller's.
    pub fn is_seller(&self, address: Address) -> bool {
        self.sellers().contains(&address)
    }

    /// The time.
    pub fn now(&self) -> UnixMillis {
        UnixMillis(self.executor.now())
    }

    /// The time in seconds.
    pub fn seconds(&self) -> UnixSeconds {
        self.now().to_seconds()
    }

    /// Waits.
    pub fn sleep(&self, millis: u64) -> Sleep<Owner> {
        self.executor.sleep_until(self.executor.now() + millis)
    }

    /// Waits for a random while.
    pub fn sleep_between(&self, low: u64, high: u64) -> Sleep<Owner> {
        self.sleep(self.random.range(low, high))
    }

    /// Whether a fault happens now.
    pub fn strikes(&self, fault: Fault) -> bool {
        self.faults.strikes(fault, &self.random)
    }

    /// Writes a line of the trace.
    pub fn trace(&self, text: impl FnOnce() -> String) {
        self.journal.trace(self.executor.now(), text);
    }

    /// Notes a broken rule.
    pub fn violation(
        &self,
        rule: &'static str,
        purchase: impl ToString,
        detail: impl Into<String>,
    ) {
        self.journal.violation(
            self.executor.now(),
            Violation {
                rule,
                purchase: purchase.to_string(),
                detail: detail.into(),
            },
        );
    }

    /// A place where a crash may happen. `true`: this life is over, and nothing it does counts any more.
    pub fn is_over(self: &Rc<Self>, life: &Life, place: &str) -> bool {
        if life.alive.get() && life.owner != Owner::World {
            if self.strikes(Fault::CrashObject) {
                self.trace(|| format!("CRASH {:?} at {place}", life.owner));
                self.crash(&life.owner);
            } else if self.strikes(Fault::CrashRuntime) {
                self.trace(|| format!("CRASH of everything at {place} of {:?}", life.owner));
                self.crash_everything();
            }
        }
        !life.alive.get()
    }

    /// As [`is_over`](Self::is_over), for async code: after a crash the task stays pending and never resumes.
    pub async fn survive(self: &Rc<Self>, life: &Life, place: &str) {
        if self.is_over(life, place) {
            pending::<()>().await;
        }
    }

    fn crash(self: &Rc<Self>, owner: &Owner) {
        if *owner == Owner::Door {
            let old = self.door.replace(Life::new(Owner::Door));
            old.alive.set(false);
        }
        self.executor.cancel_all(|other| other == owner);
        self.objects.crash(self, owner);
    }

    fn crash_everything(self: &Rc<Self>) {
        self.shared.replace(Rc::default());
        self.deliveries.forget();
        self.crash(&Owner::Door);
        for owner in self.objects.owners() {
            self.crash(&owner);
        }
    }
}
