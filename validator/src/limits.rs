//! What a token says of the calls it is good for.

#[cfg(feature = "_verify")]
mod read;

/// How many calls an access is good for, how fast they may come and how many at a time, as the plan said when it was
/// sold. What is left only the gateway knows: it counts the calls that pass through it, and those that a backend has counted
/// (feature `meter`).
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct Limits {
    /// How much may be used until the access ends; `None` for any number of calls.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub quota: Option<Quota>,
    /// How fast calls may come; `None` for any speed.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub rate: Option<Rate>,
    /// How many calls may be under way at a time; `None` for any number.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub concurrency: Option<u32>,
}

/// How much may be used until the access ends.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(rename_all = "camelCase")
)]
pub enum Quota {
    /// A number of calls.
    Calls(u64),
    /// US dollars, like `$5.00`, of which each call takes what it costs.
    Credit(String),
}

/// How fast calls may come: so many in each period.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct Rate {
    /// The number of calls.
    pub calls: u32,
    /// The period.
    pub per: Period,
}

/// The period of a [`Rate`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(rename_all = "camelCase")
)]
pub enum Period {
    /// A second.
    Second,
    /// 60 seconds.
    Minute,
    /// 3,600 seconds.
    Hour,
}
