//! The validated result: claims of a token whose signature was checked.

use core::fmt;
use std::borrow::Cow;
use std::sync::Arc;

use base64_simd::URL_SAFE_NO_PAD;

use crate::fields::{Fields, member};
use crate::json::Value;
use crate::{Flaw, ValidationError};

/// An access token that passed every check. Only validation makes one.
///
/// It owns the decoded claims as one text and hands out pieces of it, so a validation allocates once, or not at all when
/// the token is [remembered](crate::Config::verified_cache). With feature `serde` it serialises to the claims below,
/// under their names in the token.
#[derive(Clone)]
pub struct AccessToken {
    text: Text,
    fields: Fields,
}

/// A token's claims, in the caller's [`TokenBuffer`]: what [`AccessToken`] is without an allocation.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct ClaimsRef<'b> {
    text: &'b str,
    fields: Fields,
}

/// Room for the claims of one token after the other, for [`Validator::validate_in`](crate::Validator::validate_in).
#[derive(Clone, Default)]
pub struct TokenBuffer {
    text: String,
}

impl TokenBuffer {
    /// An empty one. It grows with the first token.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// What it held is nobody's business.
impl fmt::Debug for TokenBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBuffer").finish_non_exhaustive()
    }
}

#[derive(Clone)]
enum Text {
    Own(String),
    /// The cache's.
    Shared(Arc<str>),
}

impl<'b> ClaimsRef<'b> {
    /// Reads the claims of a token whose signature is proven, into the buffer. Judges no date and no value.
    pub(crate) fn read(
        encoded: &[u8],
        buffer: &'b mut TokenBuffer,
    ) -> Result<Self, ValidationError> {
        let mut bytes = core::mem::take(&mut buffer.text).into_bytes();
        let malformed = |flaw| Err(ValidationError::MalformedClaims(flaw));
        bytes.clear();
        // Appending, because that writes to each byte once: there is nothing to fill with zeros first.
        if URL_SAFE_NO_PAD.decode_append(encoded, &mut bytes).is_err() {
            return malformed(Flaw::NotBase64Url);
        }
        let Ok(text) = String::from_utf8(bytes) else {
            return malformed(Flaw::NotUtf8);
        };
        buffer.text = text;
        let fields = Fields::read(&mut buffer.text)?;
        Ok(Self {
            text: &buffer.text,
            fields,
        })
    }

    /// Request id of the purchase (`sub`).
    #[must_use]
    pub fn sub(self) -> &'b str {
        self.fields.sub.of(self.text)
    }

    /// Challenge id of the purchase (`jti`): one token, one id.
    #[must_use]
    pub fn jti(self) -> &'b str {
        self.fields.jti.of(self.text)
    }

    /// What was bought access to (`resourceId`); `default` when the buyer named nothing.
    #[must_use]
    pub fn resource_id(self) -> &'b str {
        self.fields.resource_id.of(self.text)
    }

    /// The plan that was paid for (`planId`).
    #[must_use]
    pub fn plan_id(self) -> &'b str {
        self.fields.plan_id.of(self.text)
    }

    /// Hash of the transaction that paid (`txHash`).
    #[must_use]
    pub fn tx_hash(self) -> &'b str {
        self.fields.tx_hash.of(self.text)
    }

    /// Second of issue (`iat`), Unix time. A gateway always writes it; other issuers may not.
    #[must_use]
    pub fn iat(self) -> Option<u64> {
        self.fields.iat
    }

    /// First second at which the token is no longer good (`exp`), Unix time.
    #[must_use]
    pub fn exp(self) -> u64 {
        self.fields.exp
    }

    /// The gateway's public URL (`iss`).
    #[must_use]
    pub fn iss(self) -> Option<&'b str> {
        self.fields.iss.map(|span| span.of(self.text))
    }

    /// Address of the wallet that paid (`payer`).
    #[must_use]
    pub fn payer(self) -> Option<&'b str> {
        self.fields.payer.map(|span| span.of(self.text))
    }

    /// EIP-155 id of the chain on which the payment was made (`chainId`).
    #[must_use]
    pub fn chain_id(self) -> Option<u64> {
        self.fields.chain_id
    }

    /// All claims as they were signed: one JSON object, for claims that have no name here.
    #[must_use]
    pub fn json(self) -> &'b str {
        self.fields.json.of(self.text)
    }

    /// A further claim that is a string.
    #[must_use]
    pub fn text(self, name: &str) -> Option<Cow<'b, str>> {
        match member(self.json(), name)? {
            Value::Text(text) => Some(text.read(self.json())),
            _ => None,
        }
    }

    /// A further claim of any kind, as the JSON that was signed.
    #[must_use]
    pub fn raw(self, name: &str) -> Option<&'b str> {
        member(self.json(), name).map(|value| value.written(self.json()))
    }

    /// Whether plan, subject and transaction are these words. Asked of every token, so it compares lengths first.
    pub(crate) fn are(self, plan_id: &str, sub: &str, tx_hash: &str) -> [bool; 3] {
        let fields = self.fields;
        [
            fields.plan_id.is(self.text, plan_id),
            fields.sub.is(self.text, sub),
            fields.tx_hash.is(self.text, tx_hash),
        ]
    }

    pub(crate) fn nbf(self) -> Option<u64> {
        self.fields.nbf
    }
}

impl AccessToken {
    /// Reads the claims of a token whose signature is proven. Judges no date and no value.
    pub(crate) fn read(encoded: &[u8]) -> Result<Self, ValidationError> {
        let mut buffer = TokenBuffer::default();
        let fields = ClaimsRef::read(encoded, &mut buffer)?.fields;
        Ok(Self {
            text: Text::Own(buffer.text),
            fields,
        })
    }

