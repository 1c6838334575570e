//! The layer that counts, and what is lost, repeated and late between it and the meter.

use core::convert::Infallible;
use core::future::{Future, pending, ready};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use http::{HeaderMap, Request, Response};
use key0_core::config::Config as Settings;
use key0_core::doors::grants::{BackendArrival, consume};
use key0_core::meter::{Granted, Meter, MeterCommand, MeterReply, Meters, Stored};
use key0_core::types::{Address, CallFault, UnixMillis, UnixSeconds};
use key0_validator::testing::{TestIssuer, TestToken};
use key0_validator::{
    CallMeter, ConfigError, MeterLayer, Metered, MeteredBody, RequireToken, TokenLayer, Validator,
};
use proptest::prelude::*;
use tower_layer::Layer as _;
use tower_service::Service as _;

const TOKENS: &str = "a secret for tokens, of 32 bytes or more";
const SECRET: &str = "a-secret-of-backends-that-count-calls";
const GRANT: &str = "550e8400-e29b-41d4-a716-446655440000";
const NOW: u64 = 1_800_000_000;

/// What becomes of the next messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    /// It does not arrive.
    Lost,
    /// It arrives, and its answer does not.
    Unheard,
}

/// A gateway that has sold one grant.
struct Gateway {
    settings: Settings,
    meter: Mutex<Meter>,
    clock: AtomicU64,
    trips: AtomicU64,
    fates: Mutex<VecDeque<Fate>>,
    is_away: Mutex<bool>,
    /// Whether answers wait.
    is_held: Mutex<bool>,
    sent: Mutex<Vec<String>>,
}

impl Gateway {
    fn new(limits: &str) -> Arc<Self> {
        let set = |name: &str| {
            let value = match name {
                "KEY0_WALLET_ADDRESS" => "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf",
                "KEY0_ACCESS_TOKEN_SECRET" => TOKENS,
                "KEY0_METER_SECRET" => SECRET,
                _ => return None,
            };
            Some(value.to_owned())
        };
        let stored = Stored::new(Granted {
            limits: serde_json::from_str(limits).unwrap(),
            plan: "starter".parse().unwrap(),
            resource: "default".parse().unwrap(),
            payer: Address::ZERO,
            from: UnixSeconds(NOW),
            ends_at: UnixSeconds(NOW + 86_400),
        });
        Arc::new(Self {
            settings: Settings::from_vars(set).unwrap(),
            meter: Mutex::new(Meter::new(1, stored, UnixMillis(NOW * 1_000))),
            clock: AtomicU64::new(0),
            trips: AtomicU64::new(0),
            fates: Mutex::default(),
            is_away: Mutex::default(),
            is_held: Mutex::default(),
            sent: Mutex::default(),
        })
    }

    fn millis(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(NOW * 1_000 + self.millis())
    }

    fn wait(&self, millis: u64) {
        self.clock.fetch_add(millis, Ordering::Relaxed);
    }

    fn used(&self) -> u64 {
        self.meter.lock().unwrap().stored().used
    }

    fn trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
    }

    /// What is neither used nor lent.
    fn free(&self) -> u64 {
        let mut meter = self.meter.lock().unwrap();
        meter.look(self.now()).standing.left
    }

    /// The process that counts dies, and another one goes on from what is stored.
    fn crash(&self) {
        let mut meter = self.meter.lock().unwrap();
        *meter = Meter::new(2, meter.stored().clone(), self.now());
    }

    fn takes(&self, headers: &HeaderMap, body: &str) -> Response<String> {
        let body = body.as_bytes();
        let arrival = BackendArrival { headers, body };
        let answer = now(consume(&self.settings, self, &arrival));
        answer.map(|body| String::from_utf8(body).unwrap())
    }

    fn deliver(&self, request: &Request<String>) -> Result<Response<String>, ()> {
        self.trips.fetch_add(1, Ordering::Relaxed);
        assert_eq!(request.uri(), "https://seller.example/grants/consume");
        if *self.is_away.lock().unwrap() {
            return Err(());
        }
        let fate = self.fates.lock().unwrap().pop_front();
        if fate == Some(Fate::Lost) {
            return Err(());
        }
        self.sent.lock().unwrap().push(request.body().clone());
        let answer = self.takes(request.headers(), request.body());
        fate.map_or(Ok(answer), |_| Err(()))
    }

    /// A backend of this gateway.
    fn meter(self: &Arc<Self>) -> CallMeter {
        let (gateway, clock) = (Arc::clone(self), Arc::clone(self));
        let send = move |request: Request<String>| {
            let gateway = Arc::clone(&gateway);
            async move {
                core::future::poll_fn(|_| match *gateway.is_held.lock().unwrap() {
                    true => Poll::Pending,
                    false => Poll::Ready(()),
                })
                .await;
                gateway.deliver(&request)
            }
        };
        let meter = CallMeter::new("https://seller.example/", SECRET, send).unwrap();
        meter.clock(move || Duration::from_millis(clock.millis()))
    }
}

