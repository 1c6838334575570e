//! How the cache does on many cores: threads that share one validator and show it one token.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread::{available_parallelism, scope};
use std::time::{Duration, Instant};

use crate::subjects::seen;

const TIME: Duration = Duration::from_millis(300);
const BATCH: u32 = 1000;

pub fn print() {
    let cores = available_parallelism().map_or(1, Into::into);
    let mut alone = None;
    for threads in [1, 2, 4, 8, 16]
        .into_iter()
        .filter(|threads| *threads <= cores)
    {
        let rate = (0..5).map(|_| rate(threads)).fold(0.0, f64::max);
        let alone = *alone.get_or_insert(rate);
        println!(
            "  {threads:>2} threads: {:>6.1} million a second, {:.2} times that of one",
            rate / 1e6,
            rate / alone
        );
    }
    println!("  (this machine has {cores} cores)");
}

/// Hits in a second, all threads together.
fn rate(threads: usize) -> f64 {
    let (validator, value) = seen();
    let barrier = Barrier::new(threads);
    scope(|scope| {
        let work = || {
            let hit = || assert!(validator.validate(black_box(value.as_str())).is_ok());
            // Each thread has its own part of the cache, and fills it here.
            hit();
            barrier.wait();
            let start = Instant::now();
            let mut hits = 0;
            while start.elapsed() < TIME {
                (0..BATCH).for_each(|_| hit());
                hits += BATCH;
            }
            f64::from(hits) / start.elapsed().as_secs_f64()
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("every hit is one"))
            .sum()
    })
}
