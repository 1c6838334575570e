//! Reads the claims of a token whose signature is proven: their names, their types, none of their meaning.

use crate::json::{MAX_TEXT, Seconds, Span, Text, Value, read_object};
use crate::{Flaw, ValidationError};

/// The places of the known claims in a text, and the values of the dates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fields {
    /// The claims as they were signed. The text goes on after this span: [`Fields::read`] appends the unescaped form of
    /// each string that has escapes.
    pub(crate) json: Span,
    pub(crate) sub: Span,
    pub(crate) jti: Span,
    pub(crate) resource_id: Span,
    pub(crate) plan_id: Span,
    pub(crate) tx_hash: Span,
    pub(crate) iss: Option<Span>,
    pub(crate) payer: Option<Span>,
    pub(crate) chain_id: Option<u64>,
    pub(crate) iat: Option<u64>,
    pub(crate) exp: u64,
    pub(crate) nbf: Option<u64>,
}

impl Fields {
    /// Reads the claims in `text`, and appends to it the unescaped form of each string that has escapes.
    pub(crate) fn read(text: &mut String) -> Result<Self, ValidationError> {
        match crate::quick::read(text) {
            Some(fields) => Ok(fields),
            None => Self::read_any(text),
        }
    }

    /// Reads whatever JSON allows.
    pub(crate) fn read_any(text: &mut String) -> Result<Self, ValidationError> {
        let mut found = Found::default();
        read_object(text, |name, value| {
            if name.escaped {
                found.note(&name.read(text), value);
            } else {
                found.note(name.span.of(text), value);
            }
        })
        .map_err(ValidationError::MalformedClaims)?;

        Ok(Self {
            json: Span::new(0, text.len()),
            sub: required(found.sub, "sub", text)?,
            jti: required(found.jti, "jti", text)?,
            resource_id: required(found.resource_id, "resourceId", text)?,
            plan_id: required(found.plan_id, "planId", text)?,
            tx_hash: required(found.tx_hash, "txHash", text)?,
            iss: string(found.iss, "iss", text)?,
            payer: string(found.payer, "payer", text)?,
            chain_id: whole(found.chain_id, "chainId", text)?,
            // Clocks here count whole seconds. For those, `now >= exp` and `now >= nbf` mean the same with the date
            // rounded up; a fraction of `iat` has no consequence.
            exp: date(found.exp, "exp", text)?
                .ok_or(ValidationError::MissingClaim("exp"))?
                .ceil,
            nbf: date(found.nbf, "nbf", text)?.map(|nbf| nbf.ceil),
            iat: date(found.iat, "iat", text)?.map(|iat| iat.floor),
        })
    }
}

/// The member `name` of the claims `json`, as it is written.
pub(crate) fn member(json: &str, name: &str) -> Option<Value> {
    let mut found = None;
    let same = |text: Text| match text.escaped {
        true => text.read(json) == name,
        false => text.span.of(json) == name,
    };
    // The claims were read before, so this succeeds.
    read_object(json, |text, value| {
        if same(text) {
            found = Some(value);
        }
    })
    .ok()?;
    found
}

/// The claims that have a meaning here, as they were found; their types are checked afterwards.
#[derive(Default)]
struct Found {
    sub: Option<Value>,
    jti: Option<Value>,
    resource_id: Option<Value>,
    plan_id: Option<Value>,
    tx_hash: Option<Value>,
    iss: Option<Value>,
    payer: Option<Value>,
    chain_id: Option<Value>,
    iat: Option<Value>,
    exp: Option<Value>,
    nbf: Option<Value>,
}

impl Found {
    fn note(&mut self, name: &str, value: Value) {
        let slot = match name {
            "sub" => &mut self.sub,
            "jti" => &mut self.jti,
            "resourceId" => &mut self.resource_id,
            "planId" => &mut self.plan_id,
            "txHash" => &mut self.tx_hash,
            "iss" => &mut self.iss,
            "payer" => &mut self.payer,
            "chainId" => &mut self.chain_id,
            "iat" => &mut self.iat,
            "exp" => &mut self.exp,
            "nbf" => &mut self.nbf,
            _ => return,
        };
        *slot = Some(value);
    }
}

fn required(
    value: Option<Value>,
    name: &'static str,
    text: &mut String,
) -> Result<Span, ValidationError> {
    let span = string(value, name, text)?.ok_or(ValidationError::MissingClaim(name))?;
    if span.of(text).is_empty() {
        return Err(ValidationError::InvalidClaim(name));
    }
    Ok(span)
}

fn string(
    value: Option<Value>,
    name: &'static str,
    text: &mut String,
) -> Result<Option<Span>, ValidationError> {
    match value {
        None => Ok(None),
        Some(Value::Text(Text {
            span,
            escaped: false,
        })) => Ok(Some(span)),
        Some(Value::Text(value)) => {
            let plain = value.read(text).into_owned();
            let start = text.len();
            // A token's claims have at most 6 KiB and escapes only get shorter, so this is a second net.
            if start + plain.len() > MAX_TEXT {
                return Err(ValidationError::MalformedClaims(Flaw::TooBig));
            }
            text.push_str(&plain);
            Ok(Some(Span::new(start, text.len())))
        }
        Some(_) => Err(ValidationError::InvalidClaim(name)),
    }
}

/// A number without a fraction that is not negative, however it is written.
fn whole(
    value: Option<Value>,
    name: &'static str,
    text: &str,
) -> Result<Option<u64>, ValidationError> {
    let Some(number) = date(value, name, text)? else {
        return Ok(None);
    };
    let negative = matches!(value, Some(Value::Number(span)) if span.of(text).starts_with('-'));
    if negative || number.floor != number.ceil {
        return Err(ValidationError::InvalidClaim(name));
    }
    Ok(Some(number.floor))
}

fn date(
    value: Option<Value>,
    name: &'static str,
    text: &str,
) -> Result<Option<Seconds>, ValidationError> {
    match value {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(Some(Seconds::read(number.of(text)))),
        Some(_) => Err(ValidationError::InvalidClaim(name)),
    }
}
