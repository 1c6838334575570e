//! What can go wrong, once: a text that is safe to show, a stable code, a status, the HTTP answer's parts.

use core::fmt;

/// Why a token was refused, or why it could not be judged.
///
/// The variant is for logs and tests; [`code`](Self::code) and [`status`](Self::status) are the contract with
/// clients. No variant holds any part of the token except the moment at which a proven token ran out.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
// `Result<AccessToken, ValidationError>` uses the same memory for the error and the token. With a one-byte tag
// compilers copy that memory in unequal pieces, which costs about 20 ns for a good token.
#[repr(u64)]
pub enum ValidationError {
    /// There was no Authorization header.
    MissingHeader,
    /// There was more than one Authorization header.
    RepeatedHeader,
    /// The Authorization header uses another scheme than `Bearer`.
    WrongScheme,
    /// The scheme is not followed by exactly one token.
    NotOneToken,
    /// The Authorization header is longer than 8 KiB.
    TooLong,
    /// The token does not have the three parts of a signed JWT.
    NotAJwt,
    /// The signature's length is not one that the configured algorithm can produce.
    WrongSignatureLength,
    /// The signature is not canonical base64url.
    MalformedSignature,
    /// The token's header cannot be read.
    MalformedHeader(Flaw),
    /// The token's header names another algorithm than the configured one.
    WrongAlgorithm,
    /// The token's header says that the token is not a JWT access token.
    WrongType,
    /// The token's header asks for processing that is never done for an access token: `crit`, `b64`, `enc`, `zip`.
    ForbiddenHeader(&'static str),
    /// No configured key made this signature.
    WrongSignature,
    /// The token's header names an unknown key.
    UnknownKey,
    /// The signed claims cannot be read.
    MalformedClaims(Flaw),
    /// A required claim is missing.
    MissingClaim(&'static str),
    /// A claim has the wrong type, or a required one is empty.
    InvalidClaim(&'static str),
    /// The token is for calls between services (`planId` is `system`), not a buyer's.
    ServiceToken,
    /// The token is not the gateway's own: it lacks the marks of tokens for calls between services.
    NotAServiceToken,
    /// The service token is for another backend.
    WrongAudience,
    /// The token was bought with test money, on Base Sepolia. [`Config::accept_testnet`](crate::Config::accept_testnet) is
    /// for backends that are tried out.
    TestMoney,
    /// The token was paid on another chain than the expected one.
    WrongChain,
    /// The token was issued by another gateway than the expected one.
    WrongIssuer,
    /// The token has expired.
    Expired {
        /// First second at which the token was no longer good, Unix time.
        exp: u64,
    },
    /// The token's `nbf` is in the future.
    NotYetValid,
    /// The gateway has taken back the grant that the token belongs to.
    GrantRevoked,
    /// The backend has revoked this token.
    Revoked,
    /// The token was good for one use, and was used.
    AlreadyUsed,
    /// The token is good, but for another resource than the handler or layer requires: 403.
    OtherResource,
    /// The token is good, but for another plan than the handler or layer requires: 403.
    OtherPlan,
    /// The backend cannot say whether it admits the token: [`Refusal::Unknown`](crate::Refusal::Unknown).
    NotChecked,
    /// A handler takes a token, but the application has no [`Validator`](crate::Validator) to check it.
    NoValidator,
    /// There are no keys to check with: none were ever fetched, or the last fetched ones are too old.
    NoKeys,
    /// The system clock cannot be read, so dates cannot be checked.
    NoClock,
}

impl ValidationError {
    /// The stable code for clients: `INVALID_REQUEST`, `CHALLENGE_EXPIRED`, `GRANT_REVOKED` or `INTERNAL_ERROR`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "CHALLENGE_EXPIRED",
            Self::GrantRevoked => "GRANT_REVOKED",
            Self::NoClock | Self::NoKeys | Self::NotChecked | Self::NoValidator => "INTERNAL_ERROR",
            _ => "INVALID_REQUEST",
        }
    }

    /// The HTTP status to answer with: 401, 403 for a good token of another resource or plan than required, or 500 when
    /// the fault is on this side.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::NoClock | Self::NoKeys | Self::NotChecked | Self::NoValidator => 500,
            Self::OtherResource | Self::OtherPlan => 403,
            _ => 401,
        }
    }

    /// The JSON body to answer with: `{"type":"Error","code":…,"message":…}`.
    #[must_use]
    pub fn body(&self) -> String {
        // Nothing to escape: every text is ASCII without quotes and backslashes, which a test checks.
        format!(
            r#"{{"type":"Error","code":"{}","message":"{self}"}}"#,
            self.code()
        )
    }

    /// The value for the `WWW-Authenticate` header (RFC 6750 §3), where the status asks for one.
    ///
    /// A caller that sent no bearer token gets the bare challenge, any other learns what is wrong with the token.
    #[must_use]
    pub fn www_authenticate(&self) -> Option<String> {
        self.challenge(None)
    }

    /// The value of [`www_authenticate`](Self::www_authenticate), with the URL at which a client learns where tokens
    /// are sold (RFC 9728 §5.1).
    pub(crate) fn challenge(&self, resource_metadata: Option<&str>) -> Option<String> {
        let error = match self {
            _ if self.status() == 500 => return None,
            Self::MissingHeader | Self::WrongScheme => None,
            Self::OtherResource | Self::OtherPlan => Some("insufficient_scope"),
            _ => Some("invalid_token"),
        };
        let error = error.map(|code| format!(r#"error="{code}", error_description="{self}""#));
        let metadata = resource_metadata.map(|url| format!(r#"resource_metadata="{url}""#));
        let parameters: Vec<_> = error.into_iter().chain(metadata).collect();
        Some(if parameters.is_empty() {
            "Bearer".to_owned()
        } else {
            format!("Bearer {}", parameters.join(", "))
        })
    }

    /// A name for this kind of error, for logs and as the label of a metric. Does not change between versions.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::MissingHeader => "missing_header",
            Self::RepeatedHeader => "repeated_header",
            Self::WrongScheme => "wrong_scheme",
            Self::NotOneToken => "not_one_token",
            Self::TooLong => "too_long",
            Self::NotAJwt => "not_a_jwt",
            Self::WrongSignatureLength => "wrong_signature_length",
            Self::MalformedSignature => "malformed_signature",
            Self::MalformedHeader(_) => "malformed_header",
            Self::WrongAlgorithm => "wrong_algorithm",
            Self::WrongType => "wrong_type",
            Self::ForbiddenHeader(_) => "forbidden_header",
            Self::WrongSignature => "wrong_signature",
            Self::UnknownKey => "unknown_key",
            Self::MalformedClaims(_) => "malformed_claims",
            Self::MissingClaim(_) => "missing_claim",
            Self::InvalidClaim(_) => "invalid_claim",
            Self::ServiceToken => "service_token",
            Self::NotAServiceToken => "not_a_service_token",
            Self::WrongAudience => "wrong_audience",
            Self::TestMoney => "test_money",
            Self::WrongChain => "wrong_chain",
            Self::WrongIssuer => "wrong_issuer",
            Self::Expired { .. } => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::GrantRevoked => "grant_revoked",
            Self::Revoked => "revoked",
            Self::AlreadyUsed => "already_used",
            Self::OtherResource => "other_resource",
            Self::OtherPlan => "other_plan",
            Self::NotChecked => "not_checked",
            Self::NoValidator => "no_validator",
            Self::NoKeys => "no_keys",
            Self::NoClock => "no_clock",
        }
    }
}

impl fmt::Display for ValidationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingHeader => {
                "The Authorization header is missing; send Bearer and an access token"
            }
            Self::RepeatedHeader => "There is more than one Authorization header",
            Self::WrongScheme => "The Authorization header does not use the Bearer scheme",
            Self::NotOneToken => {
                "The Authorization header must be Bearer, a space and exactly one token"
            }
            Self::TooLong => "The Authorization header is too long",
            Self::NotAJwt => "The token is not a signed JWT of three parts",
            Self::WrongSignatureLength => {
                "The token's signature does not have the length of the expected algorithm"
            }
            Self::MalformedSignature => "The token's signature is not canonical base64url",
            Self::MalformedHeader(flaw) => return write!(f, "The token's header {flaw}"),
            Self::WrongAlgorithm => "The token's header does not name the expected algorithm",
            Self::WrongType => "The token's header gives a type that is not a JWT access token",
            Self::ForbiddenHeader(name) => {
                return write!(
                    f,
                    "The token's header has the member {name}, which is not accepted"
                );
            }
            Self::WrongSignature => "The token's signature does not match",
            Self::UnknownKey => "The token is signed with a key that is not known here",
            Self::MalformedClaims(flaw) => return write!(f, "The token's claims part {flaw}"),
            Self::MissingClaim(name) => return write!(f, "The token lacks the claim {name}"),
            Self::InvalidClaim(name) => {
                return write!(f, "The token's claim {name} is empty or of the wrong type");
            }
            Self::ServiceToken => "The token is for calls between services, not for buyers",
            Self::NotAServiceToken => "The token is not one for calls between services",
            Self::WrongAudience => "The token is for another service",
            Self::TestMoney => {
                "The token was bought with test money on Base Sepolia; buy it with USDC on Base, or try it at a backend whose Config has accept_testnet()"
            }
            Self::WrongChain => "The token was paid on another chain than this backend expects",
            Self::WrongIssuer => "The token was issued by another gateway",
            Self::Expired { exp } => {
                return write!(
                    f,
                    "The token expired at {exp} (Unix time); buy access again"
                );
            }
            Self::NotYetValid => "The token is not valid yet",
            Self::OtherResource => "The token is good, but for another resource",
            Self::OtherPlan => "The token is good, but its plan does not include this",
            Self::GrantRevoked => {
                "The access of this token was taken back; buy access again"
            }
            Self::Revoked => "The token has been revoked",
            Self::AlreadyUsed => "The token has been used already",
            Self::NotChecked | Self::NoKeys | Self::NoClock => "The token cannot be checked now",
            Self::NoValidator => {
                "The token cannot be checked: the application was given no Validator (actix-web: app_data)"
            }
        })
    }
}

