//! How offers are made, and what a transfer that pays one must show.

use super::seal;
use super::secrets::Secrets;
use super::vars::Vars;
use crate::offer::SealKeys;

/// How offers are made, and what a transfer that pays one must show.
#[derive(Debug)]
pub struct OfferSettings {
    /// The shortest time for which an offer can be paid.
    pub ttl_seconds: u64,
    /// The keys that seal and open challenge ids.
    pub keys: SealKeys,
    /// How a plain transfer is bound to the caller that presents it.
    pub proof_binding: ProofBinding,
}

/// How a transfer is bound to the caller that presents it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProofBinding {
    /// A signature of the challenge id by the wallet that paid.
    Signature,
    /// Only the hash of the transfer, which anyone can read on chain: a transfer counts for the caller that presents it
    /// first. For old clients that cannot sign texts.
    TxHash,
}

impl ProofBinding {
    /// The value of the setting for this binding.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::TxHash => "txhash",
        }
    }
}

pub(super) fn read(vars: &mut Vars<'_>, secrets: &Secrets) -> Option<OfferSettings> {
    let ttl_seconds = vars.number("CHALLENGE_TTL_SECONDS", 900, 1, 86_400);
    let bindings = [ProofBinding::Signature, ProofBinding::TxHash];
    let bindings = bindings.map(|binding| (binding.name(), binding));
    let proof_binding = vars.choice("PROOF_BINDING", "signature", &bindings);
    let keys = seal::keys(&secrets.seal, secrets);
    Some(OfferSettings {
        ttl_seconds: ttl_seconds?,
        keys: keys?,
        proof_binding: proof_binding?,
    })
}