impl Meters for Gateway {
    async fn ask(&self, grant: &str, command: &MeterCommand) -> Result<MeterReply, CallFault> {
        let MeterCommand::Lease(report) = command else {
            panic!("{command:?}");
        };
        if grant != GRANT {
            return Ok(MeterReply::NotGranted);
        }
        let mut meter = self.meter.lock().unwrap();
        let (reply, stored) = meter.lend(report, self.now());
        if let Some(stored) = stored {
            meter.adopt(stored);
        }
        Ok(reply)
    }
}

/// The value of a future that waits for nothing.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// A body that stays until it is dropped.
#[derive(Debug)]
struct Body;

impl http_body::Body for Body {
    type Data = bytes::Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}

/// Answers as each request wishes: `/status`, or `/status/cost`; `/never` is never answered.
#[derive(Clone)]
struct Api;

impl tower_service::Service<Request<()>> for Api {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        if request.uri().path() == "/never" {
            return Box::pin(pending());
        }
        let mut parts = request.uri().path().split('/').skip(1);
        let mut response = Response::new(Body);
        *response.status_mut() = parts.next().unwrap().parse().unwrap();
        if let Some(cost) = parts.next() {
            let cost = cost.parse().unwrap();
            response.headers_mut().insert("key0-cost", cost);
        }
        Box::pin(ready(Ok(response)))
    }
}

type Answer = Response<key0_validator::TokenBody<MeteredBody<Body>>>;

/// A process that serves calls.
#[derive(Clone)]
struct Backend {
    service: RequireToken<Metered<Api>>,
    meter: CallMeter,
    bearer: String,
}

impl Backend {
    fn new(meter: CallMeter, limits: &str) -> Self {
        let issuer = TestIssuer::hs256(TOKENS).unwrap();
        let token = TestToken::new().claim("grant", format!("\"{GRANT}\""));
        let layer = TokenLayer::new(Validator::new(issuer.config()));
        Self {
            service: layer.layer(MeterLayer::new(meter.clone()).layer(Api)),
            meter,
            bearer: issuer.bearer(&token.claim("limits", limits)),
        }
    }

    fn begin(&mut self, path: &str) -> impl Future<Output = Result<Answer, Infallible>> + use<> {
        let request = Request::builder()
            .uri(path)
            .header("authorization", &self.bearer);
        self.service.call(request.body(()).unwrap())
    }

    fn answers(&mut self, path: &str) -> Answer {
        now(self.begin(path)).unwrap()
    }

    fn serves(&mut self) -> u16 {
        self.answers("/200").status().as_u16()
    }
}

/// A gateway and a backend.
fn shop(limits: &str) -> (Arc<Gateway>, Backend) {
    let gateway = Gateway::new(limits);
    let backend = Backend::new(gateway.meter(), limits);
    (gateway, backend)
}

