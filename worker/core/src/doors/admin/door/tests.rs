use core::cell::RefCell;

use futures_util::FutureExt as _;
use serde_json::Value;

use super::super::path::serves;
use super::*;
use crate::book::{PayerCommand, PayerReply};
use crate::chain::base::Receipt;
use crate::config::test_config;
use crate::ledger::test_support::{Shards, entry};
use crate::ledger::{Layout, LedgerCommand, LedgerReply, Shard};
use crate::meter::{MeterCommand, MeterReply};
use crate::settlement::wallet::{WalletOperation, WalletView};
use crate::testing::ScriptedMeters;
use crate::types::Status;
use crate::types::{Address, B256, Network, Secret};
use crate::types::{CallFault, WalletKey};

const SECRET: &str = "operator-operator-operator-operator";
const ID: &str = "550e8400-e29b-41d4-a716-446655440000";

/// A deployment with some purchases in its ledger. Every purchase gives the same answer to each question.
struct Deployment {
    shards: Shards,
    asked: RefCell<Vec<(String, OperatorCommand)>>,
    reply: Result<OperatorReply, CallFault>,
    receipt: Option<Receipt>,
    /// The commands that the payers' books got. `book` is the answer to each of them.
    booked: RefCell<Vec<(Address, PayerCommand)>>,
    book: PayerReply,
    wallets: RefCell<Vec<(Address, WalletOperation)>>,
    meters: ScriptedMeters,
}

impl Transfers for Deployment {
    async fn receipt(&self, _: &Config, _: B256) -> Result<Option<Receipt>, CallFault> {
        Ok(self.receipt.clone())
    }

    async fn book(
        &self,
        network: Network,
        payer: Address,
        command: &PayerCommand,
    ) -> Result<PayerReply, CallFault> {
        assert_eq!(network, test_config().network);
        self.booked.borrow_mut().push((payer, command.clone()));
        Ok(self.book.clone())
    }
}

impl Wallets for Deployment {
    async fn ask_wallet(
        &self,
        _: Network,
        wallet: Address,
        operation: WalletOperation,
    ) -> Result<WalletView, CallFault> {
        self.wallets.borrow_mut().push((wallet, operation));
        self.reply.clone().map(|_| WalletView {
            address: wallet,
            balance: None,
            included: None,
            next_nonce: Some(7),
            open: 0,
            jobs: Vec::new(),
        })
    }
}

impl Meters for Deployment {
    async fn ask(&self, grant: &str, command: &MeterCommand) -> Result<MeterReply, CallFault> {
        self.meters.ask(grant, command).await
    }
}

impl Ledgers for Deployment {
    fn layout(&self) -> Layout {
        self.shards.layout()
    }
    async fn ask(&self, shard: Shard, command: &LedgerCommand) -> Result<LedgerReply, CallFault> {
        self.shards.ask(shard, command).await
    }
}

impl Operators for Deployment {
    async fn ask(
        &self,
        request_id: &RequestId,
        command: OperatorCommand,
    ) -> Result<OperatorReply, CallFault> {
        self.asked
            .borrow_mut()
            .push((request_id.to_string(), command));
        self.reply.clone()
    }
}

fn deployment() -> Deployment {
    let day = 86_400_000;
    Deployment {
        shards: Shards::with([
            entry(1, "DELIVERED", 3 * day),
            entry(2, "DELIVERED", day),
            entry(3, "PAID", day + 1),
            entry(4, "REFUNDED", 2 * day),
        ]),
        asked: RefCell::default(),
        reply: Ok(OperatorReply::NotFound),
        receipt: None,
        booked: RefCell::default(),
        book: PayerReply::Claimed(B256::ZERO),
        wallets: RefCell::default(),
        meters: ScriptedMeters::default(),
    }
}

struct Request<'a> {
    method: Method,
    path: &'a str,
    query: &'a str,
    authorization: Option<String>,
}

fn get(path: &str) -> Request<'_> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    Request {
        method: Method::GET,
        path,
        query,
        authorization: Some(format!("Bearer {SECRET}")),
    }
}

fn post(path: &str) -> Request<'_> {
    Request {
        method: Method::POST,
        ..get(path)
    }
}

fn ask_with(secret: Option<&str>, deployment: &Deployment, request: &Request<'_>) -> Response {
    let mut config = test_config();
    config.admin_secret =
        secret.map(|secret| crate::types::BearerSecret::new(&Secret::new(secret)));
    let mut headers = HeaderMap::new();
    if let Some(value) = &request.authorization {
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
    }
    let arrival = Arrival {
        method: &request.method,
        path: request.path,
        query: request.query,
        headers: &headers,
        now: UnixMillis(1_800_000_000_000),
    };
    answer(&config, deployment, &arrival)
        .now_or_never()
        .unwrap()
}

fn ask(deployment: &Deployment, request: &Request<'_>) -> Response {
    let answer = ask_with(Some(SECRET), deployment, request);
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    answer
}

fn body(response: &Response) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

