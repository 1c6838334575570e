//! The layer, with a body type of no framework.

use core::convert::Infallible;
use core::future::{Ready, ready};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};

use http::{Request, Response};
use key0_validator::{
    AccessToken, ProtectedResource, Refusal, ServiceToken, ServiceValidator, TokenBody, TokenLayer,
    ValidationError, Validator,
};
use tower_layer::Layer;
use tower_service::Service;

use crate::mint::*;

/// A body of another type than a refusal's, as layers below have them: nothing can be made into one.
#[derive(Debug, PartialEq)]
pub(crate) struct Body(Option<bytes::Bytes>);

impl Body {
    fn of(text: &str) -> Self {
        Self(Some(text.to_owned().into()))
    }
}

impl http_body::Body for Body {
    type Data = bytes::Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

/// All of an answer's body.
fn text(response: Response<TokenBody<Body>>) -> String {
    let mut body = pin!(response.into_body());
    let mut text = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(frame)) = http_body::Body::poll_frame(body.as_mut(), &mut context) {
        text.extend(frame.unwrap().into_data().unwrap());
    }
    String::from_utf8(text).unwrap()
}

/// Says which plan a token has, and that there is none.
fn plan(request: &Request<&'static [u8]>) -> String {
    let token = request.extensions().get::<AccessToken>();
    token.map_or("nobody", |token| token.plan_id()).to_owned()
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
        ready(Ok(Response::new(Body::of(&plan(&request)))))
    }
}

fn answer(headers: &[&str]) -> Response<TokenBody<Body>> {
    ask(TokenLayer::new(config()), headers)
}

fn ask(layer: TokenLayer, headers: &[&str]) -> Response<TokenBody<Body>> {
    let mut service = layer.clock(|| NOW).layer(Plan);
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
    assert_eq!(text(response), "basic");
}

#[test]
fn without_a_token_the_answer_is_401_with_a_challenge() {
    let response = answer(&[]);
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let body: serde_json::Value = serde_json::from_str(&text(response)).unwrap();
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
    assert!(text(response).contains("\"code\":\"CHALLENGE_EXPIRED\""));
}

#[test]
fn two_authorization_headers_are_refused_even_if_both_are_good() {
    let good = bearer(HEADER.as_bytes(), CLAIMS.as_bytes(), SECRET);
    let response = answer(&[&good, &good]);
    assert_eq!(response.status(), 401);
    assert!(text(response).contains("more than one Authorization header"));
}

#[test]
fn a_header_of_other_than_ascii_is_refused() {
    assert_eq!(answer(&["Bearer \u{e9}"]).status(), 401);
}

#[test]
fn a_layer_in_front_of_one_door_refuses_tokens_for_others_with_403() {
    let good = bearer(HEADER.as_bytes(), CLAIMS.as_bytes(), SECRET);
    let door = |layer: TokenLayer| ask(layer, &[&good]);
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
        released.recv().map_err(|_| FetchError::new("over"))?;
        Ok(Fetched::document(document(&[jwk(A_PUBLIC, "a")])))
    };
    let keys = KeySource::fetching(fetch, Refresh::default()).unwrap();
    let mut service = TokenLayer::new(Config::key_source(keys))
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
    assert_eq!(text(response), "basic");
}

#[test]
fn a_refusal_may_look_as_the_backend_likes() {
    let layer = TokenLayer::new(config()).refuse_with(|refused| {
        let mut response = Response::new(format!("no: {}", refused.error().kind()));
        *response.status_mut() = http::StatusCode::OK;
        response.headers_mut().insert("grpc-status", 16.into());
        response
    });
    let response = ask(layer, &[]);
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["grpc-status"], "16");
    assert_eq!(text(response), "no: missing_header");
}

#[test]
fn an_optional_token_may_be_missing_and_not_forged() {
    let layer = || TokenLayer::new(config()).optional();
    let good = bearer(HEADER.as_bytes(), CLAIMS.as_bytes(), SECRET);
    assert_eq!(text(ask(layer(), &[&good])), "basic");
    assert_eq!(text(ask(layer(), &[])), "nobody");
    let forged = bearer(
        HEADER.as_bytes(),
        CLAIMS.as_bytes(),
        &SECRET.replace('t', "T"),
    );
    for bad in [forged.as_str(), "Bearer", "Bearer x", "Basic x", ""] {
        assert_eq!(ask(layer(), &[bad]).status(), 401, "{bad}");
    }
    let pro = layer().plans(["pro"]);
    assert_eq!(ask(pro, &[&good]).status(), 403);
}

