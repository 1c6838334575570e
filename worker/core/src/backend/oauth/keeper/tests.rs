//! Tests many callers at once, expiry, refusals and failures. The clock stands still unless a caller sleeps.

use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::*;

struct Server {
    now: Cell<u64>,
    asked: Cell<u32>,
    lifetime: u64,
    works: Cell<bool>,
    stored: RefCell<Option<HeldToken>>,
}

impl Server {
    fn new(lifetime: u64) -> Self {
        Self {
            now: Cell::new(1_000_000),
            asked: Cell::new(0),
            lifetime,
            works: Cell::new(true),
            stored: RefCell::default(),
        }
    }
}

impl TokenEnv for Server {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.now.get())
    }

    async fn sleep(&self, millis: u64) {
        let end = self.now.get() + millis;
        while self.now.get() < end {
            self.now.set(self.now.get() + 1);
            pass().await;
        }
    }

    fn load(&self) -> Option<HeldToken> {
        self.stored.borrow().clone()
    }

    fn store(&self, token: &HeldToken) {
        self.stored.replace(Some(token.clone()));
    }

    async fn fetch(&self) -> Result<Vec<u8>, String> {
        self.asked.set(self.asked.get() + 1);
        let number = self.asked.get();
        self.sleep(300).await;
        match self.works.get() {
            true => Ok(format!(
                r#"{{"access_token":"token-{number}","expires_in":{}}}"#,
                self.lifetime
            )
            .into_bytes()),
            false => Err("status 500".to_owned()),
        }
    }

    fn log(&self, _: &str, _: &str) {}
}

/// Lets the other tasks run once.
async fn pass() {
    let mut passed = false;
    core::future::poll_fn(|context| {
        if passed {
            return core::task::Poll::Ready(());
        }
        passed = true;
        context.waker().wake_by_ref();
        core::task::Poll::Pending
    })
    .await;
}

fn ask(keeper: &TokenKeeper, server: &Server, refused: Option<u64>) -> Option<HeldToken> {
    run(keeper.token(server, refused))
}

fn crowd(keeper: &TokenKeeper, server: &Server, refused: Option<u64>) -> Vec<Option<HeldToken>> {
    run(join_all((0..100).map(|_| keeper.token(server, refused))))
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    loop {
        if let Some(value) = future.as_mut().now_or_never() {
            return value;
        }
    }
}

#[test]
fn a_hundred_who_ask_at_once_cause_one_request() {
    let (keeper, server) = (TokenKeeper::default(), Server::new(3600));
    let given = crowd(&keeper, &server, None);
    assert!(given.iter().all(|token| token == &given[0]));
    assert_eq!(given[0].as_ref().unwrap().text, "token-1");
    assert_eq!(server.asked.get(), 1);
}

#[test]
fn ten_seconds_before_its_end_a_token_is_renewed_once() {
    let (keeper, server) = (TokenKeeper::default(), Server::new(60));
    let first = ask(&keeper, &server, None).unwrap();
    server.now.set(first.expires_at.0 - MARGIN_MILLIS - 1);
    assert_eq!(ask(&keeper, &server, None).unwrap(), first);
    server.now.set(first.expires_at.0 - MARGIN_MILLIS);
    let given = crowd(&keeper, &server, None);
    assert!(given.iter().flatten().all(|token| token.text == "token-2"));
    assert_eq!(server.asked.get(), 2);
}

#[test]
fn a_refused_token_is_renewed_once_for_all_who_were_refused() {
    let (keeper, server) = (TokenKeeper::default(), Server::new(3600));
    let first = ask(&keeper, &server, None).unwrap();
    let given = crowd(&keeper, &server, Some(first.number));
    assert!(given.iter().flatten().all(|token| token.text == "token-2"));
    assert_eq!(ask(&keeper, &server, Some(first.number)), given[0]);
    assert_eq!(server.asked.get(), 2);
}

#[test]
fn a_token_with_a_short_life_serves_all_who_waited_for_it() {
    let (keeper, server) = (TokenKeeper::default(), Server::new(5));
    assert!(crowd(&keeper, &server, None).iter().all(Option::is_some));
    assert_eq!(server.asked.get(), 1);
    server.now.set(server.now.get() + 1);
    assert_eq!(ask(&keeper, &server, None).unwrap().text, "token-2");
}

#[test]
fn a_failure_is_told_to_all_who_waited_and_the_next_one_tries_again() {
    let (keeper, server) = (TokenKeeper::default(), Server::new(3600));
    server.works.set(false);
    assert!(crowd(&keeper, &server, None).iter().all(Option::is_none));
    assert_eq!(server.asked.get(), 1);
    server.works.set(true);
    server.now.set(server.now.get() + 1);
    assert!(ask(&keeper, &server, None).is_some());
}

#[test]
fn what_was_kept_serves_when_memory_is_lost_and_a_lost_renewal_locks_nobody_out() {
    let server = Server::new(3600);
    let first = ask(&TokenKeeper::default(), &server, None);
    let keeper = TokenKeeper::default();
    assert_eq!(ask(&keeper, &server, None), first);
    assert_eq!(server.asked.get(), 1);
    // A renewal whose request was cancelled without being dropped: its turn is never given back.
    keeper.busy_until.set(server.now.get() + 12_000);
    let renewed = ask(&keeper, &server, first.map(|token| token.number));
    assert_eq!(renewed.unwrap().text, "token-2");
}
