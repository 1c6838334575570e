//! The layer: it stands inside the one that checks tokens.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use http::{HeaderName, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::body::MeteredBody;
use super::client::CallMeter;
use crate::body::TokenBody;
use crate::{AccessToken, Quota};

/// The header in which the inner service says what a call has cost. No caller sees it.
const COST: HeaderName = HeaderName::from_static("key0-cost");

/// Counts the calls of tokens with limits, and refuses those for which nothing is left.
///
/// It must stand inside the [`TokenLayer`](crate::TokenLayer), that is, be added before it. A request without a token, or with
/// one of a plan without limits, passes.
///
#[cfg_attr(feature = "hs256", doc = "```")]
#[cfg_attr(not(feature = "hs256"), doc = "```ignore")]
/// use http::{Request, Response};
/// use key0_validator::{CallMeter, ConfigError, MeterLayer};
///
/// /// Sends the request with the HTTP client that you have.
/// async fn send(request: Request<String>) -> Result<Response<String>, std::io::Error> {
///     # let _ = request;
///     # Err(std::io::ErrorKind::NotConnected.into())
/// }
///
/// fn layer(secret: &str) -> Result<MeterLayer, ConfigError> {
///     let meter = CallMeter::new("https://seller.example", secret, send)?;
///     Ok(MeterLayer::new(meter)) // and spawn a task that awaits meter.report() every ten seconds
/// }
/// # assert!(layer("a secret of 32 characters or more").is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct MeterLayer {
    meter: Option<CallMeter>,
}

impl MeterLayer {
    /// A layer that counts with this meter. With `None`, every call passes: for a backend that counts only where its settings
    /// say so.
    #[must_use]
    pub fn new(meter: impl Into<Option<CallMeter>>) -> Self {
        Self {
            meter: meter.into(),
        }
    }
}

impl<S> Layer<S> for MeterLayer {
    type Service = Metered<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Metered {
            inner,
            meter: self.meter.clone(),
        }
    }
}

/// The service that [`MeterLayer`] makes.
#[derive(Clone, Debug)]
pub struct Metered<S> {
    inner: S,
    meter: Option<CallMeter>,
}

type Answering<B, E> = Pin<Box<dyn Future<Output = Result<Response<MeteredBody<B>>, E>> + Send>>;

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Metered<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    ReqBody: Send + 'static,
{
    type Response = Response<MeteredBody<ResBody>>;
    type Error = S::Error;
    type Future = Answering<ResBody, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        // The service that was asked whether it is ready is the one to call.
        let next = self.inner.clone();
        let mut inner = core::mem::replace(&mut self.inner, next);
        let meter = self.meter.clone();
        Box::pin(async move {
            let counted = meter.and_then(|meter| {
                let token = request.extensions().get::<AccessToken>()?;
                Some((meter, token.grant()?.into_owned(), token.limits()?))
            });
            let Some((meter, grant, limits)) = counted else {
                let response = inner.call(request).await?;
                return Ok(response.map(|body| MeteredBody::new(TokenBody::inner(body), None)));
            };
            let pass = match meter.admit(&grant, &limits).await {
                Ok(pass) => pass,
                Err(refusal) => {
                    let refused = refusal.response::<String>();
                    return Ok(refused.map(|text| MeteredBody::new(TokenBody::refusal(text), None)));
                }
            };
            let mut response = inner.call(request).await?;
            let told = response.headers_mut().remove(COST);
            let place = (!response.status().is_server_error()).then(|| {
                let told = told.as_ref().and_then(|told| told.to_str().ok());
                let cost = limits.quota.as_ref().map(|quota| cost(told, quota));
                pass.spend(cost.unwrap_or(1))
            });
            Ok(response.map(|body| MeteredBody::new(TokenBody::inner(body), place)))
        })
    }
}

/// The units that a call takes of this quota: calls, or millionths of a dollar. One, if nothing is told that can be read.
fn cost(told: Option<&str>, quota: &Quota) -> u64 {
    let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    let read = |told: &str| match quota {
        Quota::Calls(_) => told.parse().ok().filter(|_| digits(told)),
        Quota::Credit(_) => {
            let dollars = told.strip_prefix('$')?;
            let (whole, part) = dollars.split_once('.').unwrap_or((dollars, "0"));
            if part.is_empty() || part.len() > 6 || !digits(whole) || !digits(part) {
                return None;
            }
            let whole: u64 = whole.parse().ok()?;
            let part: u64 = format!("{part:0<6}").parse().ok()?;
            whole.checked_mul(1_000_000)?.checked_add(part)
        }
    };
    told.and_then(read).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_read_as_the_gateway_reads_it() {
        let (calls, credit) = (Quota::Calls(9), Quota::Credit("$5.00".to_owned()));
        for (told, of_calls, of_credit) in [
            ("3", 3, 1),
            ("0", 0, 1),
            ("$0.0123", 1, 12_300),
            ("$0", 1, 0),
            ("$12", 1, 12_000_000),
            ("-1", 1, 1),
            ("+1", 1, 1),
            ("", 1, 1),
            ("$", 1, 1),
            ("$.5", 1, 1),
            ("$1.", 1, 1),
            ("$-1", 1, 1),
            ("$0.0000001", 1, 1),
            ("99999999999999999999999", 1, 1),
            ("$99999999999999999999", 1, 1),
        ] {
            assert_eq!(cost(Some(told), &calls), of_calls, "{told:?}");
            assert_eq!(cost(Some(told), &credit), of_credit, "{told:?}");
        }
        assert_eq!((cost(None, &calls), cost(None, &credit)), (1, 1));
    }
}
