//! What is sealed opens, and nothing else does.

use crate::json;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::layout::{decode, encode};
use super::seal::{MAX_ID_CHARS, TAG_BYTES};
use super::*;
use crate::meter::Limits;
use crate::types::{
    Address, Network, PlanId, RequestId, ResourceId, RouteId, Secret, UnixSeconds, UsdcAmount,
};

fn keys(secret: &str, old: &[&str]) -> SealKeys {
    let old: Vec<_> = old.iter().copied().map(Secret::new).collect();
    SealKeys::new(&Secret::new(secret), &old)
}

fn any_target() -> impl Strategy<Value = Target> {
    let id = || "[A-Za-z0-9._-]{1,64}";
    prop_oneof![
        id().prop_filter_map("an id", |text| text.parse::<PlanId>().ok())
            .prop_map(Target::Plan),
        (
            id().prop_filter_map("an id", |text| text.parse::<RouteId>().ok()),
            any::<[u8; 32]>()
        )
            .prop_map(|(id, call)| Target::Route {
                id,
                call: CallDigest::from_bytes(call)
            }),
        (
            "[A-Za-z0-9._~-]{1,64}".prop_filter_map("an id", |text| text.parse().ok()),
            any::<([u8; 16], bool)>()
        )
            .prop_map(|(plan, (id, is_derived))| Target::TopUp {
                plan,
                grant: RequestId::from_bytes(id, is_derived),
            }),
    ]
}

/// Numbers of any size, small ones as often as large ones.
fn any_number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0u32..64).prop_map(|(number, shift)| number >> shift)
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let resource = "[A-Za-z0-9._~:/@-]{1,128}"
        .prop_filter_map("an id", |text| text.parse::<ResourceId>().ok());
    (
        any::<([u8; 16], bool, bool, bool)>(),
        any_target(),
        resource,
        any::<(Option<[u8; 8]>, [u8; 20], bool)>(),
        [any_number(), any_number(), any_number(), any_number()],
    )
        .prop_map(|(named, target, resource, rest, numbers)| {
            let (id, is_derived, chosen, by_holder) = named;
            let (extra, pay_to, is_main) = rest;
            let [amount, issued, expires, lifetime] = numbers;
            Terms {
                request_id: RequestId::from_bytes(id, is_derived),
                chosen,
                by_holder: by_holder && target.grant().is_some(),
                target,
                resource,
                lifetime,
                extra: extra.map(ExtraDigest::from_bytes),
                amount: UsdcAmount::from_units(amount),
                pay_to: Address::from(pay_to),
                network: match is_main {
                    true => Network::Base,
                    false => Network::BaseSepolia,
                },
                issued_at: UnixSeconds(issued),
                expires_at: UnixSeconds(expires),
            }
        })
}

fn an_hour() -> Terms {
    Terms {
        request_id: "550e8400-e29b-41d4-a716-446655440000".parse().unwrap(),
        chosen: true,
        target: Target::Plan("basic".parse().unwrap()),
        by_holder: false,
        resource: ResourceId::default(),
        lifetime: 3_600,
        extra: None,
        amount: UsdcAmount::from_units(15_000),
        pay_to: "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"
            .parse()
            .unwrap(),
        network: Network::BaseSepolia,
        issued_at: UnixSeconds(1_800_000_000),
        expires_at: UnixSeconds(1_800_000_960),
    }
}

fn a_call() -> Terms {
    Terms {
        request_id: RequestId::derived(&[7; 16]),
        chosen: false,
        target: Target::Route {
            id: "weather".parse().unwrap(),
            call: CallDigest::of([b"GET".as_slice(), b"/weather/oslo"]),
        },
        resource: "/weather/:city".parse().unwrap(),
        lifetime: 0,
        extra: Some(ExtraDigest::from_bytes(*b"8 bytes.")),
        network: Network::Base,
        ..an_hour()
    }
}

/// Terms in which every member has its greatest length.
fn longest() -> Terms {
    let number = u64::MAX;
    Terms {
        request_id: RequestId::derived(&[0xff; 16]),
        chosen: true,
        target: Target::Route {
            id: "r".repeat(64).parse().unwrap(),
            call: CallDigest::from_bytes([0xff; 32]),
        },
        by_holder: false,
        resource: "r".repeat(128).parse().unwrap(),
        lifetime: number,
        extra: Some(ExtraDigest::from_bytes([0xff; 8])),
        amount: UsdcAmount::from_units(number),
        pay_to: Address::repeat_byte(0xff),
        network: Network::BaseSepolia,
        issued_at: UnixSeconds(number),
        expires_at: UnixSeconds(number - 1),
    }
}

