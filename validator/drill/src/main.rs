//! Reads tokens from standard input, one a line, `buyer` or `service` and a space in front, and checks each with axum, actix-web,
//! tonic, a caller that cannot wait, and as a service token. Prints one line for each: a status for every way.
//!
//! `drill JWKS_URL AUDIENCE`. Keys are fetched when they are two seconds old, at most once a second.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, ready};
use std::io::{BufRead, Write};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::{App, test, web};
use axum::body::Body;
use axum::routing::get;
use http::{Request, Response};
use key0_validator::{
    AccessToken, Config, KeySource, Refresh, ServiceToken, ServiceValidator, TokenLayer, Validator,
};
use tonic::server::NamedService;
use tower::{Layer, Service, ServiceExt};

/// A gRPC service that answers each call with OK.
#[derive(Clone)]
struct Greeter;

impl NamedService for Greeter {
    const NAME: &'static str = "drill.Greeter";
}

impl Service<Request<tonic::body::Body>> for Greeter {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let code = match request.extensions().get::<AccessToken>() {
            Some(_) => tonic::Code::Ok,
            None => tonic::Code::Internal,
        };
        ready(Ok(tonic::Status::new(code, "").into_http()))
    }
}

async fn over_axum(validator: &Validator, authorization: &str) -> u16 {
    let app = axum::Router::new()
        .route("/", get(async |token: AccessToken| token.jti().to_owned()))
        .with_state(validator.clone());
    let request = Request::builder().header("authorization", authorization);
    let answer = match request.body(Body::empty()) {
        Ok(request) => app.oneshot(request).await,
        Err(_) => return 0,
    };
    answer.map_or(0, |answer| answer.status().as_u16())
}

async fn over_axums_layer(gateway: &ServiceValidator, authorization: &str) -> u16 {
    let app = axum::Router::new()
        .route(
            "/",
            get(async |token: axum::Extension<ServiceToken>| token.jti().to_owned()),
        )
        .layer(TokenLayer::service(gateway.clone()));
    let request = Request::builder().header("authorization", authorization);
    let answer = match request.body(Body::empty()) {
        Ok(request) => app.oneshot(request).await,
        Err(_) => return 0,
    };
    answer.map_or(0, |answer| answer.status().as_u16())
}

async fn over_actix(validator: &Validator, authorization: &str) -> u16 {
    let app = App::new()
        .app_data(web::Data::new(validator.clone()))
        .route(
            "/",
            web::get().to(async |token: AccessToken| token.jti().to_owned()),
        );
    let app = test::init_service(app).await;
    let request = test::TestRequest::get()
        .uri("/")
        .insert_header(("authorization", authorization));
    test::call_service(&app, request.to_request())
        .await
        .status()
        .as_u16()
}

/// gRPC says in a header of its own how a call went: 0 is good.
async fn over_tonic(validator: &Validator, authorization: &str) -> String {
    let layer = TokenLayer::new(validator.clone())
        .refuse_with(|refused| tonic::Status::unauthenticated(refused.to_string()).into_http());
    let routes = layer.layer(tonic::service::Routes::new(Greeter));
    let request = Request::post("/drill.Greeter/Greet")
        .header("authorization", authorization)
        .header("content-type", "application/grpc");
    let answer = match request.body(tonic::body::Body::empty()) {
        Ok(request) => routes.oneshot(request).await,
        Err(_) => return "none".to_owned(),
    };
    let answer = answer.ok();
    let status = answer.as_ref().and_then(|a| a.headers().get("grpc-status"));
    let status = status.and_then(|status| status.to_str().ok());
    status.unwrap_or("none").to_owned()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(url), Some(audience)) = (args.next(), args.next()) else {
        return Err("drill JWKS_URL AUDIENCE".into());
    };
    let refresh = Refresh::new()
        .floor(Duration::from_secs(1))
        .max_age(Duration::from_secs(2))
        .observe(|outcome| eprintln!("{outcome}"));
    let source = |url: &str| -> Result<KeySource, Box<dyn Error>> {
        let keys = KeySource::from_url(url, refresh.clone())?;
        keys.wait(Duration::from_secs(30))?;
        Ok(keys)
    };
    // A source for each, so that none learns of a key by another's question.
    let config = |keys: KeySource| Config::key_source(keys).accept_testnet();
    let waiting = Validator::new(config(source(&url)?));
    let tonics = Validator::new(config(source(&url)?));
    let actixs = Validator::new(config(source(&url)?));
    let sync = Validator::new(config(source(&url)?));
    let gateway = ServiceValidator::new(config(source(&url)?), audience.as_str());
    let sync_gateway = ServiceValidator::new(config(source(&url)?), audience);

    actix_web::rt::System::new().block_on(async {
        for line in std::io::stdin().lock().lines() {
            let line = line?;
            let (kind, token) = line.split_once(' ').unwrap_or_default();
            let bearer = format!("Bearer {token}");
            let said = |outcome: Result<(), String>| outcome.err().unwrap_or("good".to_owned());
            let answer = match kind {
                "buyer" => format!(
                    r#"{{"axum":{},"actix":{},"tonic":"{}","sync":"{}"}}"#,
                    over_axum(&waiting, &bearer).await,
                    over_actix(&actixs, &bearer).await,
                    over_tonic(&tonics, &bearer).await,
                    said(
                        sync.validate(bearer.as_str())
                            .map(drop)
                            .map_err(|e| e.to_string())
                    ),
                ),
                "service" => format!(
                    r#"{{"layer":{},"sync":"{}"}}"#,
                    over_axums_layer(&gateway, &bearer).await,
                    said(
                        sync_gateway
                            .validate(bearer.as_str())
                            .map(drop)
                            .map_err(|e| e.to_string())
                    ),
                ),
                _ => r#"{"error":"buyer or service, and a token"}"#.to_owned(),
            };
            writeln!(std::io::stdout(), "{answer}")?;
        }
        Ok(())
    })
}
