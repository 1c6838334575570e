//! What a token says, as plain data: the contract between the gateway that signs tokens and their readers.

use crate::Limits;

/// The claims of an access token, named in Rust's way here and in JWT's way on the wire.
///
/// The gateway builds this type and serialises it into the token (feature `serde`). It is not what validation
/// returns: that is `AccessToken`, which cannot be built by hand, so holding one means that a signature was checked.
/// The two are separate because their needs are: this one wants public fields and no hidden state, the other keeps
/// the signed text in a single allocation and may come to carry claims that the gateway does not write.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(rename_all = "camelCase")
)]
pub struct Claims {
    /// Request id of the purchase.
    pub sub: String,
    /// Challenge id of the purchase; unique to the token.
    pub jti: String,
    /// The resource that was bought, `default` if the buyer named none.
    pub resource_id: String,
    /// The plan that was paid for.
    pub plan_id: String,
    /// Hash of the transaction that paid.
    pub tx_hash: String,
    /// Second of issue, Unix time.
    pub iat: u64,
    /// First second at which the token is no longer good, Unix time.
    pub exp: u64,
    /// The gateway's public URL.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub iss: Option<String>,
    /// Address of the wallet that paid.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub payer: Option<String>,
    /// EIP-155 id of the chain on which the payment was made: 8453 for Base, 84532 for Base Sepolia, where money is worth
    /// nothing. In every buyer's token; a token for calls between services has none.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub chain_id: Option<u64>,
    /// The request id of the purchase that founded the grant. In tokens of plans with limits only.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub grant: Option<String>,
    /// What the plan promised of its calls. In tokens of plans with limits only.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub limits: Option<Limits>,
}
