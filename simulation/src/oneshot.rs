//! A place for one answer between two tasks.

use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::rc::Rc;

/// A place for one answer. Dropping the sender means that no answer will come.
pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let slot = Rc::new(RefCell::new(Slot {
        value: None,
        senders: 1,
        waker: None,
    }));
    (Sender(Rc::clone(&slot)), Receiver(slot))
}

#[derive(Debug)]
struct Slot<T> {
    value: Option<T>,
    senders: u32,
    waker: Option<Waker>,
}

/// Gives the answer. Of several, the first counts.
#[derive(Debug)]
pub struct Sender<T>(Rc<RefCell<Slot<T>>>);

/// Waits for the answer; `None` when none will come.
#[derive(Debug)]
pub struct Receiver<T>(Rc<RefCell<Slot<T>>>);

impl<T> Sender<T> {
    /// Gives the answer.
    pub fn send(self, value: T) {
        let mut slot = self.0.borrow_mut();
        if slot.value.is_none() {
            slot.value = Some(value);
        }
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.borrow_mut().senders += 1;
        Self(Rc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut slot = self.0.borrow_mut();
        slot.senders -= 1;
        if slot.senders == 0
            && let Some(waker) = slot.waker.take()
        {
            waker.wake();
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut slot = self.0.borrow_mut();
        if let Some(value) = slot.value.take() {
            return Poll::Ready(Some(value));
        }
        if slot.senders == 0 {
            return Poll::Ready(None);
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
