//! Calls of routes that a request describes instead of making them, and how they reach the seller's API.

use core::future::Future;

use http::{HeaderMap, Method};

use crate::goods::{AnswerHead, OriginFault};
use crate::offer::CallDigest;
use crate::types::{RequestId, RouteId};

/// The most bytes of an answer that is given as JSON.
pub const MAX_TOLD_BYTES: usize = 262_144;

/// A call in the form in which it is sent to the seller's API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Brought {
    /// What a payment for this call is bound to.
    pub digest: CallDigest,
    /// The route.
    pub route: RouteId,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// The headers that are passed on.
    pub headers: HeaderMap,
    /// The body; empty if there is none.
    pub body: Vec<u8>,
}

/// The calls of one request. A purchase makes its call with what a request has brought along; nothing of it is stored.
/// An answer of more than [`MAX_TOLD_BYTES`] counts as no answer.
pub trait Calls {
    /// Brings this call along with every further question to a purchase.
    fn bring(&self, call: Brought);

    /// Makes a call that is free, for the request with this id.
    fn make(
        &self,
        call: Brought,
        request_id: &RequestId,
    ) -> impl Future<Output = Result<AnswerHead, OriginFault>>;

    /// The body of the answer that this purchase, or free request, gave last. `None` if it gave none.
    fn body(&self, request_id: &str) -> Option<Vec<u8>>;
}
