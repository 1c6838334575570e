//! A request to the worker, and its way through checkout to the purchases.

mod conversations;
mod tools;

pub(super) use conversations::send as send_call;
pub(super) use tools::send as send_tool;

use core::cell::{Cell, RefCell};
use core::fmt::{Debug, Display};
use core::future::Future;
use std::rc::Rc;

use alloy_primitives::{B256, Bytes, hex};
use key0_core::chain::SignedAuthorization;
use key0_core::checkout::{
    self, Brought, Calls, Checkout, Claim, Echo, Order, Outcome, TransferProof,
};
use key0_core::goods::{AnswerHead, OriginFault};
use key0_core::mpp::{Challenge, Credential, Field, Setting};
use key0_core::offer::{CallDigest, Offer, Target};
use key0_core::pauses::Patience;
use key0_core::purchase::{Ask, PayReply, Prove, Purchases};
use key0_core::token::{
    RsaPrivateKey, RsaPublicKey, RsaSigner, RsaVerifier, Signature, SigningError, Verdict,
};
use key0_core::types::{CallFault, RequestId};
use key0_core::x402::Authorization;
use serde_json::json;

use super::buyer::{REALM, derived};
use super::payment::Payment;
use crate::executor::TaskId;
use crate::faults::Fault;
use crate::network::{Answer, call};
use crate::objects;
use crate::oneshot::Sender;
use crate::rpc::Rpc;
use crate::setting::Version;
use crate::world::{Life, Owner, World};

const PURCHASE_DEADLINE_MILLIS: u64 = 60_000;
const BUYER_DEADLINE_MILLIS: u64 = 60_000;
/// The last 32 bytes of an ERC-6492 signature.
const COUNTERFACTUAL_SUFFIX: [u8; 32] =
    hex!("6492649264926492649264926492649264926492649264926492649264926492");

/// What a client sends with its payment.
#[derive(Clone, Debug)]
struct Presented {
    order: Order,
    authorization: Authorization,
    signature: Bytes,
    identifier: Option<B256>,
    challenge_id: Option<String>,
    /// The credential, of a client of the Machine Payments Protocol.
    credential: Option<Credential>,
    /// The call, if the request is one.
    call: Option<CallDigest>,
}

/// A payment that repeats nothing of its offer, so it contradicts nothing.
struct Silent;

impl Echo for Silent {
    fn mismatches(&self, _: &Offer) -> Vec<&'static str> {
        Vec::new()
    }
}

/// A client that repeats the challenge of the offer, which is held against the challenge that the shop would make.
struct Repeated<'a>(&'a Credential);

impl Echo for Repeated<'_> {
    fn mismatches(&self, offer: &Offer) -> Vec<&'static str> {
        self.0.mismatches(&challenge(offer))
    }
}

fn challenge(offer: &Offer) -> Challenge {
    let setting = Setting {
        realm: REALM.to_owned(),
        body: None,
        field: Field::Authorization,
    };
    Challenge::new(offer, &setting)
}

/// What a client of the Machine Payments Protocol sends for this payment.
fn credential(pay: &Payment) -> Option<Credential> {
    let signed = pay.authorization.authorization();
    let credential = json!({
        "challenge": challenge(&pay.offer).object(""),
        "payload": {
            "type": "authorization",
            "from": signed.from,
            "to": signed.to,
            "value": signed.value.to_string(),
            "validAfter": signed.valid_after.to_string(),
            "validBefore": signed.valid_before.to_string(),
            "nonce": signed.nonce,
            "signature": signature(&pay.authorization),
        },
        "source": format!("did:pkh:eip155:{}:{}", pay.offer.terms.network.chain_id(), signed.from),
    });
    Credential::read(&credential).ok()
}

/// Presents a payment. `None`: no answer arrived.
pub async fn request(world: &Rc<World>, pay: &Payment) -> Option<Outcome<'static>> {
    let presented = sent(world, pay);
    ask_door(world, &pay.offer.terms.request_id, move |door| {
        let presented = presented.clone();
        async move {
            door.brought.set(presented.call);
            door.pay(&presented).await
        }
    })
    .await
}

/// Presents a transfer. `None`: no answer arrived, or no key in the model can sign for this payer.
pub(super) async fn show_proof(world: &Rc<World>, prove: &Prove) -> Option<Outcome<'static>> {
    let signature = match prove.payer {
        None => None,
        Some(payer) => {
            let buyers = world.market.buyers.borrow();
            let buyer = buyers.iter().find(|buyer| buyer.address() == payer)?;
            Some(buyer.sign_text(prove.offer.id.as_str())?)
        }
    };
    let proof = TransferProof {
        challenge_id: prove.offer.id.to_string(),
        transaction: prove.transaction,
        signature,
        chain_id: None,
        payer: prove.payer,
    };
    ask_door(world, &prove.offer.terms.request_id, move |door| {
        let proof = proof.clone();
        async move { door.redeem(&proof).await }
    })
    .await
}

