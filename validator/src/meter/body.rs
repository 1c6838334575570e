//! The body of an answer whose call holds a place among those under way.

use core::pin::Pin;
use core::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::client::Place;
use crate::TokenBody;

pin_project! {
    /// The body of a [`Metered`](crate::Metered)'s answer. The call is under way until it has ended, or is dropped.
    #[derive(Debug)]
    pub struct MeteredBody<B> {
        #[pin]
        body: TokenBody<B>,
        place: Option<Place>,
    }
}

impl<B> MeteredBody<B> {
    pub(super) fn new(body: TokenBody<B>, place: Option<Place>) -> Self {
        Self { body, place }
    }
}

/// Some servers make answers of their own.
impl<B: Default> Default for MeteredBody<B> {
    fn default() -> Self {
        Self::new(TokenBody::default(), None)
    }
}

impl<B: Body<Data = Bytes>> Body for MeteredBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            *this.place = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
