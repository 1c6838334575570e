//! Passing an answer of the seller's API on while it arrives. The bytes stay outside of wasm's memory, and no more of
//! them are read than the buyer takes.

use std::cell::Cell;

use futures_util::future::{Either, select};
use js_sys::{Object, Promise, Reflect, Uint8Array};
use key0_core::purchase::{Awaited, StreamEnd};
use key0_core::types::UnixMillis;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStream, WritableStream, WritableStreamDefaultWriter};

use crate::origin::Begun;
use crate::platform;

/// The most bytes that are read at once.
const PIECE_BYTES: u32 = 64 * 1024;

#[wasm_bindgen]
extern "C" {
    /// The platform's own pipe: each write waits until its bytes were read.
    type IdentityTransformStream;
    #[wasm_bindgen(constructor, catch)]
    fn new() -> Result<IdentityTransformStream, JsValue>;
    #[wasm_bindgen(method, getter)]
    fn readable(this: &IdentityTransformStream) -> ReadableStream;
    #[wasm_bindgen(method, getter)]
    fn writable(this: &IdentityTransformStream) -> WritableStream;

    type Bytes;
    #[wasm_bindgen(method, catch, js_name = getReader)]
    fn reader(this: &Bytes, options: &JsValue) -> Result<Reader, JsValue>;

    type Reader;
    #[wasm_bindgen(method, catch)]
    fn read(this: &Reader, into: &Uint8Array) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn cancel(this: &Reader) -> Result<Promise, JsValue>;
}

/// An answer on its way from the seller's API to the buyer.
pub(crate) struct Passing {
    from: Begun,
    to: WritableStreamDefaultWriter,
    /// For how many milliseconds the buyer has taken nothing although there was something, until it last took something.
    waited: Cell<u64>,
    /// Who is to do something now, and since when.
    awaited: Cell<(Awaited, UnixMillis)>,
}

/// What the next step of an answer brought.
enum Step {
    Piece(Uint8Array),
    End(StreamEnd),
}

impl Step {
    /// The step that a read brought.
    fn of(read: &JsValue) -> Self {
        let member = |name: &str| Reflect::get(read, &JsValue::from_str(name)).ok();
        if member("done").is_none_or(|done| done.is_truthy()) {
            return Self::End(StreamEnd::Whole);
        }
        match member("value").map(JsValue::dyn_into) {
            Some(Ok(piece)) => Self::Piece(piece),
            _ => Self::End(StreamEnd::Cut),
        }
    }
}

impl Passing {
    /// Makes the pipe. The buyer reads the stream.
    pub(crate) fn begin(from: Begun) -> worker::Result<(Self, ReadableStream)> {
        let pipe = IdentityTransformStream::new()?;
        let to = pipe.writable().get_writer()?;
        let passing = Self {
            from,
            to,
            waited: Cell::new(0),
            awaited: Cell::new((Awaited::Api, platform::now())),
        };
        Ok((passing, pipe.readable()))
    }

    /// Passes the answer on, for at most `millis` milliseconds. Returns how that ended, and for how many milliseconds
    /// arrived bytes waited for the buyer. The buyer does not see the end: [`Passing::close`] and [`Passing::cut`]
    /// show it.
    pub(crate) async fn run(&self, millis: u64) -> (StreamEnd, u64) {
        let late = Box::pin(platform::sleep(millis));
        let over = select(Box::pin(self.silence()), late);
        let end = match select(Box::pin(self.pass()), over).await {
            Either::Left((end, _)) | Either::Right((Either::Left((end, _)), _)) => end,
            Either::Right((Either::Right(_), _)) => StreamEnd::TimeUp,
        };
        self.awaits(Awaited::Api);
        (end, self.waited.get())
    }

    /// Passes the answer on for as long as it takes, unless one side keeps the other waiting for too long. Returns how that
    /// ended.
    pub(crate) async fn run_on(&self) -> StreamEnd {
        let end = select(Box::pin(self.pass()), Box::pin(self.silence())).await;
        end.factor_first().0
    }

