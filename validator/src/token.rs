//! The validated result: claims of a token whose signature was checked.

use core::fmt;

use crate::json::{Seconds, Span, Text, Value, read_object};
use crate::{Flaw, ValidationError};

/// An access token that passed every check. Only validation makes one.
///
/// It owns the decoded claims as one text and hands out pieces of it, so a validation allocates once. With feature
/// `serde` it serialises to the claims below, under their names in the token.
#[derive(Clone, Eq, PartialEq)]
pub struct AccessToken {
    /// The claims' JSON as signed, then the plain form of each string that was escaped there.
    text: String,
    sub: Span,
    jti: Span,
    resource_id: Span,
    plan_id: Span,
    tx_hash: Span,
    iss: Option<Span>,
    payer: Option<Span>,
    iat: Option<u64>,
    exp: u64,
    nbf: Option<u64>,
}

impl AccessToken {
    /// Request id of the purchase (`sub`).
    #[must_use]
    pub fn sub(&self) -> &str {
        self.sub.of(&self.text)
    }

    /// Challenge id of the purchase (`jti`): one token, one id.
    #[must_use]
    pub fn jti(&self) -> &str {
        self.jti.of(&self.text)
    }

    /// What was bought access to (`resourceId`); `default` when the buyer named nothing.
    #[must_use]
    pub fn resource_id(&self) -> &str {
        self.resource_id.of(&self.text)
    }

    /// The plan that was paid for (`planId`).
    #[must_use]
    pub fn plan_id(&self) -> &str {
        self.plan_id.of(&self.text)
    }

    /// Hash of the transaction that paid (`txHash`).
    #[must_use]
    pub fn tx_hash(&self) -> &str {
        self.tx_hash.of(&self.text)
    }

    /// Second of issue (`iat`), Unix time. A gateway always writes it; other issuers may not.
    #[must_use]
    pub fn iat(&self) -> Option<u64> {
        self.iat
    }

    /// First second at which the token is no longer good (`exp`), Unix time.
    #[must_use]
    pub fn exp(&self) -> u64 {
        self.exp
    }

    /// The gateway's public URL (`iss`).
    #[must_use]
    pub fn iss(&self) -> Option<&str> {
        self.iss.map(|span| span.of(&self.text))
    }

    /// Address of the wallet that paid (`payer`).
    #[must_use]
    pub fn payer(&self) -> Option<&str> {
        self.payer.map(|span| span.of(&self.text))
    }

    /// Second before which the token is not good (`nbf`).
    pub(crate) fn nbf(&self) -> Option<u64> {
        self.nbf
    }

    /// Reads the claims of a token whose signature is proven. Judges no date and no value.
    pub(crate) fn read(encoded: &[u8]) -> Result<Self, ValidationError> {
        let malformed = ValidationError::MalformedClaims;
        let bytes = base64_simd::URL_SAFE_NO_PAD
            .decode_to_vec(encoded)
            .map_err(|_| malformed(Flaw::NotBase64Url))?;
        let mut text = String::from_utf8(bytes).map_err(|_| malformed(Flaw::NotUtf8))?;
        let mut found = Found::default();
        read_object(&text, |name, value| found.note(&name.read(&text), value))
            .map_err(malformed)?;

        Ok(Self {
            sub: required(found.sub, "sub", &mut text)?,
            jti: required(found.jti, "jti", &mut text)?,
            resource_id: required(found.resource_id, "resourceId", &mut text)?,
            plan_id: required(found.plan_id, "planId", &mut text)?,
            tx_hash: required(found.tx_hash, "txHash", &mut text)?,
            iss: string(found.iss, "iss", &mut text)?,
            payer: string(found.payer, "payer", &mut text)?,
            // Clocks here count whole seconds. For those, `now >= exp` and `now >= nbf` mean the same with the date
            // rounded up; a fraction of `iat` has no consequence.
            exp: date(found.exp, "exp", &text)?
                .ok_or(ValidationError::MissingClaim("exp"))?
                .ceil,
            nbf: date(found.nbf, "nbf", &text)?.map(|nbf| nbf.ceil),
            iat: date(found.iat, "iat", &text)?.map(|iat| iat.floor),
            text,
        })
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("sub", &self.sub())
            .field("jti", &self.jti())
            .field("resource_id", &self.resource_id())
            .field("plan_id", &self.plan_id())
            .field("tx_hash", &self.tx_hash())
            .field("iat", &self.iat)
            .field("exp", &self.exp)
            .field("iss", &self.iss())
            .field("payer", &self.payer())
            .finish()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for AccessToken {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let optional = [self.iat.is_some(), self.iss.is_some(), self.payer.is_some()]
            .into_iter()
            .filter(|is| *is);
        let mut claims = serializer.serialize_struct("AccessToken", 6 + optional.count())?;
        claims.serialize_field("sub", self.sub())?;
        claims.serialize_field("jti", self.jti())?;
        claims.serialize_field("resourceId", self.resource_id())?;
        claims.serialize_field("planId", self.plan_id())?;
        claims.serialize_field("txHash", self.tx_hash())?;
        match self.iat {
            Some(iat) => claims.serialize_field("iat", &iat)?,
            None => claims.skip_field("iat")?,
        }
        claims.serialize_field("exp", &self.exp)?;
        match self.iss() {
            Some(iss) => claims.serialize_field("iss", iss)?,
            None => claims.skip_field("iss")?,
        }
        match self.payer() {
            Some(payer) => claims.serialize_field("payer", payer)?,
            None => claims.skip_field("payer")?,
        }
        claims.end()
    }
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
            text.push_str(&plain);
            Ok(Some(Span::new(start, text.len())))
        }
        Some(_) => Err(ValidationError::InvalidClaim(name)),
    }
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
