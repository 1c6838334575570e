//! The parts of a request and of its answer that belong to the Machine Payments Protocol.

use crate::json;
use http::header::{ACCEPT, HeaderMap, VARY, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::Value;

use crate::catalog::Route;
use crate::checkout::{Checkout, Echo, Payment, Priced};
use crate::error::Error;
use crate::mpp::{
    ACCEPT_PAYMENT, Challenge, Credential, Fault, Field, MEDIA_TYPE, PAYMENT_AUTHORIZATION,
    Problem, Setting, credential, schemes,
};
use crate::offer::{Offer, Target};
use crate::response::{self, Response};
use crate::x402::Dialect;

const AUTHORIZATION: &str = "authorization";
/// The headers that credentials come in.
const FIELDS: [(&str, Field); 2] = [
    (AUTHORIZATION, Field::Authorization),
    (PAYMENT_AUTHORIZATION, Field::PaymentAuthorization),
];
/// What of a request decides how its answer is written.
const VARIES: &str = "Accept, Accept-Payment, Authorization";

/// How the protocol is spoken with one client, in the answer to one request.
#[derive(Clone, Debug)]
pub(in crate::doors) struct Side {
    setting: Setting,
    /// Whether the client reads problem descriptions (RFC 9457).
    reads_problems: bool,
}

/// What a client has presented.
pub(in crate::doors) enum Presented {
    /// No credential.
    Nothing,
    /// A credential.
    Credential(Box<Paid>),
    /// A credential that cannot be read.
    Unreadable(Fault),
    /// More than one payment: several credentials, or a credential and a payment in x402.
    Several,
}

/// A credential, and the challenge that it must be for.
pub(in crate::doors) struct Paid {
    credential: Credential,
    setting: Setting,
    /// The header that the credential came in.
    field: Field,
}

impl Side {
    /// How the protocol is spoken with this client; `None` where the seller does not speak it. `body` is the digest of
    /// the request's body, and `called` is the route whose own path is called. Where an access token could open the
    /// route, `Authorization` stays free for it.
    pub(in crate::doors) fn new<D>(
        checkout: &Checkout<'_, D>,
        headers: &HeaderMap,
        body: Option<[u8; 32]>,
        called: Option<&Route>,
    ) -> Option<Self> {
        if !checkout.config.mpp.enabled {
            return None;
        }
        let may_bear = called.is_some_and(|route| !route.plans.is_empty());
        let is_other = |scheme: &&str| credential(scheme).is_none();
        let bears_other = lines(headers, AUTHORIZATION).any(|scheme| is_other(&scheme));
        let presented = found(headers);
        let field = match presented.first() {
            Some((_, field)) if !may_bear => *field,
            None if !may_bear && !bears_other => Field::Authorization,
            _ => Field::PaymentAuthorization,
        };
        let accepts = |value: &HeaderValue| {
            let text = value.to_str().unwrap_or_default();
            text.contains(MEDIA_TYPE)
        };
        let reads_problems = headers.contains_key(ACCEPT_PAYMENT)
            || !presented.is_empty()
            || headers.get_all(ACCEPT).iter().any(accepts);
        Some(Self {
            setting: Setting {
                realm: checkout.origin.host().to_owned(),
                body,
                field,
            },
            reads_problems,
        })
    }

    /// How the protocol is spoken without HTTP: the challenge and the credential are objects, and no header is taken.
    pub(in crate::doors) fn elsewhere<D>(checkout: &Checkout<'_, D>) -> Option<Self> {
        checkout.config.mpp.enabled.then(|| Self {
            setting: Setting {
                realm: checkout.origin.host().to_owned(),
                body: None,
                field: Field::Authorization,
            },
            reads_problems: true,
        })
    }

    /// Reads a credential that is an object.
    pub(in crate::doors) fn read(&self, credential: &Value) -> Result<Paid, Fault> {
        Ok(Paid {
            credential: Credential::read(credential)?,
            setting: self.setting.clone(),
            field: self.setting.field,
        })
    }

    /// Reads the request's credential. Any further payment is one too many: if one of two counted, the client could not
    /// know which.
    pub(in crate::doors) fn presented(&self, headers: &HeaderMap) -> Presented {
        let found = found(headers);
        let [(text, field)] = found.as_slice() else {
            return match found.is_empty() {
                true => Presented::Nothing,
                false => Presented::Several,
            };
        };
        if Dialect::ALL
            .iter()
            .any(|dialect| headers.contains_key(dialect.payment_header()))
        {
            return Presented::Several;
        }
        match Credential::parse(text) {
            Ok(credential) => Presented::Credential(Box::new(Paid {
                credential,
                setting: self.setting.clone(),
                field: *field,
            })),
            Err(fault) => Presented::Unreadable(fault),
        }
    }

    /// The challenge for an offer, as a header's value.
    pub(in crate::doors) fn challenge(&self, priced: &Priced<'_>) -> String {
        Challenge::new(&priced.offer, &self.setting).header(&described(priced))
    }

    /// The challenge for an offer, as an object.
    pub(in crate::doors) fn challenge_object(&self, priced: &Priced<'_>) -> Value {
        Challenge::new(&priced.offer, &self.setting).object(&described(priced))
    }

    /// Adds the challenge to an answer of 402. If the client reads problems, the body becomes one.
    pub(in crate::doors) fn challenge_in(
        &self,
        response: &mut Response,
        challenge: &str,
        told: &Told<'_>,
    ) {
        response::set(response, WWW_AUTHENTICATE, challenge);
        response::set(response, VARY, VARIES);
        if self.reads_problems {
            told.write_in(response);
        }
    }
}

/// A problem as the client is told of it.
#[derive(Clone, Copy, Debug)]
pub(in crate::doors) struct Told<'a> {
    pub(in crate::doors) problem: Problem,
    pub(in crate::doors) detail: &'a str,
    /// The id of the challenge that the problem is about.
    pub(in crate::doors) challenge_id: Option<&'a str>,
}

