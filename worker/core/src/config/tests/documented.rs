//! `docs/settings.md`, `wrangler.toml` and `.dev.vars.example` agree with the code: in names, defaults, bounds, and
//! which settings are secrets.

use std::collections::{BTreeMap, BTreeSet};

use super::super::read::declared;
use super::super::vars::{Declared, MIN_SECRET_BYTES};
use super::super::{backend_auth, secrets::SECRETS};
use crate::token::{MAX_BITS, MAX_OLD_KEYS, MIN_BITS};
use crate::types::Network;

const DOCUMENT: &str = include_str!("../../../../../docs/settings.md");
const WRANGLER: &str = include_str!("../../../../../wrangler.toml");
const DEV_VARS: &str = include_str!("../../../../../.dev.vars.example");

/// A row of a table in `docs/settings.md`.
#[derive(Debug)]
struct Row {
    is_secret: bool,
    default: String,
    allowed: String,
}

/// The rows that describe a setting, by the setting's name. No setting has two rows.
fn rows() -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    let mut is_table = false;
    for line in DOCUMENT.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        match cells.as_slice() {
            ["", "name", "default", "allowed", "what", ""] => is_table = true,
            ["", name, default, allowed, _, ""] if is_table && name.starts_with('`') => {
                let (name, is_secret) = match name.strip_suffix(" (secret)") {
                    Some(name) => (name, true),
                    None => (*name, false),
                };
                let row = Row {
                    is_secret,
                    default: (*default).to_owned(),
                    allowed: (*allowed).to_owned(),
                };
                let name = name.trim_matches('`').to_owned();
                assert!(rows.insert(name.clone(), row).is_none(), "{name} twice");
            }
            [""] => is_table = false,
            _ => {}
        }
    }
    rows
}

/// What the document says in the place of a default, where the default depends on other settings.
fn derived(name: &str) -> Option<String> {
    let both = |url: fn(Network) -> &'static str| {
        let (test, main) = (url(Network::BaseSepolia), url(Network::Base));
        Some(format!("`{test}`, or `{main}`"))
    };
    match name {
        "KEY0_RPC_URL" => both(Network::default_rpc_url),
        "FACILITATOR_URL" => both(Network::default_facilitator_url),
        "KEY0_RESOURCE_ENDPOINT" => Some("`BACKEND_API_URL/{resourceId}`".to_owned()),
        "BACKEND_AUTH_AUDIENCE" => Some("`BACKEND_API_URL`".to_owned()),
        _ => None,
    }
}

/// The bounds of settings that are read by a parser of their own.
fn parsed_bounds(name: &str) -> Option<String> {
    let secret = format!("at least {MIN_SECRET_BYTES} characters");
    Some(match name {
        "KEY0_ACCESS_TOKEN_SECRET"
        | "KEY0_ADMIN_SECRET"
        | "KEY0_PROXY_SECRET"
        | "KEY0_METER_SECRET"
        | "INTERNAL_AUTH_SECRET" => secret,
        "KEY0_ACCESS_TOKEN_SECRETS_OLD" | "KEY0_SEAL_SECRET" => format!("at most 4, {secret} each"),
        "KEY0_ACCESS_TOKEN_PRIVATE_KEY" => format!("{MIN_BITS} to {MAX_BITS} bits"),
        "KEY0_ACCESS_TOKEN_PUBLIC_KEYS_NEXT" | "KEY0_ACCESS_TOKEN_PUBLIC_KEYS_OLD" => {
            format!("at most {MAX_OLD_KEYS}")
        }
        "OAUTH_SCOPES" => format!("at most {}", backend_auth::MAX_SCOPES),
        "OAUTH_CLIENT_SECRET" => {
            format!("at most {} characters", backend_auth::MAX_CLIENT_SECRET)
        }
        _ => return None,
    })
}

fn names(settings: &[Declared]) -> BTreeSet<String> {
    let names = settings.iter().map(|setting| setting.name.to_owned());
    names.collect()
}

#[test]
fn settings_md_says_what_the_code_reads() {
    let (rows, declared) = (rows(), declared());
    let documented: BTreeSet<String> = rows.keys().cloned().collect();
    assert_eq!(documented, names(&declared));
    for setting in declared {
        let (name, row) = (setting.name, &rows[setting.name]);
        assert_eq!(row.is_secret, SECRETS.contains(&name), "{name}: secret");
        let default = match (setting.is_required, setting.default) {
            (true, _) => "required".to_owned(),
            (false, Some(default)) => format!("`{default}`"),
            (false, None) => derived(name).unwrap_or_else(|| "none".to_owned()),
        };
        assert_eq!(row.default, default, "{name}: default");
        if let Some(allowed) = parsed_bounds(name).or(setting.allowed) {
            assert_eq!(row.allowed, allowed, "{name}: allowed");
        }
    }
}

