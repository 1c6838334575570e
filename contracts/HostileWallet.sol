// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

// Promises: wallets that want the gas of whoever asks them.

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

abstract contract GasBurner {
    function _burn() internal view {
        uint256 waste;
        while (gasleft() > 1000) waste = uint256(keccak256(abi.encode(waste)));
        require(waste == 0, "burnt");
    }
}

/// Burns all it is given, always.
contract BurningWallet is IERC1271, GasBurner {
    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        _burn();
        return IERC1271.isValidSignature.selector;
    }
}

/// Accepts everything for free when it is only asked, and burns all it is given in a real transaction.
contract FickleWallet is IERC1271, GasBurner {
    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        if (tx.gasprice > 0) _burn();
        return IERC1271.isValidSignature.selector;
    }
}
