//! Who asks the gateway, and what all calls of this process share.

use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http::{HeaderValue, Request, Response, Uri};

use super::grant::{Grant, Step, Terms};
use super::message::{Answer, Report};
use super::refusal::MeterRefusal;
use crate::protected::base;
use crate::{ConfigError, Limits, Quota};

/// How many calls a lease serves, unless the backend says otherwise.
const CALLS: u32 = 50;
/// Shorter secrets are refused, as the gateway refuses them.
const MIN_SECRET: usize = 32;
/// How many grants are remembered before those are forgotten of which nothing is to be reported.
const MOST_GRANTS: usize = 4_096;
/// A grant's id is that of a purchase.
const MAX_ID: usize = 64;

type Sending = Pin<Box<dyn Future<Output = Option<Response<String>>> + Send>>;
type Send_ = Box<dyn Fn(Request<String>) -> Sending + Send + Sync>;
type Clock = Box<dyn Fn() -> Duration + Send + Sync>;

/// Has the calls of plans with limits counted by the gateway. One for each process; clones are the same one.
///
/// It is lent units of a grant, 50 calls' worth at first, and counts by itself until they are used: so most calls ask nobody.
/// What was used is reported with the next question, and by [`report`](Self::report), which must run every few seconds.
#[derive(Clone)]
pub struct CallMeter {
    shared: Arc<Shared>,
    terms: Terms,
}

struct Shared {
    url: Uri,
    secret: HeaderValue,
    send: Send_,
    clock: Clock,
    grants: Mutex<HashMap<String, Grant>>,
}

/// A call that may be made. If it is dropped before its end is told, it is not counted.
#[derive(Debug)]
pub(super) struct Pass {
    place: Place,
    units: u64,
    is_ended: bool,
}

/// The place of a call among those that are under way.
pub(super) struct Place {
    meter: CallMeter,
    grant: String,
}