/// The bytes of terms and seal that an id's text encodes.
fn bytes(id: &ChallengeId) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(id.as_str()).unwrap()
}

/// Buyers hold ids in this form, so they must stay readable: a change here needs a new version byte.
#[test]
fn the_sealed_form_of_a_plan_and_of_a_call_is_unchanged() {
    let keys = keys("0123456789abcdef0123456789abcdef", &[]);
    assert_eq!(
        keys.seal(an_hour()).id.as_str(),
        "AgEAVQ6EAOKbQdSnFkRmVUQAAAViYXNpYwdkZWZhdWx0IJaTvGr8DFMoujb68DxRTvMSKHy0lAWYdYCkp9oGwAeQHAKsZRc7Obj0eFVPDLvX1hY"
    );
    assert_eq!(
        keys.seal(a_call()).id.as_str(),
        "AgYBBwcHBwcHBwcHBwcHBwcHBwd3ZWF0aGVyQB7CwT_wUl0mczGh3vGFK1clKJH4SxaP3aJPULhtnuAOL3dlYXRoZXIvOmNpdHkglpO8avwMUyi6NvrwPFFO8xIofIVCmHWApKfaBsAHADggYnl0ZXMuvE-P1etd9I5ElpOpstvfkA"
    );
}

#[test]
fn a_top_up_stands_in_the_id_with_its_grant_and_with_what_was_shown() {
    let terms = |id, by_holder| Terms {
        target: Target::TopUp {
            plan: "basic".parse().unwrap(),
            grant: id,
        },
        by_holder,
        ..an_hour()
    };
    let plain = encode(&an_hour());
    let (start, rest) = (&plain[3..25], &plain[25..]);
    for (id, by_holder, flags) in [
        (RequestId::from_random([7; 16]), false, 1),
        (RequestId::derived(&[7; 16]), false, 1 + 8),
        (RequestId::derived(&[7; 16]), true, 1 + 8 + 16),
    ] {
        let terms = terms(id.clone(), by_holder);
        let bytes = [&[2, flags, 2][..], start, &id.to_bytes(), rest].concat();
        assert_eq!(encode(&terms), bytes);
        assert_eq!(decode(&bytes), Some(terms));
    }
}

#[test]
fn the_terms_stand_in_the_id_member_by_member() {
    let call = CallDigest::of([b"GET".as_slice(), b"/weather/oslo"]);
    let pay_to = an_hour().pay_to;
    let parts: [&[u8]; 9] = [
        // The version, the flags, and the kind of target: a route.
        &[2, 2 + 4, 1],
        &[7; 16],
        b"\x07weather",
        call.as_bytes(),
        b"\x0e/weather/:city",
        pay_to.as_slice(),
        // The numbers 8,453; 15,000; 1,800,000,000; 960.
        &[
            0x85, 0x42, 0x98, 0x75, 0x80, 0xa4, 0xa7, 0xda, 0x06, 0xc0, 0x07,
        ],
        &[0],
        b"8 bytes.",
    ];
    assert_eq!(encode(&a_call()), parts.concat());
}

#[test]
fn the_longest_legal_terms_fit_into_an_id() {
    let keys = keys("current", &[]);
    let sealed = keys.seal(longest());
    let length = sealed.id.as_str().len();
    assert!(length <= MAX_ID_CHARS, "{length}");
    assert_eq!(keys.open(sealed.id.as_str()), Some(sealed));
}

