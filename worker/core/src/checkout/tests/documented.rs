//! `docs/errors.md` lists every code and every reason that a buyer can see, and nothing else.

use std::collections::BTreeSet;

use crate::error::Code;

const DOCUMENT: &str = include_str!("../../../../../docs/errors.md");
/// The sources of reasons: a file, and the functions in it that name reasons.
const SOURCES: [(&str, &[&str]); 6] = [
    (include_str!("../../x402/refusal.rs"), &["fn code("]),
    (include_str!("../../chain/transfer.rs"), &["fn code("]),
    (
        include_str!("../stop.rs"),
        &[
            "fn reason(",
            "fn not_now(",
            "fn origin_fault(",
            "TOO_MANY_REVERTS:",
            "TOO_MANY_CALLS:",
        ],
    ),
    (include_str!("../outcome.rs"), &["fn reason("]),
    (include_str!("../../limit.rs"), &["fn too_many("]),
    (
        include_str!("../../doors/gateway/uncounted.rs"),
        &["fn answer(", "fn unknown("],
    ),
];
/// Texts in those functions that no buyer sees as a reason: the name of a fault that is a pending outcome, and names of
/// members.
const NEVER_SHOWN: [&str; 3] = ["tx_unconfirmed", "reason", "retryAfterSeconds"];

/// The first and second cell of each row, from all tables with this header.
fn rows(header: &str) -> Vec<(&str, &str)> {
    let mut rows = Vec::new();
    let mut is_table = false;
    for line in DOCUMENT.lines() {
        let cells: Vec<&str> = line.split(" | ").collect();
        match cells.as_slice() {
            _ if line == header => is_table = true,
            [first, second, ..] if is_table => {
                let first = first.trim_start_matches("| ");
                rows.push((first.trim_matches('`'), *second));
            }
            _ if line.starts_with("|--") => {}
            _ => is_table = false,
        }
    }
    rows
}

/// The texts in an item of a source that could be reasons.
fn literals<'a>(source: &'a str, item: &str) -> Vec<&'a str> {
    let (before, body) = source.split_once(item).expect(item);
    let indent = before.lines().next_back().unwrap_or_default();
    let indent = indent.len() - indent.trim_start().len();
    let is_one_line = body.lines().next().is_some_and(|line| line.ends_with(';'));
    let end = match is_one_line {
        true => ";".to_owned(),
        false => format!("\n{}}}\n", " ".repeat(indent)),
    };
    let body = body.split_once(&end).expect(item).0;
    let is_name = |text: &&str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        !text.is_empty() && text.bytes().all(allowed)
    };
    body.split('"').skip(1).step_by(2).filter(is_name).collect()
}

#[test]
fn errors_md_lists_each_code_with_its_status() {
    let documented = rows("| code | status | what to do |").into_iter();
    let documented: BTreeSet<(String, String)> = documented
        .map(|(code, status)| (code.to_owned(), status.to_owned()))
        .collect();
    let codes = Code::ALL.map(|code| {
        let status = code.status().as_u16().to_string();
        (code.as_str().to_owned(), status)
    });
    assert_eq!(documented, codes.into());
}

#[test]
fn the_list_of_codes_is_complete() {
    let names = literals(include_str!("../../error.rs"), "fn as_str(");
    assert_eq!(names, Code::ALL.map(Code::as_str));
}

#[test]
fn errors_md_lists_each_reason() {
    let shown = SOURCES.iter().flat_map(|(source, items)| {
        let texts = items.iter().flat_map(|item| literals(source, item));
        texts.filter(|text| !NEVER_SHOWN.contains(text))
    });
    let shown: BTreeSet<&str> = shown.collect();
    let documented = rows("| reason | status | meaning |");
    assert_eq!(documented.len(), shown.len(), "one of them stands twice");
    let documented: BTreeSet<&str> = documented.into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(documented, shown);
}