/// Asks what became of a payment, on the strength of the claim that came with an earlier answer. `None`: no answer arrived.
pub(super) async fn poll(world: &Rc<World>, claim: &Claim) -> Option<Outcome<'static>> {
    let claim = claim.clone();
    let patience = world.random.pick(&[Patience::NONE, Patience::REQUEST]);
    let id = claim.request_id.clone();
    // Some doors have the client send its call again, and some ask without it.
    let record = world.objects.purchase(&id).record();
    let call = record.and_then(|record| called(&record.terms.target));
    let call = call.filter(|_| world.random.chance(500));
    ask_door(world, &id, move |door| {
        let claim = claim.clone();
        async move {
            door.brought.set(call);
            let checkout = door.checkout()?;
            Some(owned(checkout.status(&claim, patience).await))
        }
    })
    .await
}

/// What the client sends for this payment. Most send their offer back. Some only name what they buy, or not even that; then
/// what they pay is judged by the offer of the moment.
fn sent(world: &World, pay: &Payment) -> Presented {
    let random = &world.random;
    let terms = &pay.offer.terms;
    let signed = &pay.authorization;
    let is_derived = derived(world, signed).as_ref() == Some(&terms.request_id);
    // The same payment may be sent by x402, too: then nothing is repeated of the challenge.
    let credential = match pay.form {
        Some(_) if !random.chance(150) => credential(pay),
        _ => None,
    };
    let is_dropped = credential.is_none() && (is_derived || random.chance(150));
    let order = Order {
        target: random.chance(700).then(|| terms.target.clone()),
        resource: random.chance(300).then(|| terms.resource.clone()),
        request_id: (!is_derived && (pay.chosen || is_dropped || random.chance(300)))
            .then(|| terms.request_id.clone()),
        // If the payment leaves its offer out, only the request can say that the client chose the request id.
        chosen: pay.chosen || (is_dropped && pay.is_chosen()),
        by_holder: false,
        patience: match called(&terms.target) {
            Some(_) => Patience::of_call(world.setting.call_timeout),
            None => Patience::REQUEST,
        },
    };
    // An order that names nothing is one for the cheapest plan, so a payment without its offer says what it is for.
    let target = match is_dropped || called(&terms.target).is_some() {
        true => Some(terms.target.clone()),
        false => order.target,
    };
    Presented {
        order: Order { target, ..order },
        authorization: signed.authorization().clone(),
        signature: signature(signed),
        identifier: pay.identifier,
        challenge_id: (!is_dropped).then(|| pay.offer.id.to_string()),
        credential,
        call: called(&terms.target),
    }
}

/// The call, if one is paid for.
const fn called(target: &Target) -> Option<CallDigest> {
    match target {
        Target::Route { call, .. } => Some(*call),
        Target::Plan(_) | Target::TopUp { .. } => None,
    }
}

/// The signature as clients send it: with the wallet's creation while it does not exist yet (ERC-6492).
pub(super) fn signature(signed: &SignedAuthorization) -> Bytes {
    let bytes = hex::decode(signed.signature_hex()).unwrap_or_default();
    let Some(deployment) = signed.deployment() else {
        return bytes.into();
    };
    let (factory, call) = deployment.parts();
    let blob = |bytes: &[u8]| {
        let mut words = B256::left_padding_from(&bytes.len().to_be_bytes()).to_vec();
        words.extend(bytes);
        words.resize(words.len().next_multiple_of(32), 0);
        words
    };
    let call = blob(call);
    let offset = |number: usize| B256::left_padding_from(&number.to_be_bytes());
    let mut wrapped = factory.into_word().to_vec();
    wrapped.extend(offset(3 * 32));
    wrapped.extend(offset(3 * 32 + call.len()));
    wrapped.extend(call);
    wrapped.extend(blob(&bytes));
    wrapped.extend(COUNTERFACTUAL_SUFFIX);
    wrapped.into()
}

/// Has the door do something. `None`: no answer arrived.
async fn ask_door<T, F>(
    world: &Rc<World>,
    about: impl Display,
    work: impl Fn(Door) -> F + Clone + 'static,
) -> Option<T>
where
    T: Debug + 'static,
    F: Future<Output = Option<T>> + 'static,
{
    if world.strikes(Fault::BuyerOffline) {
        world.sleep_between(100, 5_000).await;
        return None;
    }
    let nobody = Life::new(Owner::World);
    let callee = move |world: &Rc<World>, sender| door(world, work.clone(), sender);
    let outcome = call(world, &nobody, "door", BUYER_DEADLINE_MILLIS, callee).await;
    world.trace(|| format!("{about} answers {outcome:?}"));
    outcome.ok().filter(|_| !world.strikes(Fault::BuyerOffline))
}

