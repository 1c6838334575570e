//! Reads a request: which plan or call, which purchase and which resource are meant, or which transfer has paid.

use core::str::FromStr;

use serde_json::Value;

use crate::json;
use crate::json::Put as _;

use super::call::Call;
use super::instructions::Way;
use super::misplaced::{self, Place};
use super::{near, proof};
use crate::checkout::{Checkout, Order, Stop, TransferProof};
use crate::error::Error;
use crate::meter::Barred;
use crate::offer::Target;
use crate::pauses::Patience;
use crate::types::{IdError, PlanId, RequestId, ResourceId, RouteId};

/// A request, as the client sent it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct AccessRequest {
    /// The plan; `None` when the client named none.
    pub(super) plan: Option<PlanId>,
    /// The call; `None` when the client named no route.
    pub(super) call: Option<CallRequest>,
    /// The purchase, when the client chose an id.
    pub(super) request_id: Option<RequestId>,
    /// The resource, when the client named one.
    resource: Option<ResourceId>,
    /// The transfer by which the client has paid, when it presents one.
    pub(super) proof: Option<TransferProof>,
    /// The grant that is topped up, when the client names one.
    grant: Option<GrantNamed>,
    /// Whether the body has an unknown member with a value.
    is_strange: bool,
    /// An unknown member, and the known member that was probably meant.
    near_miss: Option<(String, &'static str)>,
    /// The place of a payment in the body, where none is read.
    pub(super) misplaced: Option<Place>,
}

/// A call that a client wants, as it describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct CallRequest {
    /// The route.
    pub(super) route: RouteId,
    /// The description of the call, which was not read so far.
    pub(super) resource: Option<Value>,
}

impl CallRequest {
    /// The request as it is sent again.
    pub(super) fn body(&self, request_id: Option<&RequestId>) -> Value {
        let mut body = json!({"routeId": self.route, "resource": self.resource});
        if let (Some(id), Some(members)) = (request_id, body.as_object_mut()) {
            members.put("requestId", json!(id));
        }
        body
    }
}

/// A grant, as a client names it.
#[derive(Clone, Debug, Eq, PartialEq)]
enum GrantNamed {
    /// By an access token, which was not read so far.
    Token(String),
    /// By the request id of the purchase that founded it.
    Id {
        id: RequestId,
        /// Whether the client has shown a token of it.
        by_holder: bool,
    },
}

const KNOWN: [&str; 6] = [
    "planId",
    "routeId",
    "requestId",
    "resourceId",
    "proof",
    "grant",
];
/// Names that clients write instead, in lower case and without separators, and the member that is meant.
const NEAR: [(&str, &str); 14] = [
    ("plan", "planId"),
    ("planname", "planId"),
    ("tier", "planId"),
    ("tierid", "planId"),
    ("product", "planId"),
    ("productid", "planId"),
    ("route", "routeId"),
    ("routename", "routeId"),
    ("request", "requestId"),
    ("resource", "resourceId"),
    ("txhash", "proof"),
    ("challengeid", "proof"),
    ("grantid", "grant"),
    ("topup", "grant"),
];

