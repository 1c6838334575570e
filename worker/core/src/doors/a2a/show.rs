//! How a client sees a task: its A2A form, as version 1.0 defines it.

use crate::json;
use crate::json::Put as _;
use alloy_primitives::B256;
use serde_json::{Map, Value};

use super::message::STATUS;
use super::network::{elsewhere, told_elsewhere};
use super::task::{Known, Presented, Said, Stage, Task, Turn, is_success};
use super::words::also;
use crate::catalog::{Plan, Settle};
use crate::checkout::{Calls, Checkout, Deployment};
use crate::documents::{X402_EXTENSIONS, discover};
use crate::doors::access_request::{AccessRequest, CallRequest};
use crate::doors::described::Described;
use crate::doors::instructions::{Instructions, Way};
use crate::doors::resource_response::resource_response;
use crate::goods::{Goods, Receipt};
use crate::offer::{Offer, Target, Terms};
use crate::pauses::Patience;
use crate::x402::{Dialect, PaymentRequired, Resource, SettleResponse};

const REQUIRED: &str = "x402.payment.required";
const RECEIPTS: &str = "x402.payment.receipts";
const ERROR: &str = "x402.payment.error";
const ASKING: &str = "Payment required";

/// How much of a task is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// The most messages of the history to show; `None` for all.
    pub(super) history: Option<u64>,
    /// Whether the task is one of a list. Lists never contain what a payment has opened.
    pub(super) is_listed: bool,
    pub(super) with_artifacts: bool,
}

/// What a task's stage shows: the message of its status, and the artifact.
struct Shown {
    message: Value,
    artifact: Option<(&'static str, Value)>,
}

/// The grant could not be made.
pub(super) struct NoGrant;

/// The task as the client sees it.
pub(super) async fn show<D: Deployment>(
    task: &Task,
    extent: Extent,
    checkout: &Checkout<'_, D>,
) -> Result<Value, NoGrant> {
    let ids = Ids { task };
    let mut members = Map::new();
    let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
    set("id", json!(task.id));
    set("contextId", json!(task.context_id));
    let state = match elsewhere(task, checkout) {
        // While the deployment sells on another network, the payment's outcome stays unknown: a client that sees
        // `WORKING` would poll in vain.
        Some(_) if task.is_paying() => "TASK_STATE_INPUT_REQUIRED",
        _ => task.stage.state(),
    };
    let mut status = json!({"state": state, "timestamp": task.at.to_iso()});
    let is_secret = matches!(
        task.stage,
        Stage::Delivered { .. } | Stage::Uncharged { .. }
    );
    if !(extent.is_listed && is_secret) {
        let Shown { message, artifact } = shown(task, checkout).await?;
        let message = ids.message(task.version, message);
        if let Some(status) = status.as_object_mut() {
            status.put("message", message);
        }
        if let Some((name, data)) = artifact.filter(|_| extent.with_artifacts) {
            let artifact = json!({"artifactId": name, "name": name, "parts": [{"data": data}]});
            set("artifacts", json!([artifact]));
        }
    }
    set("status", status);
    if extent.history != Some(0) {
        let length = extent
            .history
            .and_then(|length| usize::try_from(length).ok());
        let skipped = task
            .turns
            .len()
            .saturating_sub(length.unwrap_or(usize::MAX));
        let turns = task.turns.iter().skip(skipped);
        let history: Vec<_> = turns
            .map(|turn| match turn {
                Turn::Theirs(message) => ids.added(message.clone()),
                Turn::Offer { id, version } => {
                    ids.message(*version, offered(id, None, task, checkout))
                }
            })
            .collect();
        if !history.is_empty() {
            set("history", json!(history));
        }
    }
    Ok(Value::Object(members))
}

struct Ids<'t> {
    task: &'t Task,
}

impl Ids<'_> {
    /// Our message that was the task's status in this version.
    fn message(&self, version: u32, mut message: Value) -> Value {
        if let Some(members) = message.as_object_mut() {
            let id = format!("{}.{version}", self.task.id);
            members.put("messageId", json!(id));
            members.put("role", json!("ROLE_AGENT"));
        }
        self.added(message)
    }

    fn added(&self, mut message: Value) -> Value {
        if let Some(members) = message.as_object_mut() {
            members.put("contextId", json!(self.task.context_id));
            members.put("taskId", json!(self.task.id));
        }
        message
    }
}

