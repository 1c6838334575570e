//! A call that a purchase has made at the seller's API. Method, path, headers and body come with the buyer's request
//! and are never stored.

use crate::catalog::Charged;
use crate::goods::AnswerHead;
use crate::types::{Address, B256, RequestId, RouteId};

/// The most bytes that the body of an answer may have.
pub(super) const MAX_ANSWER_BYTES: usize = 1_048_576;

/// The most times that a call is made for one payment, if its route allows repetitions.
pub(super) const MAX_CALLS: u32 = 2;

/// From this status on, an answer is an error of the seller's API.
pub const API_FAILS: u16 = 500;
/// The most bytes of an answer that is stored whole although it may be passed on while it arrives.
const KEPT_BYTES: usize = 64 * 1024;

/// A call that is to be made now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OriginCall {
    /// The number of the call within the purchase, from 1. The answer gets the same number.
    pub number: u32,
    /// The purchase. All of its calls have the same request id.
    pub request_id: RequestId,
    /// The wallet that pays.
    pub payer: Address,
    /// The route.
    pub route: RouteId,
    /// The payment's transaction, if the price was settled before the call.
    pub transaction: Option<B256>,
    /// The most bytes that the answer's body may have, if it is read to its end.
    pub limit: usize,
    /// Which answers may be passed on while they arrive. `None`: none.
    pub streams: Option<Streams>,
    /// How long we wait for the answer.
    pub timeout_millis: u32,
}

/// Which answers are passed on while they arrive, instead of being read to their end first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Streams {
    /// The statuses of these answers. Only what is charged for is passed on so.
    pub charged: Charged,
    /// The most bytes that such an answer may have to be read to its end all the same. `None`: none is, however short.
    pub kept: Option<usize>,
}

impl Streams {
    pub(super) fn of(charged: &Charged, is_at_once: bool) -> Self {
        Self {
            charged: charged.clone(),
            kept: (!is_at_once).then_some(KEPT_BYTES),
        }
    }
}

/// An answer to a call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Arrived {
    /// The answer has arrived to its end, and memory holds its body.
    Whole(
        /// The answer.
        AnswerHead,
    ),
    /// The rest of the answer is still to come, and nothing was passed on so far. (The length is the announced one, or
    /// zero.)
    Begun(
        /// The answer.
        AnswerHead,
    ),
}

impl Arrived {
    /// Status and headers.
    pub const fn head(&self) -> &AnswerHead {
        match self {
            Self::Whole(head) | Self::Begun(head) => head,
        }
    }
}
