//! Buyers: they sign, pay, lose answers, retry in every way agents do, give up, and come back much later.

use std::rc::Rc;

use alloy_primitives::{Address, B256, U256, hex, keccak256};
use key0_core::chain::transfer::text_digest;
use key0_core::chain::{Presented, SignedAuthorization, usdc};
use key0_core::checkout::{Claim, Outcome, Retry};
use key0_core::mpp::nonces;
use key0_core::offer::{CallDigest, Offer, Target, Terms, lifetime};
use key0_core::types::WalletKey;
use key0_core::types::{RequestId, ResourceId, RouteId};
use serde_json::json;

use super::door::poll;
use super::transfer::transfer_instead;
use super::{Payment, on_payment, request};
use crate::faults::Fault;
use crate::rules::{self, Asker};
use crate::setting::{CALLED, CALLS, FACTORY, PLANS, call_of};
use crate::world::{Owner, World};
use key0_core::x402::Authorization;

const MAX_ROUNDS: u64 = 10;
/// The host of the shop, which challenges name.
pub(super) const REALM: &str = "shop.example";

/// A buyer.
#[derive(Clone, Debug)]
pub struct Buyer {
    key: WalletKey,
    /// Whether the buyer's money is in a contract wallet. The first payment creates that wallet.
    has_wallet: bool,
}

/// What a buyer does next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Move {
    Same,
    FreshSignature,
    FreshPurchase,
    Later,
    GiveUp,
}

impl Buyer {
    /// The buyer of this number. Every third one has a contract wallet, where the gas wallet would create it.
    pub fn new(world: &World, number: u64) -> Option<Self> {
        let key = WalletKey::from_hex(&format!("{:064x}", 0xb0_0000 + number))?;
        let has_wallet = number % 3 == 1 && world.setting.sends_itself();
        let buyer = Self { key, has_wallet };
        if has_wallet {
            world.chain.borrow_mut().add_wallet(buyer.address());
            if world.strikes(Fault::WalletBurns) {
                world.chain.borrow_mut().add_burner(buyer.address());
            }
        }
        Some(buyer)
    }

    /// The address of the wallet that has the money.
    pub fn address(&self) -> Address {
        match self.has_wallet {
            true => Address::from_word(keccak256(self.key.address())),
            false => self.key.address(),
        }
    }

    /// The wallet's signature: longer than a key's, and with its creation while it does not exist. In the form in which it is
    /// stored: to prove it, the door would have to ask the chain, which here knows every signature.
    fn wallet_signature(
        &self,
        world: &World,
        authorization: &Authorization,
    ) -> Option<SignedAuthorization> {
        let nonce = authorization.nonce;
        let mut signature = json!({"bytes": hex::encode_prefixed(nonce.repeat(3))});
        if !world.chain.borrow().ledger().is_deployed(self.address()) {
            signature["deployment"] = json!({"factory": FACTORY, "call": self.key.address()});
        }
        let signed = json!({"authorization": authorization, "signature": signature});
        serde_json::from_value(signed).ok()
    }

    /// Signs a text (EIP-191). For a contract wallet its owner does; the chain here knows that it accepts that.
    pub(super) fn sign_text(&self, text: &str) -> Option<Vec<u8>> {
        let signature = self.key.sign(&text_digest(text)).ok()?;
        Some(signature.as_bytes().to_vec())
    }

    /// Signs a payment for an offer.
    pub fn pay(&self, world: &World, offer: Offer) -> Option<Payment> {
        let until = world.seconds().0 + world.random.pick(&world.setting.validities);
        let nonce = B256::from(world.random.bytes());
        self.sign(world, offer, until, nonce)
    }

    /// Signs a payment for the challenge of an offer, with one of its two nonces, as clients of the Machine Payments
    /// Protocol do.
    pub(super) fn pay_challenge(
        &self,
        world: &World,
        offer: Offer,
        form: usize,
    ) -> Option<Payment> {
        let until = offer.terms.expires_at.0;
        let nonce = *nonces(offer.id.as_str(), REALM).get(form % 2)?;
        Some(Payment {
            identifier: None,
            form: Some(form),
            ..self.sign(world, offer, until, nonce)?
        })
    }