impl AccessRequest {
    /// Reads the body. An empty body asks for nothing in particular. Unknown members are ignored, and `null` counts as
    /// absent.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Error> {
        let value = if body.trim_ascii().is_empty() {
            Value::Object(serde_json::Map::new())
        } else {
            serde_json::from_slice(body).map_err(|_| {
                Error::invalid_request("The body is not JSON. Send {\"planId\": \"…\"}.")
            })?
        };
        Self::read(&value)
    }

    /// Reads the object. A known member in another spelling is refused: a buyer who believes that `requestID` names the
    /// purchase would pay a second time by repeating the request after a lost answer.
    pub(super) fn read(value: &Value) -> Result<Self, Error> {
        if !value.is_object() {
            return Err(Error::invalid_request(
                "The body must be a JSON object like {\"planId\": \"…\"}.",
            ));
        }
        if let Some((sent, meant)) = near::respelt(value, &KNOWN) {
            let message = format!(
                "Unknown member `{sent}`: did you mean `{meant}`? Nothing was charged for this request."
            );
            return Err(Error::invalid_request(message)
                .with_details(json!({"member": sent, "expected": meant})));
        }
        let mut strange = value
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, value)| !value.is_null() && !KNOWN.contains(&name.as_str()))
            .map(|(name, _)| name)
            .peekable();
        let plan: Option<PlanId> = member(value, "planId")?;
        let grant = grant(value)?;
        let route = member(value, "routeId")?;
        if plan.is_some() && route.is_some() {
            return Err(Error::invalid_request(
                "Send planId or routeId, not both. Nothing was charged for this request.",
            ));
        }
        let resource = member(value, "resourceId")?;
        if grant.is_some() && (route.is_some() || resource.is_some()) {
            return Err(Error::invalid_request(
                "A top-up opens what the access opens: with grant, send planId and neither routeId nor resourceId. Nothing was \
                 charged for this request.",
            ));
        }
        if let (Some(GrantNamed::Id { .. }), None) = (&grant, &plan) {
            return Err(Error::invalid_request(
                "planId is missing: send that of the plan with which the access was bought. Nothing was charged for this request.",
            ));
        }
        Ok(Self {
            grant,
            is_strange: strange.peek().is_some(),
            near_miss: near::miss(value, &NEAR, &KNOWN)
                .map(|(sent, meant)| (sent.to_owned(), meant)),
            misplaced: misplaced::within(value),
            plan,
            call: route.map(|route| CallRequest {
                route,
                resource: value.get("resource").cloned(),
            }),
            request_id: member(value, "requestId")?,
            resource,
            proof: match value.get("proof") {
                None | Some(Value::Null) => None,
                Some(proof) => Some(proof::parse(proof, Way::Post)?),
            },
        })
    }

    /// The request with its grant's token read. Without a token, the request as it is.
    pub(super) async fn resolved<D>(mut self, checkout: &Checkout<'_, D>) -> Result<Self, Error> {
        let Some(GrantNamed::Token(token)) = &self.grant else {
            return Ok(self);
        };
        let Checkout { config, now, .. } = checkout;
        let reader = &config.token.reader;
        let access = reader.read(token, config.network, *now, checkout.rsa).await;
        let read = access.and_then(|access| Some((access.grant?.parse().ok()?, access.plan)));
        let Some((id, plan)) = read else {
            return Err(Error::invalid_request(
                "grant is neither an access token of a plan with limits that was signed here, nor the requestId of the purchase in \
                 which the access was bought. Nothing was charged for this request.",
            ));
        };
        self.grant = Some(GrantNamed::Id {
            id,
            by_holder: true,
        });
        match &self.plan {
            Some(named) if *named != plan => {
                let network = config.network;
                return Err(Stop::Barred(Barred::OtherPlan).error(&checkout.origin, network));
            }
            _ => self.plan = Some(plan),
        }
        Ok(self)
    }

    /// The order that the request makes, once it is [resolved](Self::resolved).
    pub(super) fn order(&self) -> Order {
        let (grant, by_holder) = match &self.grant {
            Some(GrantNamed::Id { id, by_holder }) => (Some(id), *by_holder),
            Some(GrantNamed::Token(_)) | None => (None, false),
        };
        let plan = self.plan.clone();
        Order {
            target: plan.map(|plan| match grant.cloned() {
                Some(grant) => Target::TopUp { plan, grant },
                None => Target::Plan(plan),
            }),
            by_holder,
            resource: self.resource.clone(),
            request_id: self.request_id.clone(),
            chosen: self.request_id.is_some(),
            patience: Patience::REQUEST,
        }
    }

    /// The order for a call that the request describes.
    pub(super) fn order_for(&self, call: &Call<'_>, timeout_millis: u32) -> Order {
        Order {
            target: Some(call.target()),
            // A route opens nothing besides its own path.
            resource: None,
            patience: Patience::of_call(timeout_millis),
            ..self.order()
        }
    }

    /// Whether the client names a grant.
    pub(super) const fn names_a_grant(&self) -> bool {
        self.grant.is_some()
    }

    /// The known member that the client probably meant when it sent an unknown one.
    pub(super) fn hint(&self) -> Option<&'static str> {
        self.near_miss.as_ref().map(|(_, meant)| *meant)
    }

    /// The hint as a sentence that begins with a space; empty if there is no hint.
    pub(super) fn advice(&self) -> String {
        self.near_miss
            .as_ref()
            .map_or_else(String::new, |(sent, meant)| {
                format!(" Instead of a member like `{sent}` send `{meant}`.")
            })
    }

    /// The error for a body that names no plan but has unknown members: the client would otherwise be offered a plan
    /// that it did not mean. An empty body is no error, and gets offers.
    pub(super) fn misunderstood(&self, catalog: &str) -> Option<Error> {
        let names_one = self.plan.is_some() || self.call.is_some() || self.grant.is_some();
        if names_one || !self.is_strange {
            return None;
        }
        let hint = self.advice();
        let details = match self.hint() {
            None => json!({"discover": catalog}),
            Some(meant) => json!({"discover": catalog, "expected": meant}),
        };
        let error = Error::invalid_request(format!(
            "planId is missing, and the body has members that are not known here.{hint} GET {catalog} lists what is sold; send \
             {{\"planId\": \"…\"}}, or {{}} to be offered the cheapest plan."
        ));
        Some(error.with_details(details))
    }
}