    /// The same token, so that a clone of it allocates nothing.
    pub(crate) fn into_shared(self) -> Self {
        let text = match self.text {
            Text::Own(text) => Text::Shared(text.into()),
            shared => shared,
        };
        Self { text, ..self }
    }

    /// All of it, borrowed.
    #[must_use]
    pub fn claims(&self) -> ClaimsRef<'_> {
        let text = match &self.text {
            Text::Own(text) => text,
            Text::Shared(text) => &**text,
        };
        let fields = self.fields;
        ClaimsRef { text, fields }
    }

    /// Request id of the purchase (`sub`).
    #[must_use]
    pub fn sub(&self) -> &str {
        self.claims().sub()
    }

    /// Challenge id of the purchase (`jti`): one token, one id.
    #[must_use]
    pub fn jti(&self) -> &str {
        self.claims().jti()
    }

    /// What was bought access to (`resourceId`); `default` when the buyer named nothing.
    #[must_use]
    pub fn resource_id(&self) -> &str {
        self.claims().resource_id()
    }

    /// The plan that was paid for (`planId`).
    #[must_use]
    pub fn plan_id(&self) -> &str {
        self.claims().plan_id()
    }

    /// Hash of the transaction that paid (`txHash`).
    #[must_use]
    pub fn tx_hash(&self) -> &str {
        self.claims().tx_hash()
    }

    /// Second of issue (`iat`), Unix time. A gateway always writes it; other issuers may not.
    #[must_use]
    pub fn iat(&self) -> Option<u64> {
        self.fields.iat
    }

    /// First second at which the token is no longer good (`exp`), Unix time.
    #[must_use]
    pub fn exp(&self) -> u64 {
        self.fields.exp
    }

    /// The gateway's public URL (`iss`).
    #[must_use]
    pub fn iss(&self) -> Option<&str> {
        self.claims().iss()
    }

    /// Address of the wallet that paid (`payer`).
    #[must_use]
    pub fn payer(&self) -> Option<&str> {
        self.claims().payer()
    }

    /// EIP-155 id of the chain on which the payment was made (`chainId`).
    #[must_use]
    pub fn chain_id(&self) -> Option<u64> {
        self.fields.chain_id
    }

    /// All claims as they were signed: one JSON object, for claims that have no name here.
    #[must_use]
    pub fn json(&self) -> &str {
        self.claims().json()
    }

    /// A further claim that is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.claims().text(name)
    }

    /// A further claim of any kind, as the JSON that was signed.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.claims().raw(name)
    }

    /// Refuses a token that was bought for something else, with 403.
    ///
    /// # Errors
    ///
    /// [`ValidationError::OtherResource`].
    pub fn require_resource(&self, resource_id: &str) -> Result<&Self, ValidationError> {
        if self.resource_id() == resource_id {
            Ok(self)
        } else {
            Err(ValidationError::OtherResource)
        }
    }

    /// Refuses a token of other plans than these, with 403.
    ///
    /// # Errors
    ///
    /// [`ValidationError::OtherPlan`].
    pub fn require_plan<P: AsRef<str>>(
        &self,
        plans: impl IntoIterator<Item = P>,
    ) -> Result<&Self, ValidationError> {
        if plans
            .into_iter()
            .any(|plan| plan.as_ref() == self.plan_id())
        {
            Ok(self)
        } else {
            Err(ValidationError::OtherPlan)
        }
    }
}

impl PartialEq for AccessToken {
    fn eq(&self, other: &Self) -> bool {
        self.claims() == other.claims()
    }
}

impl Eq for AccessToken {}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show("AccessToken", self.claims(), f)
    }
}

impl fmt::Debug for ClaimsRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show("ClaimsRef", *self, f)
    }
}

fn show(name: &str, claims: ClaimsRef<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.debug_struct(name)
        .field("sub", &claims.sub())
        .field("jti", &claims.jti())
        .field("resource_id", &claims.resource_id())
        .field("plan_id", &claims.plan_id())
        .field("tx_hash", &claims.tx_hash())
        .field("iat", &claims.iat())
        .field("exp", &claims.exp())
        .field("iss", &claims.iss())
        .field("payer", &claims.payer())
        .field("chain_id", &claims.chain_id())
        .finish()
}

#[cfg(feature = "serde")]
impl serde::Serialize for AccessToken {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.claims().serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for ClaimsRef<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let optional = [
            self.iat().is_some(),
            self.iss().is_some(),
            self.payer().is_some(),
            self.chain_id().is_some(),
        ];
        let optional = optional.into_iter().filter(|is| *is).count();
        let mut claims = serializer.serialize_struct("AccessToken", 6 + optional)?;
        claims.serialize_field("sub", self.sub())?;
        claims.serialize_field("jti", self.jti())?;
        claims.serialize_field("resourceId", self.resource_id())?;
        claims.serialize_field("planId", self.plan_id())?;
        claims.serialize_field("txHash", self.tx_hash())?;
        match self.iat() {
            Some(iat) => claims.serialize_field("iat", &iat)?,
            None => claims.skip_field("iat")?,
        }
        claims.serialize_field("exp", &self.exp())?;
        match self.iss() {
            Some(iss) => claims.serialize_field("iss", iss)?,
            None => claims.skip_field("iss")?,
        }
        match self.payer() {
            Some(payer) => claims.serialize_field("payer", payer)?,
            None => claims.skip_field("payer")?,
        }
        match self.chain_id() {
            Some(chain_id) => claims.serialize_field("chainId", &chain_id)?,
            None => claims.skip_field("chainId")?,
        }
        claims.end()
    }
}
