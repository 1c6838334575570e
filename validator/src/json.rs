//! A strict JSON reader for the two objects of a token. It finds the members of one object and checks the syntax of
//! everything else; it builds no tree and allocates nothing.
//!
//! Stricter than RFC 8259 in what that RFC leaves open: names are unique in every object, escapes spell real
//! characters (no lone surrogates), and depth and number of members are bounded.

use std::borrow::Cow;

use crate::Flaw;
use crate::words;

mod seconds;

pub(crate) use seconds::Seconds;

/// Finds the members of the one object that `text` is.
pub(crate) fn read_object(text: &str, mut member: impl FnMut(Text, Value)) -> Result<(), Flaw> {
    whole(text, |reader| reader.object(0, &mut member))
}

/// Finds the elements of the one array that `text` is; [`read_object`] has checked its syntax before.
#[cfg(feature = "rs256")]
pub(crate) fn read_array(text: &str, mut item: impl FnMut(Value)) -> Result<(), Flaw> {
    whole(text, |reader| reader.array(0, &mut item))
}

fn whole<'t>(
    text: &'t str,
    read: impl FnOnce(&mut Reader<'t>) -> Result<(), Flaw>,
) -> Result<(), Flaw> {
    let mut reader = Reader::new(text).ok_or(Flaw::TooBig)?;
    reader.space();
    read(&mut reader)?;
    reader.space();
    if reader.is_at_end() {
        Ok(())
    } else {
        Err(Flaw::NotAnObject)
    }
}

/// Longest text that is read, in bytes.
pub(crate) const MAX_TEXT: usize = u16::MAX as usize;

/// A piece of the text: its start in the high half, its end in the low half. Start and end share one number, because
/// two halves that are stored separately and loaded together stall the processor.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Span(u32);

impl Span {
    /// A piece of a text of at most [`MAX_TEXT`] bytes.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end <= MAX_TEXT, "texts are bounded");
        Self(u32::from(start as u16) << 16 | u32::from(end as u16))
    }

    fn ends(self) -> (usize, usize) {
        let half = |number: u32| usize::from(number as u16);
        (half(self.0 >> 16), half(self.0))
    }

    /// The piece itself; `text` must be what the span was found in.
    pub(crate) fn of(self, text: &str) -> &str {
        let (start, end) = self.ends();
        text.get(start..end).unwrap_or_default()
    }

    pub(crate) fn is_empty(self) -> bool {
        let (start, end) = self.ends();
        start == end
    }

    /// Whether the piece is this word.
    pub(crate) fn is(self, text: &str, word: &str) -> bool {
        let (start, end) = self.ends();
        end == start + word.len() && self.of(text) == word
    }
}

/// A JSON string, without its quotes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Text {
    pub(crate) span: Span,
    pub(crate) escaped: bool,
}

impl Text {
    /// A string without escapes.
    pub(crate) fn plain(span: Span) -> Self {
        let escaped = false;
        Self { span, escaped }
    }

    /// The string with its escapes resolved. Copied only where there is an escape.
    pub(crate) fn read(self, text: &str) -> Cow<'_, str> {
        let raw = self.span.of(text);
        if !self.escaped {
            return Cow::Borrowed(raw);
        }
        let mut plain = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(at) = rest.find('\\') {
            let (before, escape) = rest.split_at_checked(at).unwrap_or_default();
            plain.push_str(before);
            // The reader accepted every escape in here, so `None` does not happen; stopping is the harmless answer.
            let Some((character, len)) = unescape(escape.as_bytes()) else {
                break;
            };
            plain.push(character);
            rest = escape.get(len..).unwrap_or_default();
        }
        plain.push_str(rest);
        Cow::Owned(plain)
    }
}

/// A member's value, in the detail that tokens need.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Value {
    Text(Text),
    Number(Span),
    Array(Span),
    Other(Span),
}

impl Value {
    /// The value as it is written.
    pub(crate) fn written(self, text: &str) -> &str {
        match self {
            Self::Text(Text { span, .. }) => {
                let (start, end) = span.ends();
                // The quotes are part of the text, so neither bound can leave it.
                Span::new(start.saturating_sub(1), (end + 1).min(MAX_TEXT))
            }
            Self::Number(span) | Self::Array(span) | Self::Other(span) => span,
        }
        .of(text)
    }
}