fn door<T, F>(
    world: &Rc<World>,
    work: impl Fn(Door) -> F + 'static,
    sender: Sender<Answer<T>>,
) -> TaskId
where
    T: 'static,
    F: Future<Output = Option<T>> + 'static,
{
    let life = Rc::clone(&world.door.borrow());
    // An isolate that was started before a new deployment may serve a while longer.
    let version = match world.strikes(Fault::DoorOutdated) {
        true => Version::default(),
        false => world.version(),
    };
    let door = Door {
        rpc: Rpc::of_door(world, &life, version),
        version,
        world: Rc::clone(world),
        life,
        task: RefCell::default(),
        brought: Cell::new(None),
    };
    world.executor.spawn(Owner::Door, async move {
        let outcome = work(door).await;
        sender.send(outcome.ok_or_else(|| "the door has no address".to_owned()));
    })
}

/// The worker that takes a request.
struct Door {
    world: Rc<World>,
    life: Rc<Life>,
    rpc: Rpc,
    version: Version,
    /// The task that the call is about.
    task: RefCell<Option<String>>,
    /// The call that the request brings along.
    brought: Cell<Option<CallDigest>>,
}

impl Door {
    fn checkout(&self) -> Option<Checkout<'_, (&Self, &Rpc)>> {
        let config = self.world.config_of(self.version);
        Some(Checkout {
            config,
            deployment: (self, &self.rpc),
            rsa: &NoRsa,
            origin: config.origin("https://shop.example/x402/access")?,
            now: self.world.seconds(),
            random: self.world.random.bytes(),
        })
    }

    async fn pay(&self, presented: &Presented) -> Option<Outcome<'static>> {
        let repeated = presented.credential.as_ref().map(Repeated);
        let payment = checkout::Payment {
            authorization: &presented.authorization,
            signature: &presented.signature,
            identifier: presented.identifier,
            challenge_id: presented.challenge_id.as_deref(),
            echo: match &repeated {
                Some(repeated) => repeated,
                None => &Silent,
            },
        };
        let checkout = self.checkout()?;
        Some(owned(checkout.pay(&presented.order, &payment).await))
    }

    async fn redeem(&self, proof: &TransferProof) -> Option<Outcome<'static>> {
        let checkout = self.checkout()?;
        Some(owned(checkout.redeem(&Order::default(), proof).await))
    }
}

/// The outcome without the quote of what could be paid instead: the quote borrows the catalog of the moment.
fn owned(outcome: Outcome<'_>) -> Outcome<'static> {
    match outcome {
        Outcome::Granted {
            goods,
            receipt,
            again,
        } => Outcome::Granted {
            goods,
            receipt,
            again,
        },
        Outcome::Pending {
            phase,
            request_id,
            claim,
            receipt,
            transaction,
        } => Outcome::Pending {
            phase,
            request_id,
            claim,
            receipt,
            transaction,
        },
        Outcome::PayAgain {
            why,
            mismatches,
            transaction,
            booked,
            quote: _,
        } => Outcome::PayAgain {
            why,
            mismatches,
            transaction,
            booked,
            quote: None,
        },
        Outcome::Stopped { why } => Outcome::Stopped { why },
    }
}

impl Purchases for Door {
    async fn ask(
        &self,
        request_id: &RequestId,
        ask: &Ask,
        patience: Patience,
    ) -> Result<PayReply, CallFault> {
        let on_task = self.is_asked(request_id, ask);
        let (id, ask) = (request_id.clone(), ask.clone());
        let brought = self.brought.get();
        let callee = move |world: &Rc<World>, sender| {
            objects::ask(world, &id, ask.clone(), patience, brought, sender)
        };
        let deadline = PURCHASE_DEADLINE_MILLIS;
        let answer = call(&self.world, &self.life, "purchase", deadline, callee).await;
        if let (Some(asked), Ok(reply)) = (on_task, &answer) {
            self.is_answered(&asked, reply);
        }
        answer.map_err(CallFault)
    }
}

/// The doors that give an answer as JSON are not simulated: they bring their calls like all others.
impl Calls for Door {
    fn bring(&self, _: Brought) {}

    async fn make(&self, _: Brought, _: &RequestId) -> Result<AnswerHead, OriginFault> {
        Err(OriginFault::Unreachable)
    }

    fn body(&self, _: &str) -> Option<Vec<u8>> {
        None
    }
}

/// No seller of the simulation signs with RSA.
struct NoRsa;

impl RsaVerifier for NoRsa {
    fn is_signed<'a>(&'a self, _: &'a RsaPublicKey, _: &'a [u8], _: &'a [u8]) -> Verdict<'a> {
        Box::pin(async { false })
    }
}

impl RsaSigner for NoRsa {
    fn rs256<'a>(&'a self, _: &'a RsaPrivateKey, _: &'a [u8]) -> Signature<'a> {
        Box::pin(async { Err(SigningError) })
    }
}