/// A hook that admits each token once.
fn once() -> impl Fn(&AccessToken) -> Result<(), Refusal> + Send + Sync {
    let seen = std::sync::Mutex::new(std::collections::HashSet::new());
    move |token| match seen.lock().unwrap().insert(token.jti().to_owned()) {
        true => Ok(()),
        false => Err(Refusal::AlreadyUsed),
    }
}

#[test]
fn a_token_for_one_use_is_not_used_up_at_a_door_that_it_does_not_open() {
    let validator = Validator::new(config().admit_if(once()));
    let good = bearer(HEADER.as_bytes(), CLAIMS.as_bytes(), SECRET);
    let door = |plan: &str| TokenLayer::new(validator.clone()).plans([plan]);
    assert_eq!(ask(door("pro"), &[&good]).status(), 403);
    assert_eq!(ask(door("basic"), &[&good]).status(), 200);
    assert_eq!(ask(door("basic"), &[&good]).status(), 401, "the second use");
}

#[test]
fn a_token_is_admitted_once_for_a_request_however_many_layers_are_nested() {
    let config = config().admit_if(once());
    let validator = Validator::new(config.clone());
    let plain = || TokenLayer::new(validator.clone()).clock(|| NOW);
    // The last is of another validator with the same hook.
    let other = TokenLayer::new(Validator::new(config)).clock(|| NOW);
    let mut service = plain().layer(plain().plans(["basic"]).layer(other.layer(Plan)));
    let request = |jti: &str| {
        let claims = CLAIMS.replace("c-77", jti);
        let value = bearer(HEADER.as_bytes(), claims.as_bytes(), SECRET);
        Request::builder()
            .header("authorization", value)
            .body(&b""[..])
            .unwrap()
    };
    let mut status = |jti| {
        crate::rotation::block_on(service.call(request(jti)))
            .unwrap()
            .status()
    };
    assert_eq!(status("a"), 200);
    assert_eq!(status("b"), 200);
    assert_eq!(status("a"), 401, "the next request");
    // A layer inside checks only the resource and plan that it requires itself.
    let mut service = plain().layer(plain().plans(["pro"]).layer(Plan));
    let answer = crate::rotation::block_on(service.call(request("c"))).unwrap();
    assert_eq!(answer.status(), 403);
}

#[test]
fn a_stricter_validator_inside_is_not_ignored() {
    let outer = TokenLayer::new(config()).clock(|| NOW);
    let inner = TokenLayer::new(config().issuer("https://another.example")).clock(|| NOW);
    let value = bearer(HEADER.as_bytes(), CLAIMS.as_bytes(), SECRET);
    let request = Request::builder()
        .header("authorization", value)
        .body(&b""[..])
        .unwrap();
    let answer = crate::rotation::block_on(outer.layer(inner.layer(Plan)).call(request)).unwrap();
    assert_eq!(answer.status(), 401);
}

