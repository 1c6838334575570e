//! Tokens as arguments of actix-web's handlers, refusals as their answers, and a middleware.

use core::fmt;
use core::future::{Future, Ready, ready};
use core::pin::Pin;
use core::task::{Context, Poll};
use std::rc::Rc;

use actix_web::body::{BoxBody, EitherBody};
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderMap, WWW_AUTHENTICATE};
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError, web};

use crate::authority::{Authority, judge, refused};
use crate::carrier::Headers;
use crate::gateway::Clock;
use crate::passed::Passed;
use crate::validator::refresh;
use crate::{
    AccessToken, Refused, ServiceToken, ServiceValidator, ValidationError, Validator, trace,
};

type Local<T> = Pin<Box<dyn Future<Output = T>>>;
type Refuse = Rc<dyn Fn(&Refused) -> HttpResponse>;

impl Headers for HeaderMap {
    fn values<'h>(&'h self, name: &'static str) -> impl Iterator<Item = Option<&'h str>> {
        self.get_all(name).map(|value| value.to_str().ok())
    }
}

/// The token of the request, checked by the [`Validator`] in the `app_data`, with or without a `web::Data` around it. Behind
/// a [`TokenGate`], it is the token that the gate has checked. Without a validator and a gate the answer is a 500: nothing
/// is let through by mistake.
///
/// Take a [`MaybeToken`] where a token is optional: an `Option<AccessToken>` is `None` for forged tokens too.
impl FromRequest for AccessToken {
    type Error = Refused;
    type Future = Local<Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        extract::<Validator>(request.clone())
    }
}

/// The gateway's own token, checked by the [`ServiceValidator`] in the `app_data`.
impl FromRequest for ServiceToken {
    type Error = Refused;
    type Future = Local<Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        extract::<ServiceValidator>(request.clone())
    }
}

/// A token, or `None` for a request without one. A token that is not good is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MaybeToken(pub Option<AccessToken>);

impl FromRequest for MaybeToken {
    type Error = Refused;
    type Future = Local<Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let token = extract::<Validator>(request.clone());
        Box::pin(async move {
            match token.await {
                Ok(token) => Ok(Self(Some(token))),
                Err(refused) if *refused.error() == ValidationError::MissingHeader => {
                    Ok(Self(None))
                }
                Err(refused) => Err(refused),
            }
        })
    }
}

fn extract<A: Authority>(request: HttpRequest) -> Local<Result<A::Token, Refused>> {
    Box::pin(async move {
        // A gate in front may be the only validator.
        if request.app_data::<A>().is_none()
            && request.app_data::<web::Data<A>>().is_none()
            && let Some(token) = request.extensions().get::<A::Token>()
        {
            return Ok(token.clone());
        }
        let authority = request
            .app_data::<A>()
            .or_else(|| request.app_data::<web::Data<A>>().map(|data| data.as_ref()))
            .ok_or(ValidationError::NoValidator)?;
        authorize(authority, &request).await
    })
}

/// Checks the token of a request, and stores it in the request's extensions for the handlers.
async fn authorize<A: Authority>(
    authority: &A,
    request: &HttpRequest,
) -> Result<A::Token, Refused> {
    let query = Some(request.query_string());
    let mut passed = request
        .extensions()
        .get::<Passed>()
        .cloned()
        .unwrap_or_default();
    let mut outcome = judge(
        authority,
        request.headers(),
        query,
        &mut passed,
        Clock::System,
    );
    if let Some(refreshed) = refresh(authority.gateways(), &outcome) {
        refreshed.await;
        outcome = judge(
            authority,
            request.headers(),
            query,
            &mut passed,
            Clock::System,
        );
    }
    trace::outcome(&outcome);
    let token = A::token(outcome.map_err(|error| refused(authority, error))?);
    let mut extensions = request.extensions_mut();
    extensions.insert(passed);
    extensions.insert(token.clone());
    Ok(token)
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.content_type("application/json");
        response.insert_header((CACHE_CONTROL, "no-store"));
        if let Some(challenge) = self.www_authenticate() {
            response.insert_header((WWW_AUTHENTICATE, challenge));
        }
        response.body(self.body())
    }
}

