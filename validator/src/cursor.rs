//! A place in a text without escapes, from which its parts are read at a glance.

use crate::json::{MAX_TEXT, Reader, Seconds, Span, Value};
use crate::words::{self, eight_digits};

/// A place in a text of at most [`MAX_TEXT`] bytes.
///
/// Functions that move the cursor are always inlined: a function that takes the cursor's address keeps it in memory,
/// and the whole reading takes a third longer.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'t> {
    /// The length of the whole text.
    len: usize,
    pub(crate) rest: &'t [u8],
}

impl<'t> Cursor<'t> {
    /// The start of a text that spans can hold.
    pub(crate) fn start(text: &'t str) -> Option<Self> {
        let rest = text.as_bytes();
        (rest.len() <= MAX_TEXT).then_some(Self {
            len: rest.len(),
            rest,
        })
    }

    /// The start of a text in which no string has an escape or a control character.
    pub(crate) fn plain(text: &'t str) -> Option<Self> {
        Self::start(text).filter(|start| !words::any_odd(start.rest))
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(crate) fn take<const N: usize>(&mut self, literal: &[u8; N]) -> Option<()> {
        let (front, rest) = self.rest.split_first_chunk()?;
        (front == literal).then(|| self.rest = rest)
    }

    /// Reads a member whose value is a string that is not empty.
    #[inline(always)]
    pub(crate) fn member<const N: usize>(&mut self, name: &[u8; N]) -> Option<Span> {
        self.take(name)?;
        let is_empty = self.rest.first() == Some(&b'"');
        self.string().filter(|_| !is_empty)
    }

    /// Reads the rest of a string without escapes, and its closing quote.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Option<Span> {
        let start = self.len - self.rest.len();
        let len = words::position(self.rest, b'"')?;
        self.rest = self.rest.get(len + 1..)?;
        Some(Span::new(start, start + len))
    }

    #[inline(always)]
    pub(crate) fn space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Reads any number. Most numbers are whole and read at once.
    #[inline(always)]
    pub(crate) fn seconds(&mut self, text: &'t str, odd: bool) -> Option<Seconds> {
        let start = self.rest;
        match self.number() {
            Some(whole) => Some(Seconds::whole(whole)),
            None => {
                self.rest = start;
                match self.value(text, odd)? {
                    Value::Number(span) => Some(Seconds::read(span.of(text))),
                    _ => None,
                }
            }
        }
    }

    /// Reads any value with [`Reader`], which handles all of JSON. `odd`: the text may have escapes or control
    /// characters.
    #[inline(never)]
    pub(crate) fn value(&mut self, text: &'t str, odd: bool) -> Option<Value> {
        let place = self.len - self.rest.len();
        let mut reader = Reader::at(text, place, odd);
        let value = reader.value(0).ok()?;
        self.rest = text.as_bytes().get(reader.place()..)?;
        Some(value)
    }

    /// Reads a whole number, as JSON writes it, that surely fits.
    #[inline(always)]
    pub(crate) fn number(&mut self) -> Option<u64> {
        let digits = self.rest;
        let mut number = 0_u64;
        // Reads eight digits at once: a date of our time has ten digits.
        if let Some((front, rest)) = digits.split_first_chunk()
            && let Some(eight) = eight_digits(*front)
        {
            (number, self.rest) = (eight, rest);
        }
        while let [digit @ b'0'..=b'9', rest @ ..] = self.rest {
            number = number
                .wrapping_mul(10)
                .wrapping_add(u64::from(*digit - b'0'));
            self.rest = rest;
        }
        let len = digits.len() - self.rest.len();
        let leading_zero = len > 1 && digits.first() == Some(&b'0');
        let goes_on = matches!(self.rest, [b'.' | b'e' | b'E', ..]);
        (matches!(len, 1..=19) && !leading_zero && !goes_on).then_some(number)
    }
}
