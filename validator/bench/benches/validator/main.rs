//! `cargo bench`: one run that measures this crate, its peers and the bare cryptography over the same two tokens, side by
//! side, so that ratios hold whatever the machine does meanwhile. Prints the bars of the design beside what was measured.

mod measure;
mod scaling;
mod subjects;
mod weight;

use std::env;
use std::process::Command;

use measure::{Line, Outcome};

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // For callgrind: this many calls of one subject.
        ["--count", name, calls] => subjects::count(name, calls.parse().expect("a number")),
        // jsonwebtoken has one back end for a process: the second one is measured in a process of its own.
        ["--peer", algorithm] => subjects::peer_alone(algorithm),
        // Only what is judged by a ratio within one table, for work on the reader of claims.
        ["--legal", ..] => drop(legal()),
        _ => everything(),
    }
}

fn everything() {
    println!("HS256, {} bytes", subjects::hs256_token().len());
    let hs = table(subjects::hs256(), "hs256", "MAC bound");
    println!("\nRS256, {} bytes", subjects::rs256_token().len());
    let rs = table(subjects::rs256(), "rs256", "RSA bound (graviola)");
    println!("\nHostile, HS256");
    let hostile = table(subjects::hostile(), "", "");

    println!("\nAny legal token, HS256");
    let legal = legal();

    println!("\nCache hits, RS256");
    scaling::print();

    println!("\nBars");
    let ns = |lines: &[Line], name: &str| {
        lines
            .iter()
            .find(|line| line.name == name)
            .expect("it was measured")
            .ns
    };
    let allocations = |lines: &[Line], name: &str| {
        lines
            .iter()
            .find(|line| line.name == name)
            .expect("it was measured")
            .allocations
    };
    let best_peer = |lines: &[Line]| {
        lines
            .iter()
            .filter(|line| line.is_peer)
            .map(|line| line.ns)
            .fold(f64::MAX, f64::min)
    };
    let mac = ns(&hs, "MAC bound");
    let by_mac = |name: &str| ns(&hs, name) / mac;
    println!(
        "  times the MAC: ours {:.2}, the best peer {:.2}, jsonwebtoken 11 {:.2}; whoever checks it needs 1 at least",
        by_mac("ours"),
        best_peer(&hs) / mac,
        by_mac("(jsonwebtoken 11, rust_crypto)"),
    );
    let ours = ns(&hs, "ours");
    let beyond = (best_peer(&hs) - mac) / (ours - mac);
    println!("  beyond the MAC: the best peer does {beyond:.1} times as much work");
    let mut bars = vec![
        Outcome::at_most("HS256 / MAC bound", ours / mac, 1.5),
        Outcome::at_least("best peer / HS256", best_peer(&hs) / ours, 3.5),
        // A ratio of wholes punishes hashing, which cannot be improved; this one does not.
        Outcome::at_least("best peer / HS256, beyond the MAC", beyond, 8.0),
        Outcome::at_most("HS256, allocations", allocations(&hs, "ours"), 1.0),
        Outcome::at_most(
            "RS256 / RSA bound",
            ns(&rs, "ours") / ns(&rs, "RSA bound (graviola)"),
            1.02,
        ),
        Outcome::at_most("RS256, allocations", allocations(&rs, "ours"), 1.0),
        Outcome::at_least("best peer / RS256", best_peer(&rs) / ns(&rs, "ours"), 1.0),
        Outcome::at_most(
            "HS256 cache hit / MAC bound",
            by_mac("ours, cache hit"),
            0.25,
        ),
        Outcome::at_most(
            "RS256 cache hit / MAC bound",
            ns(&rs, "ours, cache hit") / mac,
            0.25,
        ),
        Outcome::at_most(
            "cache hit, allocations",
            allocations(&hs, "ours, cache hit"),
            0.0,
        ),
        Outcome::at_most("alg none, ns", ns(&hostile, "alg none, signed"), 100.0),
        Outcome::at_most(
            "alg none without a signature, ns",
            ns(&hostile, "alg none, no signature"),
            100.0,
        ),
        Outcome::at_most("too long, ns", ns(&hostile, "8 KiB and more"), 100.0),
        Outcome::at_most(
            "tampered / MAC bound",
            ns(&hostile, "tampered signature") / mac,
            1.3,
        ),
    ];
    bars.extend(
        legal
            .iter()
            .map(|(name, ratio)| Outcome::at_most(&format!("{name} / MAC bound"), *ratio, 1.9)),
    );
    bars.extend(weight::measure());
    for bar in &bars {
        println!("  {bar}");
    }
    let missed = bars.iter().filter(|bar| !bar.met()).count();
    println!("\n{} bars met, {missed} missed", bars.len() - missed);
}

/// How many times the bare MAC each legal token takes.
fn legal() -> Vec<(String, f64)> {
    let ratios: Vec<_> = measure::together(subjects::any_legal())
        .chunks(2)
        .map(|pair| (pair[1].name.clone(), pair[1].ns / pair[0].ns))
        .collect();
    for (name, ratio) in &ratios {
        println!("  {name:36} {ratio:>9.2} x bound");
    }
    ratios
}

/// Measures the subjects together and prints them, with those of other processes.
fn table(subjects: Vec<measure::Subject>, algorithm: &str, bound: &str) -> Vec<Line> {
    let mut lines = measure::together(subjects);
    if !algorithm.is_empty() {
        lines.extend(peer_process(algorithm));
    }
    let bound = lines
        .iter()
        .find(|line| line.name == bound)
        .map(|line| line.ns);
    println!(
        "  {:36} {:>9} {:>9} {:>13} {:>12}",
        "", "ns", "x bound", "instructions", "allocations"
    );
    for line in &lines {
        let ratio = bound.map_or(String::new(), |bound| format!("{:.2}", line.ns / bound));
        let instructions =
            instructions(algorithm, &line.name).map_or("-".to_owned(), |n| n.to_string());
        println!(
            "  {:36} {:>9.0} {ratio:>9} {instructions:>13} {:>12}",
            line.name, line.ns, line.allocations
        );
    }
    lines
}

fn peer_process(algorithm: &str) -> Option<Line> {
    let me = env::current_exe().ok()?;
    let output = Command::new(me).args(["--peer", algorithm]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut fields = text.split_whitespace();
    Some(Line {
        name: "jsonwebtoken 12, aws_lc_rs".to_owned(),
        ns: fields.next()?.parse().ok()?,
        allocations: fields.next()?.parse().ok()?,
        is_peer: true,
    })
}

/// Instructions of one call, counted by callgrind as the difference of two runs. Callgrind knows neither SHA extensions nor
/// ADX: hashes are counted in portable code, and nothing of graviola can be counted.
fn instructions(algorithm: &str, name: &str) -> Option<u64> {
    if algorithm != "hs256" || name.contains("aws_lc") {
        return None;
    }
    let run = |calls: u64| -> Option<u64> {
        let me = env::current_exe().ok()?;
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(me)
            .args(["--count", name, &calls.to_string()])
            .output()
            .ok()?;
        let text = String::from_utf8(output.stderr).ok()?;
        let line = text.lines().find(|line| line.contains("Collected"))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    Some((run(1100)?.checked_sub(run(100)?)?) / 1000)
}
