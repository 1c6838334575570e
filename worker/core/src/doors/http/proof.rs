//! Payment by an ordinary transfer, at the door: what the buyer is told to do, what it then sends, and what it is answered.

use alloy_primitives::hex;
use http::header::RETRY_AFTER;
use serde::Serialize;
use serde_json::{Value, json};

use super::answer;
use super::door::Arrival;
use super::request::AccessRequest;
use crate::chain::Chain;
use crate::chain::signature::MAX_SIGNATURE_BYTES;
use crate::chain::transfer::{ProofFault, SHOW_SECONDS, signer, text_digest};
use crate::chain::wallet_call::WalletAnswer;
use crate::config::{Config, ProofBinding};
use crate::error::{Code, Error};
use crate::limit;
use crate::offer::{Challenge, Target, Terms};
use crate::purchase::{Ask, PayReply, Prove, Purchases, Sold};
use crate::response::{self, Response};
use crate::types::{Address, B256, UnixSeconds};
use crate::x402::Version;

/// An authorization may be good for years.
const MAX_RETRY_AFTER_SECONDS: u64 = 86_400;

/// What a buyer shows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Proof {
    challenge_id: String,
    transaction: B256,
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

    /// The challenge that was paid, if it was made here and for this chain.
    fn challenge(&self, config: &Config) -> Result<Challenge, Error> {
        let challenge = config.seal_keys.open(&self.challenge_id).ok_or_else(|| {
            Error::new(
                Code::ChallengeNotFound,
                "The challengeId was not issued here or was altered. Use the one of the offer that was paid.",
            )
        })?;
        let sold_on = config.network.chain_id();
        let paid_on = challenge.terms.network.chain_id();
        if paid_on != sold_on || self.chain_id.is_some_and(|id| id != sold_on) {
            return Err(Error::new(
                Code::ChainMismatch,
                format!("Only transfers on chain {sold_on} are accepted, for offers made for it."),
            )
            .with_details(
                json!({"chainId": sold_on, "offered": paid_on, "presented": self.chain_id}),
            ));
        }
        Ok(challenge)
    }

    /// Who has signed the challenge id. Nobody, where the seller wants no signature and there is none. The key tells its
    /// account; a contract wallet must be named, and asked.
    async fn payer<C: Chain>(
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

/// How to pay an offer without x402.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Instructions<'a> {
    description: &'static str,
    destination: String,
    asset_address: String,
    amount: String,
    pay_before: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sign: Option<&'a str>,
    body: Value,
}

impl<'a> Instructions<'a> {
    pub(super) fn new(offer: &'a Challenge, binding: ProofBinding) -> Self {
        let terms = &offer.terms;
        let is_signed = binding == ProofBinding::Signature;
        let mut proof = json!({"challengeId": offer.id, "txHash": "<transaction hash>"});
        if let (true, Some(members)) = (is_signed, proof.as_object_mut()) {
            members.insert("signature".to_owned(), "<signature>".into());
        }
        Self {
            description: match is_signed {
                true => {
                    "Without an x402 client: send one ordinary USDC transfer of at least `amount` (micro-units) of \
                     `assetAddress` to `destination`, to be included before `payBefore`; sign the text in `sign` with the \
                     same wallet (EIP-191, personal_sign; a contract wallet also sends its address as `payer`); then POST `body`. \
                     On 202 repeat it."
                }
                false => {
                    "Without an x402 client: send one ordinary USDC transfer of at least `amount` (micro-units) of \
                     `assetAddress` to `destination`, to be included before `payBefore`; then POST `body`. On 202 repeat it."
                }
            },
            destination: terms.pay_to.to_checksum(None),
            asset_address: terms.network.usdc().to_checksum(None),
            amount: terms.amount.units().to_string(),
            pay_before: terms.expires_at.to_iso(),
            sign: is_signed.then(|| offer.id.as_str()),
            body: json!({"proof": proof}),
        }
    }
}

/// Takes a proof and answers with the grant. Until it is known whose it is, nothing is asked of any object; and of the chain
/// only what a contract wallet says to its signature.
pub(super) async fn redeem<P: Purchases, C: Chain>(
    config: &Config,
    purchases: &P,
    chain: &C,
    arrival: &Arrival<'_>,
    request: &AccessRequest,
    proof: &Proof,
) -> Response {
    let checked = proof.challenge(config).and_then(|challenge| {
        contradictions(request, &challenge.terms)?;
        Ok(challenge)
    });
    let challenge = match checked {
        Ok(challenge) => challenge,
        Err(error) => return response::error(&error),
    };
    let payer = match proof.payer(config.proof_binding, chain).await {
        Ok(payer) => payer,
        Err(error) => return limit::counted(response::error(&error)),
    };
    let request_id = challenge.terms.request_id.clone();
    let ask = Ask::Prove(Box::new(Prove {
        sold: Sold::today(&challenge.terms.target, config),
        challenge: challenge.clone(),
        issuer: arrival.origin.as_str().to_owned(),
        payer,
        transaction: proof.transaction,
    }));
    let reply = purchases.ask(&request_id, &ask).await;
    let reply = reply.unwrap_or(PayReply::Pending { transaction: None });
    answer(config, arrival, &challenge, payer, reply).await
}

