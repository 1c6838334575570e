//! For everything that has the types of the crate `http`, with whatever framework or none.

use core::future::Future;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};

use crate::authority::{judge, refused};
use crate::carrier::Headers;
use crate::gateway::{Clock, bare_token};
use crate::passed::Passed;
use crate::validator::{refresh, try_all};
use crate::{AccessToken, Refused, ValidationError, Validator, trace};

impl Headers for HeaderMap {
    fn values<'h>(&'h self, name: &'static str) -> impl Iterator<Item = Option<&'h str>> {
        self.get_all(name).iter().map(|value| value.to_str().ok())
    }
}

impl Validator {
    /// Takes a token from this cookie too, when a request has no Authorization header. Used by layers, extractors and
    /// [`authorize`](Self::authorize).
    ///
    /// A browser sends cookies with requests that other sites make it send, so set it `SameSite`, `Secure` and `HttpOnly`.
    #[must_use]
    pub fn cookie(self, name: impl Into<String>) -> Self {
        self.at(|door| door.carriers.cookie = Some(name.into()))
    }

    /// Takes a token from this parameter of the query too, when there is no other: `?access_token=…` (RFC 6750 §2.3).
    ///
    /// Addresses are written to logs and histories. Use this only where there is no other way, for tokens that run out
    /// soon.
    #[must_use]
    pub fn query(self, name: impl Into<String>) -> Self {
        self.at(|door| door.carriers.query = Some(name.into()))
    }

    /// Takes a token from `Sec-WebSocket-Protocol` too: the offer that follows the one of this name. Browsers cannot send an
    /// Authorization header with a web socket, but `new WebSocket(url, ["bearer", token])`. The answer must name the protocol
    /// that the server chose, `bearer`.
    #[must_use]
    pub fn websocket_protocol(self, name: impl Into<String>) -> Self {
        self.at(|door| door.carriers.protocol = Some(name.into()))
    }

    /// Checks the token of a request, by the system clock.
    ///
    #[cfg_attr(feature = "hs256", doc = "```")]
    #[cfg_attr(not(feature = "hs256"), doc = "```ignore")]
    /// use http::{Request, Response};
    /// use key0_validator::{Config, Validator};
    ///
    /// fn answer(validator: &Validator, request: &Request<()>) -> Response<String> {
    ///     match validator.authorize(request) {
    ///         Ok(token) => Response::new(format!("Welcome, buyer of {}.", token.plan_id())),
    ///         Err(refused) => refused.response(),
    ///     }
    /// }
    ///
    /// let validator = Validator::new(Config::hs256("the current secret, 32 bytes or more")?);
    /// assert_eq!(answer(&validator, &Request::new(())).status(), 401);
    /// # Ok::<(), key0_validator::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What is wrong with the request or its token.
    pub fn authorize<B>(&self, request: &Request<B>) -> Result<AccessToken, Refused> {
        let mut passed = passed(request.extensions());
        let query = request.uri().query();
        let outcome = judge(self, request.headers(), query, &mut passed, Clock::System);
        trace::outcome(&outcome);
        _ = refresh(&self.gateways, &outcome);
        outcome.map_err(|error| refused(self, error))
    }

    /// Like [`authorize`](Self::authorize), but waits for keys as [`validate_async`](Self::validate_async) does. The request is
    /// not borrowed while it waits.
    ///
    /// # Errors
    ///
    /// What is wrong with the request or its token.
    pub fn authorize_async<B>(
        &self,
        request: &Request<B>,
    ) -> impl Future<Output = Result<AccessToken, Refused>> + Send + use<B> {
        let mut passed = passed(request.extensions());
        let query = request.uri().query();
        let first = judge(self, request.headers(), query, &mut passed, Clock::System);
        // Copied only when there is something to wait for.
        let again = refresh(&self.gateways, &first).and_then(|refreshed| {
            let token = self.door.carriers.find(request.headers(), query).ok()?;
            let token = String::from_utf8(token.to_vec()).ok()?;
            Some((refreshed, token))
        });
        let validator = self.clone();
        async move {
            let outcome = match again {
                None => first,
                Some((refreshed, token)) => {
                    refreshed.await;
                    bare_token(&token).and_then(|token| {
                        let gateways = &validator.gateways;
                        let purpose = crate::authority::sealed::Parts::purpose(&validator);
                        try_all(gateways, token, Clock::System, purpose, Some(&passed))
                            .map(|(_, access)| access)
                    })
                }
            };
            trace::outcome(&outcome);
            outcome.map_err(|error| refused(&validator, error))
        }
    }
}

/// The results of earlier checks of this request.
pub(crate) fn passed(extensions: &http::Extensions) -> Passed {
    extensions.get::<Passed>().cloned().unwrap_or_default()
}

impl Refused {
    /// The answer: status, JSON body, `WWW-Authenticate`. For a body that cannot be made from a `String`, make it one of
    /// `String` and [`map`](Response::map) it.
    #[must_use]
    pub fn response<B: From<String>>(&self) -> Response<B> {
        let mut response = Response::new(B::from(self.body()));
        *response.status_mut() =
            StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let challenge = self
            .www_authenticate()
            .and_then(|text| HeaderValue::try_from(text).ok());
        headers.extend(challenge.map(|challenge| (WWW_AUTHENTICATE, challenge)));
        response
    }
}

impl ValidationError {
    /// The answer: [`Refused::response`] without an address where tokens are sold.
    #[must_use]
    pub fn response<B: From<String>>(&self) -> Response<B> {
        Refused::from(self.clone()).response()
    }
}
