//! Tokens as arguments of axum's handlers, and refusals as their answers.

use axum_core::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::authority::{Authority, judge, refused};
use crate::gateway::Clock;
use crate::http::passed;
use crate::validator::refresh;
use crate::{
    AccessToken, Refused, ServiceToken, ServiceValidator, ValidationError, Validator, trace,
};

/// The token of the request, checked by the [`Validator`] in the router's state. Behind a [`TokenLayer`](crate::TokenLayer)
/// of the same validator, it is the layer's token, and only resource and plan are checked again.
impl<S> FromRequestParts<S> for AccessToken
where
    Validator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        extract(&Validator::from_ref(state), parts).await
    }
}

/// `None` for a request without a token. A token that is not good is refused.
impl<S> OptionalFromRequestParts<S> for AccessToken
where
    Validator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Refused> {
        match extract(&Validator::from_ref(state), parts).await {
            Ok(token) => Ok(Some(token)),
            Err(refused) if *refused.error() == ValidationError::MissingHeader => Ok(None),
            Err(refused) => Err(refused),
        }
    }
}

/// The gateway's own token, checked by the [`ServiceValidator`] in the router's state.
impl<S> FromRequestParts<S> for ServiceToken
where
    ServiceValidator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        extract(&ServiceValidator::from_ref(state), parts).await
    }
}

async fn extract<A: Authority>(authority: &A, parts: &mut Parts) -> Result<A::Token, Refused> {
    let mut passed = passed(&parts.extensions);
    let query = parts.uri.query();
    let mut outcome = judge(authority, &parts.headers, query, &mut passed, Clock::System);
    if let Some(refreshed) = refresh(authority.gateways(), &outcome) {
        refreshed.await;
        outcome = judge(authority, &parts.headers, query, &mut passed, Clock::System);
    }
    trace::outcome(&outcome);
    let token = A::token(outcome.map_err(|error| refused(authority, error))?);
    parts.extensions.insert(passed);
    parts.extensions.insert(token.clone());
    Ok(token)
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.response()
    }
}

impl IntoResponse for ValidationError {
    fn into_response(self) -> Response {
        self.response()
    }
}
