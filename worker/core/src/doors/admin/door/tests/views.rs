//! Tests of what the operator sees of the ledger.

use super::*;

#[test]
fn the_list_pages_by_urgency() {
    let deployment = deployment();
    let all = body(&ask(&deployment, &get("/admin/purchases")));
    let statuses: Vec<_> = all["purchases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["status"].clone())
        .collect();
    assert_eq!(statuses, ["PAID", "DELIVERED", "REFUNDED", "DELIVERED"]);
    assert_eq!(all["next"], Value::Null);
    let first = body(&ask(&deployment, &get("/admin/purchases?limit=1")));
    assert_eq!(first["purchases"], crate::json!([all["purchases"][0]]));
    let next = first["next"].as_str().unwrap();
    let second = body(&ask(
        &deployment,
        &get(&format!("/admin/purchases?limit=1&cursor={next}")),
    ));
    assert_eq!(second["purchases"], crate::json!([all["purchases"][1]]));
    let paid = body(&ask(&deployment, &get("/admin/purchases?status=PAID")));
    assert_eq!(paid["purchases"].as_array().unwrap().len(), 1);
}

#[test]
fn totals_are_told_by_state_and_by_day() {
    let totals = body(&ask(
        &deployment(),
        &get("/admin/totals?from=1970-01-01&to=1970-01-03"),
    ));
    assert_eq!(
        totals,
        crate::json!({
            "totals": [
                {"status": "PAID", "count": 1, "amount": "$0.015"},
                {"status": "DELIVERED", "count": 1, "amount": "$0.015"},
                {"status": "REFUNDED", "count": 1, "amount": "$0.015"},
            ],
            "removed": [],
            "days": [
                {"day": "1970-01-02", "status": "PAID", "count": 1, "amount": "$0.015"},
                {"day": "1970-01-02", "status": "DELIVERED", "count": 1, "amount": "$0.015"},
                {"day": "1970-01-03", "status": "REFUNDED", "count": 1, "amount": "$0.015"},
            ],
        })
    );
}

#[test]
fn pages_of_the_export_put_together_are_the_export() {
    let deployment = deployment();
    let whole = String::from_utf8(ask(&deployment, &get("/admin/export.csv")).into_body()).unwrap();
    assert_eq!(whole.lines().count(), 5);
    let mut path = "/admin/export.csv?limit=1".to_owned();
    let mut parts = String::new();
    loop {
        let page = ask(&deployment, &get(&path));
        parts.push_str(core::str::from_utf8(page.body()).unwrap());
        let Some(link) = page.headers().get(header::LINK) else {
            break;
        };
        let link = link.to_str().unwrap().strip_prefix('<').unwrap();
        path = link.strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
    assert_eq!(parts, whole);
}

#[test]
fn without_a_part_of_the_ledger_there_is_no_answer_instead_of_a_wrong_one() {
    let mut deployment = deployment();
    deployment.shards.silent = deployment.shards.layout.shards().last();
    for path in ["/admin/purchases", "/admin/totals", "/admin/export.csv"] {
        assert_eq!(
            ask(&deployment, &get(path)).status(),
            StatusCode::INTERNAL_SERVER_ERROR
        );
    }
}
