//! The way of a question through the door.

use crate::json;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use serde_json::Value;

use super::super::gateway::access;
use super::action::Action;
use super::challenge::{Place, SIGN_IN, SignIn};
use crate::checkout::{Books, Checkout, Deployment, OwnGrant};
use crate::error::{Code, Error};
use crate::goods::Goods;
use crate::limit;
use crate::meter::{MeterCommand, MeterReply, Meters, Revoker, Shown, Told};
use crate::response::{self, Response};
use crate::token::RsaVerifier;
use crate::types::{Address, PlanId};
use crate::x402::header::{PAYMENT_REQUIRED, encode};

/// A request to the wallet's door. Request bodies are not read.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path.
    pub path: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// The answer to a request. It is never cached.
pub async fn answer<D: Deployment, O: Books + Meters>(
    checkout: &Checkout<'_, D>,
    objects: &O,
    rsa: &dyn RsaVerifier,
    arrival: &Arrival<'_>,
) -> Response {
    let action = match Action::read(arrival.method, arrival.path) {
        Ok(action) => action,
        Err(what) => return what.answer(),
    };
    let desk = Desk { checkout, objects };
    let answer = match arrival.headers.get(SIGN_IN) {
        None => desk.with_token(&action, rsa, arrival.headers).await,
        Some(signed) => {
            desk.signed(&action, signed.to_str().unwrap_or_default())
                .await
        }
    };
    let mut response = match answer {
        Ok(Some(body)) => response::json(StatusCode::OK, &body),
        Ok(None) if arrival.headers.contains_key(SIGN_IN) => {
            limit::counted(desk.challenge(&action))
        }
        Ok(None) => desk.challenge(&action),
        Err(error) => limit::counted(response::error(&error)),
    };
    response::set(&mut response, header::CACHE_CONTROL, "no-store");
    response
}

struct Desk<'a, 'c, D, O> {
    checkout: &'a Checkout<'c, D>,
    objects: &'a O,
}