#[test]
fn a_token_may_come_in_a_cookie_a_query_or_a_web_sockets_protocol_where_that_is_allowed() {
    let token = token(HEADER.as_bytes(), CLAIMS.as_bytes(), SECRET);
    let nowhere = Validator::new(config());
    let everywhere = nowhere
        .clone()
        .cookie("session")
        .query("access_token")
        .websocket_protocol("bearer");
    let status = |validator: &Validator, headers: &[(&str, &str)], uri: &str| {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let layer = TokenLayer::new(validator.clone()).clock(|| NOW);
        let answer = layer.layer(Plan).call(request.body(&b""[..]).unwrap());
        crate::rotation::block_on(answer).unwrap().status().as_u16()
    };
    let cookie = format!("theme=dark; session={token}; x=y");
    let protocol = format!("bearer, {token}, chat");
    let query = format!("/?a=b&access_token={token}");
    for (headers, uri) in [
        (vec![("cookie", cookie.as_str())], "/"),
        (vec![("sec-websocket-protocol", protocol.as_str())], "/"),
        (vec![], query.as_str()),
    ] {
        assert_eq!(status(&everywhere, &headers, uri), 200, "{headers:?} {uri}");
        assert_eq!(status(&nowhere, &headers, uri), 401, "{headers:?} {uri}");
        // A header goes before all others.
        let both = [headers, vec![("authorization", "Bearer x")]].concat();
        assert_eq!(status(&everywhere, &both, uri), 401, "{both:?} {uri}");
    }
    let twice = format!("session={token}; session={token}");
    let other = cookie.replace("session", "session2");
    let last = format!("{token}, bearer");
    for (headers, uri) in [
        (vec![("cookie", twice.as_str())], "/"),
        (
            vec![("cookie", cookie.as_str()), ("cookie", cookie.as_str())],
            "/",
        ),
        (vec![("cookie", other.as_str())], "/"),
        (vec![("cookie", "session=")], "/"),
        (vec![("sec-websocket-protocol", last.as_str())], "/"),
        (vec![("sec-websocket-protocol", "bearer, bearer")], "/"),
        (vec![], "/?access_token="),
        (vec![], "/?access_token"),
    ] {
        assert_eq!(status(&everywhere, &headers, uri), 401, "{headers:?} {uri}");
    }
}

#[test]
fn whoever_is_refused_learns_where_tokens_are_sold() {
    let resource =
        ProtectedResource::new("https://api.example.com", "https://seller.example").unwrap();
    let layer = || TokenLayer::new(Validator::new(config()).protected_resource(&resource));
    let challenge = |headers: &[&str]| {
        ask(layer(), headers).headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    let metadata =
        r#"resource_metadata="https://api.example.com/.well-known/oauth-protected-resource""#;
    assert_eq!(challenge(&[]), format!("Bearer {metadata}"));
    let bad = challenge(&["Bearer x"]);
    assert!(
        bad.starts_with("Bearer error=\"invalid_token\", error_description=\""),
        "{bad}"
    );
    assert!(bad.ends_with(&format!(", {metadata}")), "{bad}");
}

#[test]
fn the_gateways_own_calls_have_a_layer() {
    #[derive(Clone)]
    struct Caller;
    impl Service<Request<()>> for Caller {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = Ready<Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<()>) -> Self::Future {
            let token = request.extensions().get::<ServiceToken>().unwrap();
            ready(Ok(Response::new(Body::of(token.audience()))))
        }
    }
    let layer = TokenLayer::service(ServiceValidator::new(config(), "us")).clock(|| NOW);
    let ask = |claims: &str| {
        let value = bearer(HEADER.as_bytes(), claims.as_bytes(), SECRET);
        let request = Request::builder()
            .header("authorization", value)
            .body(())
            .unwrap();
        crate::rotation::block_on(layer.layer(Caller).call(request)).unwrap()
    };
    let service = format!(
        r#"{{"sub":"key0-service","jti":"1","resourceId":"us","planId":"system","txHash":"system-auth","iat":{NOW},"exp":{}}}"#,
        NOW + 60
    );
    assert_eq!(text(ask(&service)), "us");
    assert_eq!(ask(CLAIMS).status(), 401);
}

#[test]
fn a_request_is_authorized_without_a_layer() {
    let claims = CLAIMS.replace("1800003600", "99999999999");
    let value = bearer(HEADER.as_bytes(), claims.as_bytes(), SECRET);
    let request = |value: &str| {
        Request::builder()
            .header("authorization", value)
            .body(())
            .unwrap()
    };
    let validator = Validator::new(config());
    assert_eq!(
        validator.authorize(&request(&value)).unwrap().plan_id(),
        "basic"
    );
    let waited = crate::rotation::block_on(validator.authorize_async(&request(&value)));
    assert_eq!(waited.unwrap().plan_id(), "basic");
    let refused = validator.authorize(&request("Bearer x")).unwrap_err();
    assert_eq!(refused.error(), &ValidationError::NotAJwt);
    assert_eq!(refused.response::<String>().status(), 401);
}
