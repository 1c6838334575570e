//! What a buyer shows who has paid by an ordinary transfer: the transaction, and the payer's signature.

use alloy_primitives::hex;
use serde_json::{Value, json};

use crate::chain::Chain;
use crate::chain::signature::MAX_SIGNATURE_BYTES;
use crate::chain::transfer::{signer, text_digest};
use crate::chain::wallet_call::WalletAnswer;
use crate::config::{Config, ProofBinding};
use crate::error::{Code, Error};
use crate::offer::Offer;
use crate::types::{Address, B256};

/// What a buyer shows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Proof {
    challenge_id: String,
    pub(super) transaction: B256,
    signature: Option<Vec<u8>>,
    /// Where the buyer says that it has paid.
    chain_id: Option<u64>,
    /// The wallet that it says has signed. Needed for contracts only.
    payer: Option<Address>,
}

impl Proof {
    /// Reads the member `proof` of a body. Members that are not needed are ignored: what the buyer says of the payment
    /// decides nothing.
    pub(super) fn parse(value: &Value) -> Result<Self, Error> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let challenge_id = text("challengeId")
            .ok_or_else(|| invalid("challengeId must be the challengeId of the offer"))?;
        let transaction = text("txHash")
            .filter(|text| text.len() == 66)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| invalid("txHash must be 0x and 64 hex digits"))?;
        let signature = match value.get("signature") {
            None | Some(Value::Null) => None,
            Some(signature) => Some(
                signature
                    .as_str()
                    .and_then(|text| text.strip_prefix("0x"))
                    .and_then(|digits| hex::decode(digits).ok())
                    .ok_or_else(|| invalid("signature must be 0x and hex digits"))?,
            ),
        };
        let chain_id = match value.get("chainId") {
            None | Some(Value::Null) => None,
            Some(id) => Some(
                id.as_u64()
                    .ok_or_else(|| invalid("chainId must be a whole number"))?,
            ),
        };
        let payer = match value.get("payer") {
            None | Some(Value::Null) => None,
            Some(payer) => Some(
                payer
                    .as_str()
                    .and_then(|text| text.parse().ok())
                    .ok_or_else(|| invalid("payer must be an address"))?,
            ),
        };
        Ok(Self {
            challenge_id: challenge_id.to_owned(),
            transaction,
            signature,
            chain_id,
            payer,
        })
    }

    /// The offer that was paid, if it was made here and for this chain.
    pub(super) fn offer(&self, config: &Config) -> Result<Offer, Error> {
        let offer = config.offers.keys.open(&self.challenge_id).ok_or_else(|| {
            Error::new(
                Code::ChallengeNotFound,
                "The challengeId was not issued here or was altered. Use the one of the offer that was paid.",
            )
        })?;
        let sold_on = config.network.chain_id();
        let paid_on = offer.terms.network.chain_id();
        if paid_on != sold_on || self.chain_id.is_some_and(|id| id != sold_on) {
            return Err(Error::new(
                Code::ChainMismatch,
                format!("Only transfers on chain {sold_on} are accepted, for offers made for it."),
            )
            .with_details(
                json!({"chainId": sold_on, "offered": paid_on, "presented": self.chain_id}),
            ));
        }
        Ok(offer)
    }

    /// Who has signed the challenge id. Nobody, where the seller wants no signature and there is none. The key tells its
    /// account; a contract wallet must be named, and asked.
    pub(super) async fn payer<C: Chain>(
        &self,
        binding: ProofBinding,
        chain: &C,
    ) -> Result<Option<Address>, Error> {
        let Some(signature) = &self.signature else {
            return match binding {
                ProofBinding::TxHash => Ok(None),
                ProofBinding::Signature => Err(refused(
                    "signature_missing",
                    "A transfer can be seen by everybody. Sign the text of the challengeId with the wallet that paid (EIP-191, \
                     personal_sign) and send it as proof.signature.",
                )),
            };
        };
        let digest = text_digest(&self.challenge_id);
        let key = signer(&digest, signature);
        let payer = self.payer.or(key);
        let is_proven = match payer {
            None => false,
            payer if payer == key => true,
            Some(wallet) => {
                // A wallet may say yes to nothing at all, for what its owner has approved on chain: that would prove nothing.
                (1..=MAX_SIGNATURE_BYTES).contains(&signature.len())
                    && chain
                        .wallet_accepts(wallet, digest, &signature.clone().into(), None)
                        .await
                        .map_err(|_| {
                            Error::new(
                                Code::AdapterError,
                                "The wallet could not be asked about its signature right now. Repeat the same request.",
                            )
                        })?
                        == WalletAnswer::Accepts
            }
        };
        match is_proven {
            true => Ok(payer),
            false => Err(refused(
                "invalid_signature",
                "The signature is not the payer's. Sign the text of the challengeId with the wallet that paid (EIP-191, \
                 personal_sign); a contract wallet is named in proof.payer and must accept the signature (EIP-1271).",
            )),
        }
    }
}

/// A proof that proves nothing, and what to send.
pub(super) fn refused(reason: &'static str, message: &'static str) -> Error {
    Error::new(Code::InvalidProof, message).with_details(json!({"reason": reason}))
}

fn invalid(what: &str) -> Error {
    Error::invalid_request(format!(
        "proof.{what}. Send {{\"proof\": {{\"challengeId\", \"txHash\", \"signature\"}}}}."
    ))
}