    /// From now on it is this side that is waited for.
    fn awaits(&self, next: Awaited) {
        let now = platform::now();
        let (before, since) = self.awaited.replace((next, now));
        if before == Awaited::Buyer {
            let waited = now.since(since);
            self.waited.set(self.waited.get().saturating_add(waited));
        }
    }

    /// Returns when one side has kept the other waiting for too long. One timer watches all pieces: a timer for each
    /// would cost more than the piece.
    async fn silence(&self) -> StreamEnd {
        loop {
            let (awaited, since) = self.awaited.get();
            match awaited.patience(platform::now().since(since)) {
                Ok(left) => platform::sleep(left).await,
                Err(end) => return end,
            }
        }
    }

    async fn pass(&self) -> StreamEnd {
        let Some(mut count) = self.gives_begun().await else {
            return StreamEnd::Left;
        };
        let by_buffer = Object::new();
        // A new object takes any member.
        let _ = Reflect::set(&by_buffer, &"mode".into(), &"byob".into());
        let bytes: &Bytes = self.from.stream().unchecked_ref();
        let Ok(reader) = bytes.reader(&by_buffer) else {
            return StreamEnd::Cut;
        };
        let mut gone = JsFuture::from(self.to.closed());
        loop {
            match self.next(&reader, &mut gone).await {
                Step::Piece(piece) => {
                    count += u64::from(piece.length());
                    if !self.gives(&piece).await {
                        // The connection is given up, so the outcome does not matter.
                        let _ = reader.cancel();
                        return StreamEnd::Left;
                    }
                }
                Step::End(StreamEnd::Whole) if self.from.is_short(count) => {
                    return StreamEnd::Cut;
                }
                Step::End(end) => return end,
            }
        }
    }

    /// Gives the buyer what has arrived before, and returns how many bytes that is. `None` if the buyer did not take it.
    async fn gives_begun(&self) -> Option<u64> {
        let begun = self.from.take();
        let is_taken = begun.length() == 0 || self.gives(&begun).await;
        is_taken.then(|| begun.length().into())
    }

    /// Reads on, until the buyer leaves (`gone`). The runtime may notice that only with the next bytes for the buyer. If
    /// none come any more, the answer ends as if the buyer had stayed.
    ///
    /// All pieces share one `gone`: a future of a promise takes memory until the promise is settled, even if it is
    /// dropped before, and there may be a million pieces.
    async fn next(&self, reader: &Reader, gone: &mut JsFuture) -> Step {
        let Ok(read) = reader.read(&Uint8Array::new_with_length(PIECE_BYTES)) else {
            return Step::End(StreamEnd::Cut);
        };
        match select(JsFuture::from(read), gone).await {
            Either::Left((Ok(piece), _)) => Step::of(&piece),
            Either::Left((Err(_), _)) => Step::End(StreamEnd::Cut),
            Either::Right(_) => {
                // The connection is given up, so the outcome does not matter.
                let _ = reader.cancel();
                Step::End(StreamEnd::Left)
            }
        }
    }

    /// Gives the buyer these bytes. Returns whether it took them.
    async fn gives(&self, piece: &Uint8Array) -> bool {
        self.awaits(Awaited::Buyer);
        let written = JsFuture::from(self.to.write_with_chunk(piece)).await;
        self.awaits(Awaited::Api);
        written.is_ok()
    }

    /// Shows the buyer the end of the answer.
    pub(crate) async fn close(&self) {
        // A buyer that has left does not see it.
        let _ = JsFuture::from(self.to.close()).await;
    }

    /// Cuts the connections to both sides, so that the buyer does not take what it has for the whole answer.
    pub(crate) async fn cut(&self) {
        let reason = JsValue::from_str("the answer was cut");
        // Nobody is left to be told that it failed.
        let _ = JsFuture::from(self.to.abort_with_reason(&reason)).await;
        self.from.abort();
    }
}
