//! [`AccessToken`] as an argument of axum handlers, and [`ValidationError`] as their answer.
//!
//! The validator is part of the router's state. A handler that asks for an [`AccessToken`] cannot be reached without a good
//! one. Behind a [`TokenLayer`](crate::tower::TokenLayer) the layer's token is used and not checked again.
//!
#![cfg_attr(feature = "hs256", doc = "```")]
#![cfg_attr(not(feature = "hs256"), doc = "```ignore")]
//! use axum::{Router, extract::Path, routing::get};
//! use key0_validator::{AccessToken, Config, ValidationError, Validator};
//!
//! async fn report(Path(id): Path<String>, token: AccessToken) -> Result<String, ValidationError> {
//!     token.require_resource(&id)?.require_plan(["pro", "team"])?; // 403
//!     Ok(format!("The report on {id}."))
//! }
//!
//! let config = Config::hs256("the current secret, 32 bytes or more")?;
//! let app: Router =
//!     Router::new().route("/reports/{id}", get(report)).with_state(Validator::new(config));
//! # Ok::<(), key0_validator::ConfigError>(())
//! ```

use axum_core::extract::{FromRef, FromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::{AccessToken, ValidationError, Validator, http as helper};

impl<S> FromRequestParts<S> for AccessToken
where
    Validator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ValidationError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ValidationError> {
        if let Some(token) = parts.extensions.get::<Self>() {
            return Ok(token.clone());
        }
        let validator = Validator::from_ref(state);
        #[cfg(feature = "rs256")]
        let token = helper::authorize_fresh(&validator, &parts.headers).await?;
        #[cfg(not(feature = "rs256"))]
        let token = helper::authorize(&validator, &parts.headers)?;
        parts.extensions.insert(token.clone());
        Ok(token)
    }
}

impl IntoResponse for ValidationError {
    fn into_response(self) -> Response {
        helper::refusal(&self)
    }
}
