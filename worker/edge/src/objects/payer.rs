//! `PayerObject`, one per chain and payer: the book of that payer's payments.
//!
//! Stored: `payments` (for each authorization nonce, and for the key of each plain transfer: which purchase presented it and
//! which purchase it counts for; payments of purchases that did not begin are kept only for a while), `open` (for each
//! purchase under way: what it may still take), `recent` (what was delivered in the last two minutes), `identifiers` (the
//! names that clients gave to payments), `grants` and `nonces` (its grants with limits until 35 days after their end, and the
//! nonces of the last minutes with which it has asked for them; both only if it has such grants) and `standing` (one row: which of the payer's transfers succeeded or reverted, and so
//! how much it may have under way).
//!
//! Calls: `PayerCommand` → `PayerReply`.
//!
//! Why no interleaving breaks it: a command runs in one synchronous transaction and waits for nothing. No statement reads more
//! than what is under way or recent, whatever the payer has bought before.

mod tables;

use key0_core::book::{PayerCommand, execute};
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use self::tables::Book;
use super::{command, reply};
use crate::platform;

#[durable_object(fetch)]
pub struct PayerObject {
    book: Book,
}

impl DurableObject for PayerObject {
    fn new(state: State, _env: Env) -> Self {
        Self {
            book: Book::new(&state),
        }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let command: PayerCommand = command(&mut request).await?;
        let book = &self.book;
        let outcome = book
            .0
            .transaction(|| execute(book, &command, platform::now()));
        reply("payer", outcome)
    }
}
