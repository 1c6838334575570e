//! The claims in the exact shape in which gateways write them, read at a glance. What is not of this shape is not
//! refused here: it gets the whole reader.
//!
//! Accepts a subset of what the whole reader accepts, with the same result; a test holds the two against each other.

use crate::fields::Fields;
use crate::json::{MAX_TEXT, Span};
use crate::words::{self, eight_digits};

/// `{"sub":…,"jti":…,"resourceId":…,"planId":…,"txHash":…,"iat":…,"exp":…}`, with `iss`, `payer` and `chainId` behind where they
/// are there, or with the dates in front, as `jwt-compact` writes its own. No white space, no escapes, whole seconds.
pub(crate) fn read(text: &str) -> Option<Fields> {
    let mut cursor = Cursor::new(text)?;
    cursor.take(b"{")?;
    let front = match cursor.take(b"\"exp\":") {
        None => None,
        Some(()) => {
            let exp = cursor.number()?;
            cursor.take(b",")?;
            let iat = match cursor.take(b"\"iat\":") {
                None => None,
                Some(()) => {
                    let iat = cursor.number()?;
                    cursor.take(b",")?;
                    Some(iat)
                }
            };
            Some((exp, iat))
        }
    };
    let sub = cursor.member(b"\"sub\":\"")?;
    let jti = cursor.member(b",\"jti\":\"")?;
    let resource_id = cursor.member(b",\"resourceId\":\"")?;
    let plan_id = cursor.member(b",\"planId\":\"")?;
    let tx_hash = cursor.member(b",\"txHash\":\"")?;
    let (exp, iat) = match front {
        Some(dates) => dates,
        None => {
            cursor.take(b",\"iat\":")?;
            let iat = cursor.number()?;
            cursor.take(b",\"exp\":")?;
            (cursor.number()?, Some(iat))
        }
    };
    let iss = match cursor.take(b",\"iss\":\"") {
        None => None,
        Some(()) => Some(cursor.string()?),
    };
    let payer = match cursor.take(b",\"payer\":\"") {
        None => None,
        Some(()) => Some(cursor.string()?),
    };
    let chain_id = match cursor.take(b",\"chainId\":") {
        None => None,
        Some(()) => Some(cursor.number()?),
    };
    cursor.take(b"}")?;
    cursor.is_at_end().then_some(Fields {
        json: Span::new(0, text.len()),
        sub,
        jti,
        resource_id,
        plan_id,
        tx_hash,
        iss,
        payer,
        chain_id,
        iat,
        exp,
        nbf: None,
    })
}

/// A place in a text of at most [`MAX_TEXT`] bytes.
///
/// What moves it is inlined always: whatever takes its address keeps it in memory, and the whole reading takes a third longer.
pub(crate) struct Cursor<'t> {
    /// How long all of it is.
    len: usize,
    rest: &'t [u8],
}

impl<'t> Cursor<'t> {
    /// The start of a text, if its strings have no escapes and no control characters.
    pub(crate) fn new(text: &'t str) -> Option<Self> {
        let rest = text.as_bytes();
        let is_odd = |byte| (byte < b' ') | (byte == b'\\');
        let is_plain = rest.len() <= MAX_TEXT && !words::any(rest, is_odd);
        is_plain.then_some(Self {
            len: rest.len(),
            rest,
        })
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(crate) fn take<const N: usize>(&mut self, literal: &[u8; N]) -> Option<()> {
        let (front, rest) = self.rest.split_first_chunk()?;
        (front == literal).then(|| self.rest = rest)
    }

    /// A member with a string that is not empty.
    #[inline(always)]
    fn member<const N: usize>(&mut self, name: &[u8; N]) -> Option<Span> {
        self.take(name)?;
        let is_empty = self.rest.first() == Some(&b'"');
        self.string().filter(|_| !is_empty)
    }

    /// The rest of a string without escapes, and its closing quote.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Option<Span> {
        let start = self.len - self.rest.len();
        let len = words::position(self.rest, b'"')?;
        self.rest = self.rest.get(len + 1..)?;
        Some(Span::new(start, start + len))
    }

    /// A whole number, as JSON writes it, that surely fits.
    #[inline(always)]
    fn number(&mut self) -> Option<u64> {
        let digits = self.rest;
        let mut number = 0_u64;
        // A date of our time has ten.
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
        (matches!(len, 1..=19) && !leading_zero).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHAPES: [&str; 6] = [
        r#"{"sub":"S","jti":"J","resourceId":"R","planId":"P","txHash":"T","iat":11,"exp":22}"#,
        r#"{"sub":"S","jti":"J","resourceId":"R","planId":"P","txHash":"T","iat":11,"exp":22,"iss":"I","payer":"Y"}"#,
        r#"{"sub":"S","jti":"J","resourceId":"R","planId":"P","txHash":"T","iat":11,"exp":22,"payer":"Y"}"#,
        r#"{"sub":"S","jti":"J","resourceId":"R","planId":"P","txHash":"T","iat":11,"exp":22,"iss":"I","payer":"Y","chainId":33}"#,
        r#"{"exp":22,"iat":11,"sub":"S","jti":"J","resourceId":"R","planId":"P","txHash":"T"}"#,
        r#"{"exp":22,"sub":"S","jti":"J","resourceId":"R","planId":"P","txHash":"T","iss":"","payer":""}"#,
    ];

    #[test]
    fn the_shapes_of_issuers_are_read() {
        for shape in SHAPES {
            let fields = read(shape).unwrap();
            assert_eq!(fields, Fields::read_any(&mut shape.to_owned()).unwrap());
            assert_eq!((fields.sub.of(shape), fields.exp), ("S", 22));
        }
    }

    #[test]
    fn everything_else_is_left_to_the_whole_reader() {
        let shape = SHAPES[1];
        for (from, to) in [
            ("\"S\"", "\"\""),
            ("\"S\"", "\"\\u0053\""),
            ("\"I\"", "\"\n\""),
            ("11", "011"),
            ("11", "1.5"),
            ("11", "-1"),
            ("11", "1e3"),
            ("11", "\"11\""),
            ("11", ""),
            ("22", "18446744073709551616"),
            (",\"jti\"", ", \"jti\""),
            ("\"payer\":\"Y\"", "\"nbf\":1"),
            ("}", ",\"x\":1}"),
            ("}", "}}"),
            ("}", ""),
            ("\"}", ""),
        ] {
            assert_eq!(read(&shape.replace(from, to)), None, "{from} {to}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_at_a_glance_is_read_the_same_by_the_whole_reader(
            shape in 0..SHAPES.len(),
            strings in prop::array::uniform7("\\PC{0,20}|[ -~]{0,20}|.{0,9}"),
            dates in prop::array::uniform3("[0-9]{1,20}|[0-9.e-]{1,4}"),
        ) {
            let mut text = SHAPES[shape].to_owned();
            for (name, value) in ["S", "J", "R", "P", "T", "I", "Y"].iter().zip(&strings) {
                text = text.replace(&format!("\"{name}\""), &format!("\"{value}\""));
            }
            text = text.replace("11", &dates[0]).replace("22", &dates[1]).replace("33", &dates[2]);
            if let Some(fields) = read(&text) {
                prop_assert_eq!(Ok(fields), Fields::read_any(&mut text));
            }
        }
    }
}
