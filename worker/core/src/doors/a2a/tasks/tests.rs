use super::super::task::Known;
use super::super::test_support::{MemoryTasks, NOW, claim, offered, paying};
use super::*;

fn run(store: &MemoryTasks, command: TaskCommand) -> TaskReply {
    execute(store, &command, NOW).unwrap()
}

fn keep(store: &MemoryTasks, task: &Task) -> TaskReply {
    run(store, TaskCommand::Keep(Box::new(task.clone())))
}

fn has(store: &MemoryTasks, task: &Task) -> bool {
    let reply = run(store, TaskCommand::Read { id: task.id });
    reply == TaskReply::Task(Some(Box::new(task.clone())))
}

#[test]
fn only_the_next_version_is_kept() {
    let store = MemoryTasks::default();
    let first = offered(1, NOW);
    let mut second = first.clone();
    second.version = 2;
    assert_eq!(keep(&store, &second), TaskReply::Stale, "there is no first");
    assert_eq!(keep(&store, &first), TaskReply::Kept);
    assert_eq!(keep(&store, &first), TaskReply::Stale);
    assert_eq!(keep(&store, &second), TaskReply::Kept);
    assert_eq!(keep(&store, &second), TaskReply::Stale);
    assert!(has(&store, &second));
}

#[test]
fn the_oldest_unpaid_task_makes_room_and_last_of_all_one_that_is_being_paid() {
    let store = MemoryTasks::default();
    let paid = paying(0, NOW, None, Known::Arrived);
    let signed = paying(1, NOW, Some(claim()), Known::Nothing);
    let shown = paying(2, NOW.plus(99), None, Known::Nothing);
    for task in [&paid, &signed, &shown] {
        assert_eq!(keep(&store, task), TaskReply::Kept);
    }
    let waiting: Vec<_> = (0..40)
        .map(|at| offered(10 + at, NOW.plus(u64::from(at) + 1)))
        .collect();
    for task in &waiting {
        assert_eq!(keep(&store, task), TaskReply::Kept);
        assert!(store.unpaid().unwrap() <= MAX_UNPAID);
    }
    assert!(has(&store, &paid) && has(&store, &signed) && has(&store, &shown));
    let kept = waiting.iter().filter(|task| has(&store, task)).count();
    assert_eq!(kept, MAX_UNPAID - 2);
    assert!(!has(&store, &waiting[9]) && has(&store, &waiting[10]));
    // A change of a task needs no room, so no other task is removed.
    let mut next = waiting[39].clone();
    next.version = 2;
    assert_eq!(keep(&store, &next), TaskReply::Kept);
    assert!(has(&store, &waiting[10]));
    // If no unpaid task is left, a transfer that was only shown is removed before a payment that was signed.
    for at in 50..82 {
        keep(
            &store,
            &paying(at, NOW.plus(200), Some(claim()), Known::Nothing),
        );
    }
    assert!(has(&store, &paid) && !has(&store, &shown) && !has(&store, &waiting[39]));
    // A payment that was signed is removed before one that has begun, though that may still fail on chain.
    for at in 90..122 {
        let begun = paying(at, NOW.plus(300), Some(claim()), Known::Begun);
        keep(&store, &begun);
        assert!(has(&store, &begun));
    }
    assert!(has(&store, &paid) && !has(&store, &signed));
    let last = paying(122, NOW.plus(400), Some(claim()), Known::Begun);
    keep(&store, &last);
    assert!(store.unpaid().unwrap() <= MAX_UNPAID && has(&store, &last));
}

#[test]
fn a_task_whose_payment_has_come_to_nothing_needs_room_again() {
    let store = MemoryTasks::default();
    let mut task = paying(0, NOW, None, Known::Arrived);
    assert_eq!(keep(&store, &task), TaskReply::Kept);
    let waiting: Vec<_> = (0..32)
        .map(|at| offered(10 + at, NOW.plus(u64::from(at) + 1)))
        .collect();
    for other in &waiting {
        keep(&store, other);
    }
    assert!(has(&store, &waiting[0]));
    task.stage = waiting[0].stage.clone();
    task.version += 1;
    assert_eq!(keep(&store, &task), TaskReply::Kept);
    assert_eq!(store.unpaid().unwrap(), MAX_UNPAID);
    assert!(has(&store, &task) && !has(&store, &waiting[0]));
}

#[test]
fn a_task_whose_time_is_over_is_not_found_though_the_alarm_is_late() {
    let store = MemoryTasks::default();
    let mut task = offered(1, NOW);
    task.until = NOW;
    assert_eq!(keep(&store, &task), TaskReply::Kept);
    assert!(!has(&store, &task));
    let page = Page {
        state: None,
        since: None,
        after: None,
        limit: 9,
    };
    let none = TaskReply::Tasks {
        tasks: Vec::new(),
        more: false,
        total: 0,
    };
    assert_eq!(run(&store, TaskCommand::List(page)), none);
}

#[test]
fn in_place_of_a_task_whose_time_is_over_another_begins() {
    let store = MemoryTasks::default();
    let mut old = offered(1, NOW);
    old.until = NOW;
    assert_eq!(keep(&store, &old), TaskReply::Kept);
    let new = offered(1, NOW);
    assert_eq!(keep(&store, &new), TaskReply::Kept);
    assert!(has(&store, &new));
}

#[test]
fn a_list_goes_on_where_it_stopped() {
    let store = MemoryTasks::default();
    // Two of these tasks changed at the same time.
    let tasks: Vec<_> = [5, 4, 4, 3]
        .into_iter()
        .enumerate()
        .map(|(at, when)| offered(u8::try_from(at).unwrap(), NOW.plus(when)))
        .collect();
    for task in &tasks {
        keep(&store, task);
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = Page {
            state: None,
            since: None,
            after: after.clone(),
            limit: 1,
        };
        let TaskReply::Tasks { tasks, more, total } = run(&store, TaskCommand::List(page)) else {
            panic!("no list");
        };
        assert_eq!(total, 4);
        after = tasks.last().map(|task| Place {
            at: task.at,
            id: task.id,
        });
        seen.extend(tasks);
        if !more {
            break;
        }
    }
    assert_eq!(seen.len(), 4);
    assert!(seen.is_sorted_by(|a, b| a.at >= b.at));
    let mut ids: Vec<_> = seen.iter().map(|task| task.id.to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}
