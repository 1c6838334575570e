//! Keys that rotate. This file keeps them, and has them fetched again when they grow old or when a token names an unknown key.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::ring::Ring;
use crate::rsa::{self, RsaKey};
use crate::schedule::{Observer, Refresh, Schedule};
use crate::{
    FetchError, FetchKeys, FetchOutcome, Fetched, JwksError, SourceError, ValidationError, jwks,
    trace,
};

/// The gateway's public keys, kept fresh. A clone is the same source.
///
/// - A token that names an unknown key makes the source fetch, but at most once in [`Refresh::floor`], so that made-up names do
///   not burden the gateway. Layers, extractors and [`validate_async`](crate::Validator::validate_async) wait for that fetch
///   before they answer, so that buyers do not notice a rotation. Functions that cannot wait refuse the token until the key is
///   there; for them a gateway publishes each key before it signs with it.
/// - There is one fetch at a time. While fetches fail, the present keys stay good, up to [`Refresh::max_stale`].
/// - A document that cannot be trusted (see [`JwksError`]) counts as a failed fetch and changes nothing. A key in it that cannot
///   be used is ignored, and the others are used (RFC 7517 §5).
/// - A failed fetch is silent by default. Call [`wait`](Self::wait) at start, and give [`Refresh::observe`] a function that
///   writes a log; the feature `tracing` logs by itself.
///
/// ```
/// use key0_validator::{Config, FetchError, Fetched, KeySource, Refresh, Validator};
///
/// fn fetch(etag: Option<&str>) -> Result<Fetched, FetchError> {
///     // Ask your HTTP client for the gateway's /.well-known/jwks.json here. It has its own thread and may block.
///     // With `etag` in If-None-Match, `Fetched::from_http` reads the answer.
///     Err(FetchError::new("there is no network in this example"))
/// }
///
/// let refresh = Refresh::new().observe(|outcome| eprintln!("{outcome}"));
/// let keys = KeySource::fetching(fetch, refresh)?;
/// let validator = Validator::new(Config::key_source(keys).issuer("https://seller.example"));
/// # Ok::<(), key0_validator::SourceError>(())
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
    /// The text from which the keys were read. The same text again changes nothing.
    document: String,
    /// Counts documents, so that a result of earlier keys is not mistaken for one of these.
    pub(crate) generation: u64,
}

/// The outcome of reading a document.
enum Loaded {
    New {
        keys: usize,
        ignored: Vec<JwksError>,
    },
    Same,
}

impl Loaded {
    fn outcome(&self) -> FetchOutcome<'_> {
        match self {
            Self::New { keys, ignored } => FetchOutcome::Loaded {
                keys: *keys,
                ignored,
            },
            Self::Same => FetchOutcome::Unchanged,
        }
    }
}

struct Shared {
    start: Instant,
    max_stale: Duration,
    observer: Option<Observer>,
    current: RwLock<Option<(Arc<Current>, Instant)>>,
    state: Mutex<State>,
    /// Signals work to the fetching thread, and the end of a fetch to those who wait for it.
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
    /// The wakers of the futures that wait for the end of this round, each at its own place.
    waiting: Vec<Option<Waker>>,
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
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}

impl KeySource {
    /// Keys that `fetch` fetches on a thread of its own. The thread starts at once and ends with the source.
    ///
    /// # Errors
    ///
    /// When no RSA library runs on this processor, and when the system gives no thread.
    pub fn fetching(fetch: impl FetchKeys, refresh: Refresh) -> Result<Self, SourceError> {
        if !rsa::runs_here() {
            return Err(SourceError::NoRsaBackend);
        }
        let source = Self::new(refresh, true);
        let shared = Arc::clone(&source.shared);
        thread::Builder::new()
            .name("key0-jwks".to_owned())
            .spawn(move || shared.run(fetch))
            .map_err(SourceError::NoThread)?;
        Ok(source)
    }

    /// Keys that the program brings itself, with [`load`](Self::load), more often than every [`Refresh::max_stale`].
    #[must_use]
    pub fn by_hand(refresh: Refresh) -> Self {
        Self::new(refresh, false)
    }

