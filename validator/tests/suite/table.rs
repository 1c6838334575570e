//! The table of `tests/hostile`: tokens made by foreign libraries, with the verdict that its author expects.

use std::collections::BTreeMap;

use key0_validator::{Config, ServiceValidator, ValidationError, Validator};
use serde_json::Value;

use crate::jwks::{document, jwk};
use crate::mint::*;

const TABLE: &str = include_str!("../hostile/table.jsonl");

fn rows() -> Vec<BTreeMap<String, Value>> {
    let rows: Vec<_> = TABLE
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(rows.len() >= 300, "{} rows", rows.len());
    rows
}

/// What one configuration makes of a header.
type Check = Box<dyn Fn(&str) -> Result<(), ValidationError>>;

fn buyers(config: Config) -> Check {
    at_door(config, |validator| validator)
}

fn at_door(config: Config, door: fn(Validator) -> Validator) -> Check {
    let plain = door(Validator::new(config.clone()));
    let remembering = door(Validator::new(config.verified_cache(1000)));
    Box::new(move |header| {
        let outcome = plain.validate_at(header, NOW).map(drop);
        for _ in 0..2 {
            let remembered = remembering.validate_at(header, NOW).map(drop);
            assert_eq!(outcome, remembered, "with a cache, {header}");
        }
        outcome
    })
}

fn checks() -> BTreeMap<&'static str, Check> {
    let service = ServiceValidator::new(config(), "https://api.example.com");
    let keys = document(&[jwk(A_PUBLIC, "a"), jwk(C_PUBLIC, "c")]);
    let strict = config().issuer("https://seller.example");
    BTreeMap::from([
        ("hs256", buyers(config())),
        ("rs256", buyers(Config::rs256(A_PUBLIC).unwrap())),
        ("jwks", buyers(Config::jwks(keys).unwrap())),
        (
            "strict",
            at_door(strict, |v| v.resource("default").plans(["basic"])),
        ),
        ("testnet", buyers(config().accept_testnet())),
        ("chain", buyers(config().chain(31337))),
        (
            "service",
            Box::new(move |header: &str| service.validate_at(header, NOW).map(drop)) as Check,
        ),
    ])
}

#[test]
fn every_row_is_judged_as_its_author_expects() {
    let checks = checks();
    let mut wrong = Vec::new();
    for row in rows() {
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        let outcome = checks[text("config")](text("authorization"));
        let (verdict, code, message) = match outcome {
            Ok(()) => ("valid", "", "valid".to_owned()),
            Err(error @ ValidationError::Expired { .. }) => {
                ("expired", error.code(), error.to_string())
            }
            Err(error) => ("invalid", error.code(), error.to_string()),
        };
        if (verdict, code) != (text("verdict"), text("code")) || !message.contains(text("says")) {
            wrong.push(format!(
                "{}: {}: {verdict}: {message}",
                text("config"),
                row["name"]
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} rows:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The same, one bit away: whatever was good is not good any more, and nothing becomes good.
#[test]
fn no_row_has_a_good_neighbour() {
    let checks = checks();
    for row in rows().iter().filter(|row| row["config"] != "rs256") {
        let check = &checks[row["config"].as_str().unwrap()];
        let header = row["authorization"].as_str().unwrap();
        // Spaces may stand between scheme and token, and the scheme may be written in other letters.
        let start = header.find('.').unwrap_or(header.len());
        for at in (start..header.len()).filter(|at| at % 5 == row["name"].to_string().len() % 5) {
            let mut bytes = header.as_bytes().to_vec();
            bytes[at] ^= 1 << (at % 7);
            if let Ok(neighbour) = std::str::from_utf8(&bytes) {
                assert!(check(neighbour).is_err(), "{}: {at}", row["name"]);
            }
        }
    }
}
