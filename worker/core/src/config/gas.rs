//! Limits on what the gas wallet pays for.

use super::gas_limit::GasLimit;
use super::vars::{Vars, address};
use crate::settlement::Settlement;
use crate::types::Address;

const MAX_FACTORIES: usize = 8;

/// The limits on what the gas wallet pays for.
#[derive(Debug)]
pub struct GasSettings {
    /// How much a payment's gas may cost.
    pub limit: GasLimit,
    /// The factories of smart wallets that are created when they pay for the first time.
    pub factories: Vec<Address>,
}

/// Reads the limits. The price of ether is a setting, because the worker has no source for it. If the setting is too
/// high, sales only stop a little earlier.
pub(super) fn read(vars: &mut Vars<'_>, settlement: Option<&Settlement>) -> Option<GasSettings> {
    let max_share_percent = vars.number("GAS_MAX_SHARE_PERCENT", 100, 1, 1_000_000);
    let dollars_per_ether = vars.number("ETH_USD_PRICE", 5_000, 1, 1_000_000);
    let factories = factories(vars, settlement);
    Some(GasSettings {
        limit: GasLimit {
            max_share_percent: max_share_percent?,
            dollars_per_ether: dollars_per_ether?,
        },
        factories,
    })
}

/// The factories of smart wallets. Empty unless the seller names some; only a gas wallet can call them.
fn factories(vars: &mut Vars<'_>, settlement: Option<&Settlement>) -> Vec<Address> {
    let factories = vars.list("KEY0_WALLET_FACTORIES", MAX_FACTORIES, address);
    if !factories.is_empty() && settlement.is_some_and(|routes| routes.gas_wallet().is_none()) {
        vars.problem(
            "KEY0_WALLET_FACTORIES",
            "needs USE_GAS_WALLET=true: facilitators do not deploy wallets",
        );
    }
    factories
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::tests::valid;

    const V1: &str = "0x0ba5ed0c6aa8c49038f819e587e2633c4a9f428a";
    const V1_1: &str = "0xba5ed110efdba3d005bfc882d75358acbbb85842";

    fn factories(list: &str, facilitator: bool) -> Result<usize, Vec<String>> {
        let lookup = |name: &str| match name {
            "KEY0_WALLET_FACTORIES" => Some(list.to_owned()),
            "USE_GAS_WALLET" if facilitator => Some("false".to_owned()),
            "FACILITATOR_URL" if facilitator => Some("https://f.example".to_owned()),
            _ => valid(name).map(str::to_owned),
        };
        Config::from_vars(lookup)
            .map(|config| config.gas.factories.len())
            .map_err(|problems| {
                let text =
                    |problem: super::super::Problem| format!("{} {}", problem.name, problem.reason);
                problems.into_iter().map(text).collect()
            })
    }

    #[test]
    fn none_is_listed_unless_the_seller_does() {
        assert_eq!(factories("", false), Ok(0));
        assert_eq!(factories("", true), Ok(0));
        assert_eq!(factories(&format!("{V1}, {V1_1}"), false), Ok(2));
    }

    #[test]
    fn what_is_no_factory_is_refused_and_so_is_a_list_that_nobody_can_use() {
        let nine = [V1; 9].join(",");
        for list in ["0x12", "0x0000000000000000000000000000000000000000", &nine] {
            let problems = factories(list, false).unwrap_err();
            assert!(
                problems[0].starts_with("KEY0_WALLET_FACTORIES"),
                "{problems:?}"
            );
        }
        let problems = factories(V1, true).unwrap_err();
        assert!(
            problems[0].contains("needs USE_GAS_WALLET=true"),
            "{problems:?}"
        );
    }
}
