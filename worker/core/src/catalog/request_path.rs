//! The path of a request, in the one form that is compared and forwarded.
//!
//! A path can be spelt in many ways, and the API behind the gateway has its own way of reading them. So a path that the
//! API could take for another one is refused here, and every other path gets one spelling.

/// Longer paths would not fit into the headers of an offer and of its payment.
const MAX_BYTES: usize = 2048;

/// A request's path, part by part.
#[derive(Debug)]
pub(super) struct RequestPath {
    parts: Vec<Part>,
    ends_in_slash: bool,
}

/// What stands between two slashes.
#[derive(Debug)]
pub(super) struct Part {
    /// The part as it was meant: percent-decoded once.
    pub(super) text: String,
    /// The part as it is written in the path that is forwarded: unreserved characters as they are, others as they were
    /// sent or percent-encoded (RFC 3986, section 6.2.2).
    pub(super) normal: String,
}

/// Why no route is looked for with a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RequestPathFault {
    /// No route has such a path.
    NoPath,
    /// An API could take the path for another one. The text is the end of a sentence whose subject is the path.
    Bad(&'static str),
}

impl RequestPath {
    /// Reads the path of a request, as it was sent.
    pub(super) fn read(raw: &str) -> Result<Self, RequestPathFault> {
        if raw.len() > MAX_BYTES {
            return Err(RequestPathFault::Bad("has more than 2048 bytes"));
        }
        let path = raw.strip_prefix('/').ok_or(RequestPathFault::NoPath)?;
        let (path, ends_in_slash) = match path.strip_suffix('/') {
            Some(path) => (path, true),
            None => (path, false),
        };
        let parts = path.split('/').map(Part::read).collect::<Result<_, _>>()?;
        Ok(Self {
            parts,
            ends_in_slash,
        })
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(super) const fn ends_in_slash(&self) -> bool {
        self.ends_in_slash
    }

    /// The decoded path, without a slash at its end.
    pub(super) fn text(&self) -> String {
        self.parts.iter().fold(String::new(), |mut text, part| {
            text.push('/');
            text.push_str(&part.text);
            text
        })
    }
}

impl Part {
    fn read(raw: &str) -> Result<Self, RequestPathFault> {
        use RequestPathFault::{Bad, NoPath};
        if raw.is_empty() {
            return Err(NoPath);
        }
        let (mut text, mut normal) = (Vec::new(), String::new());
        let mut bytes = raw.bytes();
        while let Some(byte) = bytes.next() {
            let (byte, is_kept) = match byte {
                b'%' => {
                    let digits = (bytes.next().and_then(hex), bytes.next().and_then(hex));
                    let (Some(high), Some(low)) = digits else {
                        return Err(Bad("has a percent sign without two hex digits"));
                    };
                    let byte = high << 4 | low;
                    (byte, is_unreserved(byte))
                }
                byte => (byte, is_unreserved(byte) || b"!$&'()*+,=:@".contains(&byte)),
            };
            text.push(byte);
            match is_kept {
                true => normal.push(char::from(byte)),
                false => normal.push_str(&format!("%{byte:02X}")),
            }
        }
        let text = String::from_utf8(text).map_err(|_| Bad("is not UTF-8"))?;
        let is_ambiguous = |c: char| matches!(c, '/' | '\\' | ';') || c.is_control();
        if text.contains(is_ambiguous) {
            return Err(Bad(
                "has a slash, backslash, semicolon or control character in one of its parts",
            ));
        }
        match text.as_str() {
            "." | ".." => Err(Bad("has a part that is . or ..")),
            _ => Ok(Self { text, normal }),
        }
    }
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}
