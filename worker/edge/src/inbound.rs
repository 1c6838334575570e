//! Converts requests and answers between the platform's types and those of `http`.

use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use js_sys::Uint8Array;
use key0_core::error::{Code, Error};
use key0_core::response::{self, Response};

use crate::platform;

/// A request whose body has not been read.
pub(crate) struct Inbound {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    request: worker::Request,
}

impl Inbound {
    pub(crate) fn new(request: worker::Request) -> worker::Result<Self> {
        let headers = request
            .headers()
            .entries()
            .filter_map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                Some((name, HeaderValue::from_str(&value).ok()?))
            })
            .collect();
        Ok(Self {
            method: Method::from_bytes(request.inner().method().as_bytes()).unwrap_or_default(),
            url: request.inner().url(),
            path: request.path(),
            headers,
            request,
        })
    }

    /// The query string of the URL.
    pub(crate) fn query(&self) -> &str {
        let url = self.url.split('#').next().unwrap_or_default();
        url.split_once('?').map_or("", |(_, query)| query)
    }

    /// Reads a body of at most `most` bytes. The announced length is checked first, the real length while the body
    /// arrives.
    pub(crate) async fn read(mut self, most: usize) -> Result<(HeaderMap, Vec<u8>), Error> {
        let too_large = || {
            Error::new(
                Code::PayloadTooLarge,
                format!("The body is larger than {most} bytes."),
            )
        };
        let announced = self
            .headers
            .get(http::header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.parse::<usize>().ok());
        if announced.is_some_and(|length| length > most) {
            return Err(too_large());
        }
        let unreadable = |_| Error::invalid_request("The body could not be read.");
        // Reading piece by piece costs more, so a body that has announced its length is read at once.
        if announced.is_some() {
            let body = self.request.bytes().await.map_err(unreadable)?;
            return Ok((self.headers, body));
        }
        let mut body = Vec::new();
        // A request without a body has no stream.
        if let Ok(mut stream) = self.request.stream() {
            while let Some(chunk) = stream.next().await {
                let chunk = chunk.map_err(unreadable)?;
                if body.len().saturating_add(chunk.len()) > most {
                    return Err(too_large());
                }
                body.extend(chunk);
            }
        }
        Ok((self.headers, body))
    }
}

/// An answer before it is converted to the platform's type.
pub(crate) struct Outbound {
    pub(crate) response: Response,
    /// The answer's body, if it never passed through the core.
    pub(crate) body: Option<Body>,
}

/// The body of an answer from the seller's API: read completely, or still arriving.
pub(crate) enum Body {
    Whole(Uint8Array),
    Stream(web_sys::ReadableStream),
}

impl From<Response> for Outbound {
    fn from(response: Response) -> Self {
        Self {
            response,
            body: None,
        }
    }
}

impl Outbound {
    /// Converts the answer to the platform's type. `HEAD` has no body.
    pub(crate) fn send(self, method: &Method) -> worker::Result<worker::Response> {
        let (parts, body) = response::finish(self.response, method).into_parts();
        let headers = worker::Headers::new();
        for (name, value) in &parts.headers {
            headers.append(name.as_str(), value.to_str().unwrap_or_default())?;
        }
        let status = parts.status.as_u16();
        match self.body.filter(|_| method != Method::HEAD) {
            Some(Body::Whole(body)) => platform::response_of(status, &headers, Some(&body)),
            Some(Body::Stream(body)) => platform::streamed(status, &headers, &body),
            None => {
                let builder = worker::ResponseBuilder::new()
                    .with_status(status)
                    .with_headers(headers);
                Ok(match body.is_empty() {
                    true => builder.empty(),
                    false => builder.fixed(body),
                })
            }
        }
    }
}
