//! For everything that has the types of the crate `http`, with whatever framework or none.
//!
#![cfg_attr(feature = "hs256", doc = "```")]
#![cfg_attr(not(feature = "hs256"), doc = "```ignore")]
//! use http::{Request, Response};
//! use key0_validator::{Config, Validator, http::{authorize, refusal}};
//!
//! fn answer(validator: &Validator, request: &Request<()>) -> Response<String> {
//!     match authorize(validator, request.headers()) {
//!         Ok(token) => Response::new(format!("Welcome, buyer of {}.", token.plan_id())),
//!         Err(error) => refusal(&error),
//!     }
//! }
//!
//! let validator = Validator::new(Config::hs256("the current secret, 32 bytes or more")?);
//! assert_eq!(answer(&validator, &Request::new(())).status(), 401);
//! # Ok::<(), key0_validator::ConfigError>(())
//! ```

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::{AccessToken, ValidationError, Validator};

/// Checks the one `Authorization` header of a request, by the system clock.
///
/// # Errors
///
/// What is wrong with the header or the token.
pub fn authorize(
    validator: &Validator,
    headers: &HeaderMap,
) -> Result<AccessToken, ValidationError> {
    validator.validate(authorization(headers)?)
}

/// Like [`authorize`], but waits for keys as [`Validator::validate_fresh`] does.
///
/// # Errors
///
/// What is wrong with the header or the token.
#[cfg(feature = "rs256")]
pub async fn authorize_fresh(
    validator: &Validator,
    headers: &HeaderMap,
) -> Result<AccessToken, ValidationError> {
    validator.validate_fresh(authorization(headers)?).await
}

/// The value of the one `Authorization` header.
pub(crate) fn authorization(headers: &HeaderMap) -> Result<Option<&str>, ValidationError> {
    single(
        headers
            .get_all(AUTHORIZATION)
            .iter()
            .map(HeaderValue::to_str),
    )
}

/// The one value, if there is any.
pub(crate) fn single<'h, E>(
    mut values: impl Iterator<Item = Result<&'h str, E>>,
) -> Result<Option<&'h str>, ValidationError> {
    let first = values.next();
    if values.next().is_some() {
        return Err(ValidationError::RepeatedHeader);
    }
    // What is no text is no token either.
    first.transpose().map_err(|_| ValidationError::NotOneToken)
}

/// The answer to a caller without a good token: status, JSON body, `WWW-Authenticate`.
pub fn refusal<B: From<String>>(error: &ValidationError) -> Response<B> {
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
    response
}
