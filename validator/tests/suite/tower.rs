//! The layer, with a body type of nobody's framework.

use core::convert::Infallible;
use core::future::{Ready, ready};
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use http::{Request, Response};
use key0_validator::AccessToken;
use key0_validator::tower::TokenLayer;
use tower_layer::Layer;
use tower_service::Service;

use crate::mint::*;

/// Any type that a text can become will do as a body.
#[derive(Debug, PartialEq)]
struct Body(String);

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Answers with the plan that it finds in the request's extensions.
#[derive(Clone)]
struct Plan;

impl Service<Request<&'static [u8]>> for Plan {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<&'static [u8]>) -> Self::Future {
        let token = request
            .extensions()
            .get::<AccessToken>()
            .expect("the layer put it there");
        ready(Ok(Response::new(Body(token.plan_id().to_owned()))))
    }
}

fn answer(headers: &[&str]) -> Response<Body> {
    let mut service = TokenLayer::new(config()).clock(|| NOW).layer(Plan);
    let mut request = Request::builder();
    for header in headers {
        request = request.header("authorization", header.as_bytes());
    }
    let request = request.body(&b"the body is not looked at"[..]).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_ready());
    match pin!(service.call(request)).poll(&mut context) {
        Poll::Ready(answer) => answer.unwrap(),
        Poll::Pending => panic!("nothing here waits"),
    }
}

#[test]
fn a_good_token_reaches_the_inner_service_with_its_claims() {
    let response = answer(&[&bearer(HEADER.as_bytes(), CLAIMS.as_bytes(), SECRET)]);
    assert_eq!(response.status(), 200);
    assert_eq!(response.into_body(), Body("basic".to_owned()));
}

#[test]
fn without_a_token_the_answer_is_401_with_a_challenge() {
    let response = answer(&[]);
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let body: serde_json::Value = serde_json::from_str(&response.into_body().0).unwrap();
    assert_eq!(body["type"], "Error");
    assert_eq!(body["code"], "INVALID_REQUEST");
}

#[test]
fn an_expired_token_is_said_to_be_expired() {
    let claims = claims_with("exp", Some("1700000000"));
    let response = answer(&[&bearer(HEADER.as_bytes(), claims.as_bytes(), SECRET)]);
    assert_eq!(response.status(), 401);
    assert_eq!(
        response.headers()["www-authenticate"],
        "Bearer error=\"invalid_token\", error_description=\
         \"The token expired at 1700000000 (Unix time); buy access again\""
    );
    assert!(
        response
            .into_body()
            .0
            .contains("\"code\":\"CHALLENGE_EXPIRED\"")
    );
}

#[test]
fn two_authorization_headers_are_refused_even_if_both_are_good() {
    let good = bearer(HEADER.as_bytes(), CLAIMS.as_bytes(), SECRET);
    let response = answer(&[&good, &good]);
    assert_eq!(response.status(), 401);
    assert!(
        response
            .into_body()
            .0
            .contains("more than one Authorization header")
    );
}

#[test]
fn a_header_of_other_than_ascii_is_refused() {
    assert_eq!(answer(&["Bearer \u{e9}"]).status(), 401);
}

#[test]
fn a_layer_in_front_of_one_door_refuses_tokens_for_others_with_403() {
    let door = |layer: TokenLayer| {
        let mut service = layer.clock(|| NOW).layer(Plan);
        let good = bearer(HEADER.as_bytes(), CLAIMS.as_bytes(), SECRET);
        let request = Request::builder().header("authorization", good);
        let answer = service.call(request.body(&b""[..]).unwrap());
        let mut context = Context::from_waker(Waker::noop());
        match pin!(answer).poll(&mut context) {
            Poll::Ready(answer) => answer.unwrap(),
            Poll::Pending => panic!("nothing here waits"),
        }
    };
    assert_eq!(
        door(TokenLayer::new(config()).resource("default")).status(),
        200
    );
    assert_eq!(
        door(TokenLayer::new(config()).plans(["pro", "basic"])).status(),
        200
    );
    let refused = door(TokenLayer::new(config()).resource("default").plans(["pro"]));
    assert_eq!(refused.status(), 403);
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
    assert!(
        challenge.starts_with("Bearer error=\"insufficient_scope\""),
        "{challenge}"
    );
    assert_eq!(
        door(TokenLayer::new(config()).resource("other")).status(),
        403
    );
}

/// A rotation behind the layer: the request that brings the new key is held until the keys are there.
#[test]
fn a_request_waits_for_keys_that_are_being_fetched() {
    use crate::jwks::{document, jwk};
    use crate::rotation::block_on;
    use key0_validator::{Config, FetchError, Fetched, KeySource, Refresh};

    let (release, released) = std::sync::mpsc::channel();
    let fetch = move |_: Option<&str>| {
        released.recv().map_err(|_| FetchError("over".to_owned()))?;
        Ok(Fetched::Document {
            text: document(&[jwk(A_PUBLIC, "a")]),
            etag: None,
            max_age: None,
        })
    };
    let keys = KeySource::fetching(fetch, Refresh::default()).unwrap();
    let mut service = TokenLayer::new(Config::keys(keys))
        .clock(|| NOW)
        .layer(Plan);
    let value = rs_bearer(r#"{"alg":"RS256","kid":"a"}"#, CLAIMS, A);
    let request = Request::builder().header("authorization", value);
    let mut answer = pin!(service.call(request.body(&b""[..]).unwrap()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(answer.as_mut().poll(&mut context).is_pending());
    release.send(()).unwrap();
    let response = block_on(answer).unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.into_body(), Body("basic".to_owned()));
}