#[test]
fn what_is_called_a_secret_or_a_private_key_is_one() {
    let declared = declared();
    for setting in &declared {
        let name = setting.name;
        let sounds_secret = [
            "_SECRET",
            "_SECRETS_OLD",
            "PRIVATE_KEY",
            "CARD_KEY",
            "API_KEY_ID",
        ];
        let sounds_secret = sounds_secret.iter().any(|end| name.ends_with(end));
        assert_eq!(SECRETS.contains(&name), sounds_secret, "{name}");
    }
    assert!(SECRETS.iter().all(|name| names(&declared).contains(*name)));
}

/// The settings below `[vars]`: the name, whether the line is commented out, the value, and the comment on it.
fn variables() -> Vec<(&'static str, bool, &'static str, &'static str)> {
    let (_, vars) = WRANGLER.split_once("\n[vars]\n").unwrap();
    let line = |line: &'static str| {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let (name, rest) = bare.split_once(" = ")?;
        let quote = rest.chars().next()?;
        let (value, comment) = rest[1..].split_once(quote)?;
        Some((name, bare != line, value, comment.trim()))
    };
    vars.lines().filter_map(line).collect()
}

#[test]
fn wrangler_toml_lists_each_plain_setting_with_its_default() {
    let declared = declared();
    let variables = variables();
    let listed: Vec<String> = variables
        .iter()
        .map(|(name, ..)| (*name).to_owned())
        .collect();
    let plain = names(&declared).into_iter();
    let plain: BTreeSet<String> = plain
        .filter(|name| !SECRETS.contains(&name.as_str()))
        .collect();
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), plain);
    assert_eq!(listed.len(), plain.len(), "one of them stands twice");

    for (name, is_comment, value, comment) in variables {
        let setting = declared
            .iter()
            .find(|setting| setting.name == name)
            .unwrap();
        if !is_comment {
            assert_eq!(setting.default.as_deref(), Some(value), "{name}");
        }
        let allowed = parsed_bounds(name).or_else(|| setting.allowed.clone());
        for bounds in bounds_in(comment) {
            assert_eq!(allowed.as_deref(), Some(bounds), "{name}: {comment}");
        }
    }
}

/// The bounds in a comment, such as "1 to 64" or "at most 1000 characters".
fn bounds_in(comment: &str) -> Vec<&str> {
    let parts = comment.split([';', ',']).map(str::trim);
    parts
        .filter(|part| {
            let number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
            match part.split(' ').collect::<Vec<_>>().as_slice() {
                [least, "to", most] => number(least) && number(most),
                ["at", "most", most, ..] => number(most),
                _ => false,
            }
        })
        .collect()
}

#[test]
fn wrangler_toml_and_dev_vars_list_each_secret() {
    let (before, _) = WRANGLER.split_once("\n[vars]\n").unwrap();
    let (_, listed) = before.split_once("wrangler secret put NAME`:\n").unwrap();
    let listed = listed.lines().filter_map(|line| line.strip_prefix("#   "));
    let listed = listed.filter_map(|line| line.split(' ').next().filter(|name| !name.is_empty()));
    let secrets: BTreeSet<&str> = SECRETS.into();
    // `KEY0_RPC_URL` may be a secret, but need not be.
    let listed: BTreeSet<&str> = listed.filter(|name| *name != "KEY0_RPC_URL").collect();
    assert_eq!(listed, secrets);

    let declared = names(&declared());
    let bare = DEV_VARS
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or(line));
    let assigned: BTreeSet<&str> = bare
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name)
        .filter(|name| !name.contains(' '))
        .collect();
    for name in &assigned {
        assert!(
            declared.contains(*name),
            ".dev.vars.example: there is no {name}"
        );
    }
    assert!(
        secrets.is_subset(&assigned),
        "{:?}",
        secrets.difference(&assigned)
    );
}

/// Tools read the list of settings in this file. `KEY0_WRITE=1` writes the file.
#[test]
fn settings_json_lists_what_the_code_reads() {
    let line = |setting: &Declared| {
        let mut members = serde_json::Map::from_iter([("name".to_owned(), setting.name.into())]);
        for (member, value) in [("default", &setting.default), ("takes", &setting.allowed)] {
            if let Some(value) = value {
                members.insert(member.to_owned(), value.as_str().into());
            }
        }
        if SECRETS.contains(&setting.name) {
            members.insert("secret".to_owned(), true.into());
        }
        format!("  {}", serde_json::Value::from(members))
    };
    let lines: Vec<String> = declared().iter().map(line).collect();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    if std::env::var_os("KEY0_WRITE").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/settings.json"), &text).unwrap();
        return;
    }
    assert_eq!(text, include_str!("../../../settings.json"));
}
