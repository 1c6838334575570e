//! A layer for everything that speaks `http` and `tower`: axum, hyper, tonic.
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

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use crate::{AccessToken, ValidationError, Validator};

/// Lets only requests with a good token through to the inner service.
///
/// The inner service finds the [`AccessToken`] in the request's extensions. Every other caller gets the status, the
/// JSON body and the challenge of the [`ValidationError`].
#[derive(Clone, Debug)]
pub struct TokenLayer {
    validator: Validator,
    clock: Option<fn() -> u64>,
}

impl TokenLayer {
    /// A layer that judges dates by the system clock.
    #[must_use]
    pub fn new(validator: impl Into<Validator>) -> Self {
        Self {
            validator: validator.into(),
            clock: None,
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

impl<S> RequireToken<S> {
    fn judge(&self, headers: &HeaderMap) -> Result<AccessToken, ValidationError> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let header = values.next().ok_or(ValidationError::MissingHeader)?;
        if values.next().is_some() {
            return Err(ValidationError::RepeatedHeader);
        }
        let header = header.to_str().map_err(|_| ValidationError::NotOneToken)?;
        match self.layer.clock {
            Some(clock) => self.layer.validator.validate_at(header, clock()),
            None => self.layer.validator.validate(header),
        }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RequireToken<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: From<String>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TokenFuture<S::Future, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        TokenFuture(match self.judge(request.headers()) {
            Ok(token) => {
                request.extensions_mut().insert(token);
                Outcome::Admitted(Box::pin(self.inner.call(request)))
            }
            Err(error) => Outcome::Refused(Some(refusal(error))),
        })
    }
}

/// The answer of [`RequireToken`]: the inner service's, or the refusal.
pub struct TokenFuture<F, B>(Outcome<F, B>);

enum Outcome<F, B> {
    // Boxed because reaching a future inside a field needs either this or unsafe code.
    Admitted(Pin<Box<F>>),
    // Boxed to keep the future small: a response is big and a refusal rare.
    Refused(Option<Box<Response<B>>>),
}

impl<F, B, E> Future for TokenFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Outcome::Admitted(inner) => inner.as_mut().poll(cx),
            // As with other futures, nothing comes of polling after the answer was taken.
            Outcome::Refused(response) => response
                .take()
                .map_or(Poll::Pending, |r| Poll::Ready(Ok(*r))),
        }
    }
}

impl<F, B> fmt::Debug for TokenFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFuture").finish_non_exhaustive()
    }
}

fn refusal<B: From<String>>(error: ValidationError) -> Box<Response<B>> {
    let mut response = Response::new(B::from(error.body()));
    *response.status_mut() =
        StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let challenge = error
        .www_authenticate()
        .and_then(|text| HeaderValue::try_from(text).ok());
    headers.extend(challenge.map(|challenge| (WWW_AUTHENTICATE, challenge)));
    Box::new(response)
}
