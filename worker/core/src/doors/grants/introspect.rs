//! Token introspection (RFC 7662): is this token good, and how does its grant stand?

use crate::json;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::consume::unknown;
use super::secret::{Arrival, turned_away};
use crate::config::Config;
use crate::error::Error;
use crate::meter::{MeterCommand, MeterReply, Meters, left};
use crate::response::{self, Response};
use crate::token::RsaVerifier;
use crate::types::UnixSeconds;

/// The most bytes of a request's body.
pub const MAX_INTROSPECT_BYTES: usize = 16 * 1024;

/// Says how a token stands.
pub async fn introspect<M: Meters>(
    config: &Config,
    (meters, rsa): (&M, &dyn RsaVerifier),
    now: UnixSeconds,
    arrival: &Arrival<'_>,
) -> Response {
    if let Some(refusal) = turned_away(config, arrival.headers) {
        return refusal;
    }
    let said = about(config, (meters, rsa), now, arrival.body).await;
    let mut answer = match said {
        Ok(facts) => {
            let facts = facts.unwrap_or_else(|| json!({"active": false}));
            response::json(StatusCode::OK, &facts)
        }
        Err(error) => response::error(&error),
    };
    response::set(&mut answer, CACHE_CONTROL, "no-store");
    answer
}

/// What is said of the token; `None` if it opens nothing. Nobody learns why.
async fn about<M: Meters>(
    config: &Config,
    (meters, rsa): (&M, &dyn RsaVerifier),
    now: UnixSeconds,
    body: &[u8],
) -> Result<Option<Value>, Error> {
    let mut tokens = form_urlencoded::parse(body).filter(|(name, _)| name == "token");
    let (Some((_, token)), None) = (tokens.next(), tokens.next()) else {
        return Err(Error::invalid_request(
            "Send the token as a form: Content-Type: application/x-www-form-urlencoded, token=….",
        ));
    };
    let reader = &config.token.reader;
    let Some(access) = reader.read(&token, config.network, now, rsa).await else {
        return Ok(None);
    };
    let mut facts = Map::new();
    let mut tell = |name: &str, fact: Value| facts.insert(name.to_owned(), fact);
    tell("active", true.into());
    tell("token_type", "Bearer".into());
    tell("sub", access.purchase.into());
    tell("planId", access.plan.as_str().into());
    if let Some(payer) = access.payer {
        tell("payer", payer.into());
    }
    let mut ends_at = access.ends_at;
    if let Some(grant) = access.grant {
        let reply = meters.ask(&grant, &MeterCommand::Look).await;
        let MeterReply::Stands(told) = reply.map_err(|_| unknown())? else {
            return Ok(None);
        };
        if told.revoked.is_some() {
            return Ok(None);
        }
        // What counts is the end of the grant.
        ends_at = told.standing.ends_at;
        tell("grant", grant.into());
        if let Some(left) = left(&told.standing) {
            tell("left", left.into());
        }
    }
    tell("exp", ends_at.0.into());
    Ok((now < ends_at).then_some(Value::Object(facts)))
}

#[cfg(test)]
mod tests;
