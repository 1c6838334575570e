//! For actix-web: [`AccessToken`] as an argument of handlers, [`ValidationError`] as their answer, and a middleware.
//!
#![cfg_attr(feature = "hs256", doc = "```")]
#![cfg_attr(not(feature = "hs256"), doc = "```ignore")]
//! use actix_web::{App, web};
//! use key0_validator::actix::TokenGate;
//! use key0_validator::{AccessToken, Config, ValidationError, Validator};
//!
//! async fn report(id: web::Path<String>, token: AccessToken) -> Result<String, ValidationError> {
//!     token.require_resource(&id)?; // 403
//!     Ok(format!("The report on {id}."))
//! }
//!
//! let validator = Validator::new(Config::hs256("the current secret, 32 bytes or more")?);
//! let app = App::new()
//!     // The handler's argument checks the token …
//!     .app_data(validator.clone())
//!     .route("/reports/{id}", web::get().to(report))
//!     // … or a gate in front of a whole scope.
//!     .service(web::scope("/pro").wrap(TokenGate::new(validator).plans(["pro"])));
//! # Ok::<(), key0_validator::ConfigError>(())
//! ```

use core::future::{Future, Ready, ready};
use core::pin::Pin;
use core::task::{Context, Poll};
use std::rc::Rc;

use actix_web::body::{BoxBody, EitherBody};
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap, WWW_AUTHENTICATE};
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError};

use crate::guard::Guard;
use crate::http::single;
use crate::{AccessToken, ValidationError, Validator};

type Local<T> = Pin<Box<dyn Future<Output = T>>>;

/// The token of a [`TokenGate`], or else the one of the request, checked by the [`Validator`] in the `app_data`. Without
/// either the answer is a 500: nothing is let through by mistake.
impl FromRequest for AccessToken {
    type Error = ValidationError;
    type Future = Local<Result<Self, ValidationError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            if let Some(token) = request.extensions().get::<Self>() {
                return Ok(token.clone());
            }
            let validator = request
                .app_data::<Validator>()
                .ok_or(ValidationError::NoVerdict)?;
            let token = authorize(validator, request.headers()).await?;
            request.extensions_mut().insert(token.clone());
            Ok(token)
        })
    }
}

async fn authorize(
    validator: &Validator,
    headers: &HeaderMap,
) -> Result<AccessToken, ValidationError> {
    let header = single(headers.get_all(AUTHORIZATION).map(|value| value.to_str()))?;
    #[cfg(feature = "rs256")]
    return validator.validate_fresh(header).await;
    #[cfg(not(feature = "rs256"))]
    validator.validate(header)
}

impl ResponseError for ValidationError {
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

/// Lets only requests with a good token through. Handlers find it in the request's extensions, or take it as an argument.
#[derive(Clone, Debug)]
pub struct TokenGate {
    validator: Validator,
    guard: Guard,
}

impl TokenGate {
    /// A gate that judges dates by the system clock.
    #[must_use]
    pub fn new(validator: impl Into<Validator>) -> Self {
        Self {
            validator: validator.into(),
            guard: Guard::default(),
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
}

impl<S, B> Transform<S, ServiceRequest> for TokenGate
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B, BoxBody>>;
    type Error = Error;
    type Transform = Gated<S>;
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
pub struct Gated<S> {
    inner: Rc<S>,
    gate: Rc<TokenGate>,
}

impl<S, B> Service<ServiceRequest> for Gated<S>
where
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
            let outcome = authorize(&gate.validator, request.headers()).await;
            match outcome.and_then(|token| gate.guard.admit(token)) {
                Ok(token) => {
                    request.extensions_mut().insert(token);
                    let response = inner.call(request).await?;
                    Ok(response.map_into_left_body())
                }
                Err(error) => {
                    let response = request.into_response(error.error_response());
                    Ok(response.map_into_right_body())
                }
            }
        })
    }
}