#[test]
fn what_is_written_in_another_way_is_not_read() {
    let plain = encode(&an_hour());
    assert_eq!(decode(&plain), Some(an_hour()));
    let changed = |at: usize, byte: u8| {
        let mut bytes = plain.clone();
        bytes[at] = byte;
        decode(&bytes)
    };
    // Other versions, unknown flags, those of a top-up, and other kinds of target. (As a top-up, these bytes end too early.)
    for version in [0, 1, 3, 255] {
        assert_eq!(changed(0, version), None, "version {version}");
    }
    for flag in 3..8 {
        assert_eq!(changed(1, 1 | 1 << flag), None, "flag {flag}");
    }
    for kind in 2..=255 {
        assert_eq!(changed(2, kind), None, "kind {kind}");
    }
    // The lifetime is the last member. Here a group of zeros follows it, or it has more than 64 bits.
    let (before, lifetime) = plain.split_at(plain.len() - 2);
    assert_eq!(lifetime, [0x90, 0x1c]);
    for longer in [&[0x90, 0x9c, 0x00][..], &[0x80; 10], &[0xff; 10]] {
        assert_eq!(decode(&[before, longer].concat()), None, "{longer:x?}");
    }
    let most = [&[0xff; 9][..], &[0x01]].concat();
    let too_much = [&[0xff; 9][..], &[0x02]].concat();
    let lifetime = |bytes: &[u8]| decode(&[before, bytes].concat()).map(|terms| terms.lifetime);
    assert_eq!(lifetime(&most), Some(u64::MAX));
    assert_eq!(lifetime(&too_much), None);
}

#[test]
fn a_text_that_decodes_to_the_same_bytes_is_another_id() {
    let keys = keys("current", &[]);
    let id = keys.seal(an_hour()).id;
    assert_ne!(bytes(&id).len() % 3, 0, "there are bits to spare");
    let last = id.as_str().chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for other in alphabet.chars().filter(|other| *other != last) {
        let text = format!("{}{other}", &id.as_str()[..id.as_str().len() - 1]);
        assert_eq!(keys.open(&text), None, "{text}");
    }
    for text in [format!("{id}="), format!(" {id}"), format!("{id}\n")] {
        assert_eq!(keys.open(&text), None);
    }
}

#[test]
fn two_calls_of_one_route_and_a_plan_of_the_same_id_have_three_keys() {
    let call = |city: &[u8]| Target::Route {
        id: "weather".parse().unwrap(),
        call: CallDigest::of([b"GET".as_slice(), city]),
    };
    let plan = Target::Plan("weather".parse().unwrap());
    let keys = [plan.key(), call(b"oslo").key(), call(b"rome").key()];
    assert!(keys[0] != keys[1] && keys[1] != keys[2]);
    assert_eq!(call(b"oslo").key(), call(b"oslo").key());
    assert_eq!(keys[0], "plan weather");
}

#[test]
fn a_target_says_what_it_is_and_what_is_paid_for() {
    let origin = "https://shop.example";
    let (plan, call) = (an_hour(), a_call());
    let words = |terms: &Terms| (terms.target.kind(), terms.target.member());
    assert_eq!(words(&plan), ("plan", "planId"));
    assert_eq!(words(&call), ("route", "routeId"));
    assert_eq!(plan.url(origin), "https://shop.example/x402/access");
    assert_eq!(call.url(origin), "https://shop.example/weather/:city");
}

const UNLIMITED: Limits = Limits {
    quota: None,
    rate: None,
    concurrency: None,
};

