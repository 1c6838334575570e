//! Offers, payments and records for tests of this crate.

use alloy_primitives::{Address, B256, U256};
use key0_validator::Claims;

use super::lifecycle::{Event, apply};
use super::outbox::{Message, Sending};
use super::question::{Pay, Sale};
use super::reply::PayReply;
use super::sold::{Access, Sold, SoldCall};
use super::state::{Payment, Purchase};
use crate::book::TargetKey;
use crate::catalog::{Charged, Settle};
use crate::chain::{Presented, SignedAuthorization, usdc};
use crate::config::Policy;
use crate::goods::{AnswerHead, CallOf, DeliveryFault, Goods, Receipt};
use crate::offer::{CallDigest, Offer, SealKeys, Target, Terms};
use crate::types::WalletKey;
use crate::types::{Network, RequestId, ResourceId, Secret, UnixMillis, UnixSeconds, UsdcAmount};
use crate::x402::{Authorization, Refusal};

/// The time at which these tests begin.
pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_010_000);
/// The offer's expiry.
pub(crate) const EXPIRES_AT: UnixSeconds = UnixSeconds(1_800_000_960);

/// Settings with refunds on and short pauses.
pub(crate) const POLICY: Policy = Policy {
    network: Network::BaseSepolia,
    refund_after_millis: Some(30_000),
    refund_interval_millis: 15_000,
    notifies: false,
    answer_kept_millis: 3_600_000,
};

/// The event that the ledger has taken a report.
pub(crate) const REPORTED: Event = Event::Told {
    message: Message::Report,
    sending: Sending::Taken,
};

/// The buyer's wallet.
pub(crate) fn buyer() -> WalletKey {
    WalletKey::from_hex(&format!("{:064x}", 0xb0b)).unwrap()
}

/// An offer of the plan `basic`.
pub(crate) fn test_offer() -> Offer {
    SealKeys::new(&Secret::new("test"), &[]).seal(Terms {
        request_id: RequestId::from_random([7; 16]),
        chosen: false,
        target: Target::Plan("basic".parse().unwrap()),
        by_holder: false,
        resource: ResourceId::default(),
        lifetime: 3_600,
        extra: None,
        amount: UsdcAmount::from_units(15_000),
        pay_to: "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"
            .parse()
            .unwrap(),
        network: Network::BaseSepolia,
        issued_at: UnixSeconds(1_800_000_000),
        expires_at: EXPIRES_AT,
    })
}

/// What the test purchase sells: an hour of access.
pub(crate) fn sold() -> Sold {
    Sold::Access(access())
}

/// An hour of access.
pub(crate) fn access() -> Access {
    Access {
        lifetime: 3_600,
        limits: crate::meter::Limits::default(),
        extra: serde_json::Map::new(),
    }
}

/// A payment of [`test_offer`], signed by `key`. Different `nonce`s make different payments.
pub(crate) fn signed_by(key: &WalletKey, nonce: u8) -> SignedAuthorization {
    signed_until(key, nonce, 1_800_000_300)
}

/// A payment as by [`signed_by`], with an authorization that expires at the second `end`.
pub(crate) fn signed_until(key: &WalletKey, nonce: u8, end: u64) -> SignedAuthorization {
    let terms = test_offer().terms;
    let authorization = Authorization {
        from: key.address(),
        to: terms.pay_to,
        value: terms.amount.to_u256(),
        valid_after: U256::ZERO,
        valid_before: U256::from(end),
        nonce: B256::repeat_byte(nonce),
    };
    let digest = usdc::authorization_digest(&authorization, terms.network);
    let signature = key.sign(&digest).unwrap().as_bytes();
    let presented = Presented::new(
        authorization,
        &signature,
        terms.network,
        terms.pay_to,
        terms.amount,
    );
    match presented {
        Ok(Presented::Proven(signed)) => signed,
        other => panic!("no proof: {other:?}"),
    }
}

/// A payment of [`test_offer`] by the buyer.
pub(crate) fn signed(nonce: u8) -> SignedAuthorization {
    signed_by(&buyer(), nonce)
}

/// The payment [`signed`] as the doors hand it over.
pub(crate) fn pay(nonce: u8) -> Pay {
    let offer = test_offer();
    Pay {
        request_id: offer.terms.request_id.clone(),
        authorization: signed(nonce),
        identifier: None,
        target: TargetKey::of(&offer.terms),
        network: offer.terms.network,
        sale: Some(Sale {
            offer,
            sold: Some(sold()),
            issuer: "https://shop.example".to_owned(),
            chosen: false,
        }),
    }
}

/// The payment [`signed`] by a client that names the plan, as if it fitted no current offer.
pub(crate) fn dated(nonce: u8) -> Pay {
    Pay {
        target: TargetKey::of_any_resource(&test_offer().terms.target),
        sale: None,
        ..pay(nonce)
    }
}

/// The event that begins a purchase.
pub(crate) fn attempted(nonce: u8) -> Event {
    Event::Attempted {
        offer: test_offer(),
        sold: Some(sold()),
        issuer: "https://shop.example".to_owned(),
        authorization: signed(nonce),
        identifier: None,
        chosen: false,
        gas_limit: 100_000,
        from_block: 7,
    }
}

/// A payment that has arrived.
pub(crate) fn payment() -> Payment {
    Payment {
        transaction: B256::repeat_byte(0xaa),
        block: 9,
        settled_at: NOW.to_seconds(),
        amount: UsdcAmount::from_units(15_000),
        log: None,
        unsigned: false,
    }
}

