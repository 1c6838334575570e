//! What a buyer must show who has paid by an ordinary transfer.

use super::vars::Vars;

/// What binds a transfer to who presents it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProofBinding {
    /// A signature of the challenge id by the wallet that paid.
    Signature,
    /// Nothing but its hash, which everybody can read on chain: whoever presents a transfer first has paid with it. For old
    /// clients that cannot sign texts.
    TxHash,
}

impl ProofBinding {
    /// The setting's value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::TxHash => "txhash",
        }
    }
}

/// `PROOF_BINDING`.
pub(super) fn read<F: Fn(&str) -> Option<String>>(vars: &mut Vars<F>) -> Option<ProofBinding> {
    vars.parse("PROOF_BINDING", "signature", |text| match text {
        "signature" => Ok(ProofBinding::Signature),
        "txhash" => Ok(ProofBinding::TxHash),
        _ => Err("must be signature or txhash".to_owned()),
    })
}
