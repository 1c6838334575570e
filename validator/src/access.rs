//! The validated result: claims of a token whose signature was checked.

use core::fmt;
use std::borrow::Cow;
use std::sync::Arc;

use base64_simd::URL_SAFE_NO_PAD;

use crate::fields::{Fields, member};
use crate::json::Value;
use crate::{Flaw, Limits, ValidationError};

/// An access token that passed every check. Only validation makes one.
///
/// The token owns the decoded claims as one text and hands out pieces of it, so a validation allocates once, or not at
/// all when the token is [remembered](crate::Config::verified_cache). With feature `serde` it serialises to the claims
/// below, under their names in the token.
#[derive(Clone)]
pub struct AccessToken {
    text: Text,
    fields: Fields,
}

#[derive(Clone)]
enum Text {
    Own(String),
    /// The text is shared with the cache.
    Shared(Arc<str>),
}

impl AccessToken {
    /// Reads the claims of a token whose signature is proven. Judges no date and no value.
    pub(crate) fn read(encoded: &[u8]) -> Result<Self, ValidationError> {
        let malformed = |flaw| Err(ValidationError::MalformedClaims(flaw));
        let mut bytes = Vec::new();
        // Appends, so that the buffer need not be filled with zeros first.
        if URL_SAFE_NO_PAD.decode_append(encoded, &mut bytes).is_err() {
            return malformed(Flaw::NotBase64Url);
        }
        let Ok(mut text) = String::from_utf8(bytes) else {
            return malformed(Flaw::NotUtf8);
        };
        let fields = Fields::read(&mut text)?;
        Ok(Self {
            text: Text::Own(text),
            fields,
        })
    }

    /// Converts the token so that cloning it allocates nothing.
    pub(crate) fn into_shared(self) -> Self {
        let text = match self.text {
            Text::Own(text) => Text::Shared(text.into()),
            shared => shared,
        };
        Self { text, ..self }
    }

    fn whole(&self) -> &str {
        match &self.text {
            Text::Own(text) => text,
            Text::Shared(text) => text,
        }
    }

    /// Request id of the purchase (`sub`).
    #[must_use]
    pub fn sub(&self) -> &str {
        self.fields.sub.of(self.whole())
    }

    /// Challenge id of the purchase (`jti`), unique to the token.
    #[must_use]
    pub fn jti(&self) -> &str {
        self.fields.jti.of(self.whole())
    }

    /// The resource that was bought (`resourceId`); `default` if the buyer named none.
    #[must_use]
    pub fn resource_id(&self) -> &str {
        self.fields.resource_id.of(self.whole())
    }

    /// The plan that was paid for (`planId`).
    #[must_use]
    pub fn plan_id(&self) -> &str {
        self.fields.plan_id.of(self.whole())
    }

    /// Hash of the transaction that paid (`txHash`).
    #[must_use]
    pub fn tx_hash(&self) -> &str {
        self.fields.tx_hash.of(self.whole())
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
        self.fields.iss.map(|span| span.of(self.whole()))
    }

    /// Address of the wallet that paid (`payer`).
    #[must_use]
    pub fn payer(&self) -> Option<&str> {
        self.fields.payer.map(|span| span.of(self.whole()))
    }

    /// EIP-155 id of the chain on which the payment was made (`chainId`).
    #[must_use]
    pub fn chain_id(&self) -> Option<u64> {
        self.fields.chain_id
    }

    /// The grant whose calls are counted (`grant`): the request id of the purchase that founded it. For display; the
    /// gateway counts. `None` for a plan without limits.
    ///
    /// Found anew by each call, so that checking a token costs nothing for it.
    #[must_use]
    pub fn grant(&self) -> Option<Cow<'_, str>> {
        self.text("grant")
    }

    /// How many calls the plan is good for, how fast and how many at a time (`limits`). For display; the gateway enforces
    /// them. `None` for a plan without limits, and for a claim that no gateway would write.
    ///
    /// Read anew by each call, so that checking a token costs nothing for it.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.raw("limits").and_then(Limits::read)
    }

    /// All claims as they were signed, as one JSON object. For claims that have no method here.
    #[must_use]
    pub fn json(&self) -> &str {
        self.fields.json.of(self.whole())
    }

    /// A further claim that is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        match member(self.json(), name)? {
            Value::Text(text) => Some(text.read(self.json())),
            _ => None,
        }
    }

    /// A further claim of any kind, as the JSON that was signed.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&str> {
        member(self.json(), name).map(|value| value.written(self.json()))
    }

    /// Whether plan, subject and transaction are these. Called for every token, so it compares lengths first.
    pub(crate) fn are(&self, plan_id: &str, sub: &str, tx_hash: &str) -> [bool; 3] {
        let (fields, text) = (&self.fields, self.whole());
        [
            fields.plan_id.is(text, plan_id),
            fields.sub.is(text, sub),
            fields.tx_hash.is(text, tx_hash),
        ]
    }

    pub(crate) fn nbf(&self) -> Option<u64> {
        self.fields.nbf
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
        self.fields == other.fields && self.whole() == other.whole()
    }
}

impl Eq for AccessToken {}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("sub", &self.sub())
            .field("jti", &self.jti())
            .field("resource_id", &self.resource_id())
            .field("plan_id", &self.plan_id())
            .field("tx_hash", &self.tx_hash())
            .field("iat", &self.iat())
            .field("exp", &self.exp())
            .field("iss", &self.iss())
            .field("payer", &self.payer())
            .field("chain_id", &self.chain_id())
            .field("grant", &self.grant())
            .field("limits", &self.limits())
            .finish()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for AccessToken {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let (grant, limits) = (self.grant(), self.limits());
        let optional = [
            grant.is_some(),
            limits.is_some(),
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
        match grant {
            Some(grant) => claims.serialize_field("grant", &grant)?,
            None => claims.skip_field("grant")?,
        }
        match limits {
            Some(limits) => claims.serialize_field("limits", &limits)?,
            None => claims.skip_field("limits")?,
        }
        claims.end()
    }
}
