// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

// Promises: the smallest contract that can sign (EIP-1271): it accepts what its owner's key signed, in any length
// of wrapping, so that tests can pay from an account with code.

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

contract ContractWallet is IERC1271 {
    address public immutable owner;

    constructor(address owner_) {
        owner = owner_;
    }

    /// The first 65 bytes are the owner's signature; what follows is ignored.
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        if (signature.length < 65) return 0xffffffff;
        (address recovered, ECDSA.RecoverError problem,) = ECDSA.tryRecover(hash, bytes(signature[:65]));
        bool valid = problem == ECDSA.RecoverError.NoError && recovered == owner;
        return valid ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}