impl core::error::Error for ValidationError {}

/// What is wrong with an unreadable part of a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
// As for [`ValidationError`], which contains this type.
#[repr(u64)]
pub enum Flaw {
    /// The part is not canonical base64url: it has padding, a character outside the alphabet, or unused bits that are
    /// not zero.
    NotBase64Url,
    /// The part is not UTF-8.
    NotUtf8,
    /// The part is not one JSON object.
    NotAnObject,
    /// An object has the same name twice: readers would differ on which one counts.
    DuplicateName,
    /// A name is written with escapes where none is ever needed.
    EscapedName,
    /// A known member has the wrong type.
    WrongType,
    /// The part has more bytes, members or levels than any token needs.
    TooBig,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotBase64Url => "is not canonical base64url",
            Self::NotUtf8 => "is not UTF-8",
            Self::NotAnObject => "is not a JSON object",
            Self::DuplicateName => "has a name twice",
            Self::EscapedName => "has an escaped name",
            Self::WrongType => "has a member of the wrong type",
            Self::TooBig => "is too big",
        })
    }
}

/// Why a [`Config`](crate::Config) was refused. Found when the service starts, not at a buyer's first request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A secret is shorter than the 32 bytes that HS256 needs.
    ShortSecret {
        /// The secret's length in bytes.
        len: usize,
    },
    /// The text of a PEM file was given as a secret. A public key is not secret: anyone could sign with it.
    PemAsSecret,
    /// The same secret or key was given twice, or two keys have the same name.
    DuplicateKey,
    /// There are more than 16 keys. Each costs time for every forged token.
    TooManyKeys,
    /// A secret was added to an RS256 configuration, or a key to an HS256 configuration or a key source. A configuration has
    /// one kind of keys.
    OtherAlgorithm,
    /// A public key is expected, but the text is not that of a PEM file.
    NotPem,
    /// A public key is expected, but this is a private key. A service that only checks tokens must not be able to sign
    /// them.
    PrivateKey,
    /// A public key is expected, but this is a certificate.
    Certificate,
    /// The key is not a public RSA key.
    NotRsa,
    /// The RSA key has less than 2048 or more than 8192 bits.
    RsaKeySize {
        /// The key's length in bits.
        bits: usize,
    },
    /// No RSA library of this build runs on this processor. Feature `ring` adds one that does.
    NoRsaBackend,
    /// The leeway is over [`MAX_LEEWAY`](crate::MAX_LEEWAY).
    LongLeeway,
    /// The URL is not absolute, or contains spaces, quotes or backslashes.
    BadUrl,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ShortSecret { len } => {
                return write!(
                    f,
                    "the access token secret has {len} bytes, it needs at least 32"
                );
            }
            Self::PemAsSecret => "the access token secret is the text of a PEM file, not a secret",
            Self::DuplicateKey => "the same secret, key or key name is given twice",
            Self::TooManyKeys => "there are more than 16 secrets or keys",
            Self::OtherAlgorithm => "this configuration has another kind of keys",
            Self::NotPem => "this is not a public key in PEM; a shared secret is for HS256",
            Self::PrivateKey => "this is a private key; give the public one, which cannot sign",
            Self::Certificate => "this is a certificate; give the public key in it",
            Self::NotRsa => "this is not a public RSA key",
            Self::RsaKeySize { bits } => {
                return write!(f, "the RSA key has {bits} bits, it needs 2048 to 8192");
            }
            Self::NoRsaBackend => {
                "no RSA library of this build runs on this processor; turn on the feature ring"
            }
            Self::LongLeeway => "the leeway is longer than two minutes",
            Self::BadUrl => "this is not an absolute http or https address",
        })
    }
}

