//! The same in actix-web: extractor, gate, answers.

use actix_web::{App, http::StatusCode, test, web};
use key0_validator::{AccessToken, MaybeToken, TokenGate, ValidationError, Validator};

use crate::mint::*;

async fn report(id: web::Path<String>, token: AccessToken) -> Result<String, ValidationError> {
    token.require_resource(&id)?;
    Ok(token.plan_id().to_owned())
}

async fn maybe(token: MaybeToken) -> String {
    token
        .0
        .map_or("nobody".to_owned(), |token| token.plan_id().to_owned())
}

async fn gated(token: AccessToken) -> String {
    token.jti().to_owned()
}

/// Status, challenge and body of one request.
fn ask(path: &str, authorization: &[String]) -> (StatusCode, String, String) {
    actix_web::rt::System::new().block_on(async {
        let validator = Validator::new(config());
        let app = test::init_service(
            App::new()
                .service(
                    web::scope("/gated")
                        .wrap(
                            TokenGate::new(validator.clone())
                                .plans(["basic"])
                                .resource("default"),
                        )
                        .route("", web::get().to(gated)),
                )
                .route("/unprepared", web::get().to(gated))
                .service(
                    web::scope("/data")
                        .app_data(web::Data::new(validator.clone()))
                        .route("/gated", web::get().to(gated))
                        .route("/maybe", web::get().to(maybe)),
                )
                .service(
                    web::scope("/optional")
                        .wrap(TokenGate::new(validator.clone()).optional())
                        .route("", web::get().to(async || "anybody")),
                )
                .service(
                    web::scope("/reports")
                        .app_data(validator)
                        .route("/{id}", web::get().to(report)),
                ),
        )
        .await;
        let request = authorization
            .iter()
            .fold(test::TestRequest::get().uri(path), |r, value| {
                r.append_header(("authorization", value.as_str()))
            });
        let response = test::call_service(&app, request.to_request()).await;
        let status = response.status();
        let challenge = response.headers().get("www-authenticate");
        let challenge = challenge
            .map_or("", |value| value.to_str().unwrap())
            .to_owned();
        let body = test::read_body(response).await;
        (status, challenge, String::from_utf8(body.to_vec()).unwrap())
    })
}

fn value(claims: &str) -> String {
    // The real clock is read.
    let claims = claims.replace("1800003600", "99999999999");
    bearer(HEADER.as_bytes(), claims.as_bytes(), SECRET)
}

#[test]
fn a_good_token_is_the_handlers_argument() {
    let good = [value(CLAIMS)];
    assert_eq!(
        ask("/reports/default", &good),
        (StatusCode::OK, String::new(), "basic".into())
    );
    assert_eq!(
        ask("/gated", &good),
        (StatusCode::OK, String::new(), "c-77".into())
    );
}

#[test]
fn every_other_caller_gets_the_documented_answer() {
    for path in ["/reports/default", "/gated"] {
        let (status, challenge, body) = ask(path, &[]);
        assert_eq!((status.as_u16(), challenge.as_str()), (401, "Bearer"));
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (&body["type"], &body["code"]),
            (&"Error".into(), &"INVALID_REQUEST".into())
        );

        let (status, _, body) = ask(path, &[value(CLAIMS), value(CLAIMS)]);
        assert_eq!(status, 401);
        assert!(body.contains("more than one"), "{body}");

        let (_, challenge, body) = ask(path, &[value(&claims_with("exp", Some("7")))]);
        assert!(
            challenge.starts_with("Bearer error=\"invalid_token\""),
            "{challenge}"
        );
        assert!(body.contains("CHALLENGE_EXPIRED"), "{body}");
    }
    let (status, challenge, _) = ask("/reports/other", &[value(CLAIMS)]);
    assert_eq!(status, 403);
    assert!(challenge.contains("insufficient_scope"), "{challenge}");
    let (status, _, _) = ask("/gated", &[value(&CLAIMS.replace("basic", "free"))]);
    assert_eq!(status, 403);
    let (status, _, _) = ask("/gated", &[value(&CLAIMS.replace("default", "other"))]);
    assert_eq!(status, 403);
}

#[test]
fn a_handler_without_a_validator_lets_nobody_in() {
    let (status, _, body) = ask("/unprepared", &[value(CLAIMS)]);
    assert_eq!(status, 500);
    assert!(body.contains("INTERNAL_ERROR"), "{body}");
    assert!(body.contains("app_data"), "{body}");
}

#[test]
fn a_validator_in_web_data_is_found() {
    let (status, _, body) = ask("/data/gated", &[value(CLAIMS)]);
    assert_eq!((status, body.as_str()), (StatusCode::OK, "c-77"));
    let (status, _, _) = ask("/data/gated", &[]);
    assert_eq!(status, 401);
}

#[test]
fn an_optional_token_may_be_missing_and_not_forged() {
    for (path, nobody, somebody) in [
        ("/data/maybe", "nobody", "basic"),
        ("/optional", "anybody", "anybody"),
    ] {
        assert_eq!(ask(path, &[]).2, nobody);
        assert_eq!(ask(path, &[value(CLAIMS)]).2, somebody);
        let forged = value(CLAIMS).replace('A', "B");
        for bad in [forged.as_str(), "Bearer x", "Basic x", ""] {
            assert_eq!(ask(path, &[bad.to_owned()]).0, 401, "{path} {bad}");
        }
    }
}
