//! `ContextObject`, one per A2A context: the tasks of a conversation.
//!
//! Stored: `tasks`. An alarm removes each task when its time is over. Nothing is stored before the first task.
//!
//! Calls: `TaskCommand` → `TaskReply`.
//!
//! Why no interleaving breaks it: a command runs in one synchronous transaction and waits for nothing. Only a caller that has
//! read the last version of a task can replace it.

use key0_core::doors::a2a::{
    MAX_COUNTED, MAX_UNPAID, Page, Standing, Task, TaskCommand, TaskId, TaskStore, execute,
};
use key0_core::types::UnixMillis;
use serde::Deserialize;
use worker::{DurableObject, Env, Request, Response, SqlStorageValue, State, durable_object};

use super::{alarm_failed, command, reply};
use crate::platform;
use crate::storage::{count, integer};
use crate::tables::{Schema, Tables};

const SCHEMA: Schema = Schema(&[&[
    "CREATE TABLE tasks (
        id TEXT PRIMARY KEY,
        standing INTEGER NOT NULL,
        state TEXT NOT NULL,
        at INTEGER NOT NULL,
        until INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX tasks_by_change ON tasks (at DESC, id)",
    "CREATE INDEX tasks_by_state ON tasks (state, at DESC, id)",
    "CREATE INDEX tasks_by_end ON tasks (until)",
    "CREATE INDEX tasks_unpaid ON tasks (standing, at) WHERE standing < 4",
]]);
/// The most tasks that one alarm removes.
const MAX_REMOVED: usize = 500;
/// The pause before the next alarm, when more tasks are to be removed than one alarm removes.
const NEXT_MILLIS: u64 = 1_000;

#[durable_object(alarm)]
pub struct ContextObject {
    tasks: Tasks,
}

impl DurableObject for ContextObject {
    fn new(state: State, _env: Env) -> Self {
        Self {
            tasks: Tasks(Tables::new(&state, &SCHEMA)),
        }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let command: TaskCommand = command(&mut request).await?;
        let tasks = &self.tasks;
        let outcome = tasks
            .0
            .transaction(|| execute(tasks, &command, platform::now()));
        reply("context", outcome)
    }

    async fn alarm(&self) -> worker::Result<Response> {
        self.tasks.0.rang();
        match self.tasks.remove_ended(platform::now()) {
            Ok(()) => Response::empty(),
            Err(fault) => alarm_failed("context", &self.tasks.0, &fault.to_string()),
        }
    }
}

struct Tasks(Tables);

impl Tasks {
    fn remove_ended(&self, now: UnixMillis) -> worker::Result<()> {
        self.0.transaction(|| {
            self.0.write(
                "DELETE FROM tasks WHERE id IN (SELECT id FROM tasks WHERE until <= ? ORDER BY until LIMIT ?)",
                vec![integer(now.0)?, count(MAX_REMOVED)],
            )?;
            match self.first_end()? {
                Some(end) => self.0.set_alarm(Some(end.max(now.plus(NEXT_MILLIS)))),
                // No task is left, so the object returns to its initial state: no tables and no alarm.
                None => {
                    self.0.drop_all(&["tasks"])?;
                    self.0.set_alarm(None)
                }
            }
        })
    }

    fn first_end(&self) -> worker::Result<Option<UnixMillis>> {
        #[derive(Deserialize)]
        struct Row {
            until: u64,
        }
        let query = "SELECT until FROM tasks ORDER BY until LIMIT 1";
        let row: Option<Row> = self.0.row(query, vec![])?;
        Ok(row.map(|row| UnixMillis(row.until)))
    }

    /// Runs a query that counts rows.
    fn number(&self, query: &str, bindings: Vec<SqlStorageValue>) -> worker::Result<usize> {
        #[derive(Deserialize)]
        struct Row {
            number: usize,
        }
        let row: Option<Row> = self.0.row(query, bindings)?;
        Ok(row.map_or(0, |row| row.number))
    }
}

impl TaskStore for Tasks {
    type Error = worker::Error;

    fn read(&self, id: &TaskId) -> worker::Result<Option<Task>> {
        let query = "SELECT body FROM tasks WHERE id = ?";
        self.0.body(query, vec![id.to_string().into()])
    }

    fn write(&self, task: &Task) -> worker::Result<()> {
        self.0.write(
            "INSERT OR REPLACE INTO tasks (id, standing, state, at, until, body) VALUES (?, ?, ?, ?, ?, ?)",
            vec![
                task.id.to_string().into(),
                (Standing::of(task) as i32).into(),
                task.stage.state().into(),
                integer(task.at.0)?,
                integer(task.until.0)?,
                serde_json::to_string(task)?.into(),
            ],
        )
    }

    fn unpaid(&self) -> worker::Result<usize> {
        self.number(
            "SELECT COUNT(*) AS number FROM (SELECT 1 FROM tasks WHERE standing < 4 LIMIT ?)",
            vec![count(MAX_UNPAID.saturating_add(1))],
        )
    }

    fn make_room(&self) -> worker::Result<()> {
        self.0.write(
            "DELETE FROM tasks WHERE id = (SELECT id FROM tasks WHERE standing < 4 ORDER BY standing, at LIMIT 1)",
            vec![],
        )
    }

    fn list(&self, page: &Page, now: UnixMillis) -> worker::Result<Vec<Task>> {
        let (at, id) = match &page.after {
            Some(after) => (after.at.0.min(MAX_INTEGER), after.id.to_string()),
            None => (MAX_INTEGER, String::new()),
        };
        let (wanted, mut bindings) = filter(page, now)?;
        bindings.extend([integer(at)?, id.into(), count(page.limit)]);
        let query = format!(
            "SELECT body FROM tasks WHERE {wanted} AND at <= ?4 AND (at < ?4 OR id > ?5) ORDER BY at DESC, id LIMIT ?6"
        );
        self.0.bodies(&query, bindings)
    }

    fn count(&self, page: &Page, now: UnixMillis) -> worker::Result<usize> {
        let (wanted, mut bindings) = filter(page, now)?;
        bindings.push(count(MAX_COUNTED));
        let query =
            format!("SELECT COUNT(*) AS number FROM (SELECT 1 FROM tasks WHERE {wanted} LIMIT ?4)");
        self.number(&query, bindings)
    }

    fn set_alarm(&self) -> worker::Result<()> {
        self.0.set_alarm(self.first_end()?)
    }
}

/// The `WHERE` condition for a list, with its three values. A condition on the state lets SQLite use an index.
fn filter(page: &Page, now: UnixMillis) -> worker::Result<(&'static str, Vec<SqlStorageValue>)> {
    let since = page.since.map_or(0, |since| since.0.min(MAX_INTEGER));
    let (wanted, state) = match &page.state {
        Some(state) => ("state = ?1 AND at > ?2 AND until > ?3", state.as_str()),
        None => ("?1 = '' AND at > ?2 AND until > ?3", ""),
    };
    let bindings = vec![state.into(), integer(since)?, integer(now.0)?];
    Ok((wanted, bindings))
}

/// The largest integer that a float holds exactly; later than any point in time.
const MAX_INTEGER: u64 = (1 << 53) - 1;