    fn new(refresh: Refresh, fetches: bool) -> Self {
        let shared = Arc::new(Shared {
            start: Instant::now(),
            max_stale: refresh.max_stale,
            observer: refresh.observer.clone(),
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
    /// When the document cannot be used. The present keys stay.
    pub fn load(&self, document: &str) -> Result<(), JwksError> {
        let loaded = self.shared.load(document.to_owned())?;
        self.shared.tell(&loaded.outcome());
        Ok(())
    }

    /// Waits until there are keys. A service calls this before it says that it is ready.
    ///
    /// # Errors
    ///
    /// When there are no keys after this time: why the last fetch failed.
    pub fn wait(&self, timeout: Duration) -> Result<(), FetchError> {
        // A deadline beyond what the clock can express is replaced by a distant one.
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

    /// Asks for a fetch. If one runs or begins at once, returns a future that is ready at its end.
    pub(crate) fn refresh(&self) -> Option<Refreshed> {
        let mut state = self.shared.state();
        if !state.fetches {
            return None;
        }
        let now = self.shared.start.elapsed();
        // If a fetch is already wanted, the thread knows: made-up names need not wake it again.
        let is_new = !state.schedule.is_wanted();
        let soon = state.running || state.schedule.want(now);
        let round = state.rounds;
        drop(state);
        if is_new {
            self.shared.changed.notify_all();
        }
        soon.then(|| {
            Refreshed(vec![Round {
                shared: Arc::clone(&self.shared),
                round,
                place: None,
            }])
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

    fn load(&self, document: String) -> Result<Loaded, JwksError> {
        let (ring, ignored) = jwks::read(&document)?;
        let keys = ring.keys().len();
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let loaded = match &mut *current {
            Some((current, since)) if current.document == document => {
                *since = Instant::now();
                Loaded::Same
            }
            current => {
                let generation = current
                    .as_ref()
                    .map_or(0, |(current, _)| current.generation + 1);
                let new = Current {
                    ring,
                    document,
                    generation,
                };
                *current = Some((Arc::new(new), Instant::now()));
                Loaded::New { keys, ignored }
            }
        };
        drop(current);
        // While this lock is held, the thread is not between its check and its wait, so it cannot miss the signal.
        drop(self.state());
        self.changed.notify_all();
        Ok(loaded)
    }

    fn tell(&self, outcome: &FetchOutcome<'_>) {
        trace::fetched(outcome);
        if let Some(observer) = &self.observer {
            // A panic in the observer must not end the fetching thread.
            let _ = catch_unwind(AssertUnwindSafe(|| observer(outcome)));
        }
    }

    /// Marks the present keys as fresh.
    fn confirm(&self) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, since)) = &mut *current {
            *since = Instant::now();
        }
    }

    fn run(&self, mut fetch: impl FetchKeys) {
        let mut etag: Option<String> = None;
        while self.wait_for_work() {
            // A panic counts as a failed fetch: otherwise those who wait for this round would never be woken.
            let fetched = catch_unwind(AssertUnwindSafe(|| fetch.fetch(etag.as_deref())))
                .unwrap_or_else(|_| Err(FetchError("the fetch panicked".to_owned())));
            let outcome = match fetched {
                Ok(Fetched {
                    document: Some(text),
                    etag: tag,
                    max_age,
                }) => match self.load(text) {
                    Ok(loaded) => {
                        etag = tag;
                        Ok((loaded, max_age))
                    }
                    Err(error) => Err(error.to_string()),
                },
                Ok(Fetched { max_age, .. }) if etag.is_some() => {
                    self.confirm();
                    Ok((Loaded::Same, max_age))
                }
                Ok(_) => Err("the server sent no document".to_owned()),
                Err(error) => Err(error.0),
            };
            let brief = outcome.as_ref().map(|(_, max_age)| *max_age);
            self.finish(brief.map_err(Clone::clone));
            self.tell(&match &outcome {
                Ok((loaded, _)) => loaded.outcome(),
                Err(reason) => FetchOutcome::Failed { reason },
            });
        }
    }

    /// Waits for the next fetch to be due. `false` when no handle of the source is left.
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
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}

/// Ready when the fetches that it waits for have ended, well or not. Needs no runtime.
#[derive(Debug)]
pub(crate) struct Refreshed(Vec<Round>);

/// A fetch of one source that is waited for.
#[derive(Debug)]
struct Round {
    shared: Arc<Shared>,
    round: u64,
    /// The place of this future's waker, once it waits.
    place: Option<usize>,
}

impl Refreshed {
    /// A future that is ready when both of these futures are.
    pub(crate) fn and(mut self, mut other: Self) -> Self {
        self.0.append(&mut other.0);
        self
    }
}

impl Future for Refreshed {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.retain_mut(|round| round.is_pending(cx));
        if self.0.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Round {
    fn is_pending(&mut self, cx: &Context<'_>) -> bool {
        let mut state = self.shared.state();
        if state.rounds != self.round || state.closed {
            return false;
        }
        let waiting = &mut state.waiting;
        match self.place.and_then(|place| waiting.get_mut(place)) {
            Some(Some(waker)) => waker.clone_from(cx.waker()),
            Some(none) => *none = Some(cx.waker().clone()),
            None => {
                self.place = Some(waiting.len());
                waiting.push(Some(cx.waker().clone()));
            }
        }
        true
    }
}

/// Removes the waker of a future that is dropped.
impl Drop for Round {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if state.rounds == self.round
            && let Some(waker) = self.place.and_then(|place| state.waiting.get_mut(place))
        {
            *waker = None;
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many futures wait as an application has requests in its hands: each keeps one place, however often it is
    /// polled.
    #[test]
    fn whoever_waits_keeps_one_place_and_gives_it_back() {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let fetch = move |_: Option<&str>| {
            released.recv().ok();
            Err(FetchError::new("the test is over"))
        };
        let source = KeySource::fetching(fetch, Refresh::new()).unwrap();
        let mut requests: Vec<_> = (0..1000).map(|_| source.refresh().unwrap()).collect();
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            for request in &mut requests {
                assert!(Pin::new(request).poll(&mut context).is_pending());
            }
        }
        assert_eq!(source.shared.state().waiting.len(), 1000);
        drop(requests);
        assert_eq!(source.shared.state().waiting.iter().flatten().count(), 0);
        drop(release);
    }
}
