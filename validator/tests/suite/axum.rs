//! The extractor, and errors as answers.

use axum::body::Body;
use axum::extract::{FromRef, Path};
use axum::routing::get;
use axum::{Extension, Router};
use http::{Request, Response};
use key0_validator::{
    AccessToken, ServiceToken, ServiceValidator, TokenLayer, ValidationError, Validator,
};
use tower_service::Service;

use crate::mint::*;
use crate::rotation::block_on;

/// A state with more in it than the validator.
#[derive(Clone)]
struct State {
    greeting: &'static str,
    validator: Validator,
    gateway: ServiceValidator,
}

impl FromRef<State> for ServiceValidator {
    fn from_ref(state: &State) -> Self {
        state.gateway.clone()
    }
}

impl FromRef<State> for Validator {
    fn from_ref(state: &State) -> Self {
        state.validator.clone()
    }
}

async fn report(
    Path(id): Path<String>,
    axum::extract::State(state): axum::extract::State<State>,
    token: AccessToken,
) -> Result<String, ValidationError> {
    token
        .require_resource(&id)?
        .require_plan(["basic", "pro"])?;
    Ok(format!("{} {}", state.greeting, token.sub()))
}

async fn maybe(token: Option<AccessToken>) -> String {
    token.map_or("nobody".to_owned(), |token| token.plan_id().to_owned())
}

fn app() -> Router {
    let state = State {
        greeting: "Hello,",
        validator: Validator::new(config()),
        gateway: ServiceValidator::new(config(), "us"),
    };
    let layered = Router::new()
        .route(
            "/layered",
            get(async |Extension(token): Extension<AccessToken>| token.jti().to_owned()),
        )
        .layer(TokenLayer::new(state.validator.clone()).plans(["pro"]));
    Router::new()
        .route("/reports/{id}", get(report))
        .route("/maybe", get(maybe))
        .route(
            "/internal",
            get(async |token: ServiceToken| token.audience().to_owned()),
        )
        .with_state(state)
        .merge(layered)
}

fn ask(path: &str, authorization: &[String]) -> Response<Body> {
    let request = authorization
        .iter()
        .fold(Request::builder().uri(path), |r, value| {
            r.header("authorization", value)
        });
    block_on(app().call(request.body(Body::empty()).unwrap())).unwrap()
}

fn text(response: Response<Body>) -> String {
    let body = block_on(axum::body::to_bytes(response.into_body(), 10_000)).unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

fn value(claims: &str) -> String {
    // The extractor reads the real clock.
    let claims = claims.replace("1800003600", "99999999999");
    bearer(HEADER.as_bytes(), claims.as_bytes(), SECRET)
}

#[test]
fn a_good_token_is_the_handlers_argument() {
    let response = ask("/reports/default", &[value(CLAIMS)]);
    assert_eq!(response.status(), 200);
    assert_eq!(
        text(response),
        "Hello, 2f1d0a52-7b0c-4c5e-9a3e-0c5b8f6f2a11"
    );
}

#[test]
fn without_one_the_handler_is_not_reached() {
    for (authorization, challenge) in [
        (vec![], "Bearer"),
        (vec!["Basic x".to_owned()], "Bearer"),
        (
            vec!["Bearer x".to_owned()],
            "Bearer error=\"invalid_token\"",
        ),
        (
            vec![value(CLAIMS), value(CLAIMS)],
            "Bearer error=\"invalid_token\"",
        ),
        (
            vec![value(&claims_with("planId", Some("\"system\"")))],
            "Bearer error=\"invalid_token\"",
        ),
    ] {
        let response = ask("/reports/default", &authorization);
        assert_eq!(response.status(), 401);
        let shown = response.headers()["www-authenticate"].to_str().unwrap();
        assert!(shown.starts_with(challenge), "{shown}");
        assert_eq!(response.headers()["content-type"], "application/json");
        assert!(text(response).starts_with("{\"type\":\"Error\",\"code\":\"INVALID_REQUEST\""));
    }
}

#[test]
fn a_good_token_for_another_door_is_forbidden() {
    for (path, claims) in [
        ("/reports/other", CLAIMS.to_owned()),
        ("/reports/default", CLAIMS.replace("basic", "free")),
        ("/layered", CLAIMS.to_owned()),
    ] {
        let response = ask(path, &[value(&claims)]);
        assert_eq!(response.status(), 403, "{path}");
        let shown = response.headers()["www-authenticate"].to_str().unwrap();
        assert!(
            shown.starts_with("Bearer error=\"insufficient_scope\""),
            "{shown}"
        );
    }
    let response = ask("/layered", &[value(&CLAIMS.replace("basic", "pro"))]);
    assert_eq!(text(response), "c-77");
}

#[test]
fn an_optional_token_may_be_missing_and_not_forged() {
    assert_eq!(text(ask("/maybe", &[])), "nobody");
    assert_eq!(text(ask("/maybe", &[value(CLAIMS)])), "basic");
    let forged = value(CLAIMS).replace('A', "B");
    for bad in [forged.as_str(), "Bearer x", "Basic x", ""] {
        assert_eq!(ask("/maybe", &[bad.to_owned()]).status(), 401, "{bad}");
    }
}

#[test]
fn the_gateways_own_token_is_an_argument_too() {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let service = format!(
        r#"{{"sub":"key0-service","jti":"1","resourceId":"us","planId":"system","txHash":"system-auth","iat":{now},"exp":{}}}"#,
        now + 60
    );
    let value = bearer(HEADER.as_bytes(), service.as_bytes(), SECRET);
    assert_eq!(text(ask("/internal", &[value])), "us");
    assert_eq!(ask("/internal", &[self::value(CLAIMS)]).status(), 401);
}
