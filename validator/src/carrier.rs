//! Where a request carries its token: in the Authorization header, or where else the backend allows it.

use crate::ValidationError;
use crate::gateway::{bare_token, token_of_header};

/// The names under which a token may come elsewhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Carriers {
    pub(crate) cookie: Option<String>,
    pub(crate) query: Option<String>,
    pub(crate) protocol: Option<String>,
}

/// A request's headers, in whatever type a framework has for them.
pub(crate) trait Headers {
    /// The values of the header `name`, each as text; `None` for a value that is not text.
    fn values<'h>(&'h self, name: &'static str) -> impl Iterator<Item = Option<&'h str>>;
}

impl Carriers {
    /// The token of a request. An Authorization header goes before all other places. A request without a token is
    /// refused with [`ValidationError::MissingHeader`].
    pub(crate) fn find<'r>(
        &self,
        headers: &'r impl Headers,
        query: Option<&'r str>,
    ) -> Result<&'r [u8], ValidationError> {
        if let Some(authorization) = single(headers.values("authorization"))? {
            return token_of_header(Some(authorization.ok_or(ValidationError::NotOneToken)?));
        }
        let cookie = self.cookie.as_deref().map(|name| {
            let cookies = headers.values("cookie").flatten();
            single(cookies.flat_map(|line| named(line, ';', name)))
        });
        if let Some(token) = cookie.transpose()?.flatten() {
            return bare_token(token);
        }
        let protocol = self.protocol.as_deref().map(|name| {
            let offers = headers.values("sec-websocket-protocol").flatten();
            single(behind(offers.flat_map(|line| line.split(',')), name))
        });
        if let Some(token) = protocol.transpose()?.flatten() {
            return bare_token(token);
        }
        let parameter = self
            .query
            .as_deref()
            .map(|name| single(named(query.unwrap_or_default(), '&', name)));
        match parameter.transpose()?.flatten() {
            Some(token) => bare_token(token),
            None => Err(ValidationError::MissingHeader),
        }
    }
}

/// The only value, if there is one. Several are refused: they could differ, and readers of a request would differ on
/// which counts.
fn single<T>(mut values: impl Iterator<Item = T>) -> Result<Option<T>, ValidationError> {
    let first = values.next();
    match values.next() {
        Some(_) => Err(ValidationError::RepeatedHeader),
        None => Ok(first),
    }
}

/// The values of this name in a list of `name=value`. A token has no character that is written in another way there.
fn named<'l>(list: &'l str, separator: char, name: &str) -> impl Iterator<Item = &'l str> {
    list.split(separator).filter_map(move |pair| {
        let (is, value) = pair.trim().split_once('=')?;
        (is == name).then_some(value)
    })
}

/// The items that directly follow an item of this name.
fn behind<'l>(items: impl Iterator<Item = &'l str>, name: &str) -> impl Iterator<Item = &'l str> {
    let mut is_next = false;
    items.map(str::trim).filter(move |item| {
        let is_this = core::mem::replace(&mut is_next, *item == name);
        is_this && *item != name
    })
}
