//! A layer for everything that speaks `http` and `tower`: axum, hyper, tonic.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::sync::Arc;

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

#[cfg(doc)]
use crate::AccessToken;
use crate::authority::{Authority, judge, refused};
use crate::body::TokenBody;
use crate::gateway::Clock;
use crate::http::passed;
use crate::source::Refreshed;
use crate::validator::refresh;
use crate::{Config, Refused, ServiceValidator, ValidationError, Validator, trace};

type Refuse = Arc<dyn Fn(&Refused) -> Response<String> + Send + Sync>;

/// Lets only requests with a good token through to the inner service, over any response body.
///
/// The inner service finds the [`AccessToken`] in the request's extensions. Every other caller gets the status, the
/// JSON body and the challenge of [`Refused`], or what [`refuse_with`](Self::refuse_with) says.
///
#[cfg_attr(feature = "hs256", doc = "```")]
#[cfg_attr(not(feature = "hs256"), doc = "```ignore")]
/// use axum::{Extension, Router, routing::get};
/// use key0_validator::{AccessToken, Config, TokenLayer, Validator};
///
/// async fn hello(Extension(token): Extension<AccessToken>) -> String {
///     format!("Hello, {}.", token.payer().unwrap_or("stranger"))
/// }
///
/// let config = Config::hs256("the current secret, 32 bytes or more")?;
/// let app: Router =
///     Router::new().route("/hello", get(hello)).layer(TokenLayer::new(Validator::new(config)));
/// # Ok::<(), key0_validator::ConfigError>(())
/// ```
///
/// Layers may be nested. A layer inside another one of the same validator, or of a clone of it, takes over the token and
/// checks only the resource and plan that it requires itself.
#[derive(Clone)]
pub struct TokenLayer<A = Validator> {
    authority: A,
    optional: bool,
    clock: Option<fn() -> u64>,
    refuse: Option<Refuse>,
}

impl TokenLayer {
    /// A layer for buyers' tokens. It judges dates by the system clock.
    #[must_use]
    pub fn new(validator: impl Into<Validator>) -> Self {
        Self::of(validator.into())
    }

    /// Refuses tokens for other resources, with 403.
    #[must_use]
    pub fn resource(self, resource_id: impl Into<String>) -> Self {
        Self {
            authority: self.authority.resource(resource_id),
            ..self
        }
    }

    /// Refuses tokens of other plans, with 403.
    #[must_use]
    pub fn plans<P: Into<String>>(self, plans: impl IntoIterator<Item = P>) -> Self {
        Self {
            authority: self.authority.plans(plans),
            ..self
        }
    }

    /// Lets requests without a token through too; the inner service finds no [`AccessToken`] then. A token that is there and not
    /// good is refused all the same.
    #[must_use]
    pub fn optional(self) -> Self {
        Self {
            optional: true,
            ..self
        }
    }
}

impl TokenLayer<ServiceValidator> {
    /// A layer for the gateway's own calls: the inner service finds a [`ServiceToken`](crate::ServiceToken) in the request's
    /// extensions.
    #[must_use]
    pub fn service(validator: ServiceValidator) -> Self {
        Self::of(validator)
    }
}

impl<A> TokenLayer<A> {
    fn of(authority: A) -> Self {
        Self {
            authority,
            optional: false,
            clock: None,
            refuse: None,
        }
    }