/// The challenge says what is bought. A body that says something else was meant for another one.
fn contradictions(request: &AccessRequest, terms: &Terms) -> Result<(), Error> {
    let Target::Plan(plan) = &terms.target;
    let differs = [
        ("planId", request.plan.as_ref().is_some_and(|id| id != plan)),
        (
            "resourceId",
            request
                .resource
                .as_ref()
                .is_some_and(|id| *id != terms.resource),
        ),
        (
            "requestId",
            request
                .request_id
                .as_ref()
                .is_some_and(|id| *id != terms.request_id),
        ),
    ];
    let names: Vec<_> = differs
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(Error::invalid_request(
        "The body contradicts the challenge that the proof names. Leave out the members in details, or send those of the offer.",
    )
    .with_details(json!({"mismatch": names})))
}

async fn answer(
    config: &Config,
    arrival: &Arrival<'_>,
    challenge: &Challenge,
    payer: Option<Address>,
    reply: PayReply,
) -> Response {
    let terms = &challenge.terms;
    let error = match reply {
        PayReply::Unproven(fault) => return unproven(fault, terms, arrival.now),
        PayReply::Taken => Error::new(
            Code::TxAlreadyRedeemed,
            "Each transfer of this transaction that pays enough belongs to another purchase. One transfer pays one purchase.",
        ),
        PayReply::Conflict => Error::new(
            Code::RequestConflict,
            "The requestId of this offer belongs to a purchase of another payer or of something else. Send the proof of the \
             wallet that paid for it.",
        ),
        reply => {
            let Target::Plan(id) = &terms.target;
            // A plan may be sold no more; what was paid for it counts all the same.
            let plan = config.catalog.plan(id);
            let context = answer::Context {
                config,
                origin: &arrival.origin,
                version: Version::V2,
                payer: payer.unwrap_or_default(),
                offer: plan.map(|plan| (plan, challenge)),
            };
            return context
                .outcome(arrival.rsa, reply, &terms.request_id, arrival.random)
                .await;
        }
    };
    response::error(&error)
}

/// The transaction does not pay the challenge, or not yet.
fn unproven(fault: ProofFault, terms: &Terms, now: UnixSeconds) -> Response {
    let error = match fault {
        ProofFault::TxUnconfirmed => {
            let error = Error::new(
                Code::TxUnconfirmed,
                "The transaction is not on chain yet, or not deep enough. Repeat the same request; a transfer that was \
                 included in time stays good.",
            );
            let mut response = response::error(&error);
            response::set(&mut response, RETRY_AFTER, answer::RETRY_AFTER_SECONDS);
            return response;
        }
        ProofFault::AuthorizationOpen(until) => {
            let error = Error::new(
                Code::TxUnconfirmed,
                format!(
                    "The transfer pays, but so may the authorization that was presented for this requestId before, until {}. \
                     Repeat the same request after that; or cancel that authorization on chain (cancelAuthorization of the \
                     USDC contract) and repeat it at once. If it is executed first, it is the payment.",
                    until.to_iso()
                ),
            )
            .with_details(json!({"reason": fault.code(), "until": until.to_iso()}));
            let mut response = response::error(&error);
            let seconds = until.0.saturating_sub(now.0).clamp(1, MAX_RETRY_AFTER_SECONDS);
            response::set(&mut response, RETRY_AFTER, &seconds.to_string());
            return response;
        }
        ProofFault::AmountMismatch(received) => Error::new(
            Code::AmountMismatch,
            format!("The offer costs {}, the transfer is of {received}. Several transfers are not added up.", terms.amount),
        )
        .with_details(json!({"expected": terms.amount, "received": received})),
        ProofFault::TransferAfterExpiry => Error::new(
            Code::ChallengeExpired,
            "The transfer was included after the offer had expired. Ask the seller to send it back.",
        )
        .with_details(json!({"expiresAt": terms.expires_at.to_iso(), "reason": fault.code()})),
        ProofFault::ShownTooLate => Error::new(
            Code::ChallengeExpired,
            "A transfer can be shown until 30 days after the end of its offer, and that time is over. Ask the seller to send the \
             money back.",
        )
        .with_details(json!({
            "expiresAt": terms.expires_at.to_iso(),
            "showBefore": terms.expires_at.plus(SHOW_SECONDS).to_iso(),
            "reason": fault.code(),
        })),
        ProofFault::WalletNotUsed => refused(
            fault.code(),
            "The offer names a wallet that the seller no longer uses. Ask the seller to send the money back.",
        ),
        ProofFault::TransactionReverted => refused(fault.code(), "The transaction reverted: no money moved."),
        ProofFault::NoTransfer => refused(
            fault.code(),
            "The transaction holds no ordinary USDC transfer to the seller. (What an authorization moved is presented in \
             the PAYMENT-SIGNATURE header.)",
        ),
        ProofFault::PayerMismatch => refused(
            fault.code(),
            "The transfer came from another wallet than the one that signed the challengeId.",
        ),
        ProofFault::TransferBeforeOffer => refused(
            fault.code(),
            "The transfer is older than the offer. Pay after you have asked for the price.",
        ),
    };
    response::error(&error)
}

fn refused(reason: &'static str, message: &'static str) -> Error {
    Error::new(Code::InvalidProof, message).with_details(json!({"reason": reason}))
}

fn invalid(what: &str) -> Error {
    Error::invalid_request(format!(
        "proof.{what}. Send {{\"proof\": {{\"challengeId\", \"txHash\", \"signature\"}}}}."
    ))
}

#[cfg(test)]
mod tests;