impl ResponseError for ValidationError {
    fn status_code(&self) -> StatusCode {
        Refused::from(self.clone()).status_code()
    }

    fn error_response(&self) -> HttpResponse {
        Refused::from(self.clone()).error_response()
    }
}

/// Lets only requests with a good token through. Handlers find it in the request's extensions, or take it as an argument.
///
#[cfg_attr(feature = "hs256", doc = "```")]
#[cfg_attr(not(feature = "hs256"), doc = "```ignore")]
/// use actix_web::{App, web};
/// use key0_validator::{AccessToken, Config, TokenGate, ValidationError, Validator};
///
/// async fn report(id: web::Path<String>, token: AccessToken) -> Result<String, ValidationError> {
///     token.require_resource(&id)?; // 403
///     Ok(format!("The report on {id}."))
/// }
///
/// let validator = Validator::new(Config::hs256("the current secret, 32 bytes or more")?);
/// let app = App::new()
///     // The handler's argument checks the token …
///     .app_data(web::Data::new(validator.clone()))
///     .route("/reports/{id}", web::get().to(report))
///     // … or a gate in front of a whole scope.
///     .service(web::scope("/pro").wrap(TokenGate::new(validator).plans(["pro"])));
/// # Ok::<(), key0_validator::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct TokenGate<A = Validator> {
    authority: A,
    optional: bool,
    refuse: Option<Refuse>,
}

impl TokenGate {
    /// A gate for buyers' tokens.
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

    /// Lets requests without a token through too. A token that is not good is still refused.
    #[must_use]
    pub fn optional(self) -> Self {
        Self {
            optional: true,
            ..self
        }
    }
}

impl TokenGate<ServiceValidator> {
    /// A gate for the gateway's own calls.
    #[must_use]
    pub fn service(validator: ServiceValidator) -> Self {
        Self::of(validator)
    }
}

impl<A> TokenGate<A> {
    fn of(authority: A) -> Self {
        Self {
            authority,
            optional: false,
            refuse: None,
        }
    }

    /// Builds the answers to refused requests with this function.
    #[must_use]
    pub fn refuse_with(self, refuse: impl Fn(&Refused) -> HttpResponse + 'static) -> Self {
        Self {
            refuse: Some(Rc::new(refuse)),
            ..self
        }
    }
}

impl<A: fmt::Debug> fmt::Debug for TokenGate<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenGate")
            .field("authority", &self.authority)
            .field("optional", &self.optional)
            .finish_non_exhaustive()
    }
}

impl<A, S, B> Transform<S, ServiceRequest> for TokenGate<A>
where
    A: Authority,
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B, BoxBody>>;
    type Error = Error;
    type Transform = Gated<S, A>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(Gated {
            inner: Rc::new(inner),
            gate: Rc::new(self.clone()),
        }))
    }
}

/// The service that [`TokenGate`] makes.
#[derive(Debug)]
pub struct Gated<S, A = Validator> {
    inner: Rc<S>,
    gate: Rc<TokenGate<A>>,
}

impl<A, S, B> Service<ServiceRequest> for Gated<S, A>
where
    A: Authority,
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B, BoxBody>>;
    type Error = Error;
    type Future = Local<Result<Self::Response, Error>>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (inner, gate) = (Rc::clone(&self.inner), Rc::clone(&self.gate));
        Box::pin(async move {
            match authorize(&gate.authority, request.request()).await {
                Err(refused)
                    if !gate.optional || *refused.error() != ValidationError::MissingHeader =>
                {
                    let response = match &gate.refuse {
                        Some(refuse) => refuse(&refused),
                        None => refused.error_response(),
                    };
                    Ok(request.into_response(response).map_into_right_body())
                }
                _ => Ok(inner.call(request).await?.map_into_left_body()),
            }
        })
    }
}
