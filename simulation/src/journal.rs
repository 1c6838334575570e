//! The log of a run for its reader, and the rules that were broken.

use core::cell::{Cell, RefCell};

/// A broken rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// The rule.
    pub rule: &'static str,
    /// The purchase.
    pub purchase: String,
    /// What was observed.
    pub detail: String,
}

/// More violations than this of one run are not kept.
const MAX_VIOLATIONS: usize = 50;

/// The trace and the violations of one run.
#[derive(Debug, Default)]
pub struct Journal {
    traces: bool,
    lines: RefCell<Vec<String>>,
    violations: RefCell<Vec<Violation>>,
    count: Cell<u64>,
}

impl Journal {
    /// A journal that writes a trace or not.
    pub fn new(traces: bool) -> Self {
        Self {
            traces,
            ..Self::default()
        }
    }

    /// Writes a line of the trace; `text` is made only when it is wanted.
    pub fn trace(&self, now: u64, text: impl FnOnce() -> String) {
        if self.traces {
            let line = format!("{:>9}.{:03} {}", now / 1000 % 1_000_000, now % 1000, text());
            self.lines.borrow_mut().push(line);
        }
    }

    /// Notes a broken rule.
    pub fn violation(&self, now: u64, violation: Violation) {
        self.trace(now, || {
            format!(
                "VIOLATION {} {} {}",
                violation.rule, violation.purchase, violation.detail
            )
        });
        self.count.set(self.count.get() + 1);
        let mut violations = self.violations.borrow_mut();
        if violations.len() < MAX_VIOLATIONS && !violations.contains(&violation) {
            violations.push(violation);
        }
    }

    /// The rules that were broken.
    pub fn violations(&self) -> Vec<Violation> {
        self.violations.borrow().clone()
    }

    /// The trace.
    pub fn lines(&self) -> Vec<String> {
        self.lines.take()
    }
}
