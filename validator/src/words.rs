//! Searches that look at many bytes in one step. The texts searched here are too short to gain anything from a library's
//! search.

/// A word whose bytes are all 1.
pub(crate) const ONES: u64 = 0x0101_0101_0101_0101;
/// A word with the high bit of each byte.
pub(crate) const HIGH_BITS: u64 = ONES << 7;

/// A set high bit in the first byte of `word`, in the order of memory, that is `byte`. High bits of bytes after the first
/// may be set wrongly, and so may all other bits: mask with [`HIGH_BITS`].
#[inline]
pub(crate) const fn equal(word: u64, byte: u8) -> u64 {
    let zero = word ^ (ONES * byte as u64);
    zero.wrapping_sub(ONES) & !zero
}

/// The position of the first `byte` in `bytes`.
#[inline]
pub(crate) fn position(bytes: &[u8], byte: u8) -> Option<usize> {
    let mut rest = bytes;
    // Skips sixteen bytes at once as long as `byte` is not among them. Compilers do this with a vector.
    while let Some((piece, behind)) = rest.split_first_chunk::<16>()
        && !piece.iter().fold(false, |is, other| is | (*other == byte))
    {
        rest = behind;
    }
    while let Some((word, behind)) = rest.split_first_chunk() {
        let found = equal(u64::from_le_bytes(*word), byte) & HIGH_BITS;
        if found != 0 {
            return Some(bytes.len() - rest.len() + found.trailing_zeros() as usize / 8);
        }
        rest = behind;
    }
    let behind = rest.iter().position(|other| *other == byte)?;
    Some(bytes.len() - rest.len() + behind)
}

/// Whether there is a control character or an escape of JSON: what no plain string has.
///
/// Not inlined: code that finds bytes fast is long, and this function is called in many places.
#[inline(never)]
pub(crate) fn any_odd(bytes: &[u8]) -> bool {
    any(bytes, |byte| (byte < b' ') | (byte == b'\\'))
}

/// Whether a byte is of this kind. Does not stop at the first such byte, so that the compiler can use vectors.
#[inline]
pub(crate) fn any(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    any_in_pieces::<32>(bytes, &is)
        .or_else(|| any_in_pieces::<8>(bytes, &is))
        .unwrap_or_else(|| bytes.iter().any(|byte| is(*byte)))
}

/// Does what [`any`] does, in pieces of `N` bytes. `None` if there are fewer bytes. The last piece ends at the end of
/// the bytes, and so overlaps the one before it.
#[inline]
fn any_in_pieces<const N: usize>(bytes: &[u8], is: impl Fn(u8) -> bool) -> Option<bool> {
    let mut found = [0; N];
    let mut note = |piece: &[u8; N]| {
        for (found, byte) in found.iter_mut().zip(piece) {
            *found |= u8::from(is(*byte));
        }
    };
    let last = bytes.last_chunk()?;
    bytes.as_chunks().0.iter().for_each(&mut note);
    note(last);
    Some(found != [0; N])
}

/// The number that eight decimal digits spell.
#[inline]
pub(crate) const fn eight_digits(digits: [u8; 8]) -> Option<u64> {
    let word = u64::from_le_bytes(digits);
    // A digit is 0x30 to 0x39: its high half is 3, and is still 3 after 6 is added. Only a byte of 0xfa or more carries
    // into the next byte, and the first comparison has refused such a byte already.
    const HIGH_HALVES: u64 = ONES * 0xf0;
    const THREES: u64 = ONES * 0x30;
    if word & HIGH_HALVES != THREES || word.wrapping_add(ONES * 6) & HIGH_HALVES != THREES {
        return None;
    }
    // The first digit is in the lowest byte. Combines digits to pairs, pairs to fours, and fours to all eight.
    let pairs = (word & (ONES * 0x0f)).wrapping_mul(10 << 8 | 1) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100 << 16 | 1) >> 16 & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(10_000 << 32 | 1) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_byte_is_found_wherever_it_is() {
        for len in 0..40 {
            for filler in [b'a', b'-', b'/', 0, 0x7f, 0x80, 0xae, 0xff] {
                let mut bytes = vec![filler; len];
                assert_eq!(position(&bytes, b'.'), None);
                for at in (0..len).rev() {
                    bytes[at] = b'.';
                    assert_eq!(position(&bytes, b'.'), Some(at), "{len} {filler}");
                }
            }
        }
    }

    #[test]
    fn any_byte_is_seen_wherever_it_is() {
        for len in 0..100 {
            let mut bytes = vec![b'a'; len];
            assert!(!any(&bytes, |byte| byte == b'.'));
            for at in 0..len {
                bytes[at] = b'.';
                assert!(any(&bytes, |byte| byte == b'.'), "{at} of {len}");
                bytes[at] = b'a';
            }
        }
    }

    #[test]
    fn eight_digits_are_a_number_and_nothing_else_is() {
        for number in [0, 1, 9, 10, 12_345_678, 18_000_000, 90_909_090, 99_999_999] {
            let digits = format!("{number:08}").into_bytes().try_into().unwrap();
            assert_eq!(eight_digits(digits), Some(number));
        }
        for at in 0..8 {
            for byte in 0..=u8::MAX {
                let mut digits = *b"99999999";
                digits[at] = byte;
                let expected = str::from_utf8(&digits)
                    .ok()
                    .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
                    .map(|text| text.parse().unwrap());
                assert_eq!(eight_digits(digits), expected, "{byte} at {at}");
            }
        }
    }
}
