//! The command: many seeds on all cores, or one seed with its trace.
//!
//! `--seeds N [--first S] [--purchases M]` or `--seed X [--purchases M] --trace`. To narrow a violation down, `--rule R`
//! shows only seeds that break this rule, and `--without F` switches a fault off without changing anything else. `--faults`
//! tells how often each fault struck; `--stop` begins no other seed once a rule is broken.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use key0_simulation::faults::Fault;
use key0_simulation::journal::Violation;
use key0_simulation::run::{Outcome, run};

const USAGE: &str = "usage: key0-simulation --seeds N [--first S] [--purchases M] | --seed X [--purchases M] [--trace]; [--faults] [--stop]";
/// More failing seeds than this are counted, not shown.
const MAX_SHOWN: usize = 8;
const MAX_TRACE_LINES: usize = 120;

struct Options {
    first: u64,
    seeds: u64,
    purchases: u64,
    trace: bool,
    faults: bool,
    stop: bool,
    rule: Option<String>,
    without: Vec<Fault>,
}

fn main() -> ExitCode {
    let options = match read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            println!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match simulate(&options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(problem) => {
            println!("{problem}");
            ExitCode::from(2)
        }
    }
}

fn read(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        first: 1,
        seeds: 100,
        purchases: 100,
        trace: false,
        faults: false,
        stop: false,
        rule: None,
        without: Vec::new(),
    };
    let mut arguments = arguments;
    while let Some(name) = arguments.next() {
        let mut text = || arguments.next().ok_or(format!("{name} wants a value"));
        let number = |text: String| {
            let number = text.parse::<u64>();
            number.map_err(|_| format!("{name} wants a number"))
        };
        match name.as_str() {
            "--seeds" => options.seeds = number(text()?)?,
            "--first" => options.first = number(text()?)?,
            "--purchases" => options.purchases = number(text()?)?.max(1),
            "--seed" => (options.first, options.seeds) = (number(text()?)?, 1),
            "--rule" => options.rule = Some(text()?),
            "--without" => options.without.push(fault(&text()?)?),
            "--faults" => options.faults = true,
            "--stop" => options.stop = true,
            "--trace" => options.trace = true,
            _ => return Err(format!("{name} is unknown")),
        }
    }
    Ok(options)
}

fn fault(name: &str) -> Result<Fault, String> {
    Fault::all()
        .find(|fault| format!("{fault:?}") == name)
        .ok_or_else(|| format!("{name} is no fault"))
}

impl Options {
    fn run(&self, seed: u64, trace: bool) -> Result<Outcome, String> {
        run(seed, self.purchases, &self.without, trace)
    }

    fn shows(&self, violation: &Violation) -> bool {
        self.rule
            .as_deref()
            .is_none_or(|rule| rule == violation.rule)
    }
}

/// Runs the seeds and returns the number of violations.
fn simulate(options: &Options) -> Result<usize, String> {
    let mut outcomes = run_all(options)?;
    outcomes.sort_by_key(|outcome| outcome.seed);
    if options.trace {
        for line in outcomes.iter().flat_map(|outcome| &outcome.trace) {
            println!("{line}");
        }
    }
    let broken: Vec<&Outcome> = outcomes
        .iter()
        .filter(|outcome| {
            outcome
                .violations
                .iter()
                .any(|violation| options.shows(violation))
        })
        .collect();
    for outcome in broken.iter().take(MAX_SHOWN) {
        show(outcome, options)?;
    }
    let mut rules: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for outcome in &outcomes {
        for violation in &outcome.violations {
            rules.entry(violation.rule).or_insert((0, outcome.seed)).0 += 1;
        }
    }
    for (rule, (count, seed)) in &rules {
        println!("{rule}: {count} times, first in seed {seed}");
    }
    let total = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let violations: usize = outcomes
        .iter()
        .map(|outcome| outcome.violations.len())
        .sum();
    let (faults, struck) = faults(&outcomes, options.faults);
    println!(
        "delivered={} refunded={} refund_failed={} kept_without_refunds={} late={}",
        total(|outcome| outcome.tally.delivered),
        total(|outcome| outcome.tally.refunded),
        total(|outcome| outcome.tally.refund_failed),
        total(|outcome| outcome.tally.kept),
        total(|outcome| outcome.tally.late)
    );
    let left = outcomes.iter().map(|outcome| outcome.left).max();
    println!(
        "left_for_ever={} bytes of a purchase at most, kinds_of_faults={struck}",
        left.unwrap_or_default()
    );
    println!(
        "seeds={} purchases={} faults={faults} violations={violations}",
        outcomes.len(),
        total(|outcome| outcome.purchases),
    );
    Ok(violations)
}

/// How many faults struck, and of how many kinds.
fn faults(outcomes: &[Outcome], shows: bool) -> (u64, String) {
    let (mut total, mut kinds) = (0, 0);
    for fault in Fault::all() {
        let struck = outcomes
            .iter()
            .filter_map(|outcome| outcome.faults.get(&fault));
        let (seeds, count) = struck.fold((0, 0), |(seeds, count), more| (seeds + 1, count + more));
        total += count;
        kinds += u32::from(count > 0);
        if shows {
            println!(
                "{:<20}{count:>10} times in {seeds:>5} seeds",
                format!("{fault:?}")
            );
        }
    }
    (total, format!("{kinds}/{}", Fault::all().count()))
}

/// Each core takes the next seed until none is left.
fn run_all(options: &Options) -> Result<Vec<Outcome>, String> {
    let next = AtomicU64::new(0);
    let seeds = AtomicU64::new(options.seeds);
    let (sender, receiver) = mpsc::channel();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            let (sender, next, seeds) = (sender.clone(), &next, &seeds);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= seeds.load(Ordering::Relaxed) {
                        break;
                    }
                    let outcome = options.run(options.first + at, options.trace);
                    let is_broken = |outcome: &Outcome| !outcome.violations.is_empty();
                    if options.stop && outcome.as_ref().is_ok_and(is_broken) {
                        seeds.store(0, Ordering::Relaxed);
                    }
                    if sender.send(outcome).is_err() {
                        break;
                    }
                }
            });
        }
    });
    drop(sender);
    receiver.into_iter().collect()
}

/// Prints a failing seed, with the trace of the first purchase that broke a rule.
fn show(outcome: &Outcome, options: &Options) -> Result<(), String> {
    let Some(first) = outcome
        .violations
        .iter()
        .find(|violation| options.shows(violation))
    else {
        return Ok(());
    };
    for violation in outcome.violations.iter().take(5) {
        println!("seed {} {}", outcome.seed, line(violation));
    }
    if !options.trace {
        let replay = options.run(outcome.seed, true)?;
        let lines: Vec<&String> = replay
            .trace
            .iter()
            .filter(|line| line.contains(&first.purchase))
            .collect();
        for line in lines
            .iter()
            .skip(lines.len().saturating_sub(MAX_TRACE_LINES))
        {
            println!("    {line}");
        }
        println!(
            "    replay: --seed {} --purchases {} --trace",
            outcome.seed, options.purchases
        );
    }
    Ok(())
}

fn line(violation: &Violation) -> String {
    format!(
        "{} {}: {}",
        violation.rule, violation.purchase, violation.detail
    )
}
