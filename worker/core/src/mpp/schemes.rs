//! Several authentication schemes in one header (RFC 9110, section 11): they are separated by commas, like the parameters
//! of one scheme. Clients, proxies and the platform join lines in this way.

const SCHEME: &str = "payment";

/// The challenges or credentials in a header's value, one for each scheme.
pub fn schemes(value: &str) -> Vec<&str> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (start, end) in elements(value) {
        let element = value.get(start..end).unwrap_or_default();
        match found.last_mut() {
            Some((_, last)) if !begins_a_scheme(element) => *last = end,
            _ => found.push((start, end)),
        }
    }
    let texts = found.into_iter();
    texts
        .filter_map(|(start, end)| value.get(start..end))
        .collect()
}

/// The credential of this scheme, if the scheme is `Payment`.
pub fn credential(scheme: &str) -> Option<&str> {
    let (name, rest) = scheme
        .split_once([' ', '\t'])
        .unwrap_or((scheme, Default::default()));
    name.eq_ignore_ascii_case(SCHEME).then(|| rest.trim())
}

/// A header's value without the scheme `Payment`. `None` if nothing else is left.
pub fn without_payment(value: &str) -> Option<String> {
    let others = schemes(value);
    let others: Vec<&str> = others
        .into_iter()
        .filter(|scheme| credential(scheme).is_none())
        .collect();
    (!others.is_empty()).then(|| others.join(", "))
}

/// Start and end of each element of a list, without the white space around it. Commas in quotes do not separate.
fn elements(value: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let (mut start, mut is_quoted, mut is_escaped) = (0, false, false);
    let ends = value.bytes().enumerate().filter_map(|(at, byte)| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => return Some(at),
            _ => {}
        }
        None
    });
    for end in ends.chain([value.len()]).collect::<Vec<_>>() {
        let element = value.get(start..end).unwrap_or_default();
        let before = element.len() - element.trim_start().len();
        let inner = element.trim();
        if !inner.is_empty() {
            found.push((start + before, start + before + inner.len()));
        }
        start = end + 1;
    }
    found
}

/// Whether an element begins with the name of a scheme. A parameter has its `=` after its name.
fn begins_a_scheme(element: &str) -> bool {
    match element.split_once([' ', '\t']) {
        Some((name, rest)) => !name.contains('=') && !rest.trim_start().starts_with('='),
        None => !element.contains('='),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn schemes_are_told_apart_wherever_they_stand() {
        for (value, found) in [
            ("Payment abc", vec!["Payment abc"]),
            ("Bearer a, Payment b", vec!["Bearer a", "Payment b"]),
            ("Payment b=,Bearer a", vec!["Payment b=", "Bearer a"]),
            (
                r#"Bearer realm="a, Payment b", scope=c, Payment id="x\", y", realm = "z""#,
                vec![
                    r#"Bearer realm="a, Payment b", scope=c"#,
                    r#"Payment id="x\", y", realm = "z""#,
                ],
            ),
            ("Negotiate, Payment", vec!["Negotiate", "Payment"]),
            (" , ,Basic a== , ", vec!["Basic a=="]),
            ("", vec![]),
        ] {
            assert_eq!(schemes(value), found, "{value}");
        }
    }

    #[test]
    fn the_scheme_is_known_in_any_case_and_only_as_a_whole_word() {
        for scheme in ["Payment abc", "payment  abc", "PAYMENT\tabc "] {
            assert_eq!(credential(scheme), Some("abc"), "{scheme}");
        }
        assert_eq!(credential("Payment"), Some(""));
        for scheme in ["Payments abc", "Bearer Payment", "paymentabc"] {
            assert_eq!(credential(scheme), None, "{scheme}");
        }
    }

    #[test]
    fn other_schemes_stay_when_a_payment_is_taken_out() {
        let left = |value| without_payment(value);
        assert_eq!(left("Bearer a, Payment b"), Some("Bearer a".to_owned()));
        assert_eq!(
            left(r#"Payment id="a", realm="b", Bearer realm="c", scope="d""#),
            Some(r#"Bearer realm="c", scope="d""#.to_owned())
        );
        assert_eq!(left("Payment b"), None);
        assert_eq!(left("Payment a, payment b"), None);
    }

    proptest! {
        #[test]
        fn hostile_headers_never_panic(value in "\\PC{0,80}") {
            for scheme in schemes(&value) {
                let _ = credential(scheme);
            }
            let _ = without_payment(&value);
        }

        #[test]
        fn no_payment_survives(left in "[ -~]{0,40}", right in "[ -~]{0,40}") {
            let kept = without_payment(&format!("{left}, Payment x, {right}")).unwrap_or_default();
            prop_assert!(schemes(&kept).iter().all(|scheme| credential(scheme).is_none()));
        }
    }
}
