//! What a backend tells the gateway of a lease, and what it hears.

use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, Uri};

use super::refusal::MeterRefusal;
use crate::json::{Value, read_object};

/// What is told of a lease: everything that was used of it so far, so that a report may be lost or repeated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Report {
    pub(super) lease: String,
    pub(super) used: u64,
    pub(super) want: u32,
    pub(super) done: bool,
}

/// What the gateway says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// So many units of the lease may be used in all.
    UpTo(u64),
    /// The lease was given back before.
    Over,
    Refused(MeterRefusal),
    /// No answer that says anything of the grant.
    Away,
}

impl Report {
    /// The request for this report. `grant` needs no escapes.
    pub(super) fn request(&self, url: &Uri, secret: &HeaderValue, grant: &str) -> Request<String> {
        let Self {
            lease,
            used,
            want,
            done,
        } = self;
        let lease = format!(r#"{{"id":"{lease}","used":{used},"want":{want},"done":{done}}}"#);
        let mut request = Request::new(format!(r#"{{"grant":"{grant}","lease":{lease}}}"#));
        *request.method_mut() = Method::POST;
        request.uri_mut().clone_from(url);
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, secret.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request
    }
}

impl Answer {
    pub(super) fn read(response: &Response<String>) -> Self {
        let body = response.body();
        let seconds = || {
            let after = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
            after.parse().ok()
        };
        // A status alone may be that of another server, or of a gateway without the setting for this.
        match (response.status().as_u16(), reason(body).as_deref()) {
            (200, _) => up_to(body).map_or(Self::Away, Self::UpTo),
            (402, Some("used_up")) => Self::Refused(MeterRefusal::UsedUp),
            (410, Some("ended")) | (404, Some("unknown_grant")) => {
                Self::Refused(MeterRefusal::Ended)
            }
            (409, Some("lease_over")) => Self::Over,
            (429, Some("too_fast")) => Self::Refused(MeterRefusal::TooFast {
                after: seconds().unwrap_or(1),
            }),
            (429, Some("units_outstanding")) => Self::Refused(MeterRefusal::Outstanding),
            _ => Self::Away,
        }
    }
}

fn up_to(body: &str) -> Option<u64> {
    let mut found = None;
    let read = read_object(body, |name, value| {
        if let (true, Value::Number(number)) = (name.span.is(body, "upTo"), value) {
            found = number.of(body).parse().ok();
        }
    });
    read.ok().and(found)
}

/// The member `reason` of an error's details.
fn reason(body: &str) -> Option<String> {
    let mut details = None;
    read_object(body, |name, value| {
        if let (true, Value::Other(_)) = (name.span.is(body, "details"), value) {
            details = Some(value.written(body));
        }
    })
    .ok()?;
    let (details, mut reason) = (details?, None);
    read_object(details, |name, value| {
        if let (true, Value::Text(text)) = (name.span.is(details, "reason"), value) {
            reason = Some(text.read(details).into_owned());
        }
    })
    .ok()?;
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, retry: Option<&str>, body: &str) -> Answer {
        let mut response = Response::new(body.to_owned());
        *response.status_mut() = status.try_into().unwrap();
        if let Some(retry) = retry {
            let retry = retry.parse().unwrap();
            response.headers_mut().insert(RETRY_AFTER, retry);
        }
        Answer::read(&response)
    }

    #[test]
    fn only_what_the_gateway_says_of_the_grant_is_an_answer() {
        let good = r#"{"left":"$1","endsAt":"x","upTo":60,"leaseSeconds":60}"#;
        assert_eq!(read(200, None, good), Answer::UpTo(60));
        let why = |reason: &str| {
            format!(
                r#"{{"type":"Error","code":"x","message":"y","details":{{"left":0,"reason":"{reason}"}}}}"#
            )
        };
        let refused = |refusal| Answer::Refused(refusal);
        for (status, reason, expected) in [
            (402, "used_up", refused(MeterRefusal::UsedUp)),
            (410, "ended", refused(MeterRefusal::Ended)),
            (404, "unknown_grant", refused(MeterRefusal::Ended)),
            (409, "lease_over", Answer::Over),
            (429, "too_fast", refused(MeterRefusal::TooFast { after: 7 })),
            (429, "units_outstanding", refused(MeterRefusal::Outstanding)),
            (429, "too_many_refusals", Answer::Away),
            (402, "ended", Answer::Away),
        ] {
            assert_eq!(read(status, Some("7"), &why(reason)), expected, "{reason}");
        }
        for (status, body) in [
            (200, "{}"),
            (200, r#"{"upTo":"60"}"#),
            (200, r#"{"upTo":-1}"#),
            (200, r#"[{"upTo":60}]"#),
            (
                404,
                r#"{"type":"Error","code":"NOT_FOUND","message":"Nothing is served here."}"#,
            ),
            (401, "{}"),
            (402, ""),
            (502, "<html>"),
        ] {
            assert_eq!(read(status, None, body), Answer::Away, "{status} {body}");
        }
    }

    #[test]
    fn a_report_is_a_request_of_its_own() {
        let report = Report {
            lease: "ab".repeat(16),
            used: 7,
            want: 50,
            done: false,
        };
        let secret = HeaderValue::from_static("Bearer s");
        let url = Uri::from_static("https://shop.example/grants/consume");
        let request = report.request(&url, &secret, "g-1");
        assert_eq!(request.method(), "POST");
        assert_eq!(request.uri(), "https://shop.example/grants/consume");
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer s");
        let body: serde_json::Value = serde_json::from_str(request.body()).unwrap();
        let lease =
            serde_json::json!({"id": "ab".repeat(16), "used": 7, "want": 50, "done": false});
        assert_eq!(body, serde_json::json!({"grant": "g-1", "lease": lease}));
    }
}