/// The grant that a client names.
fn grant(value: &Value) -> Result<Option<GrantNamed>, Error> {
    let text = match value.get("grant") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text,
        Some(_) => {
            return Err(Error::invalid_request(
                "grant must be a string. Nothing was charged for this request.",
            ));
        }
    };
    Ok(Some(match text.parse() {
        Ok(id) => GrantNamed::Id {
            id,
            by_holder: false,
        },
        Err(_) => GrantNamed::Token(text.clone()),
    }))
}

fn member<T: FromStr<Err = IdError>>(value: &Value, name: &str) -> Result<Option<T>, Error> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|reason| {
            Error::invalid_request(format!(
                "{name} {reason}. Nothing was charged for this request."
            ))
        }),
        Some(_) => Err(Error::invalid_request(format!(
            "{name} must be a string. Nothing was charged for this request."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_are_optional_and_null_is_absence() {
        let empty = AccessRequest {
            plan: None,
            call: None,
            request_id: None,
            resource: None,
            proof: None,
            grant: None,
            is_strange: false,
            near_miss: None,
            misplaced: None,
        };
        for body in ["", " \n", "{}", r#"{"planId":null,"other":null}"#] {
            assert_eq!(
                AccessRequest::parse(body.as_bytes()),
                Ok(empty.clone()),
                "{body}"
            );
        }
    }

    #[test]
    fn a_body_that_asks_for_something_unknown_is_not_taken_for_an_empty_one() {
        let said = |body: &str| {
            let request = AccessRequest::parse(body.as_bytes()).unwrap();
            let error = request.misunderstood("https://shop.example/discover");
            error.map(|error| error.message.into_owned())
        };
        for body in [
            "",
            "{}",
            r#"{"resourceId":"a"}"#,
            r#"{"planId":"a","plan":"b"}"#,
        ] {
            assert_eq!(said(body), None, "{body}");
        }
        for (body, hint) in [
            (r#"{"other":1}"#, "{\"planId\": \"…\"}"),
            (r#"{"plan":"basic"}"#, "send `planId`"),
            (r#"{"a":1,"request":"x"}"#, "send `requestId`"),
            (r#"{"resource":"x"}"#, "send `resourceId`"),
            (r#"{"txHash":"0x"}"#, "send `proof`"),
        ] {
            let message = said(body).unwrap();
            assert!(message.contains(hint), "{body}: {message}");
            assert!(message.contains("https://shop.example/discover"));
        }
    }

    #[test]
    fn a_known_member_in_another_spelling_is_refused() {
        for (body, sent, meant) in [
            (r#"{"plan_id":"basic"}"#, "plan_id", "planId"),
            (
                r#"{"planId":"basic","requestID":"x"}"#,
                "requestID",
                "requestId",
            ),
            (
                r#"{"planId":"basic","request-id":"x"}"#,
                "request-id",
                "requestId",
            ),
            (
                r#"{"planId":"basic","resource id":"x"}"#,
                "resource id",
                "resourceId",
            ),
            (r#"{"planId":"basic","Proof":{}}"#, "Proof", "proof"),
            (
                r#"{"planId":"basic","requestId":null,"requestid":"x"}"#,
                "requestid",
                "requestId",
            ),
        ] {
            let error = AccessRequest::parse(body.as_bytes()).unwrap_err();
            assert_eq!(error.code, crate::error::Code::InvalidRequest, "{body}");
            let message = format!(
                "Unknown member `{sent}`: did you mean `{meant}`? Nothing was charged for this request."
            );
            assert_eq!(error.message, message, "{body}");
            let details = json!({"member": sent, "expected": meant});
            assert_eq!(error.details, Some(details), "{body}");
        }
    }

    #[test]
    fn members_that_resemble_no_known_one_are_the_clients_own() {
        for body in [
            r#"{"planId":"basic","clientAgentId":"a","requested":1,"plans":[]}"#,
            r#"{"planId":"basic","plan_id":"basic"}"#,
            r#"{"planId":"basic","requestID":null}"#,
        ] {
            assert!(AccessRequest::parse(body.as_bytes()).is_ok(), "{body}");
        }
    }

    #[test]
    fn bad_members_are_named() {
        for (body, part) in [
            ("{", "not JSON"),
            ("[]", "JSON object"),
            ("\"basic\"", "JSON object"),
            (r#"{"planId":1}"#, "planId must be a string"),
            (r#"{"planId":"a b"}"#, "planId must be 1 to 64"),
            (
                r#"{"planId":"a","requestId":"1"}"#,
                "requestId must be a UUID",
            ),
            (r#"{"planId":"a","resourceId":"a b"}"#, "resourceId must be"),
        ] {
            let error = AccessRequest::parse(body.as_bytes()).unwrap_err();
            assert!(error.message.contains(part), "{body}: {}", error.message);
        }
    }

    proptest! {
        #[test]
        fn hostile_bodies_never_panic(body: Vec<u8>) {
            let _ = AccessRequest::parse(&body);
        }
    }
}
