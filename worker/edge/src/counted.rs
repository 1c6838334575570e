//! A call that is counted, from its answer's head to its end: the meter hears what the call takes, and when it is over.
//!
//! The caller sees the end of an answer only after the meter has: so its next call finds its place free, and its unit spent.

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;

use futures_util::future::{Either, select};
use http::HeaderMap;
use js_sys::{Function, Promise};
use key0_core::backend::origin::passed_back;
use key0_core::doors::gateway::Counted;
use key0_core::json;
use key0_core::meter::{Fate, Lately, MeterCommand, MeterReply, Meters as _};
use key0_core::pauses::{METER_AGAIN, METER_NEWS, METER_ONCE};
use key0_core::purchase::StreamEnd;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use worker::{Context, Env};

use crate::objects::Objects;
use crate::origin::{Begun, Opened};
use crate::platform;
use crate::stream::Passing;

thread_local! {
    static LATELY: RefCell<Lately> = RefCell::default();
}

/// The refusal that this grant gave a moment ago to the same question.
pub(crate) fn lately(grant: &str, command: &MeterCommand) -> Option<MeterReply> {
    let is_question = matches!(command, MeterCommand::Reserve(_));
    let refusal = || LATELY.with_borrow(|lately| lately.refusal(grant, platform::now()));
    is_question.then(refusal)?
}

/// Remembers a refusal for a moment.
pub(crate) fn note(grant: &str, reply: &MeterReply) {
    LATELY.with_borrow_mut(|lately| lately.note(grant, reply, platform::now()));
}

/// Keeps a request going until this is dropped, even if its caller leaves: its call then holds its place no longer than the
/// API takes to answer.
pub(crate) struct Stay(Option<Function>);

impl Stay {
    pub(crate) fn new(context: &Context) -> Self {
        let leave = AssertUnwindSafe(Cell::new(None));
        let hold = &leave;
        let stays = Promise::new(&mut |resolve, _| hold.set(Some(resolve)));
        context.wait_until(async move {
            // It is never rejected.
            let _ = JsFuture::from(stays).await;
        });
        Self(leave.take())
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Some(leave) = &self.0 {
            // A promise that is resolved takes any call.
            let _ = leave.call0(&JsValue::NULL);
        }
    }
}

/// A counted call whose answer has begun, or that has failed.
pub(crate) struct Account {
    env: Env,
    counted: Counted,
    fate: Fate,
    /// Whether the meter may have heard of the fate.
    is_told: Cell<bool>,
    /// Whether it is being told now.
    is_telling: Cell<bool>,
    /// Whether the meter has heard that the call is over.
    is_over: Cell<bool>,
}

impl Account {
    pub(crate) const fn new(env: Env, counted: Counted, fate: Fate) -> Self {
        Self {
            env,
            counted,
            fate,
            is_told: Cell::new(false),
            is_telling: Cell::new(false),
            is_over: Cell::new(false),
        }
    }

    /// Tells the meter. Returns whether it has heard that the call is over.
    async fn tell(&self, is_over: bool) -> bool {
        let is_again = self.is_told.replace(true);
        let now = platform::now();
        let told = self.counted.told(self.fate, is_over, is_again, now);
        let objects = Objects::new(&self.env);
        self.is_telling.set(true);
        let is_heard = objects.ask(&self.counted.grant, &told).await.is_ok();
        self.is_telling.set(false);
        self.is_over.set(is_heard && is_over);
        is_heard && is_over
    }

    /// Tells the meter again that the call is over.
    async fn insist(&self) {
        for pause in METER_AGAIN {
            platform::sleep(pause).await;
            if self.tell(true).await {
                return;
            }
        }
        platform::log("call_end_not_told", json!({"grant": self.counted.grant}));
    }

    /// Ends a call whose answer has no body that is passed on.
    pub(crate) async fn end(self, context: &Context) {
        if !self.tell(true).await {
            context.wait_until(async move { self.insist().await });
        }
    }

    /// Passes the body of an answer on, and returns what the caller reads.
    pub(crate) fn pass_on(
        self,
        begun: Begun,
        context: &Context,
    ) -> worker::Result<web_sys::ReadableStream> {
        let (passing, stream) = match Passing::begin(begun) {
            Ok(begun) => begun,
            Err(fault) => {
                // The API has answered, so the call counts; nothing of it is passed on.
                context.wait_until(async move {
                    if !self.tell(true).await {
                        self.insist().await;
                    }
                });
                return Err(fault);
            }
        };
        context.wait_until(async move { self.follow(&passing).await });
        Ok(stream)
    }

    async fn follow(&self, passing: &Passing) {
        let (end, mut news) = match select(Box::pin(passing.run_on()), Box::pin(self.news())).await
        {
            Either::Left(ended) => ended,
            Either::Right((never, _)) => match never {},
        };
        // The first telling is heard, or has failed, before there is a second.
        while self.is_telling.get() {
            news = match select(news, Box::pin(platform::sleep(METER_ONCE))).await {
                Either::Left((never, _)) => match never {},
                Either::Right((_, news)) => news,
            };
        }
        let is_heard = self.is_over.get() || self.tell(true).await;
        match end {
            StreamEnd::Whole => passing.close().await,
            _ => passing.cut().await,
        }
        if !is_heard {
            self.insist().await;
        }
    }

    /// While an answer is passed on: tells what the call takes, and then, from time to time, that it still holds its place.
    async fn news(&self) -> core::convert::Infallible {
        let has_a_place = self.counted.has_a_place();
        platform::sleep(METER_ONCE).await;
        loop {
            if has_a_place || !self.is_over.get() {
                self.tell(!has_a_place).await;
            }
            platform::sleep(METER_NEWS).await;
        }
    }
}

/// The headers of a counted answer, what the call takes, and the log line for a cost that cannot be read.
pub(crate) fn head(counted: &Counted, opened: &Opened) -> (Fate, HeaderMap) {
    let fate = counted.fate(opened.status, &opened.headers);
    if fate.is_err() {
        let detail = "Key0-Cost cannot be read, or is no cost of this plan's quota";
        platform::log(
            "cost_not_read",
            json!({"grant": counted.grant, "detail": detail}),
        );
    }
    let (Ok(fate) | Err(fate)) = fate;
    let mut headers = passed_back(&opened.headers, false);
    for (name, value) in counted.headers(fate, platform::now().to_seconds()) {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
    (fate, headers)
}
