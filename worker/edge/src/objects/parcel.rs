//! What is sent to an object and back: a JSON text, and sometimes bytes that belong to the text. The bytes stay outside
//! of wasm's memory.

use js_sys::Uint8Array;
use worker::Headers;

/// The header with the length of the text. The bytes begin after the text; without the header there are none.
const TEXT_LENGTH: &str = "x-key0-text-length";

/// The header with the text, where the body is a stream that belongs to the text.
const TEXT: &str = "x-key0-text";

/// Writes the text of a reply whose body is a stream.
pub(crate) fn put_text(text: &[u8], headers: &Headers) -> worker::Result<()> {
    let text = core::str::from_utf8(text).map_err(|_| "no text")?;
    headers.set(TEXT, &in_ascii(text))
}

/// The text of a reply whose body is a stream.
pub(crate) fn text_beside_stream(headers: &Headers) -> worker::Result<Option<Vec<u8>>> {
    Ok(headers.get(TEXT)?.map(String::into_bytes))
}

/// The same JSON text in the characters that a header may have.
fn in_ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            ' '..='~' => text.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    text.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    text
}

/// A JSON text, and the bytes that belong to it.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) text: Vec<u8>,
    pub(crate) bytes: Option<Uint8Array>,
}

impl Parcel {
    /// A parcel of a text alone.
    pub(crate) const fn text(text: Vec<u8>) -> Self {
        Self { text, bytes: None }
    }

    /// The body to send. Sets the header that [`Parcel::open`] reads.
    pub(crate) fn pack(&self, headers: &Headers) -> worker::Result<Uint8Array> {
        let Some(bytes) = &self.bytes else {
            return Ok(Uint8Array::from(self.text.as_slice()));
        };
        let length = u32::try_from(self.text.len()).map_err(|_| "too long")?;
        headers.set(TEXT_LENGTH, &length.to_string())?;
        let packed = Uint8Array::new_with_length(length.saturating_add(bytes.length()));
        packed.set(&Uint8Array::from(self.text.as_slice()), 0);
        packed.set(bytes, length);
        Ok(packed)
    }

    /// Separates a received body into text and bytes.
    pub(crate) fn open(headers: &Headers, packed: &Uint8Array) -> worker::Result<Self> {
        let Some(length) = headers.get(TEXT_LENGTH)? else {
            return Ok(Self::text(packed.to_vec()));
        };
        let length: u32 = length.parse().map_err(|_| "no length")?;
        Ok(Self {
            text: packed.subarray(0, length).to_vec(),
            bytes: Some(packed.subarray(length, packed.length())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::in_ascii;

    #[test]
    fn a_text_in_ascii_says_the_same() {
        let text = key0_core::json!({"name": "é \u{1f980}\u{7f}\n\"\\"});
        let ascii = in_ascii(&text.to_string());
        assert!(ascii.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        let read: serde_json::Value = serde_json::from_str(&ascii).unwrap();
        assert_eq!(read, text);
    }
}