impl<D: Deployment, O: Books + Meters> Desk<'_, '_, D, O> {
    fn place(&self) -> Place<'_> {
        Place {
            keys: &self.checkout.config.offers.keys,
            origin: &self.checkout.origin,
            network: self.checkout.config.network,
        }
    }

    /// Asks for a signature.
    fn challenge(&self, action: &Action) -> Response {
        let (checkout, place) = (self.checkout, self.place());
        let error = Error::new(
            Code::SignInRequired,
            "This is for the wallet that has paid: sign in with it. Sign `info` of the extension sign-in-with-x as an EIP-4361 \
             message and repeat the request with the header SIGN-IN-WITH-X, as x402 describes. It costs nothing. A signature is \
             good for this request, once, for five minutes.",
        );
        let required = place.required(action, checkout.random, checkout.now);
        let extension = required.pointer("/extensions").cloned();
        let mut response = response::error(&error.with_details(extension.unwrap_or_default()));
        if let Some(required) = encode(&required) {
            let name = HeaderName::from_static(PAYMENT_REQUIRED);
            response::set(&mut response, name, &required);
        }
        response
    }

    /// Who has only the token of a grant reads how it stands.
    async fn with_token(
        &self,
        action: &Action,
        rsa: &dyn RsaVerifier,
        headers: &HeaderMap,
    ) -> Result<Option<Value>, Error> {
        let Action::Show(id) = action else {
            return Ok(None);
        };
        let (config, now) = (self.checkout.config, self.checkout.now);
        let access = access(config, now, rsa, headers).await;
        let is_its = |grant: &String| grant == id.as_str();
        match access.filter(|access| access.grant.as_ref().is_some_and(is_its)) {
            None => Ok(None),
            Some(access) => {
                let told = self.ask(id.as_str(), &MeterCommand::Look).await?;
                let shown = |told| self.shown(id.as_str(), &access.plan, &told).json();
                Ok(told.map(shown))
            }
        }
    }

    /// What a wallet gets that has signed. `None` for everything that is not its.
    async fn signed(&self, action: &Action, header: &str) -> Result<Option<Value>, Error> {
        let (checkout, place) = (self.checkout, self.place());
        let Some(sign_in) = SignIn::read(header) else {
            return Ok(None);
        };
        let Some(nonce) = place.open(action, &sign_in.nonce, checkout.now) else {
            return Ok(None);
        };
        let wallet = sign_in.wallet;
        let text = place.text(action, &nonce, wallet);
        let has_signed = checkout.has_signed(wallet, &text, &sign_in.signature);
        if !has_signed.await.map_err(|_| unavailable())? {
            return Ok(None);
        }
        let grants = checkout.grants_of(self.objects, wallet, &nonce, action.grant());
        let Some(own) = grants.await.map_err(|_| unavailable())? else {
            return Ok(None);
        };
        let command = match action {
            Action::List => {
                // Boxed like others, so that all of them are joined by the same code.
                let asked = own.grants.iter();
                let asked = asked.map(|grant| self.listed(wallet, grant).boxed_local());
                let grants = join_all(asked).await;
                return Ok(Some(json!({"grants": grants, "more": own.more})));
            }
            Action::Show(_) => MeterCommand::Look,
            Action::Revoke(_) => MeterCommand::Revoke(Revoker::Payer),
        };
        let Some(grant) = own.grants.first() else {
            return Ok(None);
        };
        let id = grant.id.as_str();
        let Some(told) = self.ask(id, &command).await? else {
            return Ok(Some(ended(grant)));
        };
        if told.payer != wallet {
            return Ok(None);
        }
        let mut shown = self.shown(id, &grant.plan, &told);
        if let (Action::Show(_), None) = (action, told.revoked) {
            shown.access = self.access(wallet, grant, &told).await;
        }
        Ok(Some(shown.json()))
    }

    /// A grant in a list.
    async fn listed(&self, wallet: Address, grant: &OwnGrant) -> Value {
        let id = grant.id.as_str();
        match self.ask(id, &MeterCommand::Look).await {
            Ok(Some(told)) if told.payer == wallet => self.shown(id, &grant.plan, &told).json(),
            Ok(_) => ended(grant),
            // One that does not answer hides no other.
            Err(error) => json!({"grant": id, "error": error.body()}),
        }
    }

    /// The access of a grant, as the buyer got it, with the end that the grant has now.
    async fn access(&self, wallet: Address, grant: &OwnGrant, told: &Told) -> Option<Value> {
        let mut goods = self.checkout.goods_of(wallet, &grant.id).await?;
        if let Goods::Token { claims } = &mut goods {
            claims.exp = told.standing.ends_at.0;
            claims.limits = Some(told.standing.limits.into());
        }
        let access = self.checkout.grant(&goods).await.ok()?;
        serde_json::to_value(access).ok()
    }

    /// `None`: no delivered purchase has founded this grant, or it has ended long ago.
    async fn ask(&self, grant: &str, command: &MeterCommand) -> Result<Option<Told>, Error> {
        match self.objects.ask(grant, command).await {
            Ok(MeterReply::Stands(told)) => Ok(Some(told)),
            Ok(MeterReply::NotGranted) => Ok(None),
            _ => Err(unavailable()),
        }
    }

    fn shown<'g>(&self, id: &'g str, plan: &'g PlanId, told: &Told) -> Shown<'g> {
        Shown {
            plan_id: Some(plan.as_str()),
            ..Shown::new(id, told, self.checkout.now.to_millis())
        }
    }
}

/// A grant of which nothing is kept but that it was bought.
fn ended(grant: &OwnGrant) -> Value {
    let shown = Shown {
        plan_id: Some(grant.plan.as_str()),
        ..Shown::ended(grant.id.as_str(), grant.ends_at)
    };
    shown.json()
}

fn unavailable() -> Error {
    Error::new(
        Code::TemporarilyUnavailable,
        "What you have bought could not be looked up now. Nothing was changed, unless you were taking access back: that may have been done, and is safe to repeat. Ask again, with a new signature.",
    )
}

#[cfg(test)]
mod tests;
