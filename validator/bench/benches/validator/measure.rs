//! The harness: subjects take turns, so that a slow moment of the machine hits all of them; each is given the time of its
//! best rounds, one in fifty. Rounds are short against the few milliseconds after which a busy system gives the core to
//! somebody else, and all of them take longer than the seconds for which a neighbour is at work on the other half of it:
//! that slows what keeps a core busy, and not a hash, which waits for itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

const ROUNDS: usize = 2_000;
const ROUND: Duration = Duration::from_micros(500);

/// Something to call over and over.
pub struct Subject {
    pub name: &'static str,
    pub is_peer: bool,
    pub call: Box<dyn FnMut() -> bool>,
}

pub fn subject(name: &'static str, call: impl FnMut() -> bool + 'static) -> Subject {
    Subject {
        name,
        is_peer: false,
        call: Box::new(call),
    }
}

pub fn peer(name: &'static str, call: impl FnMut() -> bool + 'static) -> Subject {
    Subject {
        is_peer: true,
        ..subject(name, call)
    }
}

pub struct Line {
    pub name: String,
    pub ns: f64,
    pub allocations: f64,
    pub is_peer: bool,
}

pub fn together(mut subjects: Vec<Subject>) -> Vec<Line> {
    let calls: Vec<u32> = subjects.iter_mut().map(calibrate).collect();
    let mut times = vec![Vec::with_capacity(ROUNDS); subjects.len()];
    for _ in 0..ROUNDS {
        for ((subject, calls), times) in subjects.iter_mut().zip(&calls).zip(&mut times) {
            times.push(time(subject, *calls).as_nanos() as f64 / f64::from(*calls));
        }
    }
    subjects
        .iter_mut()
        .zip(times)
        .map(|(subject, mut times)| {
            times.sort_by(f64::total_cmp);
            Line {
                name: subject.name.to_owned(),
                ns: times[ROUNDS / 50],
                allocations: allocations(subject),
                is_peer: subject.is_peer,
            }
        })
        .collect()
}

/// How many calls fill a round. Also proves that the subject decides as it should. A few tries, because one that was interrupted
/// would have rounds of a single call.
fn calibrate(subject: &mut Subject) -> u32 {
    assert!((subject.call)(), "{} decides wrongly", subject.name);
    let mut calls = 1;
    while (0..5).any(|_| time(subject, calls) < ROUND) {
        calls *= 2;
    }
    calls
}

fn time(subject: &mut Subject, calls: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..calls {
        black_box((subject.call)());
    }
    start.elapsed()
}

fn allocations(subject: &mut Subject) -> f64 {
    const CALLS: u64 = 100;
    let before = COUNT.with(Cell::get);
    for _ in 0..CALLS {
        black_box((subject.call)());
    }
    (COUNT.with(Cell::get) - before) as f64 / CALLS as f64
}

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as asked of us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as asked of us.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as asked of us.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A bar of the design and what was measured.
pub struct Outcome {
    what: String,
    measured: f64,
    bar: f64,
    at_most: bool,
}

impl Outcome {
    pub fn at_most(what: &str, measured: f64, bar: f64) -> Self {
        Self {
            what: what.to_owned(),
            measured,
            bar,
            at_most: true,
        }
    }

    pub fn at_least(what: &str, measured: f64, bar: f64) -> Self {
        Self {
            at_most: false,
            ..Self::at_most(what, measured, bar)
        }
    }

    pub fn met(&self) -> bool {
        match self.at_most {
            true => self.measured <= self.bar,
            false => self.measured >= self.bar,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.met() { "met" } else { "MISSED" };
        let sign = if self.at_most { "<=" } else { ">=" };
        write!(
            f,
            "{:40} {:>8.2} {sign} {:<8} {verdict}",
            self.what, self.measured, self.bar
        )
    }
}
