//! As much of DER as an RSA public key needs: SEQUENCE, INTEGER, BIT STRING (X.690).

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
/// `AlgorithmIdentifier` of RSA: its object identifier and NULL (RFC 3279 §2.3.1).
const RSA_ALGORITHM: [u8; 15] = [
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// An RSA public key's numbers, big-endian, without leading zeros.
pub(crate) type Numbers<'a> = (&'a [u8], &'a [u8]);

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017 appendix A.1.1), and nothing else.
pub(crate) fn read_pkcs1(der: &[u8]) -> Option<Numbers<'_>> {
    let mut members = only(der, SEQUENCE)?;
    let modulus = integer(&mut members)?;
    let exponent = integer(&mut members)?;
    members.is_empty().then_some((modulus, exponent))
}

/// Modulus and exponent of a `SubjectPublicKeyInfo` (RFC 5280 §4.1) that holds an RSA key.
pub(crate) fn read_spki(der: &[u8]) -> Option<Numbers<'_>> {
    let content = only(der, SEQUENCE)?;
    let bits = only(content.strip_prefix(&RSA_ALGORITHM)?, BIT_STRING)?;
    // The first byte counts unused bits at the end; there are none in whole bytes.
    read_pkcs1(bits.strip_prefix(&[0])?)
}

/// The `RSAPublicKey` of these numbers.
pub(crate) fn write_pkcs1((modulus, exponent): Numbers<'_>) -> Vec<u8> {
    let mut content = Vec::with_capacity(modulus.len() + exponent.len() + 16);
    for number in [modulus, exponent] {
        // A set first bit would mean a negative number.
        let sign = number.first().is_none_or(|first| *first >= 0x80);
        push_header(&mut content, INTEGER, number.len() + usize::from(sign));
        content.extend(sign.then_some(0));
        content.extend(number);
    }
    let mut der = Vec::with_capacity(content.len() + 4);
    push_header(&mut der, SEQUENCE, content.len());
    der.extend(content);
    der
}

/// A positive number in its shortest form.
fn integer<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    match element(rest, INTEGER)? {
        [0, number @ ..] if matches!(number, [0x80..=0xff, ..]) => Some(number),
        number @ [1..=0x7f, ..] => Some(number),
        _ => None,
    }
}

/// The content of `der`, which must be exactly one element with this tag.
fn only(mut der: &[u8], tag: u8) -> Option<&[u8]> {
    let content = element(&mut der, tag)?;
    der.is_empty().then_some(content)
}

/// Takes the element at the start off `rest`, and returns its content.
fn element<'a>(rest: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (len, tail) = match rest.strip_prefix(&[tag])? {
        [len @ 0..=0x7f, tail @ ..] => (usize::from(*len), tail),
        [0x81, len @ 0x80..=0xff, tail @ ..] => (usize::from(*len), tail),
        [0x82, high @ 1..=0xff, low, tail @ ..] => {
            (usize::from(*high) << 8 | usize::from(*low), tail)
        }
        _ => return None,
    };
    let (content, after) = tail.split_at_checked(len)?;
    *rest = after;
    Some(content)
}

fn push_header(der: &mut Vec<u8>, tag: u8, len: usize) {
    der.push(tag);
    let [.., high, low] = len.to_be_bytes();
    match len {
        ..0x80 => der.push(low),
        0x80..0x100 => der.extend([0x81, low]),
        // Keys of at most 8192 bits: two bytes hold every length.
        _ => der.extend([0x82, high, low]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for modulus in [
            [0x80; 256].as_slice(),
            &[0x7f; 200],
            &[1; 127],
            &[0xff; 1024],
            &[5],
        ] {
            for exponent in [[3].as_slice(), &[1, 0, 1], &[0xff]] {
                let der = write_pkcs1((modulus, exponent));
                assert_eq!(read_pkcs1(&der), Some((modulus, exponent)));
            }
        }
    }

    #[test]
    fn every_cut_and_every_longer_form_is_refused() {
        let der = write_pkcs1((&[0x80; 256], &[1, 0, 1]));
        for len in 0..der.len() {
            assert_eq!(read_pkcs1(&der[..len]), None);
        }
        assert_eq!(read_pkcs1(&[der.as_slice(), &[0]].concat()), None);
        // Zero, negative, padded, indefinite length, length in more bytes than needed.
        for wrong in [
            [0x30, 6, 2, 1, 0, 2, 1, 3].as_slice(),
            &[0x30, 6, 2, 1, 0x80, 2, 1, 3],
            &[0x30, 7, 2, 2, 0, 5, 2, 1, 3],
            &[0x30, 0x80, 2, 1, 5, 2, 1, 3, 0, 0],
            &[0x30, 0x81, 6, 2, 1, 5, 2, 1, 3],
            &[0x30, 0x82, 0, 6, 2, 1, 5, 2, 1, 3],
            &[0x31, 6, 2, 1, 5, 2, 1, 3],
        ] {
            assert_eq!(read_pkcs1(wrong), None, "{wrong:02x?}");
        }
        assert!(read_pkcs1(&[0x30, 6, 2, 1, 5, 2, 1, 3]).is_some());
    }
}