const PATHS: [&str; 11] = [
    "/admin",
    "/admin/",
    "/admin/purchases",
    "/admin/purchases/550e8400-e29b-41d4-a716-446655440000",
    "/admin/purchases/550e8400-e29b-41d4-a716-446655440000/cancel",
    "/admin/totals",
    "/admin/export.csv",
    "/admin/grants/550e8400-e29b-41d4-a716-446655440000",
    "/admin/wallets",
    "/admin/wallets/0x0000000000000000000000000000000000000001/repair",
    "/admin/nothing",
];

#[test]
fn the_door_serves_its_own_paths_only() {
    assert!(PATHS.into_iter().all(serves));
    for path in ["/", "/administration", "/x/admin", "/Admin/totals"] {
        assert!(!serves(path), "{path}");
    }
}

#[test]
fn without_a_secret_in_the_settings_there_is_no_door() {
    for path in PATHS {
        let answer = ask_with(None, &deployment(), &get(path));
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert_eq!(answer.body(), response::not_found().body());
    }
}

#[test]
fn without_the_right_secret_every_question_gets_the_same_answer() {
    let deployment = deployment();
    for path in PATHS {
        for method in [Method::GET, Method::POST, Method::OPTIONS, Method::HEAD] {
            for authorization in [
                None,
                Some("Bearer wrong".to_owned()),
                Some(format!("Basic {SECRET}")),
            ] {
                let request = Request {
                    method: method.clone(),
                    authorization,
                    ..get(path)
                };
                let answer = ask(&deployment, &request);
                let reads = [Method::GET, Method::HEAD].contains(&method);
                if reads && path.trim_end_matches('/') == "/admin" {
                    // The page itself shows nothing secret.
                    assert_eq!(answer.status(), StatusCode::OK);
                    continue;
                }
                assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
                assert_eq!(
                    answer.headers()[header::WWW_AUTHENTICATE],
                    "Bearer realm=\"key0 admin\""
                );
                assert_eq!(body(&answer)["code"], "UNAUTHORIZED");
            }
        }
    }
    assert!(deployment.asked.borrow().is_empty());
}

#[test]
fn each_command_reaches_its_purchase() {
    for (request, command) in [
        (
            get(&format!("/admin/purchases/{ID}")),
            OperatorCommand::Inspect,
        ),
        (
            post(&format!("/admin/purchases/{ID}/retry-refund")),
            OperatorCommand::RetryRefund,
        ),
        (
            post(&format!("/admin/purchases/{ID}/cancel/")),
            OperatorCommand::Cancel,
        ),
        (
            post(&format!("/admin/purchases/{ID}/report")),
            OperatorCommand::Report,
        ),
        (
            post(&format!(
                "/admin/purchases/{ID}/returned/0x{}",
                "77".repeat(32)
            )),
            OperatorCommand::Returned {
                transaction: B256::repeat_byte(0x77),
            },
        ),
    ] {
        let mut deployment = deployment();
        assert_eq!(ask(&deployment, &request).status(), StatusCode::NOT_FOUND);
        assert_eq!(*deployment.asked.borrow(), [(ID.to_owned(), command)]);
        deployment.reply = Ok(OperatorReply::Done {
            status: Status::Cancelled,
        });
        assert_eq!(
            body(&ask(&deployment, &request)),
            crate::json!({"requestId": ID, "status": "CANCELLED"})
        );
        deployment.reply = Ok(OperatorReply::NotPossible {
            status: Status::Delivered,
        });
        let refused = ask(&deployment, &request);
        assert_eq!(refused.status(), StatusCode::CONFLICT);
        assert_eq!(body(&refused)["details"]["status"], "DELIVERED");
        deployment.reply = Err(CallFault("inside detail".to_owned()));
        let fault = ask(&deployment, &request);
        assert_eq!(fault.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!String::from_utf8_lossy(fault.body()).contains("inside detail"));
    }
}

#[test]
fn wrong_paths_methods_and_parameters_are_told() {
    let deployment = deployment();
    for (request, status) in [
        (post("/admin"), StatusCode::NOT_FOUND),
        (get("/admin/admin/totals"), StatusCode::NOT_FOUND),
        (get("/admin/purchases/none"), StatusCode::NOT_FOUND),
        (post("/admin/totals"), StatusCode::METHOD_NOT_ALLOWED),
        (
            get(&format!("/admin/purchases/{ID}/cancel")),
            StatusCode::METHOD_NOT_ALLOWED,
        ),
        (get("/admin/purchases?state=PAID"), StatusCode::BAD_REQUEST),
        (
            post(&format!("/admin/purchases/{ID}/returned/0x77")),
            StatusCode::BAD_REQUEST,
        ),
        (
            post("/admin/transfers/0x77/returned"),
            StatusCode::NOT_FOUND,
        ),
        (
            post(&format!("/admin/purchases/{ID}/cancel?sure=yes")),
            StatusCode::BAD_REQUEST,
        ),
    ] {
        assert_eq!(
            ask(&deployment, &request).status(),
            status,
            "{}",
            request.path
        );
    }
    assert!(deployment.asked.borrow().is_empty());
}

mod grants;
mod returned;
mod views;
mod wallets;
