//! Whether agents may buy through A2A, and what the agent card is signed with.

use super::vars::{Read, Vars};
use crate::types::{CardKey, HttpUrl};

/// Whether agents may buy through A2A, and what the agent card is signed with.
#[derive(Debug)]
pub struct A2aSettings {
    /// Whether there is an A2A door. If not, the agent card declares none.
    pub enabled: bool,
    /// The key that signs the agent card; `None` for a card without signature.
    pub card_key: Option<CardKey>,
}

/// Reads the settings. `None` only together with a recorded problem.
pub(super) fn read(vars: &mut Vars<'_>, public_url: &Read<HttpUrl>) -> Option<A2aSettings> {
    let enabled = vars.flag("A2A_ENABLED", true);
    let card_key = vars.optional("A2A_CARD_KEY", CardKey::from_pem);
    if let (Read::Value(_), Read::Absent) = (&card_key, public_url) {
        vars.problem(
            "KEY0_PUBLIC_URL",
            "is required with A2A_CARD_KEY: the card that is signed must not name whatever address a request was sent to",
        );
    }
    Some(A2aSettings {
        enabled: enabled?,
        card_key: card_key.into_option(),
    })
}