    fn sign(&self, world: &World, offer: Offer, until: u64, nonce: B256) -> Option<Payment> {
        let terms = &offer.terms;
        let authorization = Authorization {
            from: self.address(),
            to: terms.pay_to,
            value: terms.amount.to_u256(),
            valid_after: U256::ZERO,
            valid_before: U256::from(until),
            nonce,
        };
        let authorization = if self.has_wallet {
            self.wallet_signature(world, &authorization)?
        } else {
            let digest = usdc::authorization_digest(&authorization, terms.network);
            let signature = self.key.sign(&digest).ok()?.as_bytes();
            let (pay_to, amount) = (terms.pay_to, terms.amount);
            let network = terms.network;
            match Presented::new(authorization, &signature, network, pay_to, amount).ok()? {
                Presented::Proven(signed) => signed,
                Presented::Claimed(_) => return None,
            }
        };
        let mut chain = world.chain.borrow_mut();
        chain.learn(&authorization);
        if let Some(without) = without_creation(&authorization) {
            chain.learn(&without);
        }
        drop(chain);
        Some(Payment {
            offer,
            authorization,
            identifier: world
                .random
                .chance(200)
                .then(|| world.random.bytes().into()),
            chosen: false,
            form: None,
        })
    }
}

/// The authorization as it is signed once the wallet exists. `None` if it does not create the wallet.
fn without_creation(signed: &SignedAuthorization) -> Option<SignedAuthorization> {
    signed.deployment()?;
    let mut value = serde_json::to_value(signed).ok()?;
    value["signature"].as_object_mut()?.remove("deployment");
    serde_json::from_value(value).ok()
}

/// An offer for a plan, under a new request id.
pub(super) fn new_offer(world: &World, plan: usize) -> Option<Offer> {
    offer_as(world, plan, RequestId::from_random(world.random.bytes()))
}

/// An offer for a plan, made now.
pub(super) fn offer_as(world: &World, plan: usize, request_id: RequestId) -> Option<Offer> {
    let config = world.config_now();
    if let Some((id, call)) = call_of(plan) {
        return call_offer(world, id, call, request_id);
    }
    let (id, _) = PLANS[plan % PLANS.len()];
    // What the catalog does not have is not offered.
    let sold = config.catalog.plan(&id.parse().ok()?)?;
    let (issued_at, expires_at) = lifetime(world.seconds(), world.setting.ttl);
    Some(world.config.offers.keys.seal(Terms {
        request_id,
        chosen: false,
        by_holder: false,
        target: Target::Plan(sold.id.clone()),
        resource: ResourceId::default(),
        lifetime: sold.lifetime(config.token.ttl_seconds),
        extra: config.offers.keys.digest(&sold.extra, &sold.limits),
        amount: sold.price,
        pay_to: config.wallets.pay_to,
        network: world.config.network,
        issued_at,
        expires_at,
    }))
}

/// An offer for a call, made now.
fn call_offer(
    world: &World,
    id: RouteId,
    call: CallDigest,
    request_id: RequestId,
) -> Option<Offer> {
    let config = world.config_now();
    let route = config.catalog.route(&id)?;
    let (issued_at, expires_at) = lifetime(world.seconds(), world.setting.ttl);
    Some(world.config.offers.keys.seal(Terms {
        request_id,
        chosen: false,
        by_holder: false,
        resource: route.resource.clone(),
        amount: route.price?,
        target: Target::Route { id, call },
        lifetime: 0,
        extra: None,
        pay_to: config.wallets.pay_to,
        network: world.config.network,
        issued_at,
        expires_at,
    }))
}

/// The request id that the door derives from a payment whose client named none.
pub(super) fn derived(world: &World, payment: &SignedAuthorization) -> Option<RequestId> {
    let nonce = payment.authorization().nonce;
    let digest = usdc::payment_fingerprint(world.config.network, payment.payer(), nonce);
    format!("x402-{}", hex::encode(digest)).parse().ok()
}

