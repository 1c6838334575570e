//! Calls to the seller's API that a request describes in JSON instead of making them.

use http::HeaderValue;
use js_sys::Uint8Array;
use key0_core::backend::origin::{Account, said_by_us};
use key0_core::checkout::{Brought, Calls, MAX_TOLD_BYTES};
use key0_core::goods::{AnswerHead, OriginFault};
use key0_core::types::RequestId;
use std::rc::Rc;

use super::{Carried, CarriedHead, Objects};
use crate::origin::{Answered, Outgoing, Whole};
use crate::settings::settings;

impl Objects<'_> {
    /// The request to the seller's API for this call. `None` when there is no API.
    fn outgoing(&self, call: &Brought) -> Option<Outgoing> {
        let config = settings(self.env).ok()?;
        let url = config.gateway.base.as_ref()?.join(&call.target);
        Some(Outgoing::with_headers(&call.method, url, &call.headers))
    }
}

impl Calls for Objects<'_> {
    fn bring(&self, call: Brought) {
        let timeout = settings(self.env).map(|config| config.gateway.timeout_millis);
        let carried = self
            .outgoing(&call)
            .zip(timeout.ok())
            .map(|(outgoing, timeout)| Carried {
                head: CarriedHead {
                    digest: call.digest,
                    most: Some(MAX_TOLD_BYTES),
                    outgoing,
                },
                deadline: Objects::call_deadline(timeout),
                body: Uint8Array::from(call.body.as_slice()),
            });
        self.call.replace(carried.map(Rc::new));
    }

    async fn make(&self, call: Brought, request_id: &RequestId) -> Result<AnswerHead, OriginFault> {
        let config = settings(self.env).map_err(|_| OriginFault::Unreachable)?;
        let settings = &config.gateway;
        let (Some(outgoing), Some(base)) = (self.outgoing(&call), &settings.base) else {
            return Err(OriginFault::Unreachable);
        };
        let said: Vec<(_, HeaderValue)> = said_by_us(
            call.route.as_str(),
            &Account::Free,
            settings.secret.as_ref(),
        );
        let body = (!call.body.is_empty()).then(|| Uint8Array::from(call.body.as_slice()));
        let (most, millis) = (MAX_TOLD_BYTES, settings.timeout_millis);
        let answered = outgoing
            .saying(said)
            .answered(body.as_ref(), base, most, None, millis);
        let Answered::Whole(Whole {
            status,
            headers,
            body,
        }) = answered.await?
        else {
            return Err(OriginFault::TooLarge);
        };
        let bytes = body.bytes().clone();
        let length = bytes.length().into();
        self.answer.replace(Some((request_id.to_string(), bytes)));
        Ok(AnswerHead {
            number: 1,
            status,
            headers,
            length,
        })
    }

    fn body(&self, request_id: &str) -> Option<Vec<u8>> {
        let answer = self.answer.borrow();
        let (_, body) = answer.as_ref().filter(|(id, _)| id == request_id)?;
        Some(body.to_vec())
    }
}
