//! Terms as bytes, as a sealed id contains them. Each id has one meaning, and the same terms have only one form: bytes
//! in any other form are not read.
//!
//! In this order:
//!
//! | bytes | |
//! |---|---|
//! | 1 | version: 2 |
//! | 1 | flags: 1 the client has named the purchase; 2 the digest of `extra` and limits follows; 4 the request id is derived from a payment; 8 for a top-up: the same of its grant's id; 16 for a top-up: the client has shown the grant's token. The others are 0 |
//! | 1 | kind of target: 0 plan, 1 route, 2 top-up of a grant |
//! | 16 | request id: a UUID's bytes, or those that it was derived from |
//! | 1 + n | the length of the plan's or route's id, and the id |
//! | 32 | of a route: the digest of the call. Of a top-up, 16: the id of the purchase that founded the grant |
//! | 1 + n | the resource's length, and the resource |
//! | 20 | recipient |
//! | numbers | chain id; amount in micro-units; issue in seconds since 1970; seconds from issue to expiry; lifetime of the access in seconds |
//! | 8 | the digest of `extra` and limits, if its flag is set |
//!
//! A number is written in groups of seven bits, the lowest first, each but the last with its high bit set (LEB128), and in as few
//! bytes as it needs.

use core::str::FromStr;

use super::digest::{CallDigest, ExtraDigest};
use super::target::Target;
use super::terms::Terms;
use crate::types::{Address, Network, RequestId, UnixSeconds, UsdcAmount};

const VERSION: u8 = 2;

const CHOSEN: u8 = 1;
const HAS_EXTRA: u8 = 2;
const DERIVED: u8 = 4;
const GRANT_DERIVED: u8 = 8;
const HOLDER: u8 = 16;

const PLAN: u8 = 0;
const ROUTE: u8 = 1;
const TOP_UP: u8 = 2;

/// The longest `u64`, in groups of seven bits.
const MAX_NUMBER_BYTES: usize = 10;

pub(super) fn encode(terms: &Terms) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(160);
    let flag = |bit, is_set: bool| if is_set { bit } else { 0 };
    bytes.extend([
        VERSION,
        flag(CHOSEN, terms.chosen)
            | flag(HAS_EXTRA, terms.extra.is_some())
            | flag(DERIVED, terms.request_id.is_derived())
            | flag(
                GRANT_DERIVED,
                terms.target.grant().is_some_and(RequestId::is_derived),
            )
            | flag(HOLDER, terms.by_holder),
        match &terms.target {
            Target::Plan(_) => PLAN,
            Target::TopUp { .. } => TOP_UP,
            Target::Route { .. } => ROUTE,
        },
    ]);
    bytes.extend(terms.request_id.to_bytes());
    put_text(&mut bytes, terms.target.id());
    match &terms.target {
        Target::Plan(_) => {}
        Target::TopUp { grant, .. } => bytes.extend(grant.to_bytes()),
        Target::Route { call, .. } => bytes.extend(call.as_bytes()),
    }
    put_text(&mut bytes, terms.resource.as_str());
    bytes.extend(terms.pay_to.as_slice());
    for number in [
        terms.network.chain_id(),
        terms.amount.units(),
        terms.issued_at.0,
        // An expiry before the issue wraps around to a large number.
        terms.expires_at.0.wrapping_sub(terms.issued_at.0),
        terms.lifetime,
    ] {
        put_number(&mut bytes, number);
    }
    if let Some(extra) = &terms.extra {
        bytes.extend(extra.as_bytes());
    }
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Option<Terms> {
    let mut reader = Reader(bytes);
    let [version, flags, kind] = reader.array()?;
    let known = match kind {
        TOP_UP => CHOSEN | HAS_EXTRA | DERIVED | GRANT_DERIVED | HOLDER,
        _ => CHOSEN | HAS_EXTRA | DERIVED,
    };
    if version != VERSION || flags & !known != 0 {
        return None;
    }
    let is_set = |bit| flags & bit != 0;
    let request_id = RequestId::from_bytes(reader.array()?, is_set(DERIVED));
    let target = match kind {
        PLAN => Target::Plan(reader.text()?),
        TOP_UP => Target::TopUp {
            plan: reader.text()?,
            grant: RequestId::from_bytes(reader.array()?, is_set(GRANT_DERIVED)),
        },
        ROUTE => Target::Route {
            id: reader.text()?,
            call: CallDigest::from_bytes(reader.array()?),
        },
        _ => return None,
    };
    let resource = reader.text()?;
    let pay_to = Address::from(reader.array::<20>()?);
    let network = Network::from_chain_id(reader.number()?)?;
    let amount = UsdcAmount::from_units(reader.number()?);
    let issued_at = UnixSeconds(reader.number()?);
    let expires_at = UnixSeconds(issued_at.0.wrapping_add(reader.number()?));
    let lifetime = reader.number()?;
    let extra = match is_set(HAS_EXTRA) {
        true => Some(ExtraDigest::from_bytes(reader.array()?)),
        false => None,
    };
    reader.0.is_empty().then_some(Terms {
        request_id,
        chosen: is_set(CHOSEN),
        target,
        by_holder: is_set(HOLDER),
        resource,
        lifetime,
        extra,
        amount,
        pay_to,
        network,
        issued_at,
        expires_at,
    })
}

/// Writes a text's length in one byte, and the text: ids have at most 128 bytes by construction.
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    bytes.extend(text.as_bytes());
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let group = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(group);
            return;
        }
        bytes.push(group | 0x80);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u64> {
        let mut number: u64 = 0;
        for at in 0..MAX_NUMBER_BYTES {
            let [byte] = self.array()?;
            let group = u64::from(byte & 0x7f);
            let shifted = group << (7 * at);
            // The tenth byte has room for one bit only.
            if shifted >> (7 * at) != group {
                return None;
            }
            number |= shifted;
            if byte & 0x80 == 0 {
                // A last group of zeros would be the same number written in more bytes.
                let is_shortest = byte != 0 || at == 0;
                return is_shortest.then_some(number);
            }
        }
        None
    }

    fn text<T: FromStr>(&mut self) -> Option<T> {
        let [length] = self.array()?;
        let text = self.take(usize::from(length))?;
        core::str::from_utf8(text).ok()?.parse().ok()
    }
}
