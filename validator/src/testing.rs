//! Tokens for the tests of a backend.

use core::fmt;
use core::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use base64_simd::URL_SAFE_NO_PAD;

use crate::Config;
#[cfg(feature = "hs256")]
use crate::ConfigError;
#[cfg(feature = "hs256")]
use crate::hmac::HmacKey;
#[cfg(feature = "hs256")]
use crate::ring::Key;
use crate::service::{SERVICE_PLAN, SERVICE_SUBJECT, SERVICE_TX_HASH};

/// Signs tokens as a gateway does, for tests: of handlers, of middleware, of a configuration.
///
#[cfg_attr(feature = "hs256", doc = "```")]
#[cfg_attr(not(feature = "hs256"), doc = "```ignore")]
/// use key0_validator::testing::{TestIssuer, TestToken};
/// use key0_validator::{Config, Validator};
///
/// let issuer = TestIssuer::hs256("a secret of 32 bytes or more, for tests")?;
/// let validator = Validator::new(issuer.config()).plans(["pro"]);
///
/// let good = issuer.bearer(&TestToken::new().plan("pro"));
/// assert!(validator.validate(good.as_str()).is_ok());
/// let other_plan = issuer.bearer(&TestToken::new().plan("basic"));
/// assert_eq!(validator.validate(other_plan.as_str()).unwrap_err().status(), 403);
/// let too_late = issuer.bearer(&TestToken::new().expired());
/// assert_eq!(validator.validate(too_late.as_str()).unwrap_err().code(), "CHALLENGE_EXPIRED");
/// # Ok::<(), key0_validator::ConfigError>(())
/// ```
///
/// To call a handler that takes an [`AccessToken`](crate::AccessToken), validate a token of this issuer: there is no other way
/// to make one.
pub struct TestIssuer(Signer);

enum Signer {
    #[cfg(feature = "hs256")]
    Hs256 { key: HmacKey, secret: Vec<u8> },
    #[cfg(feature = "rs256")]
    Rs256(Box<rsa::Signer>),
}

impl TestIssuer {
    /// An issuer that signs with this secret, as a gateway with `KEY0_TOKEN_ALGORITHM=HS256` does.
    ///
    /// # Errors
    ///
    /// As [`Config::hs256`].
    #[cfg(feature = "hs256")]
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let secret = secret.as_ref().to_vec();
        let key = HmacKey::new(&secret)?;
        Ok(Self(Signer::Hs256 { key, secret }))
    }

    /// An issuer that signs with a new key of 2048 bits, as a gateway with `KEY0_TOKEN_ALGORITHM=RS256` does.
    ///
    /// # Panics
    ///
    /// Where graviola does not run: on other processors than x86-64 with AVX2 and ADX, and aarch64.
    #[cfg(feature = "rs256")]
    #[must_use]
    pub fn rs256() -> Self {
        Self(Signer::Rs256(Box::new(rsa::Signer::new())))
    }

    /// The configuration that accepts this issuer's tokens, and no others.
    #[must_use]
    pub fn config(&self) -> Config {
        let config = match &self.0 {
            #[cfg(feature = "hs256")]
            Signer::Hs256 { secret, .. } => Config::hs256(secret).ok(),
            #[cfg(feature = "rs256")]
            Signer::Rs256(_) => Config::jwks(self.jwks()).ok(),
        };
        // The key was checked when the issuer was made.
        config.unwrap_or_else(impossible)
    }

    /// The key document that a gateway would publish for these keys. For HS256 it has no keys: the secret is not
    /// published.
    #[must_use]
    pub fn jwks(&self) -> String {
        match &self.0 {
            #[cfg(feature = "hs256")]
            Signer::Hs256 { .. } => r#"{"keys":[]}"#.to_owned(),
            #[cfg(feature = "rs256")]
            Signer::Rs256(signer) => format!(r#"{{"keys":[{}]}}"#, signer.jwk()),
        }
    }

    /// Signs a token. Returns a compact JWT without `Bearer`.
    #[must_use]
    pub fn mint(&self, token: &TestToken) -> String {
        self.sign("JWT", token.json())
    }

    /// The list that a gateway would publish at this moment if it had taken back these grants.
    #[cfg(feature = "revoked")]
    #[must_use]
    pub fn revoked(&self, grants: &[&str]) -> String {
        use sha2::{Digest, Sha256};
        let name = |grant: &&str| {
            let digest = Sha256::digest(grant);
            let digits = digest.iter().take(8).map(|byte| format!("{byte:02x}"));
            quoted(&digits.collect::<String>())
        };
        let grants: Vec<_> = grants.iter().map(name).collect();
        let (iat, exp, grants) = (now(), now() + 300, grants.join(","));
        let claims = format!(
            r#"{{"iss":"https://seller.example","iat":{iat},"exp":{exp},"revoked":[{grants}],"truncated":false}}"#
        );
        self.sign("revoked+jwt", claims)
    }

    fn sign(&self, kind: &str, claims: String) -> String {
        let (algorithm, kid) = match &self.0 {
            #[cfg(feature = "hs256")]
            Signer::Hs256 { key, .. } => ("HS256", key.kid()),
            #[cfg(feature = "rs256")]
            Signer::Rs256(signer) => ("RS256", signer.kid()),
        };
        let header = format!(r#"{{"alg":"{algorithm}","typ":"{kind}","kid":"{kid}"}}"#);
        let encode = |text: String| URL_SAFE_NO_PAD.encode_to_string(text);
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = match &self.0 {
            #[cfg(feature = "hs256")]
            Signer::Hs256 { key, .. } => key.mac(signed.as_bytes()).to_vec(),
            #[cfg(feature = "rs256")]
            Signer::Rs256(signer) => signer.sign(signed.as_bytes()),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode_to_string(signature))
    }

    /// The value of an Authorization header: `Bearer` and a token.
    #[must_use]
    pub fn bearer(&self, token: &TestToken) -> String {
        format!("Bearer {}", self.mint(token))
    }
}

impl fmt::Debug for TestIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIssuer").finish_non_exhaustive()
    }
}

