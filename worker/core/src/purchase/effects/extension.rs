//! The top-up of a grant: asked about before anything is booked, added once it is paid, withdrawn before its money goes back.

use key0_validator::Claims;

use super::super::env::{PurchaseEnv, Stuck};
use super::super::lifecycle::Event;
use super::super::question::Sale;
use super::super::sold::{Sold, SoldTopUp};
use super::super::state::{Payment, Purchase};
use crate::goods::{DeliveryFault, Goods};
use crate::meter::{Barred, Granted, MeterCommand, MeterReply, TopUp};
use crate::offer::Terms;
use crate::types::{Address, CallFault, RequestId, UnixMillis};

fn top_up(
    terms: &Terms,
    sold: &SoldTopUp,
    payer: Address,
    shown_at: UnixMillis,
) -> Option<(RequestId, TopUp)> {
    let top_up = TopUp {
        purchase: terms.request_id.clone(),
        plan: terms.target.plan()?.clone(),
        adds: sold.adds,
        payer,
        is_holder: sold.by_holder,
        shown_at,
    };
    Some((terms.target.grant()?.clone(), top_up))
}

/// Why the grant would not take what is about to be bought for it. `None` if it would, or if this is no top-up.
pub(in crate::purchase) async fn barred<E: PurchaseEnv>(
    env: &E,
    sale: &Sale,
    payer: Address,
) -> Result<Option<Barred>, CallFault> {
    let Some(sold) = sale.sold.as_ref().and_then(Sold::top_up) else {
        return Ok(None);
    };
    let Some((grant, top_up)) = top_up(&sale.offer.terms, sold, payer, env.now()) else {
        return Ok(None);
    };
    match env.grant(&grant, &MeterCommand::MayExtend(top_up)).await? {
        MeterReply::MayExtend => Ok(None),
        MeterReply::Barred(why) => Ok(Some(why)),
        MeterReply::NotGranted => Ok(Some(Barred::NotGranted)),
        _ => Err(wrong()),
    }
}

/// Adds what was paid for to its grant. Repeated, it adds nothing more.
pub(super) async fn extend<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    sold: &SoldTopUp,
    payment: &Payment,
) -> Event {
    let Some((grant, top_up)) = top_up(&record.terms, sold, record.payer, record.begun_at) else {
        return failed(env, record, DeliveryFault::PlanGone, "no top-up");
    };
    match env.grant(&grant, &MeterCommand::Extend(top_up)).await {
        Ok(MeterReply::Extended(granted)) => Event::Issued {
            goods: goods(env, record, &grant, granted, payment),
        },
        Ok(MeterReply::NotGranted | MeterReply::Barred(_)) => failed(
            env,
            record,
            DeliveryFault::GrantClosed,
            "the grant takes no such top-up",
        ),
        Ok(_) => failed(env, record, DeliveryFault::Failed, &wrong().0),
        Err(fault) => failed(env, record, DeliveryFault::Failed, &fault.0),
    }
}

/// Withdraws what this purchase may have added to a grant, so that its money can go back. From then on nothing is added for
/// it. If something of it was used, it stays, and the purchase is delivered: the event that says so. `None` if there is
/// nothing to keep.
pub(super) async fn withdraw<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    payment: &Payment,
) -> Result<Option<Event>, Stuck> {
    let Some(grant) = record.terms.target.grant() else {
        return Ok(None);
    };
    let command = MeterCommand::Withdraw {
        purchase: record.terms.request_id.clone(),
    };
    match env.grant(grant, &command).await? {
        MeterReply::Withdrawn => Ok(None),
        MeterReply::Extended(granted) => Ok(Some(Event::Issued {
            goods: goods(env, record, grant, granted, payment),
        })),
        _ => Err(wrong().into()),
    }
}

fn failed<E: PurchaseEnv>(env: &E, record: &Purchase, fault: DeliveryFault, detail: &str) -> Event {
    let request_id = &record.terms.request_id;
    env.log("top_up_failed", &format!("{request_id}: {detail}"));
    Event::IssueFailed { fault }
}

fn wrong() -> CallFault {
    CallFault("the grant gave a wrong answer".to_owned())
}

/// The token of a grant that was topped up. It opens what the grant opens.
fn goods<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    grant: &RequestId,
    granted: Granted,
    payment: &Payment,
) -> Goods {
    Goods::Token {
        claims: Claims {
            sub: record.terms.request_id.to_string(),
            jti: record.challenge_id.to_string(),
            resource_id: granted.resource.to_string(),
            plan_id: granted.plan.to_string(),
            tx_hash: payment.transaction.to_string(),
            iat: env.now().to_seconds().0,
            exp: granted.ends_at.0,
            iss: Some(record.issuer.clone()),
            payer: Some(record.payer.to_checksum(None)),
            chain_id: Some(record.terms.network.chain_id()),
            grant: Some(grant.to_string()),
            limits: Some(granted.limits.into()),
        },
    }
}