const MAX_DEPTH: u8 = 16;
/// Most members of an object.
pub(crate) const MAX_MEMBERS: usize = 32;

/// A position in a text, from which values are read.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Whether there is any escape or control character in the text. Where there is none, a string ends at the next quote.
    odd: bool,
}

/// The names of one object so far.
struct Names {
    /// The first bytes and the length of each name, in one number. Names with different marks are different.
    marks: [u64; MAX_MEMBERS],
    spans: [Span; MAX_MEMBERS],
    count: usize,
    /// Whether a name had escapes: then marks prove nothing.
    escaped: bool,
}

impl Names {
    const NONE: Self = Self {
        marks: [0; MAX_MEMBERS],
        spans: [Span(0); MAX_MEMBERS],
        count: 0,
        escaped: false,
    };

    /// Adds a name. [`Flaw::DuplicateName`] if the object has it already.
    #[inline]
    fn add(&mut self, name: Text, text: &str) -> Result<(), Flaw> {
        self.escaped |= name.escaped;
        let mark = mark(text, name.span);
        let seen = self.marks.get(..self.count).unwrap_or_default();
        // No early exit, so that the compiler can vectorise the loop.
        let is_marked = seen.iter().fold(false, |is, other| is | (*other == mark));
        if (is_marked || self.escaped) && self.holds(name.span, text) {
            return Err(Flaw::DuplicateName);
        }
        *self.marks.get_mut(self.count).ok_or(Flaw::TooBig)? = mark;
        *self.spans.get_mut(self.count).ok_or(Flaw::TooBig)? = name.span;
        self.count += 1;
        Ok(())
    }

    #[cold]
    fn holds(&self, name: Span, text: &str) -> bool {
        let read = |span: Span| {
            let escaped = self.escaped && span.of(text).contains('\\');
            Text { span, escaped }.read(text)
        };
        let seen = self.spans.get(..self.count).unwrap_or_default();
        seen.iter().any(|other| read(*other) == read(name))
    }
}

/// A name's first seven bytes, and its length.
#[inline]
pub(crate) fn mark(text: &str, name: Span) -> u64 {
    let (start, end) = name.ends();
    let len = end.saturating_sub(start);
    let bytes = text.as_bytes().get(start..).unwrap_or_default();
    // A quote, a colon and a value follow a name, so fewer than eight bytes are left only at the very end.
    match bytes.first_chunk() {
        Some(word) => with_len(u64::from_le_bytes(*word), len),
        None => mark_of(name.of(text)),
    }
}

/// The mark of a known name, for comparison.
pub(crate) const fn mark_of(name: &str) -> u64 {
    let mut word = [0; 8];
    let mut rest = name.as_bytes();
    let mut free = word.as_mut_slice();
    while let ([byte, behind @ ..], [place, others @ ..]) = (rest, free) {
        *place = *byte;
        (rest, free) = (behind, others);
    }
    with_len(u64::from_le_bytes(word), name.len())
}

const fn with_len(word: u64, len: usize) -> u64 {
    let used = match len {
        0 => 0,
        1..7 => u64::MAX >> (64 - 8 * len),
        _ => u64::MAX >> 8,
    };
    (word & used) | (len as u64) << 56
}

impl<'a> Reader<'a> {
    /// Begins at the start of `text`. `None` if it is longer than [`MAX_TEXT`].
    pub(crate) fn new(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        (bytes.len() <= MAX_TEXT).then(|| Self {
            text,
            at: 0,
            odd: words::any_odd(bytes),
        })
    }

    /// Begins at byte `at` of a text of at most [`MAX_TEXT`] bytes.
    pub(crate) fn at(text: &'a str, at: usize, odd: bool) -> Self {
        Self { text, at, odd }
    }

    pub(crate) fn place(&self) -> usize {
        self.at
    }

    fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    fn object(&mut self, depth: u8, member: &mut impl FnMut(Text, Value)) -> Result<(), Flaw> {
        self.need(b'{')?;
        self.space();
        if self.take(b'}') {
            return Ok(());
        }
        let mut names = Names::NONE;
        loop {
            let name = self.string()?;
            names.add(name, self.text)?;
            self.space();
            self.need(b':')?;
            self.space();
            let value = self.value(depth)?;
            member(name, value);
            self.space();
            if self.take(b'}') {
                return Ok(());
            }
            self.need(b',')?;
            self.space();
        }
    }

