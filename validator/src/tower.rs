//! A layer for everything that speaks `http` and `tower` and has a response body that can be made from a `String`: axum, hyper.
//!
//! ```
//! use axum::{Extension, Router, routing::get};
//! use key0_validator::tower::TokenLayer;
//! use key0_validator::{AccessToken, Config, Validator};
//!
//! async fn hello(Extension(token): Extension<AccessToken>) -> String {
//!     format!("Hello, {}.", token.payer().unwrap_or("stranger"))
//! }
//!
//! let config = Config::hs256("the current secret, 32 bytes or more")?;
//! let app: Router =
//!     Router::new().route("/hello", get(hello)).layer(TokenLayer::new(Validator::new(config)));
//! # Ok::<(), key0_validator::ConfigError>(())
//! ```

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use http::{HeaderMap, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::guard::Guard;
use crate::http::{authorization, refusal};
#[cfg(feature = "rs256")]
use crate::source::Refreshed;
use crate::{AccessToken, ValidationError, Validator};

/// Lets only requests with a good token through to the inner service.
///
/// The inner service finds the [`AccessToken`] in the request's extensions. Every other caller gets the status, the
/// JSON body and the challenge of the [`ValidationError`].
#[derive(Clone, Debug)]
pub struct TokenLayer {
    validator: Validator,
    guard: Guard,
    clock: Option<fn() -> u64>,
}

impl TokenLayer {
    /// A layer that judges dates by the system clock.
    #[must_use]
    pub fn new(validator: impl Into<Validator>) -> Self {
        Self {
            validator: validator.into(),
            guard: Guard::default(),
            clock: None,
        }
    }

    /// Refuses tokens for other resources, with 403.
    #[must_use]
    pub fn resource(self, resource_id: impl Into<String>) -> Self {
        Self {
            guard: self.guard.resource(resource_id.into()),
            ..self
        }
    }

    /// Refuses tokens of other plans, with 403.
    #[must_use]
    pub fn plans<P: Into<String>>(self, plans: impl IntoIterator<Item = P>) -> Self {
        Self {
            guard: self
                .guard
                .plans(plans.into_iter().map(Into::into).collect()),
            ..self
        }
    }

    /// Judges dates by this clock instead: seconds of Unix time.
    #[must_use]
    pub fn clock(self, clock: fn() -> u64) -> Self {
        Self {
            clock: Some(clock),
            ..self
        }
    }

    fn judge(&self, headers: &HeaderMap) -> Result<AccessToken, ValidationError> {
        let header = authorization(headers)?;
        let token = match self.clock {
            Some(clock) => self.validator.validate_at(header, clock()),
            None => self.validator.validate(header),
        };
        self.guard.admit(token?)
    }
}

impl<S> Layer<S> for TokenLayer {
    type Service = RequireToken<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireToken {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`TokenLayer`] makes.
#[derive(Clone, Debug)]
pub struct RequireToken<S> {
    inner: S,
    layer: TokenLayer,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RequireToken<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: From<String>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TokenFuture<S, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let outcome = self.layer.judge(request.headers());
        #[cfg(feature = "rs256")]
        if let Some(refreshed) = self.layer.validator.refresh_for(&outcome) {
            // The one that was asked whether it is ready is the one to call.
            let next = self.inner.clone();
            return TokenFuture(Outcome::Waiting(Some(Box::new(Waiting {
                refreshed,
                request,
                inner: core::mem::replace(&mut self.inner, next),
                layer: self.layer.clone(),
            }))));
        }
        TokenFuture(settle(outcome, request, &mut self.inner))
    }
}

fn settle<S, ReqBody, ResBody>(
    outcome: Result<AccessToken, ValidationError>,
    mut request: Request<ReqBody>,
    inner: &mut S,
) -> Outcome<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: From<String>,
{
    match outcome {
        Ok(token) => {
            request.extensions_mut().insert(token);
            Outcome::Admitted(Box::pin(inner.call(request)))
        }
        Err(error) => Outcome::Refused(Some(Box::new(refusal(&error)))),
    }
}

/// The answer of [`RequireToken`]: the inner service's, or the refusal.
pub struct TokenFuture<S, ReqBody, ResBody>(Outcome<S, ReqBody, ResBody>)
where
    S: Service<Request<ReqBody>>;

enum Outcome<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    /// For keys that are being fetched.
    #[cfg(feature = "rs256")]
    Waiting(Option<Box<Waiting<S, ReqBody>>>),
    // Boxed because reaching a future inside a field needs either this or unsafe code.
    Admitted(Pin<Box<S::Future>>),
    // Boxed to keep the future small: a response is big and a refusal rare.
    Refused(Option<Box<Response<ResBody>>>),
}

#[cfg(feature = "rs256")]
struct Waiting<S, ReqBody> {
    refreshed: Refreshed,
    request: Request<ReqBody>,
    inner: S,
    layer: TokenLayer,
}

impl<S, ReqBody, ResBody> Future for TokenFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: From<String>,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        #[cfg(feature = "rs256")]
        if let Outcome::Waiting(waiting) = &mut self.0 {
            let refreshed = waiting
                .as_mut()
                .map(|w| Pin::new(&mut w.refreshed).poll(cx));
            if refreshed.is_none_or(|poll| poll.is_pending()) {
                return Poll::Pending;
            }
            if let Some(waited) = waiting.take() {
                let Waiting {
                    request,
                    mut inner,
                    layer,
                    ..
                } = *waited;
                self.0 = settle(layer.judge(request.headers()), request, &mut inner);
            }
        }
        match &mut self.0 {
            #[cfg(feature = "rs256")]
            Outcome::Waiting(_) => Poll::Pending,
            Outcome::Admitted(inner) => inner.as_mut().poll(cx),
            // As with other futures, nothing comes of polling after the answer was taken.
            Outcome::Refused(response) => response
                .take()
                .map_or(Poll::Pending, |r| Poll::Ready(Ok(*r))),
        }
    }
}

/// Everything that is not `Unpin` is in a box.
impl<S, ReqBody, ResBody> Unpin for TokenFuture<S, ReqBody, ResBody> where
    S: Service<Request<ReqBody>>
{
}

impl<S, ReqBody, ResBody> fmt::Debug for TokenFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFuture").finish_non_exhaustive()
    }
}