/// The client names the purchase: when it asks for the price, when it pays, or both times.
fn name(world: &World, pay: &mut Payment) {
    let when = world.random.range(0, 2);
    pay.chosen = when != 0;
    if when != 1 {
        pay.offer = world.config.offers.keys.seal(Terms {
            chosen: true,
            ..pay.offer.terms.clone()
        });
    }
}

/// A payment for a new purchase; some clients name it, and some name no request id and send back no challenge.
fn fresh(world: &World, buyer: &Buyer, plan: usize) -> Option<Payment> {
    let offer = new_offer(world, plan)?;
    if world.random.chance(250) {
        return fresh_challenge(world, buyer, offer);
    }
    let mut pay = buyer.pay(world, offer)?;
    if world.random.chance(150) {
        pay.offer = offer_as(world, plan, derived(world, &pay.authorization)?)?;
    } else if world.random.chance(400) {
        name(world, &mut pay);
    }
    Some(pay)
}

/// The same by the Machine Payments Protocol. Its clients always send their challenge back, so the purchase is named by
/// the request that asks for the price, which is repeated as it was.
fn fresh_challenge(world: &World, buyer: &Buyer, mut offer: Offer) -> Option<Payment> {
    let is_named = world.random.chance(400);
    if is_named {
        offer = world.config.offers.keys.seal(Terms {
            chosen: true,
            ..offer.terms
        });
    }
    let form = world.random.range(0, 1) as usize;
    let pay = buyer.pay_challenge(world, offer, form)?;
    Some(Payment {
        chosen: is_named,
        ..pay
    })
}

/// Buys the same plan several times at once, each time by a name of its own, as a platform does for its agents.
pub async fn shop_in_parallel(world: Rc<World>, buyer: Buyer, plan: usize) {
    for _ in 0..world.random.range(2, 8) {
        let Some(mut pay) = new_offer(&world, plan).and_then(|offer| buyer.pay(&world, offer))
        else {
            return;
        };
        name(&world, &mut pay);
        let (then, buyer) = (Rc::clone(&world), buyer.clone());
        world.executor.spawn(Owner::World, async move {
            go_on(then, buyer, plan, pay).await;
        });
    }
}

/// Buys one plan, or tries to.
pub async fn shop(world: Rc<World>, buyer: Buyer, plan: usize) {
    if let Some(pay) = fresh(&world, &buyer, plan) {
        world.sleep_between(0, 3_000).await;
        go_on(world, buyer, plan, pay).await;
    }
}

async fn go_on(world: Rc<World>, buyer: Buyer, plan: usize, mut pay: Payment) {
    for _ in 0..MAX_ROUNDS {
        let outcome = present(&world, &pay).await;
        if let Some(Outcome::PayAgain { booked: true, .. }) = outcome
            && world.setting.transfers > 0
            && plan < CALLS
            && world.random.chance(500)
        {
            return transfer_instead(&world, &buyer, plan, &pay).await;
        }
        if let Some(Outcome::Pending {
            claim: Some(claim), ..
        }) = &outcome
            && world.random.chance(300)
        {
            look_in(&world, &pay, claim).await;
        }
        let next = decide(&world, outcome.as_ref());
        world.trace(|| {
            format!(
                "{} the buyer goes on with {next:?}",
                pay.offer.terms.request_id
            )
        });
        match next {
            Move::GiveUp => return,
            Move::Same => world.sleep_between(0, 8_000).await,
            Move::Later => world.sleep_between(60_000, 1_200_000).await,
            Move::FreshSignature | Move::FreshPurchase => world.sleep_between(0, 8_000).await,
        }
        let next_pay = match next {
            Move::FreshSignature => {
                let offer = pay.offer.clone();
                let mut again = match pay.form {
                    Some(form) => buyer.pay_challenge(&world, offer, 1 - form),
                    None => buyer.pay(&world, offer),
                };
                if let Some(again) = &mut again {
                    again.chosen = pay.chosen;
                    // Some clients give the name of the payment before to the next one.
                    if pay.form.is_none() && world.random.chance(300) {
                        again.identifier = pay.identifier;
                    }
                }
                again
            }
            Move::FreshPurchase => fresh(&world, &buyer, plan),
            _ => None,
        };
        pay = next_pay.unwrap_or(pay);
    }
}

