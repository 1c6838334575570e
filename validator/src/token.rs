//! A token's parts. Whether they mean anything is not known yet.

use crate::{Flaw, ValidationError, header, words};

/// The places of a signed JWT's parts.
#[derive(Debug)]
pub(crate) struct Token<'t> {
    pub(crate) header: &'t [u8],
    pub(crate) payload: &'t [u8],
    /// Header, dot and payload.
    pub(crate) signed: &'t [u8],
    pub(crate) signature: &'t [u8],
}

impl<'t> Token<'t> {
    /// Splits a token whose signature has this length in base64url.
    pub(crate) fn split(token: &'t [u8], signature_len: usize) -> Option<Self> {
        let (signed, signature) = at_dot(token, token.len().checked_sub(signature_len + 1)?)?;
        let window = signed.get(..=header::MAX_LEN).unwrap_or(signed);
        let (header, payload) = at_dot(signed, first_dot(window)?)?;
        Some(Self {
            header,
            payload,
            signed,
            signature,
        })
    }

    /// The part before the first dot.
    pub(crate) fn header(token: &'t [u8]) -> &'t [u8] {
        let end = first_dot(token).unwrap_or_default();
        token.get(..end).unwrap_or_default()
    }

    /// Why a token cannot be split.
    pub(crate) fn misfit(token: &[u8]) -> ValidationError {
        match dots(token) {
            2 if first_dot(token).is_some_and(|at| at > header::MAX_LEN) => {
                ValidationError::MalformedHeader(Flaw::TooBig)
            }
            2 => ValidationError::WrongSignatureLength,
            _ => ValidationError::NotAJwt,
        }
    }
}

fn at_dot(bytes: &[u8], at: usize) -> Option<(&[u8], &[u8])> {
    let (left, right) = bytes.split_at_checked(at)?;
    Some((left, right.strip_prefix(b".")?))
}

fn first_dot(bytes: &[u8]) -> Option<usize> {
    words::position(bytes, b'.')
}

/// How many dots there are, counted in pieces of a size that the compiler counts at once; from three on it does not matter.
fn dots(bytes: &[u8]) -> u8 {
    let count = |piece: &[u8]| piece.iter().map(|byte| u8::from(*byte == b'.')).sum::<u8>();
    let (pieces, rest) = bytes.as_chunks::<128>();
    let mut dots = count(rest);
    for piece in pieces {
        dots += count(piece);
        if dots > 2 {
            break;
        }
    }
    dots
}