#[cold]
#[expect(clippy::panic, reason = "for tests, and it cannot happen")]
fn impossible<T>() -> T {
    panic!("an issuer's own key is good")
}

/// The claims of a token for a test. Whatever is not set is what a gateway writes for a good one: plan `basic`, resource
/// `default`, paid on Base, good for an hour from now.
#[derive(Clone, Debug)]
pub struct TestToken {
    /// Names and values in JSON, in the order in which a gateway writes them.
    members: Vec<(String, String)>,
}

impl TestToken {
    /// A buyer's token.
    #[must_use]
    pub fn new() -> Self {
        Self {
            members: Vec::new(),
        }
        .text("sub", "2f1d0a52-7b0c-4c5e-9a3e-0c5b8f6f2a11")
        .text("jti", "5d1c1d6e-0f2b-4a55-8f0e-3b1f6a4e9c07")
        .text("resourceId", "default")
        .text("planId", "basic")
        .text("txHash", &format!("0x{}", "ab".repeat(32)))
        .claim("iat", now().to_string())
        .claim("exp", (now() + 3600).to_string())
        .text("iss", "https://seller.example")
        .text("payer", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
        .claim("chainId", "8453")
    }

    /// A gateway's token for a call of this backend, for a [`ServiceValidator`](crate::ServiceValidator).
    #[must_use]
    pub fn service(audience: &str) -> Self {
        Self::new()
            .text("sub", SERVICE_SUBJECT)
            .resource(audience)
            .plan(SERVICE_PLAN)
            .text("txHash", SERVICE_TX_HASH)
            .expires_in(60)
            .without("payer")
            .without("chainId")
    }

    /// Sets the resource (`resourceId`).
    #[must_use]
    pub fn resource(self, resource_id: &str) -> Self {
        self.text("resourceId", resource_id)
    }

    /// Sets the plan (`planId`).
    #[must_use]
    pub fn plan(self, plan_id: &str) -> Self {
        self.text("planId", plan_id)
    }

    /// Sets the id of the purchase (`jti`). Each token that a gateway sells has another one.
    #[must_use]
    pub fn id(self, jti: &str) -> Self {
        self.text("jti", jti)
    }

    /// Sets the wallet that has paid (`payer`).
    #[must_use]
    pub fn payer(self, address: &str) -> Self {
        self.text("payer", address)
    }

    /// Sets the public URL of the gateway that sold the token (`iss`).
    #[must_use]
    pub fn issuer(self, url: &str) -> Self {
        self.text("iss", url)
    }

    /// Sets the EIP-155 id of the chain on which the token was paid (`chainId`); 84532 is Base Sepolia's.
    #[must_use]
    pub fn chain(self, chain_id: u64) -> Self {
        self.claim("chainId", chain_id.to_string())
    }

    /// Sets the grant whose calls are counted (`grant`): the token is one of a plan with limits.
    #[must_use]
    pub fn grant(self, grant: &str) -> Self {
        self.text("grant", grant)
            .claim("limits", r#"{"quota":{"calls":1650}}"#)
    }

    /// Sets the expiry (`exp`) to `seconds` seconds from now.
    #[must_use]
    pub fn expires_in(self, seconds: u64) -> Self {
        self.claim("exp", (now() + seconds).to_string())
    }

    /// Sets the dates so that the token expired an hour ago.
    #[must_use]
    pub fn expired(self) -> Self {
        self.claim("iat", now().saturating_sub(7200).to_string())
            .claim("exp", now().saturating_sub(3600).to_string())
    }

    /// Sets a claim, written in JSON, in place of the one of that name.
    #[must_use]
    pub fn claim(mut self, name: &str, json: impl Into<String>) -> Self {
        let json = json.into();
        match self.members.iter_mut().find(|(other, _)| other == name) {
            Some((_, value)) => *value = json,
            None => self.members.push((name.to_owned(), json)),
        }
        self
    }

    /// Removes a claim.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.members.retain(|(other, _)| other != name);
        self
    }

    fn text(self, name: &str, text: &str) -> Self {
        self.claim(name, quoted(text))
    }

    fn json(&self) -> String {
        let members: Vec<_> = self
            .members
            .iter()
            .map(|(name, value)| format!("{}:{value}", quoted(name)))
            .collect();
        format!("{{{}}}", members.join(","))
    }
}

impl Default for TestToken {
    fn default() -> Self {
        Self::new()
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

/// A text in JSON (RFC 8259 §7).
fn quoted(text: &str) -> String {
    let mut json = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..='\x1f' => {
                // Writing to a string cannot fail.
                let _ = write!(json, "\\u{:04x}", u32::from(character));
            }
            _ => json.push(character),
        }
    }
    json.push('"');
    json
}

#[cfg(feature = "rs256")]
mod rsa {
    use base64_simd::URL_SAFE_NO_PAD;
    use graviola::signing::rsa::{KeySize, SigningKey};

