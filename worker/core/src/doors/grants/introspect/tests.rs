use futures_util::FutureExt as _;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use key0_validator::Claims;

use super::*;
use crate::config::test_config;
use crate::testing::{OneMeter, ScriptedMeters};
use crate::token::{NoRsa, TokenReader, TokenSigner};
use crate::types::{BearerSecret, Secret};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const SECRET: &str = "a-secret-of-backends-that-count-calls";
const GRANT: &str = "2f1d0a52";

fn config() -> Config {
    let mut config = test_config();
    config.meter_secret = Some(BearerSecret::new(&Secret::new(SECRET)));
    config.token.reader = TokenReader::new(&[signing()], Vec::new());
    config
}

fn signing() -> Secret {
    Secret::new("s".repeat(32))
}

fn token(grant: Option<&str>, exp: u64) -> String {
    let claims = Claims {
        sub: "purchase".to_owned(),
        jti: "offer".to_owned(),
        resource_id: "default".to_owned(),
        plan_id: "basic".to_owned(),
        tx_hash: format!("0x{}", "ab".repeat(32)),
        iat: NOW.0 - 60,
        exp,
        iss: None,
        payer: Some("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf".to_owned()),
        chain_id: Some(84_532),
        grant: grant.map(str::to_owned),
        limits: grant.map(|_| {
            serde_json::from_str::<crate::meter::Limits>(r#"{"quota":{"calls":5}}"#)
                .unwrap()
                .into()
        }),
    };
    let signer = TokenSigner::hs256(&signing());
    signer
        .sign(&claims, &NoRsa)
        .now_or_never()
        .unwrap()
        .unwrap()
}

fn asked<M: Meters>(meters: &M, secret: &str, body: &str) -> (u16, Value) {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {secret}").parse().unwrap());
    let (headers, body) = (&headers, body.as_bytes());
    let config = config();
    let arrival = Arrival { headers, body };
    let answer = introspect(&config, (meters, &NoVerdict), NOW, &arrival);
    let answer = answer.now_or_never().unwrap();
    (
        answer.status().as_u16(),
        serde_json::from_slice(answer.body()).unwrap(),
    )
}

/// These tokens are signed with a secret.
struct NoVerdict;

impl RsaVerifier for NoVerdict {
    fn is_signed<'a>(
        &'a self,
        _: &'a crate::token::RsaPublicKey,
        _: &'a [u8],
        _: &'a [u8],
    ) -> crate::token::Verdict<'a> {
        Box::pin(async { false })
    }
}

#[test]
fn a_good_token_is_told_with_what_is_left_of_its_grant() {
    let meters = OneMeter::new(
        GRANT,
        r#"{"quota":{"calls":5}}"#,
        NOW,
        UnixSeconds(NOW.0 + 90),
    );
    let form = |token: &str| format!("token_type_hint=access_token&token={token}");
    let (status, told) = asked(&meters, SECRET, &form(&token(Some(GRANT), NOW.0 + 60)));
    let expected = json!({
        "active": true, "token_type": "Bearer", "sub": "purchase", "planId": "basic", "grant": GRANT, "left": "5",
        "payer": "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf", "exp": NOW.0 + 90,
    });
    assert_eq!((status, told), (200, expected));
    let (_, told) = asked(&meters, SECRET, &form(&token(None, NOW.0 + 60)));
    assert_eq!(
        (&told["active"], &told["exp"], told.get("left")),
        (&json!(true), &json!(NOW.0 + 60), None)
    );
    let inactive = (200, json!({"active": false}));
    let ended = OneMeter::new(GRANT, r#"{"quota":{"calls":5}}"#, NOW, NOW);
    assert_eq!(
        asked(&ended, SECRET, &form(&token(Some(GRANT), NOW.0 + 60))),
        inactive
    );
    let forged = token(None, NOW.0 + 60).replace('.', "x.");
    for token in [
        token(Some("another"), NOW.0 + 60),
        token(None, NOW.0),
        forged,
        String::new(),
    ] {
        assert_eq!(asked(&meters, SECRET, &form(&token)), inactive);
    }
    let (status, _) = asked(
        &ScriptedMeters::default(),
        SECRET,
        &form(&token(Some(GRANT), NOW.0 + 60)),
    );
    assert_eq!(status, 503);
}

#[test]
fn only_a_backend_is_told_and_of_one_token() {
    let meters = ScriptedMeters::default();
    assert_eq!(asked(&meters, "wrong", "token=x").0, 401);
    for body in ["", "tokens=x", "token=x&token=y", "{}"] {
        assert_eq!(asked(&meters, SECRET, body).0, 400, "{body}");
    }
}