    #[inline]
    pub(crate) fn value(&mut self, depth: u8) -> Result<Value, Flaw> {
        let deeper = depth.saturating_add(1);
        match self.peek() {
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b'{' | b'[') if deeper >= MAX_DEPTH => Err(Flaw::TooBig),
            Some(b'{') => self.inner_object(deeper),
            Some(b'[') => self.inner_array(deeper),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(Flaw::NotAnObject),
        }
    }

    // Not inlined, so that the code for ordinary tokens stays small.
    #[inline(never)]
    fn inner_object(&mut self, depth: u8) -> Result<Value, Flaw> {
        let start = self.at;
        self.object(depth, &mut |_, _| ())?;
        Ok(Value::Other(Span::new(start, self.at)))
    }

    #[inline(never)]
    fn inner_array(&mut self, depth: u8) -> Result<Value, Flaw> {
        let start = self.at;
        self.array(depth, &mut |_| ())?;
        Ok(Value::Array(Span::new(start, self.at)))
    }

    fn array(&mut self, depth: u8, item: &mut impl FnMut(Value)) -> Result<(), Flaw> {
        self.need(b'[')?;
        self.space();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            item(self.value(depth)?);
            self.space();
            if self.take(b']') {
                return Ok(());
            }
            self.need(b',')?;
            self.space();
        }
    }

    #[inline]
    fn string(&mut self) -> Result<Text, Flaw> {
        self.need(b'"')?;
        let start = self.at;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let len = words::position(rest, b'"').ok_or(Flaw::NotAnObject)?;
        if self.odd && words::any_odd(rest.get(..len).unwrap_or_default()) {
            return self.odd_string(start);
        }
        self.at = start + len + 1;
        Ok(Text::plain(Span::new(start, start + len)))
    }

    /// Reads the rest of a string that has escapes or forbidden characters.
    #[cold]
    fn odd_string(&mut self, start: usize) -> Result<Text, Flaw> {
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
                    let (_, len) = unescape(rest).ok_or(Flaw::NotAnObject)?;
                    self.at += len;
                }
                Some(0x20..) => self.at += 1,
                Some(..0x20) | None => return Err(Flaw::NotAnObject),
            }
        }
        let span = Span::new(start, self.at);
        self.at += 1;
        Ok(Text {
            span,
            escaped: true,
        })
    }

    #[inline]
    fn number(&mut self) -> Result<Span, Flaw> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if let Some(b'.' | b'e' | b'E') = self.peek() {
            if self.take(b'.') {
                self.digits()?;
            }
            if self.take(b'e') || self.take(b'E') {
                let _sign = self.take(b'+') || self.take(b'-');
                self.digits()?;
            }
        }
        Ok(Span::new(start, self.at))
    }

    #[inline]
    fn digits(&mut self) -> Result<(), Flaw> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count > 0 {
            Ok(())
        } else {
            Err(Flaw::NotAnObject)
        }
    }

    fn word(&mut self, word: &str) -> Result<Value, Flaw> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(Flaw::NotAnObject);
        }
        let start = self.at;
        self.at += word.len();
        Ok(Value::Other(Span::new(start, self.at)))
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn need(&mut self, byte: u8) -> Result<(), Flaw> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(Flaw::NotAnObject)
        }
    }

    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// The character that the escape at the start of `bytes` spells, and the escape's length.
fn unescape(bytes: &[u8]) -> Option<(char, usize)> {
    let plain = match bytes.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let first = hex4(bytes.get(2..6)?)?;
            if let Some(character) = char::from_u32(first) {
                return Some((character, 6));
            }
            // A surrogate is valid only as a first half directly followed by a second half.
            let [b'\\', b'u', second @ ..] = bytes.get(6..12)? else {
                return None;
            };
            let second = hex4(second)?;
            if !(0xd800..0xdc00).contains(&first) || !(0xdc00..0xe000).contains(&second) {
                return None;
            }
            let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return Some((char::from_u32(code)?, 12));
        }
        _ => return None,
    };
    Some((plain, 2))
}

fn hex4(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |code, digit| {
        Some(code << 4 | char::from(*digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests;