impl CallMeter {
    /// A meter for the gateway at `url`, with its `KEY0_METER_SECRET`. `send` sends a request and gives the answer, or an error
    /// if there is none; it should give up after a few seconds. This crate sends nothing by itself.
    ///
    /// # Errors
    ///
    /// [`ConfigError::BadUrl`], or [`ConfigError::ShortSecret`] for a secret under 32 characters or of characters that no
    /// header can have.
    pub fn new<F, E>(
        url: impl Into<String>,
        secret: impl AsRef<str>,
        send: impl Fn(Request<String>) -> F + Send + Sync + 'static,
    ) -> Result<Self, ConfigError>
    where
        F: Future<Output = Result<Response<String>, E>> + Send + 'static,
    {
        let secret = secret.as_ref();
        let bearer = HeaderValue::try_from(format!("Bearer {secret}")).ok();
        let short = ConfigError::ShortSecret { len: secret.len() };
        let bearer = bearer.filter(|_| secret.len() >= MIN_SECRET).ok_or(short)?;
        let url = Uri::try_from(format!("{}/grants/consume", base(url.into())?));
        let started = Instant::now();
        let shared = Shared {
            url: url.map_err(|_| ConfigError::BadUrl)?,
            secret: bearer,
            send: Box::new(move |request| {
                let sending = send(request);
                Box::pin(async move { sending.await.ok() })
            }),
            clock: Box::new(move || started.elapsed()),
            grants: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            terms: Terms {
                calls: CALLS,
                open: Duration::ZERO,
            },
        })
    }

    /// How many calls are served between two questions: 50, unless this says otherwise. So many calls may go uncounted when
    /// this process dies. Of a grant that is nearly used up, the gateway lends less.
    #[must_use]
    pub fn lease(mut self, calls: u32) -> Self {
        self.terms.calls = calls.max(1);
        self
    }

    /// For how long calls go on while the gateway gives no answer. They are counted when it is back, so a caller may use more
    /// than it bought. Without this, such calls are refused with 503 as soon as what was lent is used.
    #[must_use]
    pub fn open_for(mut self, time: Duration) -> Self {
        self.terms.open = time;
        self
    }

    /// Goes by this clock instead of the system's: the time since some moment in the past.
    #[must_use]
    pub fn clock(self, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        // Before it is shared there is nobody else; a clone that was made too early keeps its own clock.
        match Arc::try_unwrap(self.shared) {
            Ok(shared) => Self {
                shared: Arc::new(Shared {
                    clock: Box::new(clock),
                    ..shared
                }),
                ..self
            },
            Err(shared) => Self { shared, ..self },
        }
    }

    /// Reports what was not reported for 20 seconds, and gives back what nobody has used for so long. Call it every few
    /// seconds, for as long as the process runs.
    pub async fn report(&self) {
        self.settle(false).await;
    }

    /// Reports everything and gives everything back: before the process ends, when no more calls are served.
    pub async fn close(&self) {
        self.settle(true).await;
    }

    async fn settle(&self, is_last: bool) {
        let now = self.now();
        let due: Vec<_> = {
            let mut grants = self.grants();
            let due = grants.iter_mut().filter_map(|(id, grant)| {
                grant
                    .overdue(is_last, now)
                    .map(|report| (id.clone(), report))
            });
            due.collect()
        };
        for (grant, report) in due {
            self.tell(&grant, &report).await;
        }
        let now = self.now();
        self.grants().retain(|_, grant| !grant.is_idle(now));
    }

    /// Asks until a call of this grant may be made or must be refused.
    pub(super) async fn admit(&self, id: &str, limits: &Limits) -> Result<Pass, MeterRefusal> {
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if id.len() > MAX_ID || !id.bytes().all(is_id) {
            return Err(MeterRefusal::Ended);
        }
        let place = self.take_place(id, limits)?;
        let mut asked = 0;
        loop {
            let step = {
                let now = self.now();
                let mut grants = self.grants();
                self.grant(&mut grants, id).step(self.terms, asked, now)
            };
            match step {
                Step::Go(units) => {
                    return Ok(Pass {
                        place,
                        units,
                        is_ended: false,
                    });
                }
                Step::Refuse(refusal) => return Err(refusal),
                Step::Wait => self.answered(id).await,
                Step::Ask(report) => {
                    asked += 1;
                    self.tell(id, &report).await;
                }
            }
        }
    }

    fn take_place(&self, id: &str, limits: &Limits) -> Result<Place, MeterRefusal> {
        let now = self.now();
        let mut grants = self.grants();
        if grants.len() >= MOST_GRANTS && !grants.contains_key(id) {
            grants.retain(|_, grant| !grant.is_idle(now));
        }
        let grant = self.grant(&mut grants, id);
        if limits.concurrency.is_some_and(|most| grant.places >= most) {
            return Err(MeterRefusal::TooMany);
        }
        if let (Some(Quota::Credit(_)), Some(rate)) = (&limits.quota, limits.rate) {
            grant.begin(rate, now)?;
        }
        grant.places = grant.places.saturating_add(1);
        Ok(Place {
            meter: self.clone(),
            grant: id.to_owned(),
        })
    }

    async fn tell(&self, id: &str, report: &Report) {
        /// Lets others ask, should whoever asks leave before there is an answer.
        struct Asking<'a>(&'a CallMeter, Option<&'a str>);

        impl Drop for Asking<'_> {
            fn drop(&mut self) {
                if let Some(id) = self.1
                    && let Some(grant) = self.0.grants().get_mut(id)
                {
                    grant.stop_asking();
                }
            }
        }

        let mut asking = Asking(self, Some(id));
        let Shared {
            url, secret, send, ..
        } = &*self.shared;
        let sent = self.now();
        let answer = send(report.request(url, secret, id)).await;
        let answer = answer.map_or(Answer::Away, |answer| Answer::read(&answer));
        let now = self.now();
        let mut grants = self.grants();
        asking.1 = None;
        let grant = self.grant(&mut grants, id);
        grant.hear(report, answer, (sent, now), new_id);
    }

    /// Waits until whoever asks for this grant has an answer.
    async fn answered(&self, id: &str) {
        poll_fn(|cx| {
            let mut grants = self.grants();
            let waits = grants
                .get_mut(id)
                .is_some_and(|grant| grant.wait(cx.waker()));
            if waits {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }

    fn grant<'g>(&self, grants: &'g mut HashMap<String, Grant>, id: &str) -> &'g mut Grant {
        let now = self.now();
        grants
            .entry(id.to_owned())
            .or_insert_with(|| Grant::new(new_id(), now))
    }

    fn grants(&self) -> MutexGuard<'_, HashMap<String, Grant>> {
        let grants = self.shared.grants.lock();
        grants.unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        (self.shared.clock)()
    }
}

impl Pass {
    /// The call was answered, and took so many units. Returns its place, which it holds until its answer has ended.
    pub(super) fn spend(mut self, cost: u64) -> Place {
        self.end(Some(cost));
        self.place.again()
    }

    fn end(&mut self, cost: Option<u64>) {
        if !core::mem::replace(&mut self.is_ended, true) {
            let Place { meter, grant } = &self.place;
            if let Some(grant) = meter.grants().get_mut(grant) {
                grant.end(self.units, cost);
            }
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl Place {
    /// The same call's place, once more: this one is dropped with the pass.
    fn again(&self) -> Self {
        if let Some(grant) = self.meter.grants().get_mut(&self.grant) {
            grant.places = grant.places.saturating_add(1);
        }
        Self {
            meter: self.meter.clone(),
            grant: self.grant.clone(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(grant) = self.meter.grants().get_mut(&self.grant) {
            grant.places = grant.places.saturating_sub(1);
        }
    }
}

/// 32 hex digits. The standard library's hashers have random keys, of the system; two processes do not choose the same.
fn new_id() -> String {
    let [a, b] = [0_u8, 1].map(|half| RandomState::new().hash_one(half));
    format!("{a:016x}{b:016x}")
}

impl fmt::Debug for CallMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallMeter")
            .field("url", &self.shared.url)
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}
