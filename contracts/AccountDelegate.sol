// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

// Promises: code for an ordinary account that has delegated itself (EIP-7702). It accepts what the account's own key signed:
// either as it is, or, if it is strict, only behind one byte 0x01.

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

contract AccountDelegate is IERC1271 {
    bool public immutable strict;

    constructor(bool strict_) {
        strict = strict_;
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        bool wrapped = signature.length == 66 && signature[0] == 0x01;
        if (strict != wrapped) return 0xffffffff;
        bytes memory bare = wrapped ? bytes(signature[1:]) : bytes(signature);
        (address recovered, ECDSA.RecoverError problem,) = ECDSA.tryRecover(hash, bare);
        bool valid = problem == ECDSA.RecoverError.NoError && recovered == address(this);
        return valid ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}
