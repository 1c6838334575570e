//! Keys that rotate: fetched by somebody else, kept here, and fetched again when they grow old or when a token names one
//! that is not there.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use std::{io, thread};

use crate::ring::Ring;
use crate::rsa::RsaKey;
use crate::schedule::{Refresh, Schedule};
use crate::{JwksError, ValidationError, jwks};

/// What a fetch of keys found.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fetched {
    /// A JWKS document.
    Document {
        /// Its text.
        text: String,
        /// What names this version of it, for the next fetch.
        etag: Option<String>,
        /// For how long the server says that it is good.
        max_age: Option<Duration>,
    },
    /// The document is still the one that the given tag names.
    Unchanged {
        /// For how long the server says that it is good.
        max_age: Option<Duration>,
    },
}

/// Why keys could not be fetched, in words for a log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FetchError(pub String);

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for FetchError {}

/// Fetches a JWKS document. Feature `jwks-http` has one over HTTPS.
pub trait FetchKeys: Send + 'static {
    /// Fetches the document, or says that it is still the one with this tag. May block: it runs on a thread of its own,
    /// one call after the other. It must come to an end by itself.
    ///
    /// # Errors
    ///
    /// What prevented it, in words for a log.
    fn fetch(&mut self, etag: Option<&str>) -> Result<Fetched, FetchError>;
}

impl<F> FetchKeys for F
where
    F: FnMut(Option<&str>) -> Result<Fetched, FetchError> + Send + 'static,
{
    fn fetch(&mut self, etag: Option<&str>) -> Result<Fetched, FetchError> {
        self(etag)
    }
}

/// The gateway's public keys, kept fresh. A clone is the same source.
///
/// - A token that names a key which is not there makes it fetch again, but never before [`Refresh::floor`] has passed since
///   the last time: who sends made-up names costs the gateway nothing. That is so for the middleware of this crate and for
///   [`validate_fresh`](crate::Validator::validate_fresh), which wait for that fetch before they answer, so that a rotation is
///   not noticed by buyers. What cannot wait gets the new keys with the next fetch that is due.
/// - One fetch at a time, whoever asks. While one fails, the keys that are there stay good, up to [`Refresh::max_stale`].
/// - A document that cannot be trusted (see [`JwksError`]) counts as a failed fetch and changes nothing.
///
/// ```
/// use key0_validator::{Config, FetchError, Fetched, KeySource, Refresh, Validator};
///
/// fn fetch(etag: Option<&str>) -> Result<Fetched, FetchError> {
///     // Ask your HTTP client for the gateway's /.well-known/jwks.json here. It has its own thread and may block.
///     Err(FetchError("there is no network in this example".to_owned()))
/// }
///
/// let keys = KeySource::fetching(fetch, Refresh::default())?;
/// let validator = Validator::new(Config::keys(keys).issuer("https://seller.example"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct KeySource {
    shared: Arc<Shared>,
    /// Tells the thread to end when the last handle is dropped.
    _handle: Arc<Handle>,
}

/// Keys of one document.
pub(crate) struct Current {
    pub(crate) ring: Ring<RsaKey>,
    /// Counts documents, so that what was proven by others is not taken for proven by these.
    pub(crate) generation: u64,
}

struct Shared {
    start: Instant,
    max_stale: Duration,
    current: RwLock<Option<(Arc<Current>, Instant)>>,
    state: Mutex<State>,
    /// For the thread: something to do. For those who wait: something is done.
    changed: Condvar,
}

struct State {
    schedule: Schedule,
    /// Whether there is a thread that fetches.
    fetches: bool,
    running: bool,
    closed: bool,
    /// Fetches that have ended.
    rounds: u64,
    waiting: Vec<Waker>,
    last_error: Option<String>,
}

struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.state();
            state.closed = true;
            core::mem::take(&mut state.waiting)
        };
        self.0.changed.notify_all();
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl KeySource {
    /// Keys that this thing fetches, on a thread of its own, which starts at once and ends with the source.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn fetching(fetch: impl FetchKeys, refresh: Refresh) -> io::Result<Self> {
        let source = Self::new(refresh, true);
        let shared = Arc::clone(&source.shared);
        thread::Builder::new()
            .name("key0-jwks".to_owned())
            .spawn(move || shared.run(fetch))?;
        Ok(source)
    }

    /// Keys that somebody brings with [`load`](Self::load), each time before [`Refresh::max_stale`] has passed: for
    /// programs that fetch in their own way.
    #[must_use]
    pub fn by_hand(refresh: Refresh) -> Self {
        Self::new(refresh, false)
    }

    fn new(refresh: Refresh, fetches: bool) -> Self {
        let shared = Arc::new(Shared {
            start: Instant::now(),
            max_stale: refresh.max_stale,
            current: RwLock::default(),
            state: Mutex::new(State {
                schedule: Schedule::new(refresh),
                fetches,
                running: false,
                closed: false,
                rounds: 0,
                waiting: Vec::new(),
                last_error: None,
            }),
            changed: Condvar::new(),
        });
        Self {
            _handle: Arc::new(Handle(Arc::clone(&shared))),
            shared,
        }
    }

    /// Replaces the keys by those of this JWKS document.
    ///
    /// # Errors
    ///
    /// What is wrong with the document. The keys stay as they are then.
    pub fn load(&self, document: &str) -> Result<(), JwksError> {
        self.shared.load(document)
    }

    /// Waits until there are keys. A service calls this before it says that it is ready.
    ///
    /// # Errors
    ///
    /// Why the last fetch failed, when there are none after this time.
    pub fn wait(&self, timeout: Duration) -> Result<(), FetchError> {
        // A time that no clock reaches is for ever, or near enough.
        let deadline = Instant::now()
            .checked_add(timeout)
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400));
        let mut state = self.shared.state();
        loop {
            if self.shared.current().is_ok() {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let reason = state.last_error.clone();
                return Err(FetchError(
                    reason.unwrap_or_else(|| "no keys yet".to_owned()),
                ));
            }
            let woken = self.shared.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Why the last fetch failed, if it did.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.shared.state().last_error.clone()
    }

    pub(crate) fn current(&self) -> Result<Arc<Current>, ValidationError> {
        self.shared.current()
    }

    /// Asks for a fetch. If one runs or begins at once, gives back what waits for its end.
    pub(crate) fn refresh(&self) -> Option<Refreshed> {
        let mut state = self.shared.state();
        if !state.fetches {
            return None;
        }
        let now = self.shared.start.elapsed();
        let soon = state.running || state.schedule.want(now);
        let rounds = state.rounds;
        drop(state);
        self.shared.changed.notify_all();
        soon.then(|| Refreshed {
            shared: Arc::clone(&self.shared),
            rounds,
        })
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.shared.current().ok();
        f.debug_struct("KeySource")
            .field("keys", &current.as_ref().map(|current| current.ring.keys()))
            .field("last_error", &self.last_error())
            .finish()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> Result<Arc<Current>, ValidationError> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some((current, since)) if since.elapsed() < self.max_stale => Ok(Arc::clone(current)),
            _ => Err(ValidationError::NoKeys),
        }
    }

    fn load(&self, document: &str) -> Result<(), JwksError> {
        let ring = jwks::read(document)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let generation = current
            .as_ref()
            .map_or(0, |(current, _)| current.generation + 1);
        *current = Some((Arc::new(Current { ring, generation }), Instant::now()));
        drop(current);
        // With this lock nobody can be between looking and waiting.
        drop(self.state());
        self.changed.notify_all();
        Ok(())
    }

    /// The keys are as good as new.
    fn confirm(&self) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, since)) = &mut *current {
            *since = Instant::now();
        }
    }

    fn run(&self, mut fetch: impl FetchKeys) {
        let mut etag: Option<String> = None;
        while self.wait_for_work() {
            // A panic is a failure like others: whoever waits for this round would wait for ever.
            let fetched = catch_unwind(AssertUnwindSafe(|| fetch.fetch(etag.as_deref())))
                .unwrap_or_else(|_| Err(FetchError("the fetch panicked".to_owned())));
            let outcome = match fetched {
                Ok(Fetched::Unchanged { max_age }) if etag.is_some() => {
                    self.confirm();
                    Ok(max_age)
                }
                Ok(Fetched::Unchanged { .. }) => Err("the server sent no document".to_owned()),
                Ok(Fetched::Document {
                    text,
                    etag: tag,
                    max_age,
                }) => match self.load(&text) {
                    Ok(()) => {
                        etag = tag;
                        Ok(max_age)
                    }
                    Err(error) => Err(error.to_string()),
                },
                Err(error) => Err(error.0),
            };
            self.finish(outcome);
        }
    }

    /// Waits for the next fetch to be due. `false` when nobody needs keys any more.
    fn wait_for_work(&self) -> bool {
        let mut state = self.state();
        loop {
            if state.closed {
                return false;
            }
            let now = self.start.elapsed();
            let pause = state.schedule.next().saturating_sub(now);
            if pause.is_zero() {
                state.schedule.begin(now);
                state.running = true;
                return true;
            }
            let woken = self.changed.wait_timeout(state, pause);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn finish(&self, outcome: Result<Option<Duration>, String>) {
        let waiting = {
            let mut state = self.state();
            state.running = false;
            state.rounds += 1;
            match outcome {
                Ok(max_age) => {
                    state.schedule.succeeded(self.start.elapsed(), max_age);
                    state.last_error = None;
                }
                Err(error) => {
                    state.schedule.failed();
                    state.last_error = Some(error);
                }
            }
            core::mem::take(&mut state.waiting)
        };
        self.changed.notify_all();
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Ready when a fetch has ended, well or not. Needs no runtime.
#[derive(Debug)]
pub(crate) struct Refreshed {
    shared: Arc<Shared>,
    rounds: u64,
}

impl Future for Refreshed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shared.state();
        if state.rounds != self.rounds || state.closed {
            return Poll::Ready(());
        }
        if !state
            .waiting
            .iter()
            .any(|waker| waker.will_wake(cx.waker()))
        {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
