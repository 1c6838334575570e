//! One thread, one virtual clock, and a scheduler that chooses by seed: everything that happens can be replayed.

use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Wake;

use crate::random::Random;

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// The id of a task. It is never used again.
pub type TaskId = u64;

/// Runs tasks. Each belongs to an owner, so that a crash can end all tasks of one.
#[derive(Debug, Default)]
pub struct Executor<O> {
    tasks: RefCell<BTreeMap<TaskId, Task<O>>>,
    next_task: Cell<TaskId>,
    ready: Arc<Ready>,
    timers: RefCell<BinaryHeap<Timer>>,
    timer_count: Cell<u64>,
    now: Cell<u64>,
}

struct Task<O> {
    owner: O,
    /// The task's future; `None` while the future is being polled.
    work: Option<Work>,
    waker: Waker,
}

impl<O> core::fmt::Debug for Task<O> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Task")
    }
}

#[derive(Debug, Default)]
struct Ready(Mutex<VecDeque<TaskId>>);

struct TaskWaker {
    id: TaskId,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.push(self.id);
    }
}

impl Ready {
    fn push(&self, id: TaskId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(id);
    }

    /// Takes one of the waiting tasks, chosen by seed.
    fn take(&self, random: &Random) -> Option<TaskId> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match queue.len() {
            0 => None,
            1 => queue.pop_front(),
            many => queue.swap_remove_back(random.range(0, many as u64 - 1) as usize),
        }
    }
}

#[derive(Debug)]
struct Timer {
    at: u64,
    order: u64,
    waker: Waker,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    /// The earliest is the greatest, because the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl<O: PartialEq + Default> Executor<O> {
    /// An executor whose clock starts at `now` milliseconds.
    pub fn new(now: u64) -> Self {
        let executor = Self::default();
        executor.now.set(now);
        executor
    }

    /// The virtual time in milliseconds.
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// Adds a task.
    pub fn spawn(&self, owner: O, work: impl Future<Output = ()> + 'static) -> TaskId {
        let id = self.next_task.get();
        self.next_task.set(id + 1);
        let waker = Waker::from(Arc::new(TaskWaker {
            id,
            ready: Arc::clone(&self.ready),
        }));
        let task = Task {
            owner,
            work: Some(Box::pin(work)),
            waker,
        };
        self.tasks.borrow_mut().insert(id, task);
        self.ready.push(id);
        id
    }

    /// Ends one task where it stands. The running task may end itself: it gets no further than its next wait.
    pub fn cancel(&self, id: TaskId) {
        let ended = self.tasks.borrow_mut().remove(&id);
        drop(ended);
    }

    /// Ends all tasks whose owner matches.
    pub fn cancel_all(&self, matches: impl Fn(&O) -> bool) {
        let ids: Vec<TaskId> = self
            .tasks
            .borrow()
            .iter()
            .filter(|(_, task)| matches(&task.owner))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.cancel(id);
        }
    }

    /// Waits until the clock shows `at`, in milliseconds.
    pub fn sleep_until(self: &Rc<Self>, at: u64) -> Sleep<O> {
        Sleep {
            executor: Rc::clone(self),
            at,
            registered: false,
        }
    }

    /// Lets time pass in which nothing runs. What was due meanwhile is late.
    pub fn skip_to(&self, at: u64) {
        self.now.set(self.now.get().max(at));
    }

    /// Runs everything until the clock reaches `end`.
    pub fn run_until(&self, end: u64, random: &Random) {
        loop {
            while let Some(id) = self.ready.take(random) {
                self.poll(id);
            }
            let mut timers = self.timers.borrow_mut();
            match timers.peek() {
                Some(timer) if timer.at <= end => {
                    self.now.set(self.now.get().max(timer.at));
                    if let Some(timer) = timers.pop() {
                        timer.waker.wake();
                    }
                }
                _ => break,
            }
        }
        self.now.set(self.now.get().max(end));
    }

    fn poll(&self, id: TaskId) {
        let taken = self
            .tasks
            .borrow_mut()
            .get_mut(&id)
            .and_then(|task| Some((task.work.take()?, task.waker.clone())));
        let Some((mut work, waker)) = taken else {
            return;
        };
        let outcome = work.as_mut().poll(&mut Context::from_waker(&waker));
        let finished = {
            let mut tasks = self.tasks.borrow_mut();
            match (outcome, tasks.get_mut(&id)) {
                (Poll::Pending, Some(task)) => {
                    task.work = Some(work);
                    return;
                }
                // Ended, or cancelled while it ran.
                _ => (work, tasks.remove(&id)),
            }
        };
        drop(finished);
    }
}

/// Waits for a moment of the virtual clock.
#[derive(Debug)]
pub struct Sleep<O> {
    executor: Rc<Executor<O>>,
    at: u64,
    registered: bool,
}

impl<O> Future for Sleep<O> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.executor.now.get() >= self.at {
            return Poll::Ready(());
        }
        if !self.registered {
            self.registered = true;
            let order = self.executor.timer_count.get() + 1;
            self.executor.timer_count.set(order);
            self.executor.timers.borrow_mut().push(Timer {
                at: self.at,
                order,
                waker: context.waker().clone(),
            });
        }
        Poll::Pending
    }
}