    use crate::der;
    use crate::ring::Key;
    use crate::rsa::{MAX_SIGNATURE, RsaKey};

    pub(super) struct Signer {
        key: SigningKey,
        kid: String,
        jwk: String,
    }

    impl Signer {
        #[expect(clippy::expect_used, reason = "for tests; said in the documentation")]
        pub(super) fn new() -> Self {
            assert!(
                graviola::util::is_cpu_supported(),
                "TestIssuer::rs256 needs a processor on which graviola runs"
            );
            let key = SigningKey::generate(KeySize::Rsa2048).expect("a new key");
            let mut room = [0; MAX_SIGNATURE];
            let public = key.public_key();
            let der = public.to_pkcs1_der(&mut room).expect("there is room");
            let (n, e) = der::read_pkcs1(der).expect("graviola's own DER");
            let kid = RsaKey::new((n, e), None)
                .expect("a good key")
                .kid()
                .to_owned();
            let encode = |number: &[u8]| URL_SAFE_NO_PAD.encode_to_string(number);
            let jwk = format!(
                r#"{{"kty":"RSA","use":"sig","alg":"RS256","kid":"{kid}","n":"{}","e":"{}"}}"#,
                encode(n),
                encode(e)
            );
            Self { key, kid, jwk }
        }

        pub(super) fn kid(&self) -> &str {
            &self.kid
        }

        pub(super) fn jwk(&self) -> &str {
            &self.jwk
        }

        #[expect(clippy::expect_used, reason = "for tests; said in the documentation")]
        pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
            let mut room = [0; MAX_SIGNATURE];
            let signature = self.key.sign_pkcs1_sha256(&mut room, message);
            signature.expect("there is room").to_vec()
        }
    }
}