/// The refund of [`payment`], by the wallet that received it. (Nobody checks the signature.)
pub(crate) fn refund() -> SignedAuthorization {
    let authorization = Authorization {
        from: test_offer().terms.pay_to,
        to: buyer().address(),
        value: payment().amount.to_u256(),
        valid_after: U256::ZERO,
        valid_before: U256::MAX,
        nonce: super::refund_nonce(&test_offer().id),
    };
    SignedAuthorization::sign(&buyer(), authorization, Network::BaseSepolia).unwrap()
}

/// A token's claims.
pub(crate) fn claims() -> Claims {
    Claims {
        sub: "request".to_owned(),
        jti: "purchase".to_owned(),
        resource_id: "default".to_owned(),
        plan_id: "basic".to_owned(),
        tx_hash: payment().transaction.to_string(),
        iat: 1_800_000_010,
        exp: 1_800_003_610,
        iss: Some("https://shop.example".to_owned()),
        payer: Some(Address::repeat_byte(1).to_checksum(None)),
        chain_id: Some(Network::BaseSepolia.chain_id()),
        grant: None,
        limits: None,
    }
}

/// The receipt of [`payment`] by this payer.
pub(crate) fn receipt(payer: Address) -> Receipt {
    let payment = payment();
    Receipt {
        transaction: payment.transaction,
        network: Network::BaseSepolia,
        payer,
        amount: payment.amount,
        settled_at: payment.settled_at,
    }
}

/// The event that gives a purchase up, so that its authorization is watched.
pub(crate) const GIVEN_UP: Event = Event::Lapsed {
    may_still_land: true,
};

/// The event that a delivery failed.
pub(crate) const UNDELIVERED: Event = Event::IssueFailed {
    fault: DeliveryFault::Failed,
};

/// The event that a transaction was sent.
pub(crate) fn sent(hash: B256) -> Event {
    Event::Submitted { hashes: vec![hash] }
}

/// The event that an attempt failed without a transaction.
pub(crate) fn attempt_failed(reason: Refusal) -> Event {
    Event::AttemptFailed {
        reason,
        transaction: None,
    }
}

/// The event that [`payment`] arrived.
pub(crate) fn settled() -> Event {
    Event::Settled { payment: payment() }
}

/// The event that a token was delivered.
pub(crate) fn issued() -> Event {
    let goods = Goods::Token { claims: claims() };
    Event::Issued { goods }
}

/// The event that the refund was signed.
pub(crate) fn refund_begun() -> Event {
    Event::RefundBegun {
        authorization: refund(),
    }
}

/// The reply to the buyer of a delivered purchase.
pub(crate) fn granted() -> PayReply {
    PayReply::Granted {
        goods: Goods::Token { claims: claims() },
        receipt: Some(receipt(buyer().address())),
        again: false,
    }
}

/// A delivered purchase of a seller whose backend is to be told of it.
pub(crate) fn delivered_and_noted() -> Purchase {
    let policy = Policy {
        notifies: true,
        ..POLICY
    };
    let events = [
        attempted(1),
        Event::Reserved,
        sent(payment().transaction),
        settled(),
        issued(),
    ];
    let mut record = None;
    for event in events {
        record = Some(apply(record.as_ref(), event, NOW, &policy).unwrap());
    }
    record.unwrap()
}

/// The record after these events.
pub(crate) fn record_after(events: impl IntoIterator<Item = Event>) -> Purchase {
    let mut record = None;
    for event in events {
        record = Some(apply(record.as_ref(), event, NOW, &POLICY).unwrap());
    }
    record.unwrap()
}

/// The call that is sold by [`call_offer`].
pub(crate) fn the_call() -> CallDigest {
    CallDigest::of([b"GET".as_slice(), b"/weather/oslo"])
}

/// An offer of a call of the route `weather`.
pub(crate) fn call_offer() -> Offer {
    SealKeys::new(&Secret::new("test"), &[]).seal(Terms {
        target: Target::Route {
            id: "weather".parse().unwrap(),
            call: the_call(),
        },
        resource: "/weather/:city".parse().unwrap(),
        lifetime: 0,
        ..test_offer().terms
    })
}

/// The call that [`call_offer`] sells.
pub(crate) fn sold_call(settle: Settle, idempotent: bool) -> Sold {
    Sold::Call(SoldCall {
        settle,
        charged: Charged::default(),
        idempotent,
        stream: false,
        notify: false,
    })
}

/// A payment of [`call_offer`], as the doors hand it over.
pub(crate) fn pay_call(sold: &Sold) -> Pay {
    let offer = call_offer();
    let plain = pay(1);
    Pay {
        target: TargetKey::of(&offer.terms),
        sale: plain.sale.map(|sale| Sale {
            offer,
            sold: Some(sold.clone()),
            ..sale
        }),
        ..plain
    }
}

/// The event that begins a purchase of [`call_offer`].
pub(crate) fn attempted_call(sold: &Sold) -> Event {
    Event::Attempted {
        offer: call_offer(),
        sold: Some(sold.clone()),
        issuer: "https://shop.example".to_owned(),
        authorization: signed(1),
        identifier: None,
        chosen: false,
        gas_limit: 100_000,
        from_block: 7,
    }
}

/// An answer to the call with this number.
pub(crate) fn answer(number: u32, status: u16) -> AnswerHead {
    AnswerHead {
        number,
        status,
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        length: 5,
    }
}

/// The goods that consist of this answer.
pub(crate) fn answered(head: AnswerHead, refund: Option<B256>) -> Goods {
    let offer = call_offer();
    let of = CallOf {
        request_id: offer.terms.request_id.clone(),
        challenge_id: offer.id.to_string(),
        route_id: offer.terms.target.id().to_owned(),
    };
    Goods::Answer { of, head, refund }
}
