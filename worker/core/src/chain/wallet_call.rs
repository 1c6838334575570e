//! Calls of contract wallets: the question whether a signature is the wallet's (EIP-1271), and a wallet's creation
//! together with the call that it is created for. Multicall3 makes both in one transaction, so that both happen or
//! neither, and a factory never sees our wallet as its caller.

use alloy_primitives::{Address, B256, Bytes, address, hex};

use super::abi::{Reader, Writer, padded};
use super::signature::Deployment;

/// The selector of `isValidSignature(bytes32,bytes)`, which is also the answer that means yes.
const IS_VALID_SIGNATURE: [u8; 4] = hex!("1626ba7e");
/// The selector of `aggregate3((address,bool,bytes)[])`.
const AGGREGATE3: [u8; 4] = hex!("82ad56cb");

/// The contract that makes several calls in one, at the same address on every chain.
pub const MULTICALL: Address = address!("0xcA11bde05977b3631167028862bE2a173976CA11");
/// The most gas that a wallet may use to check its signature, and that a transfer may use in all. A hostile wallet may
/// use all of it each time, and revert.
pub const MAX_WALLET_GAS: u64 = 400_000;
/// The most gas for such a call when the wallet is created first.
pub const MAX_DEPLOYMENT_GAS: u64 = 1_200_000;

/// How a wallet judges a signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WalletAnswer {
    /// The signature is the wallet's own.
    Accepts,
    /// The signature is not the wallet's, or the wallet does not answer this question.
    Refuses,
    /// There is no wallet to ask: the address has no code.
    NoCode,
}

/// The call that asks a wallet that exists.
pub fn question(digest: B256, signature: &Bytes) -> Bytes {
    Writer::new(&IS_VALID_SIGNATURE)
        .word(digest)
        .number(0x40)
        .blob(signature)
        .finish()
}

/// Reads the wallet's answer.
pub fn answer(returned: &[u8]) -> WalletAnswer {
    match returned {
        [] => WalletAnswer::NoCode,
        // The answer is the selector, filled up to a word with zeros.
        word if word.len() == 32
            && word
                .strip_prefix(&IS_VALID_SIGNATURE)
                .is_some_and(|rest| rest.iter().all(|byte| *byte == 0)) =>
        {
            WalletAnswer::Accepts
        }
        _ => WalletAnswer::Refuses,
    }
}

/// A call of [`MULTICALL`] that creates a wallet and then makes one other call. Only that other call must succeed, because
/// the wallet may have been created a moment before.
pub fn after_deployment(
    deployment: &Deployment,
    target: Address,
    call: &Bytes,
    may_fail: bool,
) -> Bytes {
    // Each of the two entries has a target, whether it may fail, the offset of its bytes, their length, and the bytes.
    let first = 4_usize
        .saturating_mul(32)
        .saturating_add(padded(deployment.call.len()));
    let mut writer = Writer::new(&AGGREGATE3);
    // The only argument is a list of two entries. Their offsets are counted from the end of the list's length.
    writer
        .number(0x20)
        .number(2)
        .number(0x40)
        .number(first.saturating_add(0x40));
    for (target, may_fail, call) in [
        (deployment.factory, true, &deployment.call),
        (target, may_fail, call),
    ] {
        writer
            .word(target.into_word())
            .number(usize::from(may_fail))
            .number(0x60)
            .blob(call);
    }
    writer.finish()
}

/// Reads the answer of a wallet that was created in the same call. `None` if the data are no such answer.
pub fn answer_after_deployment(returned: &[u8]) -> Option<WalletAnswer> {
    let list = Reader(returned).behind(0)?;
    if list.number(0)? != 2 {
        return None;
    }
    let items = list.at(32)?;
    let asked = items.behind(1)?;
    let returned = asked.behind(1)?.blob()?;
    Some(match asked.number(0)? {
        0 => WalletAnswer::Refuses,
        _ => answer(returned),
    })
}

#[cfg(test)]
pub(super) mod tests {
    //! Compares this module with the general coder.

    use alloy_sol_types::{SolCall, SolType, sol, sol_data};
    use proptest::prelude::*;

    use super::super::signature::WalletSignature;
    use super::*;

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

    /// What [`MULTICALL`] returns for a creation and a question. `deployed` and `asked` tell which of them succeed.
    pub(in super::super) fn results(deployed: bool, asked: bool, returned: &[u8]) -> Vec<u8> {
        let results = vec![
            Result {
                success: deployed,
                returnData: Bytes::from_static(&[1; 40]),
            },
            Result {
                success: asked,
                returnData: Bytes::copy_from_slice(returned),
            },
        ];
        aggregate3Call::abi_encode_returns(&results)
    }

    proptest! {
        #[test]
        fn questions_are_written_as_by_the_general_coder(digest: [u8; 32], signature: Vec<u8>) {
            let call = isValidSignatureCall {
                hash: digest.into(),
                signature: signature.clone().into(),
            };
            prop_assert_eq!(question(digest.into(), &signature.into()), call.abi_encode());
        }

        #[test]
        fn two_calls_are_written_as_by_the_general_coder(
            factory: [u8; 20], target: [u8; 20], first: Vec<u8>, second: Vec<u8>, may_fail: bool,
        ) {
            let deployment = Deployment {
                factory: factory.into(),
                call: first.clone().into(),
            };
            let calls = vec![
                Call3 { target: factory.into(), allowFailure: true, callData: first.into() },
                Call3 { target: target.into(), allowFailure: may_fail, callData: second.clone().into() },
            ];
            let ours = after_deployment(&deployment, target.into(), &second.into(), may_fail);
            prop_assert_eq!(ours, aggregate3Call { calls }.abi_encode());
        }

        #[test]
        fn answers_are_read_as_they_are_written(deployed: bool, asked: bool, returned: Vec<u8>) {
            let expected = if asked { answer(&returned) } else { WalletAnswer::Refuses };
            let written = results(deployed, asked, &returned);
            prop_assert_eq!(answer_after_deployment(&written), Some(expected));
        }

        #[test]
        fn hostile_answers_never_panic(bytes: Vec<u8>, at in 0_usize..300, byte: u8) {
            let _ = answer_after_deployment(&bytes);
            let mut changed = results(true, true, &bytes);
            if let Some(place) = changed.get_mut(at) {
                *place = byte;
            }
            let _ = answer_after_deployment(&changed);
        }

        #[test]
        fn wrapped_signatures_are_read_as_they_are_written(factory: [u8; 20], call: Vec<u8>, inner: Vec<u8>) {
            type Wrapped = (sol_data::Address, sol_data::Bytes, sol_data::Bytes);
            let parts = (Address::from(factory), Bytes::from(call.clone()), Bytes::from(inner.clone()));
            let mut bytes = Wrapped::abi_encode_params(&parts);
            bytes.extend([0x64, 0x92].repeat(16));
            let read = WalletSignature::read(&bytes);
            let expected = WalletSignature {
                bytes: inner.clone().into(),
                deployment: Some(Deployment { factory: factory.into(), call: call.into() }),
            };
            prop_assert_eq!(read, (!inner.is_empty()).then_some(expected));
        }
    }
}
