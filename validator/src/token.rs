//! A token's parts. Whether they mean anything is not known yet.

use crate::{Flaw, ValidationError, header};

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
        let first_dot = signed
            .iter()
            .take(header::MAX_LEN + 1)
            .position(|byte| *byte == b'.')?;
        let (header, payload) = at_dot(signed, first_dot)?;
        Some(Self {
            header,
            payload,
            signed,
            signature,
        })
    }

    /// Why a token cannot be split.
    pub(crate) fn misfit(token: &[u8]) -> ValidationError {
        let dots: usize = token.iter().map(|byte| usize::from(*byte == b'.')).sum();
        let header = token.split(|byte| *byte == b'.').next();
        match dots {
            2 if header.is_some_and(|header| header.len() > header::MAX_LEN) => {
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
