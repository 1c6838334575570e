//! Stands in for the fetch of rotating keys in builds without RS256, where there is nothing to wait for.

use core::convert::Infallible;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

/// Never constructed: this build has no keys that are fetched.
#[derive(Debug)]
pub(crate) struct Refreshed(Infallible);

impl Refreshed {
    pub(crate) fn and(self, _: Self) -> Self {
        self
    }
}

impl Future for Refreshed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match self.0 {}
    }
}