fn extra(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn what_the_backend_is_told_is_known_by_its_digest_whatever_the_order_of_its_members() {
    let keys = keys("current", &[]);
    let one = extra(r#"{"tier":"gold","seats":5,"more":{"b":1,"a":2}}"#);
    let same = extra(r#"{"seats":5,"more":{"a":2,"b":1},"tier":"gold"}"#);
    let digest = keys.digest(&one, &UNLIMITED).unwrap();
    assert_eq!(keys.digest(&same, &UNLIMITED), Some(digest));
    assert!(keys.is_extra(digest, &same, &UNLIMITED));
    for other in [r#"{"tier":"gold","seats":5}"#, r#"{"tier":"lead"}"#, "{}"] {
        assert!(!keys.is_extra(digest, &extra(other), &UNLIMITED), "{other}");
    }
    assert_eq!(keys.digest(&Map::new(), &UNLIMITED), None);
}

#[test]
fn limits_are_part_of_what_is_sold_and_without_them_the_digest_is_what_it_was_before() {
    let keys = keys("current", &[]);
    let limits = |text: &str| serde_json::from_str::<Limits>(text).unwrap();
    let (told, nothing) = (extra(r#"{"tier":"gold"}"#), Map::new());
    let calls = limits(r#"{"quota":{"calls":1650}}"#);
    let digests: Vec<_> = [
        (&told, UNLIMITED),
        (&told, calls),
        (&nothing, calls),
        (&nothing, limits(r#"{"quota":{"calls":1651}}"#)),
        (&nothing, limits(r#"{"quota":{"credit":"$0.001650"}}"#)),
        (&nothing, limits(r#"{"rate":{"calls":1650,"per":"hour"}}"#)),
        (&nothing, limits(r#"{"concurrency":1}"#)),
    ]
    .iter()
    .map(|(extra, limits)| keys.digest(extra, limits).unwrap())
    .collect();
    for (at, digest) in digests.iter().enumerate() {
        assert!(!digests[..at].contains(digest), "{at}");
    }
    // An offer from before there were limits.
    let before = serde_json::to_value(digests[0]).unwrap();
    assert_eq!(before, "0xec4b22e13a073dfd");
}

#[test]
fn what_the_backend_is_told_cannot_be_guessed_from_an_offer_and_outlives_its_key() {
    let told = extra(r#"{"tier":"gold"}"#);
    let digest = keys("before", &[]).digest(&told, &UNLIMITED).unwrap();
    assert!(!keys("a guess", &[]).is_extra(digest, &told, &UNLIMITED));
    assert!(keys("after", &["before"]).is_extra(digest, &told, &UNLIMITED));
}

#[test]
fn terms_are_stored_without_what_is_not_there() {
    let shown = serde_json::to_value(a_call()).unwrap();
    assert_eq!(
        shown["target"],
        json!({"route": {"id": "weather", "call": CallDigest::of([b"GET".as_slice(), b"/weather/oslo"])}})
    );
    assert_eq!(shown.get("chosen"), None);
    for terms in [an_hour(), a_call(), longest()] {
        let shown = serde_json::to_value(&terms).unwrap();
        assert_eq!(serde_json::from_value::<Terms>(shown).unwrap(), terms);
    }
}

proptest! {
    #[test]
    fn what_is_sealed_opens_to_the_same_terms(terms in any_terms()) {
        let keys = keys("current", &[]);
        let sealed = keys.seal(terms.clone());
        prop_assert!(sealed.id.as_str().len() <= MAX_ID_CHARS);
        prop_assert_eq!(keys.seal(terms.clone()), sealed.clone(), "deterministic");
        let opened = keys.open(sealed.id.as_str());
        prop_assert_eq!(opened.map(|offer| offer.terms), Some(terms));
    }

    /// Whoever has the key could also seal terms in another form; nobody else can.
    #[test]
    fn what_is_read_is_written_in_one_way_only(
        terms in any_terms(),
        at: prop::sample::Index,
        byte: u8,
        cut in 0usize..3,
        more in prop::collection::vec(any::<u8>(), 0..3),
    ) {
        let mut bytes = encode(&terms);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(bytes.len() - cut);
        bytes.extend(more);
        if let Some(read) = decode(&bytes) {
            prop_assert_eq!(encode(&read), bytes);
        }
    }

    #[test]
    fn bytes_without_meaning_are_not_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(read) = decode(&bytes) {
            prop_assert_eq!(encode(&read), bytes);
        }
    }

    #[test]
    fn a_changed_byte_opens_nothing(terms in any_terms(), at: prop::sample::Index, flip in 1u8..=255) {
        let keys = keys("current", &[]);
        let mut bytes = bytes(&keys.seal(terms).id);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert_eq!(keys.open(&URL_SAFE_NO_PAD.encode(bytes)), None);
    }

    #[test]
    fn a_shortened_or_lengthened_id_opens_nothing(terms in any_terms(), cut in 1usize..40) {
        let keys = keys("current", &[]);
        let id = keys.seal(terms).id;
        prop_assert_eq!(keys.open(&id.as_str()[..id.as_str().len() - cut.min(id.as_str().len())]), None);
        let extended = format!("{id}AAAA");
        prop_assert_eq!(keys.open(&extended), None);
        let bytes = bytes(&id);
        prop_assert_eq!(keys.open(&URL_SAFE_NO_PAD.encode(&bytes[..bytes.len() - TAG_BYTES])), None);
    }

    #[test]
    fn an_old_key_opens_and_a_foreign_key_does_not(terms in any_terms()) {
        let before = keys("before", &[]).seal(terms);
        prop_assert!(keys("after", &["before"]).open(before.id.as_str()).is_some());
        prop_assert!(keys("after", &[]).open(before.id.as_str()).is_none());
    }

    #[test]
    fn hostile_ids_never_panic(text in ".{0,600}") {
        prop_assert_eq!(keys("current", &[]).open(&text), None);
    }
}