impl core::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_error() -> Vec<ValidationError> {
        use ValidationError::*;
        let flaws = [
            Flaw::NotBase64Url,
            Flaw::NotUtf8,
            Flaw::NotAnObject,
            Flaw::DuplicateName,
            Flaw::EscapedName,
            Flaw::WrongType,
            Flaw::TooBig,
        ];
        let mut all = vec![
            MissingHeader,
            RepeatedHeader,
            WrongScheme,
            NotOneToken,
            TooLong,
            NotAJwt,
            WrongSignatureLength,
            MalformedSignature,
            WrongAlgorithm,
            WrongType,
            ForbiddenHeader("crit"),
            WrongSignature,
            UnknownKey,
            NotAServiceToken,
            WrongAudience,
            OtherResource,
            OtherPlan,
            GrantRevoked,
            Revoked,
            AlreadyUsed,
            NotChecked,
            NoValidator,
            NoKeys,
            MissingClaim("planId"),
            InvalidClaim("exp"),
            ServiceToken,
            TestMoney,
            WrongChain,
            WrongIssuer,
            Expired { exp: u64::MAX },
            NotYetValid,
            NoClock,
        ];
        all.extend(flaws.map(MalformedHeader));
        all.extend(flaws.map(MalformedClaims));
        all
    }

    #[test]
    fn every_text_needs_no_escape_in_json_and_in_a_header() {
        for error in every_error() {
            let text = error.to_string();
            assert!(!text.is_empty());
            // RFC 6750 §3 allows these in error_description; JSON needs no escape for them.
            assert!(
                text.bytes()
                    .all(|b| matches!(b, 0x20..=0x7e) && b != b'"' && b != b'\\'),
                "{text}"
            );
        }
    }

    #[test]
    fn the_body_is_the_documented_json() {
        assert_eq!(
            ValidationError::MissingClaim("planId").body(),
            r#"{"type":"Error","code":"INVALID_REQUEST","message":"The token lacks the claim planId"}"#
        );
        for error in every_error() {
            let body: serde_json::Value = serde_json::from_str(&error.body()).unwrap();
            assert_eq!(body["type"], "Error");
            assert_eq!(body["code"], error.code());
            assert_eq!(body["message"], error.to_string());
        }
    }

    #[test]
    fn codes_and_statuses_are_the_documented_ones() {
        for error in every_error() {
            let expected = match error {
                ValidationError::Expired { .. } => ("CHALLENGE_EXPIRED", 401),
                ValidationError::GrantRevoked => ("GRANT_REVOKED", 401),
                ValidationError::NoClock
                | ValidationError::NoKeys
                | ValidationError::NotChecked
                | ValidationError::NoValidator => ("INTERNAL_ERROR", 500),
                ValidationError::OtherResource | ValidationError::OtherPlan => {
                    ("INVALID_REQUEST", 403)
                }
                _ => ("INVALID_REQUEST", 401),
            };
            assert_eq!((error.code(), error.status()), expected);
            assert_eq!(error.www_authenticate().is_some(), error.status() != 500);
        }
    }

    #[test]
    fn a_caller_without_a_token_gets_the_bare_challenge() {
        assert_eq!(
            ValidationError::MissingHeader.www_authenticate().as_deref(),
            Some("Bearer")
        );
        assert_eq!(
            ValidationError::Expired { exp: 7 }
                .www_authenticate()
                .as_deref(),
            Some(
                "Bearer error=\"invalid_token\", \
                 error_description=\"The token expired at 7 (Unix time); buy access again\""
            )
        );
    }
}
