//! The OP Stack's gas price oracle: what a transaction's bytes cost on the L1 chain.
//! <https://docs.optimism.io/op-stack/transactions/fees>

use alloy_primitives::{Address, Bytes, U256, address};
use alloy_sol_types::{SolCall, sol};

/// The address of the oracle on each chain of the OP Stack. Other chains have no contract there.
pub(super) const ADDRESS: Address = address!("0x420000000000000000000000000000000000000F");

sol! {
    function getL1FeeUpperBound(uint256 unsignedTxSize) external view returns (uint256);
}

/// The call that asks for the most that a transaction of this size is charged.
pub(super) fn fee_call(bytes: usize) -> Bytes {
    getL1FeeUpperBoundCall {
        unsignedTxSize: U256::from(bytes),
    }
    .abi_encode()
    .into()
}

/// Reads the oracle's answer: a number, or nothing where there is no such contract.
pub(super) fn fee(answer: &[u8]) -> Option<U256> {
    match answer.len() {
        0 => Some(U256::ZERO),
        32 => Some(U256::from_be_slice(answer)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;

    use super::*;

    #[test]
    fn the_question_is_the_one_that_the_contract_understands() {
        let call = fee_call(4_096);
        assert_eq!(call[..4], hex!("f1c7a58b"));
        assert_eq!(call.len(), 36);
    }

    #[test]
    fn where_there_is_no_such_contract_there_is_no_fee() {
        assert_eq!(fee(&[]), Some(U256::ZERO));
        assert_eq!(fee(&U256::from(7).to_be_bytes::<32>()), Some(U256::from(7)));
        assert_eq!(fee(&[1; 31]), None);
    }
}
