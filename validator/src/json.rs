//! A strict JSON reader for the two objects of a token. It finds the members of one object and checks the syntax of
//! everything else; it builds no tree and allocates nothing.
//!
//! Stricter than RFC 8259 in what that RFC leaves open: names are unique in every object, escapes spell real
//! characters (no lone surrogates), and depth and number of members are bounded.

use std::borrow::Cow;

use crate::Flaw;
use crate::words::{HIGH_BITS, ONES, equal};

/// Finds the members of the one object that `text` is.
pub(crate) fn read_object(text: &str, mut member: impl FnMut(Text, Value)) -> Result<(), Flaw> {
    whole(text, |reader| reader.object(0, &mut member))
}

/// Finds the members of the one array that `text` is. What it finds at all is what [`read_object`] found to be a value.
#[cfg(feature = "rs256")]
pub(crate) fn read_array(text: &str, mut item: impl FnMut(Value)) -> Result<(), Flaw> {
    whole(text, |reader| reader.array(0, &mut item))
}

fn whole<'t>(
    text: &'t str,
    read: impl FnOnce(&mut Reader<'t>) -> Result<(), Flaw>,
) -> Result<(), Flaw> {
    // What spans can hold.
    if text.len() > MAX_TEXT {
        return Err(Flaw::TooBig);
    }
    let mut reader = Reader { text, at: 0 };
    reader.space();
    read(&mut reader)?;
    reader.space();
    if reader.at == text.len() {
        Ok(())
    } else {
        Err(Flaw::NotAnObject)
    }
}

/// Longest text that is read, in bytes.
pub(crate) const MAX_TEXT: usize = u16::MAX as usize;

/// A piece of the text that was read: where it starts in the high half, where it ends in the low half. One number, because
/// two that are written one by one and read together make a processor wait.
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

    /// Whether the piece is this word.
    pub(crate) fn is(self, text: &str, word: &str) -> bool {
        let (start, end) = self.ends();
        end == start + word.len() && self.of(text) == word
    }
}

/// A JSON string: what stands between its quotes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Text {
    pub(crate) span: Span,
    pub(crate) escaped: bool,
}

impl Text {
    /// One without escapes.
    pub(crate) fn plain(span: Span) -> Self {
        let escaped = false;
        Self { span, escaped }
    }

    /// The string's meaning; a copy only where there is an escape.
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

/// A member's value, as far as a token's reader needs to know it.
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
                // The quotes are in the text too, so this saturates no more than it leaves the text.
                Span::new(start.saturating_sub(1), (end + 1).min(MAX_TEXT))
            }
            Self::Number(span) | Self::Array(span) | Self::Other(span) => span,
        }
        .of(text)
    }
}

/// A JSON number as whole seconds, rounded both ways. Exact, and saturating at both ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Seconds {
    pub(crate) floor: u64,
    pub(crate) ceil: u64,
}

impl Seconds {
    /// Reads what [`read_object`] found to be a number.
    pub(crate) fn read(number: &str) -> Self {
        let (negative, number) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number),
        };
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        // An exponent beyond i64 means the same as one at its end.
        let overflow = if exponent.starts_with('-') {
            i64::MIN
        } else {
            i64::MAX
        };
        let exponent = exponent.parse().unwrap_or(overflow);
        let mut before_point = (whole.len() as i64).saturating_add(exponent);

        let (mut floor, mut rest) = (0_u64, false);
        for digit in whole
            .bytes()
            .chain(fraction.bytes())
            .map(|b| b.wrapping_sub(b'0'))
        {
            if before_point > 0 {
                floor = floor.saturating_mul(10).saturating_add(digit.into());
                before_point -= 1;
            } else {
                rest |= digit != 0;
            }
        }
        // Zeros that the exponent adds; twenty of them fill a u64 already.
        for _ in 0..before_point.clamp(0, 20) {
            floor = floor.saturating_mul(10);
        }
        match (negative, rest) {
            (true, _) => Self { floor: 0, ceil: 0 },
            (false, rest) => Self {
                floor,
                ceil: floor.saturating_add(rest.into()),
            },
        }
    }
}

