use alloy_primitives::{Bytes, hex};
use futures_util::FutureExt as _;

use super::super::challenge::Place;
use super::*;
use crate::book::{BoughtGrant, LAST_ATTEMPT, Outcome, PayerCommand, PayerReply};
use crate::chain::ChainError;
use crate::chain::signature::Deployment as WalletDeployment;
use crate::chain::transfer::text_digest;
use crate::chain::wallet_call::WalletAnswer;
use crate::config::{Config, test_config};
use crate::meter::{Revoked, Standing};
use crate::purchase::PayReply;
use crate::purchase::test_support::claims;
use crate::testing::{Books as Memory, ScriptedChain, ScriptedMeters, ScriptedPurchases, checkout};
use crate::token::{RsaPublicKey, TokenSigner, Verdict};
use crate::types::{
    B256, CallFault, Network, RequestId, Secret, UnixMillis, UnixSeconds, WalletKey,
};
use crate::x402::header::decode;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const GRANT: &str = "2f1d0a52-7b0c-4c5e-9a3e-0c5b8f6f2a11";
const END: UnixSeconds = UnixSeconds(1_900_000_000);

struct NoRsa;

impl RsaVerifier for NoRsa {
    fn is_signed<'a>(&'a self, _: &'a RsaPublicKey, _: &'a [u8], _: &'a [u8]) -> Verdict<'a> {
        Box::pin(async { panic!("no token of these tests is signed with RSA") })
    }
}

/// A chain on which contract wallets say so.
#[derive(Clone, Copy)]
struct Wallets(Option<Result<WalletAnswer, ()>>);

impl ScriptedChain for Wallets {
    fn wallet_accepts(
        &self,
        _: Address,
        _: B256,
        _: &Bytes,
        _: Option<&WalletDeployment>,
    ) -> Result<WalletAnswer, ChainError> {
        let says = self.0.expect("the chain must not be asked");
        says.map_err(|()| ChainError("gone".to_owned()))
    }
}

/// The books and meters, and what they were asked.
struct Objects {
    books: Memory,
    meters: ScriptedMeters,
}

impl Books for Objects {
    async fn ask_book(
        &self,
        _: Network,
        payer: Address,
        command: &PayerCommand,
    ) -> Result<PayerReply, CallFault> {
        self.books.ask(payer, command, NOW.to_millis())
    }
}

impl Meters for Objects {
    async fn ask(&self, grant: &str, command: &MeterCommand) -> Result<MeterReply, CallFault> {
        self.meters.ask(grant, command).await
    }
}

fn owner() -> WalletKey {
    WalletKey::from_hex(&format!("{:064x}", 0xb0b)).unwrap()
}

fn stranger() -> WalletKey {
    WalletKey::from_hex(&format!("{:064x}", 0xbad)).unwrap()
}