/// Asks a few times what has become of a payment, without showing it.
async fn look_in(world: &Rc<World>, pay: &Payment, claim: &Claim) {
    for _ in 0..world.random.range(1, 4) {
        world.sleep_between(0, 20_000).await;
        let head = world.chain.borrow().head().number;
        if let Some(outcome) = poll(world, claim).await {
            rules::on_outcome(world, Asker::Payer, pay, &outcome);
            rules::on_poll(world, pay, head, &outcome);
        }
    }
}

/// Presents a payment, perhaps several times at once; the last answer that arrives counts.
pub(super) async fn present(world: &Rc<World>, pay: &Payment) -> Option<Outcome<'static>> {
    world.market.presented.borrow_mut().push(pay.clone());
    world.trace(|| {
        format!(
            "{} payer {} presents {} for {:?} until {}, offer until {}",
            pay.offer.terms.request_id,
            pay.authorization.payer(),
            pay.authorization.authorization().nonce,
            pay.offer.terms.target,
            pay.authorization.authorization().valid_before,
            pay.offer.terms.expires_at.0,
        )
    });
    on_payment(world, pay);
    if world.strikes(Fault::DoubleUse) {
        use_twice(world, pay);
    }
    if world.random.chance(150) {
        for _ in 0..world.random.range(1, 3) {
            let (world_then, pay) = (Rc::clone(world), pay.clone());
            world.executor.spawn(Owner::World, async move {
                world_then.sleep_between(0, 300).await;
                if let Some(outcome) = request(&world_then, &pay).await {
                    rules::on_outcome(&world_then, Asker::Payer, &pay, &outcome);
                }
            });
        }
    }
    let outcome = request(world, pay).await?;
    rules::on_outcome(world, Asker::Payer, pay, &outcome);
    Some(outcome)
}

/// Presents the same authorization for another purchase at the same time.
fn use_twice(world: &Rc<World>, pay: &Payment) {
    let other = match world.random.chance(world.setting.calls) {
        true => CALLS + world.random.range(0, CALLED - 1) as usize,
        false => world.random.range(0, 2) as usize,
    };
    let Some(offer) = new_offer(world, other) else {
        return;
    };
    // A purchase that the client has not named would join another one, and its payment with it.
    let again = Payment {
        offer,
        chosen: pay.is_chosen(),
        // Its nonce belongs to the other challenge, so only x402 takes it for this offer.
        form: None,
        ..pay.clone()
    };
    if again.offer.terms.amount != pay.offer.terms.amount {
        return;
    }
    world.market.presented.borrow_mut().push(again.clone());
    let then = Rc::clone(world);
    world.executor.spawn(Owner::World, async move {
        then.sleep_between(0, 300).await;
        if let Some(outcome) = request(&then, &again).await {
            rules::on_outcome(&then, Asker::Payer, &again, &outcome);
        }
    });
}

fn decide(world: &World, outcome: Option<&Outcome<'_>>) -> Move {
    use Move::{FreshPurchase, FreshSignature, GiveUp, Later, Same};
    let random = &world.random;
    let retry = match outcome {
        Some(Outcome::Stopped { why }) => Some(why.retry()),
        _ => None,
    };
    match outcome {
        Some(Outcome::Granted { .. }) => {
            random.pick(&[GiveUp, GiveUp, GiveUp, GiveUp, Same, Later, FreshSignature])
        }
        _ if retry == Some(Retry::SignAgain) => random.pick(&[FreshSignature, Same, GiveUp]),
        None | Some(Outcome::Pending { .. } | Outcome::Stopped { .. })
            if retry.is_none_or(|retry| retry == Retry::Same) =>
        {
            random.pick(&[
                Same,
                Same,
                Same,
                Same,
                Same,
                Same,
                FreshSignature,
                FreshPurchase,
                FreshPurchase,
                Later,
                GiveUp,
            ])
        }
        _ => random.pick(&[
            Same,
            Same,
            FreshSignature,
            FreshPurchase,
            FreshPurchase,
            Later,
            GiveUp,
        ]),
    }
}
