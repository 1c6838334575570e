//! Tests of what the operator sees of grants, and of taking them back.

use super::*;
use crate::meter::{Revoked, Revoker, Standing, Told};
use crate::types::UnixSeconds;

fn told(revoked: Option<Revoked>) -> MeterReply {
    MeterReply::Stands(Told {
        standing: Standing {
            limits: serde_json::from_str(r#"{"quota":{"calls":9}}"#).unwrap(),
            left: 4,
            left_now: 0,
            next_in: 0,
            ends_at: UnixSeconds(1_900_000_000),
        },
        payer: Address::repeat_byte(7),
        revoked,
    })
}

fn with(replies: impl IntoIterator<Item = MeterReply>) -> Deployment {
    Deployment {
        meters: ScriptedMeters::new(replies),
        ..deployment()
    }
}

#[test]
fn a_grant_is_shown_and_taken_back() {
    let path = format!("/admin/grants/{ID}");
    let revoked = Revoked {
        by: Revoker::Operator,
        at: UnixMillis(1_800_000_000_000),
    };
    let deployment = with([told(None), told(Some(revoked))]);
    let shown = body(&ask(&deployment, &get(&path)));
    assert_eq!(
        (&shown["grant"], &shown["condition"]),
        (&ID.into(), &"ACTIVE".into())
    );
    assert_eq!(shown["left"]["calls"], 4);
    assert_eq!(shown["payer"], Address::repeat_byte(7).to_string());
    let delete = Request {
        method: Method::DELETE,
        ..get(&path)
    };
    let shown = body(&ask(&deployment, &delete));
    assert_eq!(shown["condition"], "REVOKED");
    assert_eq!(shown["revoked"]["by"], "operator");
    let asked = [MeterCommand::Look, MeterCommand::Revoke(Revoker::Operator)];
    let asked: Vec<_> = asked.map(|command| (ID.to_owned(), command)).into();
    assert_eq!(*deployment.meters.asked.borrow(), asked);
}

#[test]
fn what_is_no_grant_is_not_found_and_a_meter_that_is_silent_is_our_fault() {
    let path = format!("/admin/grants/{ID}");
    for (path, replies, status) in [
        (&*path, vec![MeterReply::NotGranted], StatusCode::NOT_FOUND),
        ("/admin/grants/%20", vec![], StatusCode::NOT_FOUND),
        (&path, vec![], StatusCode::INTERNAL_SERVER_ERROR),
        (
            &path,
            vec![MeterReply::Heard],
            StatusCode::INTERNAL_SERVER_ERROR,
        ),
    ] {
        assert_eq!(ask(&with(replies), &get(path)).status(), status, "{path}");
    }
    let deployment = with([]);
    let post = ask(&deployment, &post(&path));
    assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(deployment.meters.asked.borrow().is_empty());
}