fn stands(payer: Address, revoked: bool) -> MeterReply {
    MeterReply::Stands(Told {
        standing: Standing {
            limits: serde_json::from_str(r#"{"quota":{"calls":9}}"#).unwrap(),
            left: 4,
            left_now: 0,
            next_in: 0,
            ends_at: END,
        },
        payer,
        revoked: revoked.then_some(Revoked {
            by: Revoker::Payer,
            at: UnixMillis(1),
        }),
    })
}

/// A deployment in which `wallet` has bought the grant, and whose meters reply so.
fn bought_by(wallet: Address, replies: impl IntoIterator<Item = MeterReply>) -> Objects {
    let books = Memory::default();
    let released = PayerCommand::Release {
        request_id: GRANT.parse().unwrap(),
        attempt: LAST_ATTEMPT,
        outcome: Outcome::Delivered,
        grant: Some(BoughtGrant {
            id: GRANT.parse().unwrap(),
            plan: "basic".parse().unwrap(),
            ends_at: END,
        }),
    };
    books.ask(wallet, &released, NOW.to_millis()).unwrap();
    Objects {
        books,
        meters: ScriptedMeters::new(replies),
    }
}

struct Asked {
    status: u16,
    body: Value,
    /// How the answer was marked for the limit by address.
    is_counted: bool,
    required: Option<Value>,
    /// What was asked of purchases.
    purchases: usize,
}

/// Sends a request. `header`: of what was signed.
fn ask(
    objects: &Objects,
    (method, path): (&Method, &str),
    headers: &[(&'static str, String)],
    (now, chain): (UnixSeconds, Wallets),
) -> Asked {
    let config = test_config();
    let delivered = PayReply::Granted {
        goods: Goods::Token { claims: claims() },
        receipt: None,
        again: true,
    };
    let purchases = ScriptedPurchases::new([delivered]);
    let checkout = checkout(&config, (&purchases, &chain), now);
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
        .collect();
    let arrival = Arrival {
        method,
        path,
        headers: &headers,
    };
    let response = answer(&checkout, objects, &NoRsa, &arrival);
    let response = response.now_or_never().unwrap();
    let required = response.headers().get(PAYMENT_REQUIRED);
    Asked {
        status: response.status().as_u16(),
        body: serde_json::from_slice(response.body()).unwrap_or_default(),
        is_counted: limit::counts(&response),
        required: required.and_then(|value| decode(value.to_str().unwrap())),
        purchases: purchases.asked.borrow().len(),
    }
}

const ONE: (&Method, &str) = (&Method::GET, "/grants/2f1d0a52-7b0c-4c5e-9a3e-0c5b8f6f2a11");
const QUIET: (UnixSeconds, Wallets) = (NOW, Wallets(None));

/// The header with which a key signs the challenge of a request, as the wallet `says`.
fn signed(config: &Config, what: (&Method, &str), key: &WalletKey, says: Address) -> String {
    let objects = bought_by(Address::ZERO, []);
    let asked = ask(&objects, what, &[], QUIET);
    let info = asked.required.unwrap()["extensions"][SIGN_IN]["info"].clone();
    let action = Action::read(what.0, what.1).unwrap();
    let origin = "https://shop.example".parse().unwrap();
    let place = Place {
        keys: &config.offers.keys,
        origin: &origin,
        network: config.network,
    };
    let nonce = place.open(&action, info["nonce"].as_str().unwrap(), NOW);
    let text = place.text(&action, &nonce.unwrap(), says);
    let signature = key.sign(&text_digest(&text)).unwrap().as_bytes();
    let payload = json!({"address": says, "nonce": info["nonce"], "signature": hex::encode_prefixed(signature)});
    encode(&payload).unwrap()
}

fn with(header: String) -> Vec<(&'static str, String)> {
    vec![(SIGN_IN, header)]
}

#[test]
fn the_text_is_that_of_eip_4361() {
    let config = test_config();
    let origin = "https://shop.example:8443".parse().unwrap();
    let place = Place {
        keys: &config.offers.keys,
        origin: &origin,
        network: Network::BaseSepolia,
    };
    let action = Action::Revoke(GRANT.parse().unwrap());
    let required = place.required(&action, [7; 16], NOW);
    let info = &required["extensions"][SIGN_IN]["info"];
    let nonce = info["nonce"].as_str().unwrap();
    let opened = place.open(&action, nonce, NOW).unwrap();
    let text = place.text(&action, &opened, owner().address());
    assert_eq!(
        text,
        format!(
            "shop.example:8443 wants you to sign in with your Ethereum account:\n{}\n\n{}\n\nURI: {}\nVersion: 1\nChain ID: \
             84532\nNonce: {nonce}\nIssued At: {}\nExpiration Time: {}\nResources:\n- {}",
            owner().address(),
            info["statement"].as_str().unwrap(),
            info["uri"].as_str().unwrap(),
            info["issuedAt"].as_str().unwrap(),
            info["expirationTime"].as_str().unwrap(),
            info["resources"][0].as_str().unwrap(),
        )
    );
    assert_eq!(
        info["uri"],
        format!("https://shop.example:8443/grants/{GRANT}")
    );
    assert_eq!(info["domain"], "shop.example:8443");
    assert_eq!(info["issuedAt"], NOW.to_iso());
    assert!(!required.to_string().contains("\"\""), "{required}");
    assert_eq!(
        required["extensions"][SIGN_IN]["supportedChains"],
        json!([{"chainId": "eip155:84532", "type": "eip191"}])
    );
}

#[test]
fn a_nonce_is_good_for_one_action_for_five_minutes_and_only_if_it_is_ours() {
    let config = test_config();
    let origin = "https://shop.example".parse().unwrap();
    let place = Place {
        keys: &config.offers.keys,
        origin: &origin,
        network: Network::BaseSepolia,
    };
    let id: RequestId = GRANT.parse().unwrap();
    let other: RequestId = "another-request-id"
        .parse()
        .unwrap_or_else(|_| RequestId::from_random([1; 16]));
    let show = Action::Show(id.clone());
    let required = place.required(&show, [7; 16], NOW);
    let nonce = required["extensions"][SIGN_IN]["info"]["nonce"]
        .as_str()
        .unwrap();
    assert!(nonce.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert!(place.open(&show, nonce, NOW.plus(299)).is_some());
    assert!(place.open(&show, nonce, NOW.plus(300)).is_none());
    for action in [Action::List, Action::Revoke(id), Action::Show(other)] {
        assert!(place.open(&action, nonce, NOW).is_none(), "{action:?}");
    }
    // Another end, other random bytes, another seal.
    for at in [0, 15, 20, 31, 40, 63] {
        let mut bent = nonce.as_bytes().to_vec();
        bent[at] = if bent[at] == b'0' { b'1' } else { b'0' };
        let bent = String::from_utf8(bent).unwrap();
        assert!(place.open(&show, &bent, NOW).is_none(), "{at}");
    }
    for nonsense in [
        "",
        "00",
        &"0".repeat(64),
        &"z".repeat(64),
        &"0".repeat(9_999),
    ] {
        assert!(place.open(&show, nonsense, NOW).is_none());
    }
    let foreign = crate::offer::SealKeys::new(&Secret::new("another"), &[]);
    let place = Place {
        keys: &foreign,
        ..place
    };
    assert!(place.open(&show, nonce, NOW).is_none());
}

#[test]
fn the_payer_gets_its_token_and_takes_back_what_is_its() {
    let (config, wallet) = (test_config(), owner().address());
    let objects = bought_by(wallet, [stands(wallet, false)]);
    let header = signed(&config, ONE, &owner(), wallet);
    let shown = ask(&objects, ONE, &with(header.clone()), QUIET);
    assert_eq!(shown.status, 200, "{}", shown.body);
    assert_eq!(
        (shown.body["condition"].as_str(), shown.purchases),
        (Some("ACTIVE"), 1)
    );
    let token = shown.body["access"]["accessToken"].as_str().unwrap();
    assert_eq!(token.split('.').count(), 3);
    assert_eq!(
        shown.body["access"]["expiresAt"],
        END.to_iso(),
        "the end that it has now"
    );
    assert!(!shown.is_counted && shown.required.is_none());
    // The same signature again.
    let again = ask(&objects, ONE, &with(header), QUIET);
    assert_eq!((again.status, again.is_counted), (402, true));

    let delete = (&Method::DELETE, ONE.1);
    let objects = bought_by(wallet, [stands(wallet, true)]);
    let header = signed(&config, delete, &owner(), wallet);
    let gone = ask(&objects, delete, &with(header), QUIET);
    assert_eq!(
        (gone.body["condition"].as_str(), gone.purchases),
        (Some("REVOKED"), 0)
    );
    let asked = [(GRANT.to_owned(), MeterCommand::Revoke(Revoker::Payer))];
    assert_eq!(*objects.meters.asked.borrow(), asked);
}

#[test]
fn nobody_else_finds_anything_and_no_meter_is_asked() {
    let (config, wallet) = (test_config(), owner().address());
    let refuses = (NOW, Wallets(Some(Ok(WalletAnswer::NoCode))));
    let late = (NOW.plus(300), Wallets(None));
    let list = (&Method::GET, "/grants");
    let by_stranger = signed(&config, ONE, &stranger(), stranger().address());
    for (what, header, outside) in [
        ("a stranger", by_stranger, QUIET),
        (
            "a stranger as the owner",
            signed(&config, ONE, &stranger(), wallet),
            refuses,
        ),
        (
            "another action",
            signed(&config, list, &owner(), wallet),
            QUIET,
        ),
        ("too late", signed(&config, ONE, &owner(), wallet), late),
        ("nonsense", "nonsense".to_owned(), QUIET),
    ] {
        let objects = bought_by(wallet, []);
        let asked = ask(&objects, ONE, &with(header), outside);
        assert_eq!(asked.status, 402, "{what}");
        assert_eq!(asked.body["code"], "SIGN_IN_REQUIRED");
        assert!(asked.is_counted && asked.required.is_some(), "{what}");
        assert!(objects.meters.asked.borrow().is_empty(), "{what}");
    }
    // The book is wrong: the meter knows who paid.
    let objects = bought_by(wallet, [stands(stranger().address(), false)]);
    let header = signed(&config, ONE, &owner(), wallet);
    assert_eq!(ask(&objects, ONE, &with(header), QUIET).status, 402);
    // Who does not sign costs nothing.
    let asked = ask(&bought_by(wallet, []), ONE, &[], QUIET);
    assert_eq!((asked.status, asked.is_counted), (402, false));
}

#[test]
fn a_contract_wallet_is_asked_and_a_chain_that_is_gone_is_our_fault() {
    let config = test_config();
    let contract = Address::repeat_byte(0xc0);
    for (says, status) in [
        (Ok(WalletAnswer::Accepts), 200),
        (Ok(WalletAnswer::Refuses), 402),
        (Ok(WalletAnswer::NoCode), 402),
        (Err(()), 503),
    ] {
        let objects = bought_by(contract, [stands(contract, false)]);
        let header = signed(&config, ONE, &owner(), contract);
        let asked = ask(&objects, ONE, &with(header), (NOW, Wallets(Some(says))));
        assert_eq!(asked.status, status, "{says:?}");
        assert_eq!(asked.is_counted, status != 200);
    }
}

#[test]
fn a_list_shows_each_grant_also_when_one_does_not_answer() {
    let (config, wallet) = (test_config(), owner().address());
    let list = (&Method::GET, "/grants");
    for (replies, member) in [
        (vec![stands(wallet, false)], "left"),
        (vec![MeterReply::NotGranted], "endsAt"),
        (vec![], "error"),
    ] {
        let objects = bought_by(wallet, replies);
        let header = signed(&config, list, &owner(), wallet);
        let asked = ask(&objects, list, &with(header), QUIET);
        assert_eq!((asked.status, &asked.body["more"]), (200, &json!(0)));
        let grant = &asked.body["grants"][0];
        assert_eq!(grant["grant"], GRANT);
        assert!(grant.get(member).is_some(), "{grant}");
        assert_eq!(asked.purchases, 0, "no token is shown in a list");
    }
    let objects = bought_by(wallet, []);
    let stranger = stranger();
    let header = signed(&config, list, &stranger, stranger.address());
    for _ in 0..2 {
        let asked = ask(&objects, list, &with(header.clone()), QUIET);
        assert_eq!(asked.body, json!({"grants": [], "more": 0}));
    }
    objects.books.are_gone.set(true);
    let asked = ask(&objects, list, &with(header), QUIET);
    assert_eq!(asked.status, 503);
}

#[test]
fn who_has_only_the_token_sees_how_it_stands() {
    let (config, wallet) = (test_config(), owner().address());
    let token = |grant: &str| {
        let mut claims = claims();
        claims.exp = NOW.0 + 60;
        claims.grant = Some(grant.to_owned());
        let limits: crate::meter::Limits =
            serde_json::from_str(r#"{"quota":{"calls":9}}"#).unwrap();
        claims.limits = Some(limits.into());
        let signer: &TokenSigner = &config.token.signer;
        let token = signer.sign(&claims, &crate::token::NoRsa).now_or_never();
        vec![(
            "authorization",
            format!("Bearer {}", token.unwrap().unwrap()),
        )]
    };
    let objects = bought_by(wallet, [stands(wallet, false)]);
    let shown = ask(&objects, ONE, &token(GRANT), QUIET);
    assert_eq!(
        (shown.status, &shown.body["left"]["calls"]),
        (200, &json!(4))
    );
    assert_eq!((shown.body.get("access"), shown.purchases), (None, 0));
    for what in [(&Method::DELETE, ONE.1), (&Method::GET, "/grants")] {
        let asked = ask(&bought_by(wallet, []), what, &token(GRANT), QUIET);
        assert_eq!(asked.status, 402, "{what:?}");
    }
    let other = ask(&bought_by(wallet, []), ONE, &token("another"), QUIET);
    assert_eq!(other.status, 402);
}
