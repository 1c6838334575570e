//! What the seller is told about limits that cannot be kept.

use crate::json;

use super::*;
use crate::meter::{Limits, Period, Quota, Rate};
use crate::types::UsdcAmount;

fn read(members: &Value) -> Limits {
    let mut plan = json!({"planId": "a", "unitAmount": "$1"});
    let limits = members.as_object().unwrap().clone();
    plan.as_object_mut().unwrap().extend(limits);
    plans(&json!([plan]).to_string()).unwrap()[0].limits
}

#[test]
fn a_plan_has_the_limits_that_it_names_and_no_others() {
    assert!(read(&json!({})).is_none());
    let calls = read(&json!({"quota": {"calls": 1650}}));
    assert_eq!(calls.quota, Some(Quota::Calls(1_650)));
    assert_eq!((calls.rate, calls.concurrency), (None, None));
    let all = json!({
        "quota": {"credit": "$5.00"},
        "rate": {"calls": 12_000, "per": "minute"},
        "concurrency": 1000,
    });
    assert_eq!(
        read(&all),
        Limits {
            quota: Some(Quota::Credit(UsdcAmount::from_units(5_000_000))),
            rate: Some(Rate {
                calls: 12_000,
                per: Period::Minute,
            }),
            concurrency: Some(1_000),
        }
    );
}

#[test]
fn a_fault_in_a_limit_names_the_plan_the_limit_and_the_member() {
    for (members, fault) in [
        (json!({"quota": 1650}), "\"quota\" must be a JSON object"),
        (
            json!({"quota": {}}),
            "\"quota\": must have \"calls\", a number, or \"credit\", like \"$5.00\"",
        ),
        (
            json!({"quota": {"calls": 1, "credit": "$1"}}),
            "\"quota\": has \"calls\" and \"credit\"; a balance is one of them",
        ),
        (
            json!({"quota": {"calls": 0}}),
            "\"quota\": \"calls\" must be a whole number, from 1 to 1000000000000",
        ),
        (
            json!({"quota": {"calls": 1_000_000_000_001_u64}}),
            "\"quota\": \"calls\" must be a whole number, from 1 to 1000000000000",
        ),
        (
            json!({"quota": {"calls": "1650"}}),
            "\"quota\": \"calls\" must be a number, without quotes",
        ),
        (
            json!({"quota": {"credit": 5}}),
            "\"quota\": \"credit\" must be a price in quotes",
        ),
        (
            json!({"quota": {"credit": "$0.00"}}),
            "\"quota\": \"credit\" must be above zero",
        ),
        (
            json!({"quota": {"credit": "$1000000.000001"}}),
            "\"quota\": \"credit\" must be at most $1000000",
        ),
        (
            json!({"rate": {"calls": 201, "per": "second"}}),
            "\"rate\": \"calls\" must be a whole number, from 1 to 200",
        ),
        (
            json!({"rate": {"calls": 12_001, "per": "minute"}}),
            "\"rate\": \"calls\" must be a whole number, from 1 to 12000",
        ),
        (
            json!({"rate": {"calls": 720_001, "per": "hour"}}),
            "\"rate\": \"calls\" must be a whole number, from 1 to 720000",
        ),
        (
            json!({"rate": {"calls": 1, "per": "day"}}),
            "\"rate\": \"per\" must be \"second\", \"minute\" or \"hour\"",
        ),
        (
            json!({"concurrency": 10, "description": "d".repeat(480)}),
            "\"description\" has more than 500 characters with \"at most 10 calls at a time\", which is told after it",
        ),
        (
            json!({"concurrency": 0}),
            "\"concurrency\" must be a whole number, from 1 to 1000",
        ),
        (
            json!({"concurrency": 1.5}),
            "\"concurrency\" must be a whole number, from 1 to 1000",
        ),
        (
            json!({"concurrency": 1001}),
            "\"concurrency\" must be a whole number, from 1 to 1000",
        ),
        (
            json!({"quota": {"requests": 5, "calls": 5}}),
            "\"quota\": \"requests\" is unknown; did you mean \"calls\"?",
        ),
        (
            json!({"quota": {"calls": 5, "colour": 5}}),
            "\"quota\": \"colour\" is unknown; a quota has calls, credit",
        ),
        (
            json!({"rateLimit": 5}),
            "\"rateLimit\" is unknown; did you mean \"rate\"?",
        ),
        (
            json!({"concurency": 5}),
            "\"concurency\" is unknown; did you mean \"concurrency\"?",
        ),
        (
            json!({"calls": 5}),
            "\"calls\" is unknown; did you mean \"quota\"?",
        ),
    ] {
        let text = said_of(&members);
        let fault = format!("has a fault:\nplan \"a\": {fault}");
        assert!(text.starts_with(&fault), "{members}: {text}");
    }
}

#[test]
fn all_faults_of_all_limits_are_told_at_once() {
    let members = json!({
        "quota": {"call": 0},
        "rate": {"calls": 0, "window": "minute"},
        "concurrency": "10",
    });
    assert_eq!(
        said_of(&members),
        "has 6 faults:\n\
         plan \"a\": \"quota\": \"call\" is unknown; did you mean \"calls\"?\n\
         plan \"a\": \"quota\": must have \"calls\", a number, or \"credit\", like \"$5.00\"\n\
         plan \"a\": \"rate\": \"window\" is unknown; did you mean \"per\"?\n\
         plan \"a\": \"rate\": \"per\" is missing\n\
         plan \"a\": \"rate\": \"calls\" must be a whole number, from 1 to 720000\n\
         plan \"a\": \"concurrency\" must be a number, without quotes"
    );
}

#[test]
fn a_member_of_a_limit_that_is_there_twice_is_a_fault() {
    for (members, faults) in [
        (
            r#""quota": {"calls": 1000, "calls": 10}"#,
            "\"quota\": \"calls\" is there twice",
        ),
        (
            r#""rate": {"calls": 10, "per": "second", "per": "hour"}"#,
            "\"rate\": \"per\" is there twice",
        ),
        (
            r#""extra": {"a": {"b": 1, "b": [2.5, null, "c"]}}"#,
            "\"extra\": \"a\": \"b\" is there twice",
        ),
    ] {
        let text = format!(r#"[{{"planId": "a", "unitAmount": "$1", {members}}}]"#);
        assert_eq!(said(&text), format!("has a fault:\nplan \"a\": {faults}"));
        let routes = format!(r#"{{"plans": {text}}}"#);
        let told = file(&routes, OtherPlans::Nowhere).unwrap_err().to_string();
        assert!(told.contains(faults), "{told}");
    }
}
