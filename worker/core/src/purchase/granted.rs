//! What a purchase tells the meter of the grant that it has founded.

use super::state::{Purchase, State};
use crate::goods::Goods;
use crate::meter::Granted;
use crate::types::{Network, UnixSeconds};

/// What the purchase has granted. `None` if it is not delivered, has sold no limits, or belongs to another network: then
/// there is nothing to be counted. (A credential of the backend is counted by the backend.)
pub fn granted(record: &Purchase, network: Network) -> Option<Granted> {
    let State::Delivered {
        goods: Goods::Token { claims },
        ..
    } = &record.state
    else {
        return None;
    };
    let limits = record.sold.as_ref()?.access()?.limits;
    let is_counted = !limits.is_none() && record.terms.network == network;
    let plan = record.terms.target.plan()?.clone();
    is_counted.then_some(Granted {
        limits,
        plan,
        resource: record.terms.resource.clone(),
        payer: record.payer,
        from: UnixSeconds(claims.iat),
        ends_at: UnixSeconds(claims.exp),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Limits;
    use crate::purchase::sold::{Access, Sold};
    use crate::purchase::test_support::{
        access, attempted, buyer, claims, delivered_and_noted, record_after,
    };

    #[test]
    fn only_a_delivered_purchase_of_limits_on_this_network_founds_a_grant() {
        let limits: Limits = serde_json::from_str(r#"{"quota":{"calls":7}}"#).unwrap();
        let sold = |limits| Some(Sold::Access(Access { limits, ..access() }));
        let delivered = Purchase {
            sold: sold(limits),
            ..delivered_and_noted()
        };
        let expected = Granted {
            limits,
            plan: "basic".parse().unwrap(),
            resource: "default".parse().unwrap(),
            payer: buyer().address(),
            from: UnixSeconds(claims().iat),
            ends_at: UnixSeconds(claims().exp),
        };
        assert_eq!(granted(&delivered, Network::BaseSepolia), Some(expected));
        assert_eq!(granted(&delivered, Network::Base), None);
        let unlimited = Purchase {
            sold: sold(Limits::default()),
            ..delivered.clone()
        };
        let unpaid = Purchase {
            sold: sold(limits),
            ..record_after([attempted(1)])
        };
        for record in [unlimited, unpaid, delivered_and_noted()] {
            assert_eq!(granted(&record, Network::BaseSepolia), None);
        }
    }
}
