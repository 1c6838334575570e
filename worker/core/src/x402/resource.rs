//! The `resource` of an offer.

use std::borrow::Cow;

use serde::Serialize;

/// The thing that is paid for: its URL, a description, and the media type of the answer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    pub(super) url: String,
    pub(super) description: String,
    pub(super) mime_type: Cow<'static, str>,
}

impl Resource {
    /// The resource at this URL. Some clients encode what they send back with a function that knows only Latin-1
    /// (`btoa`), so the texts here are plain ASCII; the catalog keeps the seller's text.
    pub fn new(url: &str, description: &str, mime_type: impl Into<Cow<'static, str>>) -> Self {
        Self {
            url: ascii(url),
            description: ascii(description),
            mime_type: mime_type.into(),
        }
    }

    /// The resource at this URL. It answers with JSON.
    pub fn json(url: &str, description: &str) -> Self {
        Self::new(url, description, "application/json")
    }
}

/// A text without the characters that some clients cannot send back.
pub(super) fn ascii(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{2010}'..='\u{2015}' => '-',
            '\u{2018}' | '\u{2019}' => '\'',
            '\u{201c}' | '\u{201d}' => '"',
            c if c.is_ascii() && !c.is_ascii_control() => c,
            c if c.is_whitespace() => ' ',
            _ => '?',
        })
        .collect()
}