    /// Answers like this instead. gRPC, for example, has an answer of its own: `tonic::Status::new(code, text).into_http()`, with
    /// a code for each [`Refused::status`].
    #[must_use]
    pub fn refuse_with(
        self,
        refuse: impl Fn(&Refused) -> Response<String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            refuse: Some(Arc::new(refuse)),
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
}

impl<A: Authority> TokenLayer<A> {
    /// Checks the request's token, and puts into its extensions what the inner service needs.
    fn judge<B>(&self, request: &mut Request<B>) -> Result<(), ValidationError> {
        let mut passed = passed(request.extensions());
        let clock = self.clock.map_or(Clock::System, |clock| Clock::At(clock()));
        let query = request.uri().query();
        match judge(
            &self.authority,
            request.headers(),
            query,
            &mut passed,
            clock,
        ) {
            Ok(access) => {
                let extensions = request.extensions_mut();
                extensions.insert(passed);
                extensions.insert(A::token(access));
                Ok(())
            }
            Err(ValidationError::MissingHeader) if self.optional => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn answer(&self, error: ValidationError) -> Response<String> {
        let refused = refused(&self.authority, error);
        match &self.refuse {
            Some(refuse) => refuse(&refused),
            None => refused.response(),
        }
    }
}

impl From<Config> for TokenLayer {
    fn from(config: Config) -> Self {
        Self::new(config)
    }
}

impl<A: fmt::Debug> fmt::Debug for TokenLayer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenLayer")
            .field("authority", &self.authority)
            .field("optional", &self.optional)
            .finish_non_exhaustive()
    }
}

impl<A: Clone, S> Layer<S> for TokenLayer<A> {
    type Service = RequireToken<S, A>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireToken {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`TokenLayer`] makes.
#[derive(Clone, Debug)]
pub struct RequireToken<S, A = Validator> {
    inner: S,
    layer: TokenLayer<A>,
}

impl<S, A, ReqBody, ResBody> Service<Request<ReqBody>> for RequireToken<S, A>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    A: Authority,
{
    type Response = Response<TokenBody<ResBody>>;
    type Error = S::Error;
    type Future = TokenFuture<S, ReqBody, A>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let outcome = self.layer.judge(&mut request);
        let state = match refresh(self.layer.authority.gateways(), &outcome) {
            Some(refreshed) => {
                // The service that was asked whether it is ready is the one to call.
                let next = self.inner.clone();
                State::Waiting {
                    waiting: Some(Box::new(Waiting {
                        refreshed,
                        request,
                        inner: core::mem::replace(&mut self.inner, next),
                        layer: self.layer.clone(),
                    })),
                }
            }
            None => settle(&self.layer, outcome, request, &mut self.inner),
        };
        TokenFuture { state }
    }
}

fn settle<S, A, ReqBody>(
    layer: &TokenLayer<A>,
    outcome: Result<(), ValidationError>,
    request: Request<ReqBody>,
    inner: &mut S,
) -> State<S, S::Future, ReqBody, A>
where
    S: Service<Request<ReqBody>>,
    A: Authority,
{
    trace::outcome(&outcome);
    match outcome {
        Ok(()) => State::Admitted {
            inner: inner.call(request),
        },
        Err(error) => State::Refused {
            response: Some(Box::new(layer.answer(error))),
        },
    }
}

pin_project! {
    /// The answer of [`RequireToken`]: the inner service's, or the refusal.
    pub struct TokenFuture<S, ReqBody, A = Validator>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, S::Future, ReqBody, A>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F, ReqBody, A> {
        // The request waits for keys that are being fetched. Boxed because this is rare.
        Waiting { waiting: Option<Box<Waiting<S, ReqBody, A>>> },
        Admitted { #[pin] inner: F },
        // Boxed to keep the future small: a response is big and a refusal rare.
        Refused { response: Option<Box<Response<String>>> },
    }
}

struct Waiting<S, ReqBody, A> {
    refreshed: Refreshed,
    request: Request<ReqBody>,
    inner: S,
    layer: TokenLayer<A>,
}

impl<S, A, ReqBody, ResBody> Future for TokenFuture<S, ReqBody, A>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    A: Authority,
{
    type Output = Result<Response<TokenBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Waiting { waiting } => {
                    // As with other futures, nothing comes of polling after the answer was taken.
                    let Some(held) = waiting else {
                        return Poll::Pending;
                    };
                    ready!(Pin::new(&mut held.refreshed).poll(cx));
                    let Some(held) = waiting.take() else {
                        return Poll::Pending;
                    };
                    let Waiting {
                        mut request,
                        mut inner,
                        layer,
                        ..
                    } = *held;
                    let outcome = layer.judge(&mut request);
                    settle(&layer, outcome, request, &mut inner)
                }
                StateProjection::Admitted { inner } => {
                    return inner.poll(cx).map_ok(|answer| answer.map(TokenBody::inner));
                }
                StateProjection::Refused { response } => {
                    return response.take().map_or(Poll::Pending, |response| {
                        Poll::Ready(Ok(response.map(TokenBody::refusal)))
                    });
                }
            };
            state.set(next);
        }
    }
}

impl<S, ReqBody, A> fmt::Debug for TokenFuture<S, ReqBody, A>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFuture").finish_non_exhaustive()
    }
}
