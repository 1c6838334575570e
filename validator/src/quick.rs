//! A fast reader for the claims as nearly all issuers write them: in the exact shape of a gateway, or in any order,
//! with white space and further claims. It does not refuse other shapes: [`json`](crate::json), the complete reader,
//! reads those.
//!
//! Accepts a subset of what the complete reader accepts, with the same result; a test compares the two.

use crate::cursor::Cursor;
use crate::fields::Fields;
use crate::json::{MAX_MEMBERS, Seconds, Span, mark, mark_of};
use crate::words;

/// Reads `{"sub":…,"jti":…,"resourceId":…,"planId":…,"txHash":…,"iat":…,"exp":…}`, optionally followed by `iss`, `payer` and
/// `chainId`, or with the dates in front, as `jwt-compact` writes them. No white space, no escapes, whole seconds.
pub(crate) fn read(text: &str) -> Option<Fields> {
    match Cursor::plain(text) {
        Some(cursor) => in_shape(text, cursor),
        None => in_any_order(text, Begun::at(Cursor::start(text)?), true),
    }
}

/// Reads claims in the shape of a gateway's. From the first deviation on, reads them in any order.
fn in_shape(text: &str, start: Cursor<'_>) -> Option<Fields> {
    let mut cursor = start;
    let Some((front, [sub, jti, resource_id, plan_id, tx_hash])) = first(&mut cursor) else {
        return in_any_order(text, Begun::at(start), false);
    };
    let leave = |cursor, [iss, payer]: [_; 2], numbers: [Option<u64>; 4]| {
        let [sub, jti, resource_id, plan_id, tx_hash] =
            [sub, jti, resource_id, plan_id, tx_hash].map(Some);
        let begun = Begun {
            cursor,
            strings: [sub, jti, resource_id, plan_id, tx_hash, iss, payer],
            numbers: numbers.map(|number| number.map(Seconds::whole)),
        };
        in_any_order(text, begun, false)
    };

    let end = cursor;
    let Some((exp, iat)) = front.or_else(|| dates(&mut cursor)) else {
        return leave(end, [None; 2], [None; 4]);
    };
    let iss = match cursor.take(b",\"iss\":\"") {
        None => None,
        Some(()) => Some(cursor.string()?),
    };
    let payer = match cursor.take(b",\"payer\":\"") {
        None => None,
        Some(()) => Some(cursor.string()?),
    };
    let mut end = cursor;
    let chain_id = match cursor.take(b",\"chainId\":") {
        None => None,
        Some(()) => cursor.number(),
    };
    match chain_id {
        Some(_) => end = cursor,
        None => cursor = end,
    }
    if cursor.take(b"}").is_none() || !cursor.is_at_end() {
        return leave(end, [iss, payer], [iat, Some(exp), None, chain_id]);
    }
    Some(Fields {
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

/// `exp` and `iat`, which may be missing.
type Dates = (u64, Option<u64>);

/// Reads the opening brace, the dates if they come first, and the five required texts.
#[inline(always)]
fn first(cursor: &mut Cursor<'_>) -> Option<(Option<Dates>, [Span; 5])> {
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
    Some((front, [sub, jti, resource_id, plan_id, tx_hash]))
}

#[inline(always)]
fn dates(cursor: &mut Cursor<'_>) -> Option<Dates> {
    cursor.take(b",\"iat\":")?;
    let iat = cursor.number()?;
    cursor.take(b",\"exp\":")?;
    Some((cursor.number()?, Some(iat)))
}

/// The claims that were read so far, in the order of [`STRINGS`] and [`NUMBERS`], and where reading continues: at the start of
/// the text, or after a member.
struct Begun<'t> {
    cursor: Cursor<'t>,
    strings: [Option<Span>; STRINGS.len()],
    numbers: [Option<Seconds>; NUMBERS.len()],
}

impl<'t> Begun<'t> {
    fn at(start: Cursor<'t>) -> Self {
        Self {
            cursor: start,
            strings: [None; STRINGS.len()],
            numbers: [None; NUMBERS.len()],
        }
    }
}

/// Reads claims in any order, even with unknown claims between them. `None` if a name or a string claim has an escape.
/// `odd`: the text has a backslash or a control character somewhere, for example a line break between members.
///
/// Not inlined, so that the code that reads a gateway's own tokens stays small.
#[inline(never)]
fn in_any_order(text: &str, begun: Begun<'_>, odd: bool) -> Option<Fields> {
    let Begun {
        mut cursor,
        mut strings,
        mut numbers,
    } = begun;
    let string = |cursor: &mut Cursor<'_>| {
        let span = cursor.string()?;
        let is_wrong = odd && words::any_odd(span.of(text).as_bytes());
        (!is_wrong).then_some(span)
    };
    // Marks of names that have no meaning here. If a mark occurs twice, the complete reader decides.
    let mut marks = [0; MAX_MEMBERS];
    let mut others = 0;
    let mut count = strings.iter().flatten().count() + numbers.iter().flatten().count();
    if count == 0 {
        cursor.space();
        cursor.take(b"{")?;
    }
    loop {
        if count > 0 {
            cursor.space();
            if cursor.take(b"}").is_some() {
                break;
            }
            cursor.take(b",")?;
        }
        if count == MAX_MEMBERS {
            return None;
        }
        count += 1;
        cursor.space();
        cursor.take(b"\"")?;
        let name = string(&mut cursor)?;
        cursor.space();
        cursor.take(b":")?;
        cursor.space();
        let mark = mark(text, name);
        if let Some(slot) = slot(&STRINGS, mark, name, text, &mut strings) {
            cursor.take(b"\"")?;
            if slot.replace(string(&mut cursor)?).is_some() {
                return None;
            }
        } else if let Some(slot) = slot(&NUMBERS, mark, name, text, &mut numbers) {
            if slot.replace(cursor.seconds(text, odd)?).is_some() {
                return None;
            }
        } else {
            let seen = marks.get(..others)?;
            if seen.iter().fold(false, |is, other| is | (*other == mark)) {
                return None;
            }
            *marks.get_mut(others)? = mark;
            others += 1;
            match cursor.rest {
                [b'"', rest @ ..] => {
                    cursor.rest = rest;
                    string(&mut cursor)?;
                }
                [b'0'..=b'9', ..] => drop(cursor.seconds(text, odd)?),
                _ => drop(cursor.value(text, odd)?),
            }
        }
    }
    cursor.space();
    if !cursor.is_at_end() {
        return None;
    }
    let [sub, jti, resource_id, plan_id, tx_hash, iss, payer] = strings;
    let [iat, exp, nbf, chain_id] = numbers;
    let required = |span: Option<Span>| span.filter(|span| !span.is_empty());
    let chain_id = match chain_id {
        Some(Seconds { floor, ceil }) if floor != ceil || floor == 0 => return None,
        id => id.map(|id| id.floor),
    };
    Some(Fields {
        json: Span::new(0, text.len()),
        sub: required(sub)?,
        jti: required(jti)?,
        resource_id: required(resource_id)?,
        plan_id: required(plan_id)?,
        tx_hash: required(tx_hash)?,
        iss,
        payer,
        chain_id,
        iat: iat.map(|iat| iat.floor),
        exp: exp?.ceil,
        nbf: nbf.map(|nbf| nbf.ceil),
    })
}

/// The claims that are texts, and those that are numbers, in the order in which [`in_any_order`] destructures them.
const STRINGS: [Known; 7] = [
    Known::new("sub"),
    Known::new("jti"),
    Known::new("resourceId"),
    Known::new("planId"),
    Known::new("txHash"),
    Known::new("iss"),
    Known::new("payer"),
];
const NUMBERS: [Known; 4] = [
    Known::new("iat"),
    Known::new("exp"),
    Known::new("nbf"),
    Known::new("chainId"),
];

/// The name of a known claim, and its mark.
struct Known {
    name: &'static str,
    mark: u64,
}

impl Known {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            mark: mark_of(name),
        }
    }
}

