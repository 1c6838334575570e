// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

// Promises: the part of Multicall3 that key0 uses, with its types, order and revert text. No state, so the runtime code may be
// copied to the address that the real one has on every chain.

contract LocalMulticall3 {
    struct Call3 {
        address target;
        bool allowFailure;
        bytes callData;
    }

    struct Result {
        bool success;
        bytes returnData;
    }

    function aggregate3(Call3[] calldata calls) external payable returns (Result[] memory returnData) {
        returnData = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; i++) {
            (bool success, bytes memory returned) = calls[i].target.call(calls[i].callData);
            require(success || calls[i].allowFailure, "Multicall3: call failed");
            returnData[i] = Result(success, returned);
        }
    }
}