const MAX_DEPTH: u8 = 16;
const MAX_MEMBERS: usize = 32;

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn object(&mut self, depth: u8, member: &mut dyn FnMut(Text, Value)) -> Result<(), Flaw> {
        self.need(b'{')?;
        self.space();
        if self.take(b'}') {
            return Ok(());
        }
        // Without the mark of escapes, so that there is less to fill with zeros. Once a name had
        // escapes, all are looked through for them.
        let mut names = [Span::default(); MAX_MEMBERS];
        let mut escaped = false;
        for count in 0.. {
            let name = self.string()?;
            escaped |= name.escaped;
            let (seen, free) = names.split_at_mut_checked(count).ok_or(Flaw::TooBig)?;
            if seen
                .iter()
                .any(|other| self.same(*other, name.span, escaped))
            {
                return Err(Flaw::DuplicateName);
            }
            *free.first_mut().ok_or(Flaw::TooBig)? = name.span;
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
        Err(Flaw::TooBig)
    }

    fn value(&mut self, depth: u8) -> Result<Value, Flaw> {
        let deeper = depth.saturating_add(1);
        let start = self.at;
        match self.peek() {
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b'{' | b'[') if deeper >= MAX_DEPTH => Err(Flaw::TooBig),
            Some(b'{') => {
                self.object(deeper, &mut |_, _| ())?;
                Ok(Value::Other(Span::new(start, self.at)))
            }
            Some(b'[') => {
                self.array(deeper, &mut |_| ())?;
                Ok(Value::Array(Span::new(start, self.at)))
            }
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(Flaw::NotAnObject),
        }
    }

    fn array(&mut self, depth: u8, item: &mut dyn FnMut(Value)) -> Result<(), Flaw> {
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

    fn string(&mut self) -> Result<Text, Flaw> {
        self.need(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            // As long as there are eight bytes, all plain ones of them in one step.
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            if let Some(word) = rest.first_chunk() {
                let stops = stops(u64::from_le_bytes(*word));
                self.at += stops.trailing_zeros() as usize / 8;
                if stops == 0 {
                    continue;
                }
            }
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
                    let (_, len) = unescape(rest).ok_or(Flaw::NotAnObject)?;
                    self.at += len;
                    escaped = true;
                }
                Some(0x20..) => self.at += 1,
                Some(..0x20) | None => return Err(Flaw::NotAnObject),
            }
        }
        let span = Span::new(start, self.at);
        self.at += 1;
        Ok(Text { span, escaped })
    }

    fn number(&mut self) -> Result<Span, Flaw> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(Span::new(start, self.at))
    }

    fn digits(&mut self) -> Result<(), Flaw> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at > start {
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

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn same(&self, a: Span, b: Span, escaped: bool) -> bool {
        let text = |span: Span| {
            let escaped = escaped && span.of(self.text).contains('\\');
            Text { span, escaped }.read(self.text)
        };
        text(a) == text(b)
    }

    fn need(&mut self, byte: u8) -> Result<(), Flaw> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(Flaw::NotAnObject)
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// A set high bit in the first byte that ends a plain string: quote, backslash, control character. Bits in bytes behind the
/// first may be set wrongly.
#[inline]
const fn stops(word: u64) -> u64 {
    let control = word.wrapping_sub(ONES * b' ' as u64) & !word;
    (equal(word, b'"') | equal(word, b'\\') | control) & HIGH_BITS
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
            // A surrogate: only the first half directly before the second half means anything.
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
mod tests {
    use super::*;

    fn accepts(text: &str) -> bool {
        read_object(text, |_, _| ()).is_ok()
    }

    #[test]
    fn the_first_stop_is_found_at_every_place() {
        for byte in 0..=u8::MAX {
            let stop = matches!(byte, ..b' ' | b'"' | b'\\');
            for at in 0..8 {
                for filler in [b'a', b'!', b'#', b'[', b']', b' ', 0x7f, 0x80, 0xff] {
                    let mut word = [filler; 8];
                    word[at] = byte;
                    let found = stops(u64::from_le_bytes(word));
                    assert_eq!(found != 0, stop, "{byte} at {at} in {filler}");
                    if stop {
                        assert_eq!(found.trailing_zeros() as usize / 8, at);
                    }
                }
            }
        }
    }

    #[test]
    fn json_objects_are_accepted() {
        for text in [
            "{}",
            " \t\r\n{ } ",
            r#"{"a":1,"b":-0.5e+10,"c":"x","d":[],"e":[1,{"a":null}],"f":true,"g":false}"#,
            r#"{"\u00e9":"\ud83d\ude00 \" \\ \/ \b\f\n\r\t"}"#,
            r#"{"a":{"a":1},"b":{"a":1}}"#,
            r#"{"":0}"#,
            "{\"é\":\"\u{7f}\"}",
        ] {
            assert!(accepts(text), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            " ",
            "null",
            "1",
            "[]",
            "\"a\"",
            "{",
            "}",
            "{}}",
            "{}{}",
            "{} x",
            "\u{feff}{}",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "{'a':1}",
            "{1:1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":+1}",
            "{\"a\":-}",
            "{\"a\":1e}",
            "{\"a\":1e+}",
            "{\"a\":NaN}",
            "{\"a\":Infinity}",
            "{\"a\":0x1}",
            "{\"a\":tru}",
            "{\"a\":True}",
            "{\"a\":nul",
            "{\"a\":[1,]}",
            "{\"a\":[1",
            "{\"a\":[,1]}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\u{0}\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12\"}",
            "{\"a\":\"\\u12g4\"}",
            "{\"a\":\"\\",
            "{\"a\":\"\\u",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\udc00\"}",
            "{\"a\":\"\\ud800\\ud800\"}",
            "{\"a\":\"\\ud800\\n\"}",
            "{\"a\":\"\\u+123\"}",
            "{\"a\":1}/**/",
            "{\u{a0}}",
        ] {
            assert!(!accepts(text), "{text}");
        }
    }

    #[test]
    fn a_name_stands_once_in_an_object_however_it_is_spelt() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"\u0061":1}"#,
            r#"{"\u0061":1,"\u0061":1}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"{"x":[{"a":1,"a":2}]}"#,
        ] {
            assert_eq!(
                read_object(text, |_, _| ()),
                Err(Flaw::DuplicateName),
                "{text}"
            );
        }
    }

    #[test]
    fn depth_and_number_of_members_are_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(accepts(&nested(15)));
        assert_eq!(read_object(&nested(16), |_, _| ()), Err(Flaw::TooBig));
        assert_eq!(read_object(&nested(4000), |_, _| ()), Err(Flaw::TooBig));
        let wide = |count: usize| {
            let members: Vec<_> = (0..count).map(|i| format!("\"{i}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(accepts(&wide(32)));
        assert_eq!(read_object(&wide(33), |_, _| ()), Err(Flaw::TooBig));
    }

    #[test]
    fn escapes_are_read_as_what_they_spell() {
        let text = r#"{"a":"\ud83d\ude00x\u0041\"\\\/\b\f\n\r\té"}"#;
        let mut read = String::new();
        read_object(text, |_, value| {
            let Value::Text(value) = value else { panic!() };
            read = value.read(text).into_owned();
        })
        .unwrap();
        assert_eq!(read, "😀xA\"\\/\u{8}\u{c}\n\r\té");
    }

    #[test]
    fn seconds_are_exact_and_saturate() {
        for (number, floor, ceil) in [
            ("0", 0, 0),
            ("-0", 0, 0),
            ("-1", 0, 0),
            ("-0.5", 0, 0),
            ("1700000000", 1_700_000_000, 1_700_000_000),
            ("1700000000.0", 1_700_000_000, 1_700_000_000),
            ("1700000000.5", 1_700_000_000, 1_700_000_001),
            (
                "1700000000.0000000000000000000000000001",
                1_700_000_000,
                1_700_000_001,
            ),
            ("1.7e9", 1_700_000_000, 1_700_000_000),
            ("0.00000000017e+19", 1_700_000_000, 1_700_000_000),
            ("17000000005E-1", 1_700_000_000, 1_700_000_001),
            ("1e-400", 0, 1),
            ("0e400", 0, 0),
            (
                "9007199254740993",
                9_007_199_254_740_993,
                9_007_199_254_740_993,
            ),
            ("18446744073709551615", u64::MAX, u64::MAX),
            ("18446744073709551616", u64::MAX, u64::MAX),
            ("1e400", u64::MAX, u64::MAX),
            ("1e99999999999999999999", u64::MAX, u64::MAX),
            ("1e-99999999999999999999", 0, 1),
            ("-1e99999999999999999999", 0, 0),
        ] {
            assert_eq!(Seconds::read(number), Seconds { floor, ceil }, "{number}");
        }
    }
}