/// The slot for a claim of this name.
#[inline(always)]
fn slot<'s, T, const N: usize>(
    known: &[Known; N],
    mark: u64,
    name: Span,
    text: &str,
    slots: &'s mut [Option<T>; N],
) -> Option<&'s mut Option<T>> {
    let mut known = known.iter().zip(slots);
    let (known, slot) = known.find(|(known, _)| known.mark == mark)?;
    // A mark contains the whole name if the name has up to seven bytes.
    (known.name.len() < 8 || name.is(text, known.name)).then_some(slot)
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
            ("11", "\"11\""),
            ("11", ""),
            ("}", ",\"x\":1,\"x\":1}"),
            ("}", ",\"sub\":\"S\"}"),
            ("}", ",\"exp\":22}"),
            ("}", ",\"iss\":\"I\"}"),
            ("}", ",\"chainId\":1,\"chainId\":1}"),
            (",\"iat\"", ",\"sub\":\"S\",\"iat\""),
            ("}", ",\"chainId\":-1}"),
            ("}", ",\"chainId\":1.5}"),
            ("\"S\"", "1"),
            ("}", "}}"),
            ("}", ""),
            ("\"}", ""),
        ] {
            assert_eq!(read(&shape.replace(from, to)), None, "{from} {to}");
        }
    }

    #[test]
    fn any_order_white_space_and_further_claims_are_read_at_a_glance() {
        let shape = SHAPES[1];
        for (from, to) in [
            ("11", "1.5"),
            ("11", "-1"),
            ("11", "1e3"),
            ("22", "2.5"),
            ("}", ",\"chainId\":1.0}"),
            ("}", ",\"chainId\":18446744073709551616}"),
            ("\"iat\":11,\"exp\":22", "\"exp\":22,\"iat\":11"),
            (",\"jti\"", ", \n\"jti\""),
            ("\"payer\":\"Y\"", "\"nbf\":1"),
            ("}", ",\"x\":[{\"sub\":null}],\"resourceIe\":1}"),
            ("{", "{\"chainId\" : 8453.0, "),
            ("}", " } "),
        ] {
            let text = shape.replace(from, to);
            let fields = read(&text);
            assert!(fields.is_some(), "{text}");
            assert_eq!(fields, Fields::read_any(&mut text.clone()).ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn members_in_any_order_are_read_the_same_by_the_whole_reader(
            members in prop::collection::vec(
                (
                    "sub|jti|resourceId|planId|txHash|iss|payer|iat|exp|nbf|chainId|x|resourceIx|s\\\\u0075b",
                    "\"[a-z]{0,3}\"|\"\\\\u00e9\"|[0-9]{1,20}|-?[0-9]{1,3}([.][0-9]{1,2})?(e[+-]?[0-9]{1,2})?|null|\\[1\\]",
                    "[ \n]{0,2}",
                ),
                0..4,
            ),
            shape in 0..SHAPES.len(),
            at in 0..11_usize,
        ) {
            // Good claims, with others put in between, so that most are read to the end.
            let mut all: Vec<String> = SHAPES[shape].trim_matches(['{', '}']).split(',').map(str::to_owned).collect();
            for (name, value, space) in members {
                all.insert(at.min(all.len()), format!("{space}\"{name}\"{space}:{space}{value}{space}"));
            }
            let mut text = format!("{{{}}}", all.join(","));
            if let Some(fields) = read(&text) {
                prop_assert_eq!(Ok(fields), Fields::read_any(&mut text));
            }
        }

        #[test]
        fn what_is_read_at_a_glance_is_read_the_same_by_the_whole_reader(
            shape in 0..SHAPES.len(),
            strings in prop::array::uniform7("\\PC{0,20}|[ -~]{0,20}|.{0,9}"),
            dates in prop::array::uniform3("[0-9]{1,20}|[0-9.e-]{1,4}|1844674407370955161[56]"),
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