async fn shown<D: Deployment>(task: &Task, checkout: &Checkout<'_, D>) -> Result<Shown, NoGrant> {
    let alone = |message| Shown {
        message,
        artifact: None,
    };
    let receipts = |status: &str, said: Option<&Said>| {
        let mut metadata = Map::from_iter([(STATUS.to_owned(), json!(status))]);
        if let Some(word) = said.and_then(|said| said.payment.as_ref()) {
            metadata.put(ERROR, json!(word));
        }
        if !task.receipts.is_empty() {
            metadata.put(RECEIPTS, json!(task.receipts));
        }
        metadata
    };
    if let Some(own) = elsewhere(task, checkout) {
        let status = match &task.stage {
            Stage::Delivered { .. } => "payment-completed",
            _ => "payment-submitted",
        };
        let said = told_elsewhere(task, own, checkout.config.network);
        return Ok(alone(told(&said, receipts(status, None))));
    }
    Ok(match &task.stage {
        Stage::Listed => {
            let list = price_list(checkout);
            let call = match checkout.config.catalog.routes() {
                [] => "",
                _ => ", or with a routeId and the call in resource ({\"path\": \"…\"})",
            };
            let text = format!(
                "The price list. To buy, send an AccessRequest with a planId of it{call}, in a message without taskId."
            );
            Shown {
                message: json!({"parts": [{"text": text}, {"data": list}]}),
                artifact: Some(("catalog", list)),
            }
        }
        Stage::Unclear {
            said: Some(said), ..
        } => alone(told(said, receipts("payment-submitted", Some(said)))),
        Stage::Unclear { hint, said: None } => {
            let hint = hint.as_ref().map_or_else(String::new, |member| {
                format!(" The member is called `{member}`.")
            });
            let text = format!(
                "To buy access, send a data part like {{\"type\": \"AccessRequest\", \"planId\": \"…\", \"requestId\": \"a UUID of \
                 yours\"}} on this task; the plans are in the price list beside this text.{hint}"
            );
            alone(json!({"parts": [{"text": text}, {"data": price_list(checkout)}]}))
        }
        Stage::Offered {
            challenge_id,
            said,
            again,
            ..
        } => match (said, again) {
            (Some(said), true) => alone(told(said, receipts("payment-submitted", Some(said)))),
            (Some(said), false) => {
                let mut message = offered(challenge_id, Some(said), task, checkout);
                let more = receipts("payment-required", Some(said));
                if let Some(metadata) = message.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.extend(more);
                }
                alone(message)
            }
            (None, _) => alone(offered(challenge_id, None, task, checkout)),
        },
        Stage::Paying {
            said, known, by, ..
        } => {
            let status = match known {
                Known::Arrived => "payment-verified",
                _ => "payment-submitted",
            };
            let is_of_proof =
                |said: &Said| said.error.get("code") == Some(&json!("TX_UNCONFIRMED"));
            let waits = task.stage.waits_for_the_same();
            // While only a payment can ask about the purchase that it has begun, no proof is judged.
            let is_of_payment = matches!(by, Some(Presented::Signed(_)));
            let unanswered = match (waits, task.waits_for_transfer() && !is_of_payment) {
                (false, _) => {
                    "The payment is being settled. Call GetTask every few seconds; or send the same payment again, which is not \
                     charged twice."
                }
                (true, true) => {
                    "A transfer was shown, and the answer is missing. Send the same PaymentProof again: the transfer is not lost."
                }
                (true, false) => {
                    "A payment was sent, and the answer is missing. Send the same payment again: it is not charged twice."
                }
            };
            // What became of an earlier payment does not tell what becomes of this one.
            let word = said.as_ref().filter(|_| *known == Known::Again);
            let metadata = receipts(status, word);
            alone(match said {
                Some(said) if *known == Known::Again => told(said, metadata),
                // Only the client can go on, with the proof.
                Some(said) if is_of_proof(said) => told(said, metadata),
                Some(said) => marked(following(said, !waits), metadata),
                None => marked(json!([{"text": unanswered}]), metadata),
            })
        }
        Stage::Delivered {
            goods,
            receipt,
            claim,
        } if goods.answer().is_some() => {
            if let Some(claim) = claim
                && checkout
                    .deployment
                    .purchases()
                    .body(goods.purchase())
                    .is_none()
            {
                // The purchase gives the body again, as long as it is kept.
                checkout.status(claim, Patience::NONE).await;
            }
            let receipt = receipt.as_ref();
            let response = resource_response(checkout, goods, receipt).ok_or(NoGrant)?;
            let metadata = match receipt {
                Some(_) => receipts("payment-completed", None),
                None => Map::new(),
            };
            answered(&response, metadata)
        }
        Stage::Uncharged { goods } => {
            let response = resource_response(checkout, goods, None).ok_or(NoGrant)?;
            answered(&response, receipts("payment-failed", None))
        }
        Stage::Delivered { goods, receipt, .. } => {
            let grant = grant(goods, checkout).await?;
            let mut metadata = receipts("payment-completed", None);
            if task.receipts.is_empty()
                && let Some(receipt) = receipt
            {
                metadata.put(RECEIPTS, json!([success(receipt)]));
            }
            // A client that has paid or signed more than once learns here which payment counts.
            let paid = receipt.as_ref().map_or_else(
                || "Paid.".to_owned(),
                |Receipt { transaction, .. }| {
                    format!("Paid in transaction {transaction}; no other payment counts for it.")
                },
            );
            let is_another = |payment: &Presented| {
                let paid = receipt.as_ref().map(|receipt| receipt.transaction);
                matches!(payment, Presented::Shown(shown) if paid.is_some_and(|paid| paid != *shown))
            };
            let more = match task.payments.iter().any(is_another) {
                true => {
                    " A transfer that was shown beside that was not counted for it. Send its PaymentProof in a message without \
                     taskId, where it may still count for its own offer; or ask the seller to send it back."
                }
                false => "",
            };
            let text = format!("{paid} The access token is in the grant.{more}");
            let parts = json!([{"text": text}, {"data": grant}]);
            Shown {
                message: marked(parts, metadata),
                artifact: Some(("access-grant", grant)),
            }
        }
        Stage::Failed {
            said,
            was_paid: true,
        } if let Some(more) = beside_what_was_paid(task) => {
            let said = &also(said.clone(), more);
            alone(told(said, receipts("payment-failed", Some(said))))
        }
        Stage::Failed { said, .. } => alone(match said.payment {
            Some(_) => told(said, receipts("payment-failed", Some(said))),
            None => json!({"parts": parts_of(said)}),
        }),
        Stage::Rejected => {
            let text = "You did not want to pay, so nothing was sold. To begin again, send an AccessRequest in a \
                        message without taskId.";
            alone(marked(
                json!([{"text": text}]),
                receipts("payment-rejected", None),
            ))
        }
        Stage::Canceled => {
            let text = "Called off, before a payment was settled for it. To buy after all, send an AccessRequest in a message \
                        without taskId. If you have already made a transfer for its offer, send the PaymentProof in a message \
                        without taskId: it still counts.";
            alone(json!({"parts": [{"text": text}]}))
        }
    })
}

