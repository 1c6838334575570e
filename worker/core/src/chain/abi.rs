//! Solidity's ABI as far as the calls here need it: words, and byte strings behind offsets. It is written by hand,
//! because a general coder is ten times as large in the worker. The tests compare it with a general coder.

use alloy_primitives::{Address, B256, Bytes, U256};

const WORD: usize = 32;

/// The bytes of a call, or of a part of one, while they are written.
#[derive(Debug)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(selector: &[u8]) -> Self {
        Self(selector.to_vec())
    }

    pub(super) fn word(&mut self, word: B256) -> &mut Self {
        self.0.extend_from_slice(word.as_slice());
        self
    }

    pub(super) fn number(&mut self, number: usize) -> &mut Self {
        self.word(U256::from(number).into())
    }

    /// Writes a byte string: its length, and its bytes filled up to whole words.
    pub(super) fn blob(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len());
        self.0.extend_from_slice(bytes);
        let missing = padded(bytes.len()).saturating_sub(bytes.len());
        self.0.extend(core::iter::repeat_n(0, missing));
        self
    }

    pub(super) fn finish(&mut self) -> Bytes {
        core::mem::take(&mut self.0).into()
    }
}

/// How many bytes a byte string of this length takes, without its length.
pub(super) const fn padded(length: usize) -> usize {
    length.div_ceil(WORD).saturating_mul(WORD)
}

/// Reads ABI data from outside. Every position is checked against the length of the data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// The data from this position on.
    pub(super) fn at(self, position: usize) -> Option<Self> {
        self.0.get(position..).map(Self)
    }

    /// The word with this number.
    pub(super) fn word(self, number: usize) -> Option<B256> {
        let begin = number.checked_mul(WORD)?;
        let word = self.0.get(begin..begin.checked_add(WORD)?)?;
        Some(B256::from_slice(word))
    }

    /// The word with this number, as a number.
    pub(super) fn number(self, number: usize) -> Option<usize> {
        U256::from_be_bytes(self.word(number)?.0).try_into().ok()
    }

    /// The word with this number, as an address.
    pub(super) fn address(self, number: usize) -> Option<Address> {
        let word = self.word(number)?;
        let address = Address::from_word(word);
        (address.into_word() == word).then_some(address)
    }

    /// The data from the offset on that stands in the word with this number.
    pub(super) fn behind(self, number: usize) -> Option<Self> {
        self.at(self.number(number)?)
    }

    /// The bytes of a byte string, which begins with its length.
    pub(super) fn blob(self) -> Option<&'a [u8]> {
        let length = self.number(0)?;
        self.0.get(WORD..WORD.checked_add(length)?)
    }
}
