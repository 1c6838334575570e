//! The calls around contract wallets: "is this your signature?" (EIP-1271), and a wallet's creation together with what it is
//! created for, in one call of Multicall3. So either both happen or nothing, and a factory never sees our wallet as its caller.

use alloy_primitives::{Address, B256, Bytes, address, fixed_bytes};
use alloy_sol_types::{SolCall, sol};

use super::signature::Deployment;

sol! {
    function isValidSignature(bytes32 hash, bytes signature) external view returns (bytes4);

    struct Call3 {
        address target;
        bool allowFailure;
        bytes callData;
    }

    struct Result {
        bool success;
        bytes returnData;
    }

    function aggregate3(Call3[] calls) external payable returns (Result[] returnData);
}

/// The contract that makes several calls in one, at the same address on every chain.
pub const MULTICALL: Address = address!("0xcA11bde05977b3631167028862bE2a173976CA11");
/// The most gas that a wallet may use to look at its signature, and that a transfer may use in all. A hostile wallet may use
/// all of it, each time, and revert.
pub const MAX_WALLET_GAS: u64 = 400_000;
/// The same when the wallet is created first.
pub const MAX_DEPLOYMENT_GAS: u64 = 1_200_000;

/// What a wallet says to a signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WalletAnswer {
    /// It is its own.
    Accepts,
    /// It is not, or the wallet does not answer this question.
    Refuses,
    /// There is nobody to ask: the address has no code.
    NoCode,
}

/// The question to a wallet that exists.
pub fn question(digest: B256, signature: &Bytes) -> Bytes {
    isValidSignatureCall {
        hash: digest,
        signature: signature.clone(),
    }
    .abi_encode()
    .into()
}

/// Its answer.
pub fn answer(returned: &[u8]) -> WalletAnswer {
    let magic = fixed_bytes!("1626ba7e00000000000000000000000000000000000000000000000000000000");
    match returned {
        [] => WalletAnswer::NoCode,
        word if word == magic.as_slice() => WalletAnswer::Accepts,
        _ => WalletAnswer::Refuses,
    }
}

/// A call of [`MULTICALL`] that creates a wallet and then makes one other call. Somebody may have created it a moment before:
/// only the other call must succeed.
pub fn after_deployment(
    deployment: &Deployment,
    target: Address,
    call: Bytes,
    may_fail: bool,
) -> Bytes {
    let calls = vec![
        Call3 {
            target: deployment.factory,
            allowFailure: true,
            callData: deployment.call.clone(),
        },
        Call3 {
            target,
            allowFailure: may_fail,
            callData: call,
        },
    ];
    aggregate3Call { calls }.abi_encode().into()
}

/// The answer of the wallet that was created. `None` for what is no such answer.
pub fn answer_after_deployment(returned: &[u8]) -> Option<WalletAnswer> {
    let results = aggregate3Call::abi_decode_returns(returned).ok()?;
    let [_, asked] = results.as_slice() else {
        return None;
    };
    Some(match asked.success {
        true => answer(&asked.returnData),
        false => WalletAnswer::Refuses,
    })
}

/// What [`MULTICALL`] returns for a creation and a question that succeeds.
#[cfg(test)]
pub(super) fn results_for_tests(deployed: bool, returned: &[u8]) -> String {
    let results = vec![
        Result {
            success: deployed,
            returnData: Bytes::new(),
        },
        Result {
            success: true,
            returnData: Bytes::copy_from_slice(returned),
        },
    ];
    alloy_primitives::hex::encode_prefixed(aggregate3Call::abi_encode_returns(&results))
}
