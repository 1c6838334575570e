//! Why a call with an access token is not made, in words.
//!
//! A caller is asked for money only when it is certain that nothing is left for it. In every other case it waits, but for a
//! grant that was taken back: nothing is sold for that one.

use crate::json;
use http::HeaderName;
use http::header::RETRY_AFTER;
use serde_json::Value;

use crate::checkout::Checkout;
use crate::error::{Code, Error};
use crate::meter::{Limits, Refused, Why, rate_limit_headers};
use crate::pauses::METER_RETRY_SECONDS;
use crate::response::{self, Response};
use crate::types::{PlanId, UnixSeconds};

/// Why no meter has let a call through.
#[derive(Clone, Copy, Debug)]
pub(super) enum Uncounted {
    /// The meter has refused it.
    Refused(Refused),
    /// No delivered purchase has founded this grant, or it ended long ago.
    NotGranted,
    /// The meter gave no answer.
    Unknown,
}

/// How the caller of such a call is answered.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is asked for money.
    Pay(Spent),
    /// It is not asked for money: this is the answer.
    Refuse(Response),
}

/// What a caller is told beside the price.
#[derive(Debug, Default)]
pub(super) struct Spent {
    /// Why the token does not open the route.
    pub(super) words: String,
    /// How the grant stands.
    pub(super) headers: Vec<(HeaderName, String)>,
    /// How the grant is topped up.
    pub(super) top_up: Option<Value>,
}

impl Spent {
    /// Adds how this grant of a plan is topped up, if the plan is sold for that.
    pub(super) fn topped_up<D>(
        mut self,
        checkout: &Checkout<'_, D>,
        plan: &PlanId,
        grant: &str,
    ) -> Self {
        let plan = checkout.config.catalog.plan(plan);
        if let Some(plan) = plan.filter(|plan| checkout.config.tops_up(plan)) {
            let url = checkout.origin.join("/x402/access");
            self.words += &format!(
                "To go on with it, top it up for {}: `topUp` in this answer says how. ",
                plan.price
            );
            self.top_up = Some(json!({
                "method": "POST",
                "url": url,
                "body": {"planId": plan.id, "grant": grant},
                "amount": plan.price,
                "description": plan.described(),
            }));
        }
        self
    }
}

impl Uncounted {
    /// How the caller is answered. `has_expired`: whether its token has.
    pub(super) fn answer(self, has_expired: bool, now: UnixSeconds) -> Verdict {
        let Refused { why, standing } = match self {
            Self::Refused(refused) => refused,
            // Long after the end of an access nothing is known of it.
            Self::NotGranted if has_expired => {
                return Verdict::Pay(Spent {
                    words: "The access of the token has ended. ".to_owned(),
                    ..Spent::default()
                });
            }
            // We have signed the token. Nobody is asked for money because its purchase is not found.
            Self::NotGranted | Self::Unknown => return Verdict::Refuse(unknown()),
        };
        let ends_at = standing.ends_at.to_iso();
        let limits = standing.limits;
        let headers = rate_limit_headers(&standing, now);
        let only = |limits: Limits| limits.to_string();
        let (reason, seconds, what) = match why {
            Why::UsedUp => {
                let quota = only(Limits {
                    rate: None,
                    concurrency: None,
                    ..limits
                });
                let words = format!(
                    "What the access token was good for is used up: {quota}. (It would have ended at {ends_at}.) "
                );
                return Verdict::Pay(Spent {
                    words,
                    headers,
                    top_up: None,
                });
            }
            Why::Ended => {
                let words = format!("The access of the token has ended at {ends_at}. ");
                return Verdict::Pay(Spent {
                    words,
                    headers,
                    top_up: None,
                });
            }
            Why::TooFast => {
                let rate = only(Limits {
                    quota: None,
                    concurrency: None,
                    ..limits
                });
                let what = format!("The access is good for {rate}, and these were made.");
                ("too_fast", standing.next_in.max(1), what)
            }
            Why::TooMany => {
                let places = only(Limits {
                    quota: None,
                    rate: None,
                    concurrency: Some(limits.most_at_a_time()),
                });
                let what = format!("The access is good for {places}, and these are under way.");
                ("too_many_at_once", METER_RETRY_SECONDS, what)
            }
            Why::Outstanding => {
                let what = "What is left of the access is set aside for calls that are under way, and may come back."
                    .to_owned();
                ("units_outstanding", METER_RETRY_SECONDS, what)
            }
            Why::Over => return Verdict::Refuse(unknown()),
            Why::Revoked => return Verdict::Refuse(revoked()),
        };
        let message = format!(
            "{what} This call was not made, and nothing was counted or charged for it. Repeat it after Retry-After seconds."
        );
        let error = Error::new(Code::RateLimited, message);
        let mut response = wait(error, reason, seconds);
        put(&mut response, headers);
        Verdict::Refuse(response)
    }
}

/// Adds headers to a response.
pub(super) fn put(response: &mut Response, headers: Vec<(HeaderName, String)>) {
    for (name, value) in headers {
        response::set(response, name, &value);
    }
}

fn revoked() -> Response {
    let error = Error::new(
        Code::GrantRevoked,
        "The access of this token was taken back, by the seller or by the wallet that paid. The call was not made, and nothing was charged for it. Without the token this route has its price.",
    );
    response::error(&error)
}

fn unknown() -> Response {
    let error = Error::new(
        Code::TemporarilyUnavailable,
        "The call could not be counted, so it was not made, and nothing was charged for it. Repeat it after Retry-After seconds.",
    );
    wait(error, "meter_unavailable", METER_RETRY_SECONDS)
}

fn wait(error: Error, reason: &str, seconds: u64) -> Response {
    let details = json!({"reason": reason, "retryAfterSeconds": seconds});
    let mut response = response::error(&error.with_details(details));
    response::set(&mut response, RETRY_AFTER, &seconds.to_string());
    response
}
