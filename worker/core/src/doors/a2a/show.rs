//! What a client sees of a task: its A2A form, in the words of version 1.0.

use serde_json::{Map, Value, json};

use super::message::STATUS;
use super::task::{Known, Said, Stage, Task, Turn};
use crate::checkout::Checkout;
use crate::documents::{X402_EXTENSIONS, discover};
use crate::doors::instructions::{Instructions, Way};
use crate::goods::{Goods, Receipt};
use crate::offer::Offer;
use crate::x402::{Dialect, PaymentRequired, Resource, SettleResponse};

const REQUIRED: &str = "x402.payment.required";
const RECEIPTS: &str = "x402.payment.receipts";
const ERROR: &str = "x402.payment.error";
const ASKING: &str = "Payment required";

/// How much of a task is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// At most so many messages of its history; `None`: all.
    pub(super) history: Option<u64>,
    /// Whether it is one of a list. Lists never contain what a payment has opened.
    pub(super) is_listed: bool,
    pub(super) with_artifacts: bool,
}

/// What is shown of a task beside what it says of itself.
struct Shown {
    message: Value,
    artifact: Option<(&'static str, Value)>,
}

/// The grant could not be made.
pub(super) struct NoGrant;

/// The task as the client sees it.
pub(super) async fn show<D>(
    task: &Task,
    extent: Extent,
    checkout: &Checkout<'_, D>,
) -> Result<Value, NoGrant> {
    let ids = Ids { task };
    let mut members = Map::new();
    let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
    set("id", json!(task.id));
    set("contextId", json!(task.context_id));
    let mut status = json!({"state": task.stage.state(), "timestamp": task.at.to_iso()});
    let is_secret = matches!(task.stage, Stage::Delivered { .. });
    if !(extent.is_listed && is_secret) {
        let Shown { message, artifact } = shown(task, checkout).await?;
        let message = ids.message(task.version, message);
        if let Some(status) = status.as_object_mut() {
            status.insert("message".to_owned(), message);
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
                Turn::Offer { id, version } => ids.message(*version, offered(id, None, checkout)),
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
    /// A message of ours: what the task's status said in this version.
    fn message(&self, version: u32, mut message: Value) -> Value {
        if let Some(members) = message.as_object_mut() {
            let id = format!("{}.{version}", self.task.id);
            members.insert("messageId".to_owned(), json!(id));
            members.insert("role".to_owned(), json!("ROLE_AGENT"));
        }
        self.added(message)
    }

    fn added(&self, mut message: Value) -> Value {
        if let Some(members) = message.as_object_mut() {
            members.insert("contextId".to_owned(), json!(self.task.context_id));
            members.insert("taskId".to_owned(), json!(self.task.id));
        }
        message
    }
}

async fn shown<D>(task: &Task, checkout: &Checkout<'_, D>) -> Result<Shown, NoGrant> {
    let alone = |message| Shown {
        message,
        artifact: None,
    };
    let receipts = |status: &str, said: Option<&Said>| {
        let mut metadata = Map::from_iter([(STATUS.to_owned(), json!(status))]);
        if let Some(word) = said.and_then(|said| said.payment.as_ref()) {
            metadata.insert(ERROR.to_owned(), json!(word));
        }
        if !task.receipts.is_empty() {
            metadata.insert(RECEIPTS.to_owned(), json!(task.receipts));
        }
        metadata
    };
    Ok(match &task.stage {
        Stage::Listed => {
            let list = price_list(checkout);
            let text = "The price list. To buy, send an AccessRequest with a planId of it, in a message without taskId.";
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
                let mut message = offered(challenge_id, Some(said), checkout);
                let more = receipts("payment-required", Some(said));
                if let Some(metadata) = message.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.extend(more);
                }
                alone(message)
            }
            (None, _) => alone(offered(challenge_id, None, checkout)),
        },
        Stage::Paying { said, known, .. } => {
            let status = match known {
                Known::Arrived => "payment-verified",
                _ => "payment-submitted",
            };
            let is_of_proof =
                |said: &Said| said.error.get("code") == Some(&json!("TX_UNCONFIRMED"));
            let waits = task.stage.waits_for_the_same();
            let unanswered = match (waits, task.waits_for_transfer()) {
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
            // What has become of an earlier payment is not what becomes of this one.
            let word = said.as_ref().filter(|_| *known == Known::Again);
            let metadata = receipts(status, word);
            alone(match said {
                Some(said) if *known == Known::Again => told(said, metadata),
                // Only the client can go on, by the proof.
                Some(said) if is_of_proof(said) => told(said, metadata),
                Some(said) => marked(following(said, !waits), metadata),
                None => marked(json!([{"text": unanswered}]), metadata),
            })
        }
        Stage::Delivered { goods, receipt, .. } => {
            let grant = grant(goods, checkout).await?;
            let mut metadata = receipts("payment-completed", None);
            if task.receipts.is_empty()
                && let Some(receipt) = receipt
            {
                metadata.insert(RECEIPTS.to_owned(), json!([success(receipt)]));
            }
            // Who has paid or signed more than once learns here which payment counts.
            let paid = receipt.as_ref().map_or_else(
                || "Paid.".to_owned(),
                |Receipt { transaction, .. }| {
                    format!("Paid in transaction {transaction}; no other payment counts for it.")
                },
            );
            let text = format!("{paid} The access token is in the grant.");
            let parts = json!([{"text": text}, {"data": grant}]);
            Shown {
                message: marked(parts, metadata),
                artifact: Some(("access-grant", grant)),
            }
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

async fn grant<D>(goods: &Goods, checkout: &Checkout<'_, D>) -> Result<Value, NoGrant> {
    let grant = checkout.grant(goods).await.map_err(|_| NoGrant)?;
    serde_json::to_value(grant).map_err(|_| NoGrant)
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
        members.insert("type".to_owned(), json!("Catalog"));
        // It is about another door.
        members.remove("nextStep");
    }
    list
}

fn parts_of(said: &Said) -> Value {
    let text = said.error.get("message").cloned().unwrap_or_default();
    json!([{"text": text}, {"data": said.error}])
}

/// The same, and how to follow what is under way. The rest of the sentence is that of every door, and others have no tasks.
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
fn offered<D>(id: &str, said: Option<&Said>, checkout: &Checkout<'_, D>) -> Value {
    let Some(offer) = checkout.config.offers.keys.open(id) else {
        let text =
            "This offer is no longer good. Send an AccessRequest with the planId to get a new one.";
        return json!({"parts": [{"text": text}]});
    };
    let terms = &offer.terms;
    let plan = terms.target.plan();
    let plan = plan.and_then(|plan| checkout.config.catalog.plan(plan));
    let description = plan.map_or("", |plan| &plan.description);
    let resource = Resource::json(&terms.url(checkout.origin.as_str()), description);
    let error = said.and_then(|said| said.error.get("message")?.as_str());
    let required = PaymentRequired::new(&offer, [], resource, error.unwrap_or(ASKING)).elsewhere();
    let price = format!(
        "{} \"{}\" costs {} USDC. Sign x402.payment.required with an x402 client and send the payment on this task, in the \
         message's metadata as x402.payment.payload with x402.payment.status \"payment-submitted\".",
        capital(terms.target.kind()),
        terms.target.id(),
        terms.amount
    );
    let challenge = json!({"data": challenge(&offer, description, checkout)});
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

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(letters)
        .collect()
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
        "transferInstead": Instructions::new(offer, checkout.config.offers.proof_binding, Way::Message),
    });
    if let Some(members) = challenge.as_object_mut() {
        let member = terms.target.member();
        members.insert(member.to_owned(), json!(terms.target.id()));
    }
    challenge
}
