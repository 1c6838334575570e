//! What linking this crate costs: crates, and bytes over an empty program.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use crate::measure::Outcome;

const HS: &str = r#"use key0_validator::{Config, Validator};
fn main() {
    let secret = std::env::var("SECRET").unwrap_or_default();
    let header = std::env::var("HEADER").unwrap_or_default();
    let outcome = Config::hs256(secret).map(|c| Validator::new(c).validate(header.as_str()).is_ok());
    std::process::exit(i32::from(matches!(outcome, Ok(true))));
}"#;

const BOTH: &str = r#"use key0_validator::{Config, Validator};
fn main() {
    let secret = std::env::var("SECRET").unwrap_or_default();
    let header = std::env::var("HEADER").unwrap_or_default();
    let config = if header.len() > 400 { Config::rs256(secret) } else { Config::hs256(secret) };
    let outcome = config.map(|c| Validator::new(c).validate(header.as_str()).is_ok());
    std::process::exit(i32::from(matches!(outcome, Ok(true))));
}"#;

const EMPTY: &str = r#"fn main() {
    let secret = std::env::var("SECRET").unwrap_or_default();
    std::process::exit(i32::from(secret.is_empty()));
}"#;

pub fn measure() -> Vec<Outcome> {
    let build = |name: &str, features: &str, main: &str| program(name, features, main);
    let (Some((_, empty)), Some((hs_crates, hs)), Some((both_crates, both))) = (
        build("empty", "", EMPTY),
        build("hs", "hs256", HS),
        build("both", "hs256,rs256", BOTH),
    ) else {
        println!("  the weight cannot be measured: cargo did not build the three programs");
        return Vec::new();
    };
    let kib = |bytes: u64| (bytes - empty) as f64 / 1024.0;
    vec![
        Outcome::at_most("HS256, crates", hs_crates as f64, 14.0),
        Outcome::at_most("HS256, KiB over an empty program", kib(hs), 100.0),
        Outcome::at_most("HS256 + RS256, crates", both_crates as f64, 18.0),
        Outcome::at_most("HS256 + RS256, KiB over an empty program", kib(both), 200.0),
    ]
}

/// Crates linked besides the program and this one, and bytes of the program.
fn program(name: &str, features: &str, main: &str) -> Option<(usize, u64)> {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = env::temp_dir().join(format!("key0-weight-{}-{name}", std::process::id()));
    fs::create_dir_all(folder.join("src")).ok()?;
    fs::write(folder.join("src/main.rs"), main).ok()?;
    let dependency = match features {
        "" => String::new(),
        _ => {
            let features = features.replace(',', "\", \"");
            format!(
                "key0-validator = {{ path = {:?}, default-features = false, features = [\"{features}\"] }}",
                bench.join("..")
            )
        }
    };
    let manifest = format!(
        "[workspace]\n[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[profile.release]\nstrip = true\n[dependencies]\n{dependency}\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).ok()?;
    // The versions that were measured above.
    fs::copy(bench.join("Cargo.lock"), folder.join("Cargo.lock")).ok()?;
    let cargo = |args: &[&str]| {
        let output = Command::new("cargo")
            .args(args)
            .current_dir(&folder)
            .output()
            .ok()?;
        output.status.success().then_some(output.stdout)
    };
    cargo(&["build", "--release", "--quiet", "--target-dir", "target"])?;
    let tree = cargo(&[
        "tree", "--edges", "normal", "--prefix", "none", "--format", "{p}",
    ])?;
    let tree = String::from_utf8(tree).ok()?;
    let crates: BTreeSet<_> = tree
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .collect();
    let size = fs::metadata(folder.join("target/release").join(name))
        .ok()?
        .len();
    fs::remove_dir_all(&folder).ok()?;
    Some((crates.len().saturating_sub(2), size))
}
