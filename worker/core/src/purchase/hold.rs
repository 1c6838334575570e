//! Setting a price aside in the payer's book, against the balance that was just read.

use super::env::{PurchaseEnv, Stuck};
use crate::book::{Hold, PayerCode, PayerCommand, PayerReply, Reservation, TargetKey};
use crate::chain::Chain;
use crate::chain::SignedAuthorization;
use crate::chain::signature::PayerSignature;
use crate::offer::Terms;
use crate::types::{B256, UnixMillis};

/// The payment for which a price is to be set aside, and its attempt.
pub(super) struct Wanted<'a> {
    pub(super) terms: &'a Terms,
    pub(super) signed: &'a SignedAuthorization,
    pub(super) attempt: u32,
    pub(super) identifier: Option<B256>,
    /// Whether the client chose the request id itself.
    pub(super) chosen: bool,
}

impl Wanted<'_> {
    /// The payment as the book knows it.
    pub(super) fn reservation(&self) -> Reservation {
        Reservation {
            nonce: self.signed.authorization().nonce,
            request_id: self.terms.request_id.clone(),
            attempt: self.attempt,
            target: TargetKey::of(self.terms),
            identifier: self.identifier,
        }
    }

    fn hold(&self, balance: u64, read_at: UnixMillis, code: PayerCode) -> PayerCommand {
        PayerCommand::Hold(Hold {
            reservation: self.reservation(),
            amount: self.terms.amount,
            chosen: self.chosen,
            balance,
            read_at,
            code,
        })
    }
}

/// Reads the payer's balance, and has the book set the price aside.
pub(super) async fn hold<E: PurchaseEnv>(
    env: &E,
    wanted: &Wanted<'_>,
) -> Result<PayerReply, Stuck> {
    let payer = wanted.signed.payer();
    let read_at = env.now();
    let balance = env.chain().usdc_balance(payer).await?.saturating_to();
    let code = match (
        env.config().settlement.gas_wallet(),
        &wanted.signed.signature,
    ) {
        // Without a gas wallet, facilitators pay the gas of transfers that revert.
        (None, _) => PayerCode::None,
        (Some(_), PayerSignature::Wallet(_)) => PayerCode::Some,
        // An account with a key may have code besides (EIP-7702).
        (Some(_), PayerSignature::Key(_)) => PayerCode::Unknown,
    };
    let reply = env
        .payer(payer, wanted.hold(balance, read_at, code))
        .await?;
    if reply != PayerReply::NameCode {
        return Ok(reply);
    }
    let code = match env.chain().has_code(payer).await? {
        true => PayerCode::Some,
        false => PayerCode::None,
    };
    Ok(env
        .payer(payer, wanted.hold(balance, read_at, code))
        .await?)
}

/// Asks the book which purchase the payment belongs to. With a balance of zero, no price is set aside.
pub(super) async fn ask_whose<E: PurchaseEnv>(
    env: &E,
    wanted: &Wanted<'_>,
) -> Result<PayerReply, Stuck> {
    let command = wanted.hold(0, env.now(), PayerCode::None);
    Ok(env.payer(wanted.signed.payer(), command).await?)
}

/// Gives the price free that was set aside for a purchase that does not begin. Without this it would lapse by itself.
pub(super) async fn withdraw<E: PurchaseEnv>(env: &E, wanted: &Wanted<'_>) {
    let command = PayerCommand::Withdraw {
        request_id: wanted.terms.request_id.clone(),
    };
    if let Err(fault) = env.payer(wanted.signed.payer(), command).await {
        env.log("withdraw_failed", &fault.0);
    }
}