/// What is told about the transfers that were shown on a task whose purchase was paid and is over, unless each of them is
/// known to be the payment.
fn beside_what_was_paid(task: &Task) -> Option<&'static str> {
    let is_payment = |transfer: &B256| {
        let mut paid = task.receipts.iter().filter(|receipt| is_success(receipt));
        paid.any(|receipt| receipt.get("transaction") == Some(&json!(transfer)))
    };
    let is_beside = |payment: &Presented| matches!(payment, Presented::Shown(transfer) if !is_payment(transfer));
    task.payments.iter().any(is_beside).then_some(
        "If a transfer was shown beside the payment that this is about, it was not counted: ask the seller to send it back.",
    )
}

async fn grant<D>(goods: &Goods, checkout: &Checkout<'_, D>) -> Result<Value, NoGrant> {
    let grant = checkout.grant(goods).await.map_err(|_| NoGrant)?;
    serde_json::to_value(grant).map_err(|_| NoGrant)
}

/// The answer to a call, as message and as artifact.
fn answered(response: &Value, metadata: Map<String, Value>) -> Shown {
    let status = response.pointer("/resource/status");
    let status = status.map(Value::to_string).unwrap_or_default();
    let note = response.get("note").and_then(Value::as_str);
    let note = note.map_or_else(String::new, |note| format!(" {note}"));
    let text = format!("The API answered with {status}.{note}");
    let parts = json!([{"text": text}, {"data": response}]);
    let message = match metadata.is_empty() {
        true => json!({"parts": parts}),
        false => marked(parts, metadata),
    };
    Shown {
        message,
        artifact: Some(("resource-response", response.clone())),
    }
}

fn success(receipt: &Receipt) -> SettleResponse {
    let Receipt {
        transaction,
        network,
        payer,
        ..
    } = receipt;
    SettleResponse::success(Dialect::X402V2, *transaction, *network, *payer)
}

fn price_list<D>(checkout: &Checkout<'_, D>) -> Value {
    let mut list = json!(discover(checkout.config, &checkout.origin));
    if let Some(members) = list.as_object_mut() {
        members.put("type", json!("Catalog"));
        // The next step is about another door.
        members.remove("nextStep");
    }
    list
}

fn parts_of(said: &Said) -> Value {
    let text = said.error.get("message").cloned().unwrap_or_default();
    json!([{"text": text}, {"data": said.error}])
}