impl Told<'_> {
    /// Makes the answer's body a description of this problem. The body's own members stay, but for `type`.
    pub(in crate::doors) fn write_in(&self, response: &mut Response) {
        let Ok(Value::Object(mut members)) = serde_json::from_slice(response.body()) else {
            return;
        };
        let status = response.status();
        let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
        put("type", json!(self.problem.uri()));
        put("title", json!(self.problem.title(status)));
        put("status", json!(status.as_u16()));
        put("detail", json!(self.detail));
        if let Some(id) = self.challenge_id {
            put("challengeId", json!(id));
        }
        if let Ok(body) = serde_json::to_vec(&members) {
            *response.body_mut() = body;
            response::set(response, http::header::CONTENT_TYPE, MEDIA_TYPE);
        }
    }
}

/// The answer to more than one payment.
pub(in crate::doors) fn several() -> Response {
    let error = Error::invalid_request(
        "Send one payment: either one credential of the scheme Payment, or one x402 header. Nothing was charged for this request.",
    );
    refusal(&error, StatusCode::BAD_REQUEST, Problem::BadRequest, None)
}

/// An error for a client of this protocol, without a challenge.
pub(in crate::doors) fn refusal(
    error: &Error,
    status: StatusCode,
    problem: Problem,
    challenge_id: Option<&str>,
) -> Response {
    let mut response = response::error(error);
    *response.status_mut() = status;
    let told = Told {
        problem,
        detail: &error.message,
        challenge_id,
    };
    told.write_in(&mut response);
    response
}

impl Paid {
    /// The id of the challenge that the credential repeats.
    pub(in crate::doors) fn challenge_id(&self) -> &str {
        self.credential.challenge_id()
    }

    /// The payment that the credential holds.
    pub(in crate::doors) fn payment(&self) -> Payment<'_> {
        Payment {
            authorization: &self.credential.authorization,
            signature: &self.credential.signature,
            identifier: None,
            challenge_id: Some(self.challenge_id()),
            echo: self,
        }
    }
}

impl Echo for Paid {
    fn mismatches(&self, offer: &Offer) -> Vec<&'static str> {
        let challenge = Challenge::new(offer, &self.setting);
        match self.field == self.setting.field {
            true => self.credential.mismatches(&challenge),
            false => vec!["header"],
        }
    }
}

/// Whether a request has a credential.
pub(in crate::doors) fn bears(headers: &HeaderMap) -> bool {
    !found(headers).is_empty()
}

/// The schemes in all lines of a header.
fn lines<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(schemes)
}

/// The credentials of the scheme `Payment`, each with the header that it came in.
fn found(headers: &HeaderMap) -> Vec<(&str, Field)> {
    let each = FIELDS.into_iter().flat_map(|(name, field)| {
        lines(headers, name).filter_map(move |scheme| Some((credential(scheme)?, field)))
    });
    each.collect()
}

/// What is bought and what it costs. Clients of this protocol have no limit of their own, so whoever allows the payment
/// must see both.
fn described(priced: &Priced<'_>) -> String {
    let terms = &priced.offer.terms;
    let (id, amount) = (terms.target.id(), terms.amount);
    let what = match &terms.target {
        Target::Plan(_) => format!("Plan {id}"),
        Target::TopUp { .. } => format!("Top-up of plan {id}"),
        Target::Route { .. } => format!("One call of {id}"),
    };
    match &*priced.description {
        "" => format!("{what}: {amount} in USDC."),
        text => format!("{what}: {amount} in USDC. {text}"),
    }
}