fn text(response: Answer) -> String {
    let mut body = pin!(response.into_body());
    let mut text = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(frame)) = http_body::Body::poll_frame(body.as_mut(), &mut context) {
        text.extend(frame.unwrap().into_data().unwrap());
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn one_question_serves_fifty_calls_while_four_hundred_are_left_and_no_call_is_given_away() {
    let (gateway, mut backend) = shop(r#"{"quota":{"calls":800}}"#);
    for _ in 0..400 {
        assert_eq!(backend.serves(), 200);
    }
    assert_eq!(gateway.trips(), 8);
    let (gateway, mut backend) = shop(r#"{"quota":{"calls":200}}"#);
    let served = (0..300).filter(|_| backend.serves() == 200).count();
    assert_eq!((served, gateway.used()), (200, 200));
    let trips = gateway.trips();
    let refused = backend.answers("/200");
    assert_eq!(refused.status(), 402);
    assert_eq!(refused.headers().get("retry-after"), None);
    let body: serde_json::Value = serde_json::from_str(&text(refused)).unwrap();
    assert_eq!(
        (&body["type"], &body["code"]),
        (&"Error".into(), &"QUOTA_USED_UP".into())
    );
    assert_eq!(gateway.trips(), trips, "it is known for a second");
    gateway.wait(1_000);
    assert_eq!((backend.serves(), gateway.trips()), (402, trips + 1));
}

#[test]
fn what_fails_is_not_counted_and_what_costs_more_is() {
    let (gateway, mut backend) = shop(r#"{"quota":{"calls":400}}"#);
    for path in ["/500", "/503/9", "/200/0"] {
        let answer = backend.answers(path);
        assert_eq!(answer.headers().get("key0-cost"), None, "no caller sees it");
    }
    now(backend.meter.close());
    assert_eq!(gateway.used(), 0);
    assert_eq!(backend.answers("/404/3").status(), 404);
    assert_eq!(backend.answers("/200/x").status(), 200);
    now(backend.meter.close());
    assert_eq!((gateway.used(), gateway.free()), (4, 396));
    let (gateway, mut backend) = shop(r#"{"quota":{"credit":"$1"}}"#);
    for _ in 0..3 {
        backend.answers("/200/$0.0123");
    }
    now(backend.meter.close());
    assert_eq!(gateway.used(), 36_900);
    // A caller that leaves before there is an answer has used nothing.
    let (gateway, mut backend) = shop(r#"{"quota":{"calls":400}}"#);
    drop(backend.begin("/200"));
    now(backend.meter.close());
    assert_eq!(gateway.used(), 0);
}

#[test]
fn a_token_without_limits_asks_nobody_and_one_of_another_gateway_opens_nothing() {
    let (gateway, mut backend) = shop(r#"{"quota":{"calls":400}}"#);
    let issuer = TestIssuer::hs256(TOKENS).unwrap();
    backend.bearer = issuer.bearer(&TestToken::new());
    assert_eq!((backend.serves(), gateway.trips()), (200, 0));
    let (_, mut without) = shop(r#"{"quota":{"calls":400}}"#);
    let layer = TokenLayer::new(Validator::new(issuer.config()));
    without.service = layer.layer(MeterLayer::new(None).layer(Api));
    assert_eq!(without.serves(), 200, "a backend that does not count");
    for grant in ["another", "a b", "x".repeat(65).as_str()] {
        let token = TestToken::new().claim("grant", format!("\"{grant}\""));
        backend.bearer = issuer.bearer(&token.claim("limits", r#"{"quota":{"calls":400}}"#));
        let refused = backend.answers("/200");
        assert_eq!(refused.status(), 401);
        assert!(refused.headers().contains_key("www-authenticate"));
    }
    assert_eq!(gateway.trips(), 1);
}

#[test]
fn a_call_holds_its_place_until_its_answer_has_ended() {
    let limits = r#"{"concurrency":2}"#;
    let (_, mut backend) = shop(limits);
    let (first, second) = (backend.answers("/200"), backend.answers("/200"));
    let third = backend.answers("/200");
    assert_eq!(
        (third.status().as_u16(), &third.headers()["retry-after"]),
        (429, &"1".parse().unwrap())
    );
    drop(first);
    assert_eq!(backend.answers("/500").status(), 500);
    let fourth = backend.answers("/200");
    assert_eq!(
        (fourth.status(), backend.serves()),
        (200.try_into().unwrap(), 429)
    );
    assert_eq!(text(second), "", "read to its end");
    assert_eq!(backend.serves(), 200);
}

#[test]
fn a_rate_holds_for_all_backends_together_and_for_credit_in_each() {
    let limits = r#"{"rate":{"calls":5,"per":"hour"}}"#;
    let (gateway, mut first) = shop(limits);
    let mut second = Backend::new(gateway.meter().lease(3), limits);
    let served = (0..9).map(|_| (second.serves(), first.serves()));
    let served: Vec<_> = served.flat_map(|(a, b)| [a, b]).collect();
    assert_eq!(served.iter().filter(|status| **status == 200).count(), 5);
    let refused = first.answers("/200");
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (429, &"3600".parse().unwrap())
    );
    gateway.wait(3_600_000);
    assert_eq!(first.serves(), 200);
    let (_, mut credit) = shop(r#"{"quota":{"credit":"$5"},"rate":{"calls":2,"per":"minute"}}"#);
    assert_eq!(
        [credit.serves(), credit.serves(), credit.serves()],
        [200, 200, 429]
    );
}

#[test]
fn while_the_gateway_is_away_calls_stop_or_go_on_for_as_long_as_was_said() {
    let limits = r#"{"quota":{"calls":400}}"#;
    let (gateway, mut closed) = shop(limits);
    let mut open = Backend::new(gateway.meter().open_for(Duration::from_secs(30)), limits);
    assert_eq!(closed.serves(), 200);
    *gateway.is_away.lock().unwrap() = true;
    for _ in 1..50 {
        assert_eq!(closed.serves(), 200, "what was lent is good");
    }
    let refused = closed.answers("/200");
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    let trips = gateway.trips();
    assert_eq!(
        (closed.serves(), gateway.trips()),
        (503, trips),
        "it is not asked by each"
    );
    for _ in 0..30 {
        assert_eq!(open.serves(), 200);
        gateway.wait(999);
    }
    gateway.wait(30);
    assert_eq!(open.serves(), 503);
    *gateway.is_away.lock().unwrap() = false;
    gateway.wait(1_000);
    assert_eq!((open.serves(), closed.serves()), (200, 200));
    now(open.meter.close());
    now(closed.meter.close());
    assert_eq!((gateway.used(), gateway.free()), (82, 318));
    // What is used up stays so.
    let limits = r#"{"quota":{"calls":1}}"#;
    let gateway = Gateway::new(limits);
    let mut one = Backend::new(gateway.meter().open_for(Duration::from_secs(30)), limits);
    assert_eq!([one.serves(), one.serves()], [200, 402]);
    *gateway.is_away.lock().unwrap() = true;
    gateway.wait(2_000);
    assert_eq!([one.serves(), one.serves()], [402, 402]);
}

#[test]
fn many_calls_wait_for_one_question_and_go_on_when_whoever_asked_leaves() {
    let (gateway, mut backend) = shop(r#"{"quota":{"calls":400}}"#);
    *gateway.is_held.lock().unwrap() = true;
    let mut calls: Vec<_> = (0..20).map(|_| Box::pin(backend.begin("/200"))).collect();
    assert!(calls.iter_mut().all(waits));
    drop(calls.remove(0));
    *gateway.is_held.lock().unwrap() = false;
    assert!(!calls.iter_mut().any(waits));
    assert_eq!(gateway.trips(), 1);
}

/// Whether the future waits.
fn waits<F: Future>(future: &mut Pin<Box<F>>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    future.as_mut().poll(&mut context).is_pending()
}

#[test]
fn what_calls_under_way_may_take_is_nobody_else_s() {
    let (gateway, mut backend) = shop(r#"{"quota":{"calls":3}}"#);
    assert_eq!(backend.serves(), 200);
    let mut slow = [backend.begin("/never"), backend.begin("/never")].map(Box::pin);
    assert!(slow.iter_mut().all(waits));
    assert_eq!(
        gateway.free(),
        0,
        "both are made, though each was asked for"
    );
    let refused = backend.answers("/200");
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (429, &"1".parse().unwrap())
    );
    drop(slow);
    assert_eq!(
        [backend.serves(), backend.serves(), backend.serves()],
        [200, 200, 402]
    );
    // A call may cost as much as the dearest of late.
    let (_, mut dear) = shop(r#"{"quota":{"calls":100}}"#);
    assert_eq!(dear.answers("/200/60").status(), 200);
    let mut slow = Box::pin(dear.begin("/never"));
    assert!(waits(&mut slow));
    assert_eq!(dear.serves(), 429);
    drop(slow);
    assert_eq!(dear.serves(), 200);
}

#[test]
fn a_lease_is_not_used_after_its_end_or_while_it_is_given_back() {
    let (gateway, mut backend) = shop(r#"{"quota":{"calls":400}}"#);
    assert_eq!(backend.serves(), 200);
    gateway.wait(54_000);
    assert_eq!((backend.serves(), gateway.trips()), (200, 1));
    gateway.wait(1_000);
    assert_eq!((backend.serves(), gateway.trips()), (200, 2));
    *gateway.is_held.lock().unwrap() = true;
    let meter = backend.meter.clone();
    let mut closing = Box::pin(meter.close());
    assert!(waits(&mut closing));
    let mut call = Box::pin(backend.begin("/200"));
    assert!(waits(&mut call));
    *gateway.is_held.lock().unwrap() = false;
    assert!(!waits(&mut closing));
    assert_eq!((gateway.used(), gateway.free()), (3, 397));
    assert_eq!(now(call).unwrap().status(), 200);
}

#[test]
fn what_is_quiet_is_reported_and_given_back() {
    let (gateway, mut backend) = shop(r#"{"quota":{"calls":400}}"#);
    assert_eq!(backend.serves(), 200);
    now(backend.meter.report());
    assert_eq!(
        (gateway.trips(), gateway.used(), gateway.free()),
        (1, 0, 350)
    );
    gateway.wait(20_000);
    assert_eq!(backend.serves(), 200);
    now(backend.meter.report());
    assert_eq!(
        (gateway.trips(), gateway.used(), gateway.free()),
        (2, 2, 350),
        "it is still used"
    );
    gateway.wait(20_000);
    now(backend.meter.report());
    assert_eq!(
        (gateway.trips(), gateway.used(), gateway.free()),
        (3, 2, 398)
    );
    now(backend.meter.report());
    assert_eq!(gateway.trips(), 3, "it is forgotten");
    assert_eq!(backend.serves(), 200);
}

#[test]
fn a_meter_without_an_address_or_a_secret_is_refused() {
    let new = |url: &str, secret: &str| {
        let meter = CallMeter::new(url, secret, |_| ready(Err::<Response<String>, _>(())));
        meter.err()
    };
    assert_eq!(new("https://seller.example", SECRET), None);
    assert_eq!(new("seller.example", SECRET), Some(ConfigError::BadUrl));
    let short = Some(ConfigError::ShortSecret { len: 5 });
    assert_eq!(new("https://seller.example", "short"), short);
    assert!(new("https://seller.example", &format!("{SECRET}\n")).is_some());
    let shown = format!("{:?}", Gateway::new("{}").meter());
    assert!(!shown.contains(SECRET), "{shown}");
}

/// What happens to a grant's calls at three backends.
#[derive(Clone, Debug)]
enum Step {
    /// A call, and whether it fails.
    Call(usize, bool),
    /// What becomes of the next message.
    Fate(Fate),
    /// A message arrives again, long after.
    Again(usize),
    Report(usize),
    Close(usize),
    /// The process that counts dies.
    Crash,
    /// A backend dies, and another one comes.
    Die(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let backend = 0..3_usize;
    prop_oneof![
        20 => (backend.clone(), prop::bool::weighted(0.1)).prop_map(|(at, fails)| Step::Call(at, fails)),
        2 => prop_oneof![Just(Fate::Lost), Just(Fate::Unheard)].prop_map(Step::Fate),
        2 => any::<usize>().prop_map(Step::Again),
        2 => backend.clone().prop_map(Step::Report),
        1 => backend.clone().prop_map(Step::Close),
        1 => Just(Step::Crash),
        1 => backend.prop_map(Step::Die),
        1 => (0_u64..90_000).prop_map(Step::Wait),
    ]
}

const QUOTA: u64 = 40;
const LEASE: u32 = 4;
const LIMITS: &str = r#"{"quota":{"calls":40}}"#;

struct World {
    gateway: Arc<Gateway>,
    backends: Vec<Backend>,
    served: u64,
    headers: HeaderMap,
}

impl World {
    fn new() -> Self {
        let gateway = Gateway::new(LIMITS);
        let backend = |_| Backend::new(gateway.meter().lease(LEASE), LIMITS);
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {SECRET}").parse().unwrap());
        Self {
            backends: (0..3).map(backend).collect(),
            gateway,
            served: 0,
            headers,
        }
    }

    fn call(&mut self, at: usize, fails: bool) {
        let path = if fails { "/500" } else { "/200" };
        let status = self.backends[at].answers(path).status().as_u16();
        match status {
            200 => self.served += 1,
            402 => assert!(self.served >= QUOTA, "to pay with {} served", self.served),
            429 => assert_eq!(self.gateway.free(), 0, "something is left for nobody"),
            500 | 503 => {}
            other => panic!("{other}"),
        }
        if matches!(status, 402 | 429 | 503) {
            // A refusal is believed for a second.
            self.gateway.wait(1_000);
            for at in 0..self.backends.len() {
                now(self.backends[at].meter.report());
            }
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Call(at, fails) => self.call(at, fails),
            Step::Fate(fate) => self.gateway.fates.lock().unwrap().push_back(fate),
            Step::Again(at) => {
                let sent = self.gateway.sent.lock().unwrap().clone();
                if let Some(body) = sent.get(at % sent.len().max(1)) {
                    self.gateway.takes(&self.headers, body);
                }
            }
            Step::Report(at) => now(self.backends[at].meter.report()),
            Step::Close(at) => now(self.backends[at].meter.close()),
            Step::Crash => self.gateway.crash(),
            Step::Die(at) => {
                self.backends[at] = Backend::new(self.gateway.meter().lease(LEASE), LIMITS);
            }
            Step::Wait(millis) => self.gateway.wait(millis),
        }
        assert!(
            self.gateway.used() <= self.served,
            "a call was counted twice"
        );
    }

    /// Every backend has reported.
    fn settle(&mut self) {
        self.gateway.fates.lock().unwrap().clear();
        for backend in &self.backends {
            now(backend.meter.close());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_is_lost_or_repeated_no_more_is_served_than_was_sold_and_nothing_is_kept_back(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new();
        for step in &steps {
            if !matches!(step, Step::Die(_) | Step::Wait(_)) {
                world.take(step);
            }
            prop_assert!(world.served <= QUOTA, "{} served", world.served);
        }
        world.settle();
        prop_assert_eq!(world.gateway.used(), world.served);
        // What is left is good for calls, at whichever backend.
        world.gateway.wait(60_000);
        while world.backends[0].serves() == 200 {
            world.served += 1;
        }
        prop_assert_eq!(world.served, QUOTA);
    }

    #[test]
    fn a_backend_that_dies_or_is_silent_costs_one_lease(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        let mut excused = 0;
        for step in &steps {
            world.take(step);
            excused += match step {
                Step::Die(_) => 1,
                // Each of the leases may run out.
                Step::Wait(_) => 3,
                _ => 0,
            };
            prop_assert!(world.served <= QUOTA + excused * u64::from(LEASE));
        }
        world.settle();
        let deaths = steps.iter().filter(|step| matches!(step, Step::Die(_))).count();
        let lost = u64::try_from(deaths).unwrap() * u64::from(LEASE);
        prop_assert!(world.gateway.used() + lost >= world.served.min(QUOTA));
    }
}
