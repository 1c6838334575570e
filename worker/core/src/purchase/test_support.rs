//! Offers, payments and records for tests of this crate.

use alloy_primitives::{Address, B256, U256};
use key0_validator::Claims;

use super::lifecycle::{Event, apply};
use super::outbox::{Message, Sending};
use super::question::{Pay, Sale};
use super::reply::PayReply;
use super::sold::Sold;
use super::state::{Payment, Purchase};
use crate::book::TargetKey;
use crate::chain::{Presented, SignedAuthorization, usdc};
use crate::config::Policy;
use crate::goods::{DeliveryFault, Goods, Receipt};
use crate::offer::{Offer, SealKeys, Target, Terms};
use crate::types::WalletKey;
use crate::types::{Network, RequestId, ResourceId, Secret, UnixMillis, UnixSeconds, UsdcAmount};
use crate::x402::{Authorization, Refusal};

/// When everything in these tests happens.
pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_010_000);
/// The offer's expiry.
pub(crate) const EXPIRES_AT: UnixSeconds = UnixSeconds(1_800_000_960);

/// Refunds are on, with short pauses.
pub(crate) const POLICY: Policy = Policy {
    network: Network::BaseSepolia,
    refund_after_millis: Some(30_000),
    refund_interval_millis: 15_000,
    notifies: false,
};

/// The ledger has taken a report.
pub(crate) const REPORTED: Event = Event::Told {
    message: Message::Report,
    sending: Sending::Taken,
};

/// The buyer.
pub(crate) fn buyer() -> WalletKey {
    WalletKey::from_hex(&format!("{:064x}", 0xb0b)).unwrap()
}

/// An offer of the plan `basic`.
pub(crate) fn test_offer() -> Offer {
    SealKeys::new(&Secret::new("test"), &[]).seal(Terms {
        request_id: RequestId::from_random([7; 16]),
        chosen: false,
        target: Target::Plan("basic".parse().unwrap()),
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

/// What it sells: an hour.
pub(crate) fn sold() -> Sold {
    Sold {
        lifetime: 3_600,
        extra: serde_json::Map::new(),
    }
}

/// A payment of it, signed by `key`, told apart by `nonce`.
pub(crate) fn signed_by(key: &WalletKey, nonce: u8) -> SignedAuthorization {
    let terms = test_offer().terms;
    let authorization = Authorization {
        from: key.address(),
        to: terms.pay_to,
        value: terms.amount.to_u256(),
        valid_after: U256::ZERO,
        valid_before: U256::from(1_800_000_300u64),
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

/// A payment of it by the buyer.
pub(crate) fn signed(nonce: u8) -> SignedAuthorization {
    signed_by(&buyer(), nonce)
}

/// The same as the doors hand it over.
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

/// A payment that fits no offer that stands, by a client that names the plan.
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

/// Money that arrived.
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

/// Its refund, by the wallet that received it. (Nobody checks the signature.)
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

/// The end of an attempt that is watched from then on.
pub(crate) const GIVEN_UP: Event = Event::Lapsed {
    may_still_land: true,
};

/// A delivery that failed.
pub(crate) const UNDELIVERED: Event = Event::IssueFailed {
    fault: DeliveryFault::Failed,
};

/// A transaction was sent.
pub(crate) fn sent(hash: B256) -> Event {
    Event::Submitted { hashes: vec![hash] }
}

/// An attempt that failed without a transaction.
pub(crate) fn attempt_failed(reason: Refusal) -> Event {
    Event::AttemptFailed {
        reason,
        transaction: None,
    }
}

/// The arrival of [`payment`].
pub(crate) fn settled() -> Event {
    Event::Settled { payment: payment() }
}

/// The delivery of a token.
pub(crate) fn issued() -> Event {
    let goods = Goods::Token { claims: claims() };
    Event::Issued { goods }
}

/// The decision to return the money.
pub(crate) fn refund_begun() -> Event {
    Event::RefundBegun {
        authorization: refund(),
    }
}

/// What the buyer is answered whose purchase is delivered.
pub(crate) fn granted() -> PayReply {
    PayReply::Granted {
        goods: Goods::Token { claims: claims() },
        receipt: receipt(buyer().address()),
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
