//! A grant as its payer and the operator read it.

use serde::Serialize;
use serde_json::Value;

use super::limits::{Limits, Quota};
use super::message::{Revoker, Told};
use crate::types::{Address, UnixMillis, UnixSeconds, UsdcAmount};

/// Whether calls can be made with a grant.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Condition {
    /// They can.
    Active,
    /// Nothing of its quota is left, or all that is left is set aside for calls under way.
    UsedUp,
    /// Its time is over.
    Ended,
    /// It was taken back.
    Revoked,
}

/// What is shown of a grant.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown<'a> {
    /// The grant's id.
    pub grant: &'a str,
    /// The plan that was bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<&'a str>,
    /// Whether calls can be made with it.
    pub condition: Condition,
    /// What was promised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// What is left of the quota, in the same form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<Quota>,
    /// When it ends.
    pub ends_at: String,
    /// That it was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<ShownRevoked>,
    /// The wallet that paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payer: Option<Address>,
    /// The access, as the buyer got it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Value>,
}

/// That a grant was taken back.
#[derive(Clone, Debug, Serialize)]
pub struct ShownRevoked {
    /// Who has done it.
    pub by: Revoker,
    /// When.
    pub at: String,
}

impl<'a> Shown<'a> {
    /// What is shown of a grant of which this was told.
    pub fn new(grant: &'a str, told: &Told, now: UnixMillis) -> Self {
        let standing = &told.standing;
        let left = standing.limits.quota.map(|quota| match quota {
            Quota::Calls(_) => Quota::Calls(standing.left),
            Quota::Credit(_) => Quota::Credit(UsdcAmount::from_units(standing.left)),
        });
        Self {
            condition: match told.revoked {
                Some(_) => Condition::Revoked,
                None if standing.ends_at <= now.to_seconds() => Condition::Ended,
                None if left.is_some() && standing.left == 0 => Condition::UsedUp,
                None => Condition::Active,
            },
            limits: Some(standing.limits),
            left,
            revoked: told.revoked.map(|revoked| ShownRevoked {
                by: revoked.by,
                at: revoked.at.to_seconds().to_iso(),
            }),
            ..Self::ended(grant, standing.ends_at)
        }
    }

    /// A grant that has ended, and of which nothing else is known.
    pub fn ended(grant: &'a str, ends_at: UnixSeconds) -> Self {
        Self {
            grant,
            plan_id: None,
            condition: Condition::Ended,
            limits: None,
            left: None,
            ends_at: ends_at.to_iso(),
            revoked: None,
            payer: None,
            access: None,
        }
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use crate::json;

    use super::*;
    use crate::meter::{Revoked, Standing};

    #[test]
    fn a_grant_is_shown_with_what_is_left_in_the_form_of_its_quota() {
        let now = UnixMillis(1_800_000_000_000);
        let told = |limits: &str, left, ends_at, revoked| Told {
            standing: Standing {
                limits: serde_json::from_str(limits).unwrap(),
                left,
                left_now: 0,
                next_in: 0,
                ends_at: UnixSeconds(ends_at),
            },
            payer: Address::ZERO,
            revoked,
        };
        let shown = |told| Shown::new("a", &told, now).json();
        assert_eq!(
            shown(told(r#"{"quota":{"calls":9}}"#, 4, 1_800_000_001, None)),
            json!({
                "grant": "a", "condition": "ACTIVE", "limits": {"quota": {"calls": 9}}, "left": {"calls": 4},
                "endsAt": UnixSeconds(1_800_000_001).to_iso(),
            })
        );
        let credit = r#"{"quota":{"credit":"$5.00"}}"#;
        let used_up = shown(told(credit, 0, 1_800_000_001, None));
        assert_eq!(used_up["condition"], "USED_UP");
        assert_eq!(used_up["left"], json!({"credit": "$0.00"}));
        let fast = r#"{"concurrency":2}"#;
        let active = shown(told(fast, 0, 1_800_000_001, None));
        assert_eq!(
            (&active["condition"], active.get("left")),
            (&json!("ACTIVE"), None)
        );
        let ended = shown(told(credit, 0, 1_800_000_000, None));
        assert_eq!(ended["condition"], "ENDED");
        let by = Revoker::Operator;
        let revoked = shown(told(credit, 7, 0, Some(Revoked { by, at: now })));
        assert_eq!(revoked["condition"], "REVOKED");
        assert_eq!(
            revoked["revoked"],
            json!({"by": "operator", "at": now.to_seconds().to_iso()})
        );
    }
}