/// The parts of what was said, followed by how to ask about what is under way. That is added here, because other doors
/// have no tasks.
fn following(said: &Said, can_be_asked: bool) -> Value {
    let mut parts = parts_of(said);
    let message = said
        .error
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if let Some(text) = parts.pointer_mut("/0/text") {
        let more = match can_be_asked {
            true => "Call GetTask every few seconds to follow it.",
            false => "Send the same again every few seconds to follow it; it is not charged twice.",
        };
        *text = json!(format!("{message} {more}"));
    }
    parts
}

fn told(said: &Said, metadata: Map<String, Value>) -> Value {
    marked(parts_of(said), metadata)
}

/// A message about a payment.
fn marked(parts: Value, metadata: Map<String, Value>) -> Value {
    json!({"parts": parts, "metadata": metadata, "extensions": [X402_EXTENSIONS[0]]})
}

/// The offer, and what was wrong with the last payment.
fn offered<D>(id: &str, said: Option<&Said>, task: &Task, checkout: &Checkout<'_, D>) -> Value {
    let offer = checkout.config.offers.keys.open(id);
    let Some(offer) = offer.filter(|offer| offer.terms.network == checkout.config.network) else {
        let text =
            "This offer is no longer good. Send an AccessRequest with the planId to get a new one.";
        return json!({"parts": [{"text": text}]});
    };
    let terms = &offer.terms;
    let catalog = &checkout.config.catalog;
    let route = terms.target.route().and_then(|id| catalog.route(id));
    let plan = terms.target.plan().and_then(|plan| catalog.plan(plan));
    let description = plan.map(Plan::described);
    let description = description.or(route.map(|route| route.description.as_str().into()));
    let description = description.unwrap_or_default();
    let called = called(task, terms, checkout);
    let url = called.unwrap_or_else(|| terms.url(checkout.origin.as_str()));
    let resource = Resource::json(&url, &description);
    let error = said.and_then(|said| said.error.get("message")?.as_str());
    let required = PaymentRequired::new(&offer, [], resource, error.unwrap_or(ASKING));
    let required = match route.is_some_and(|route| route.settle == Settle::Before) {
        true => required.upfront(),
        false => required,
    };
    let required = required.elsewhere();
    let what = match terms.target.plan() {
        Some(_) => "Plan",
        None => "A call of route",
    };
    let price = format!(
        "{what} \"{}\" costs {} USDC. Sign x402.payment.required with an x402 client and send the payment on this task, in the \
         message's metadata as x402.payment.payload with x402.payment.status \"payment-submitted\".",
        terms.target.id(),
        terms.amount
    );
    let challenge = json!({"data": challenge(&offer, &description, checkout)});
    let parts = match said {
        Some(said) => {
            let told = said
                .error
                .get("message")
                .and_then(Value::as_str)
                .unwrap_or_default();
            json!([{"text": format!("{told} {price}")}, {"data": said.error}, challenge])
        }
        None => json!([{"text": price}, challenge]),
    };
    let metadata = Map::from_iter([
        (STATUS.to_owned(), json!("payment-required")),
        (REQUIRED.to_owned(), json!(required)),
    ]);
    marked(parts, metadata)
}

/// The URL of the call that the task keeps, if these terms are for it.
fn called<D>(task: &Task, terms: &Terms, checkout: &Checkout<'_, D>) -> Option<String> {
    let Target::Route { call, .. } = &terms.target else {
        return None;
    };
    let CallRequest { route, resource } = AccessRequest::read(task.call.as_ref()?).ok()?.call?;
    let (catalog, origin) = (&checkout.config.catalog, &checkout.origin);
    let described = Described::read(catalog, origin, &route, resource.as_ref()).ok()?;
    (described.call.digest == *call).then(|| described.url(origin))
}

fn challenge<D>(offer: &Offer, description: &str, checkout: &Checkout<'_, D>) -> Value {
    let terms = &offer.terms;
    let mut challenge = json!({
        "type": "X402Challenge",
        "challengeId": offer.id,
        "requestId": terms.request_id,
        "resourceId": terms.resource,
        "resourceVerified": true,
        "amount": terms.amount,
        "asset": "USDC",
        "chainId": terms.network.chain_id(),
        "network": terms.network.caip2(),
        "destination": terms.pay_to.to_checksum(None),
        "expiresAt": terms.expires_at.to_iso(),
        "description": description,
    });
    if let Some(members) = challenge.as_object_mut() {
        if terms.target.plan().is_some() {
            let binding = checkout.config.offers.proof_binding;
            let transfer = json!(Instructions::new(offer, binding, Way::Message));
            members.put("transferInstead", transfer);
        }
        let member = terms.target.member();
        members.insert(member.to_owned(), json!(terms.target.id()));
    }
    challenge
}
