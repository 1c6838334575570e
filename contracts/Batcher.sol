// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

// Promises: several transfers of a token in one transaction, from whoever has allowed it to, or none at all. For tests.

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

contract Batcher {
    function pay(IERC20 token, address[] calldata from, address to, uint256[] calldata value) external {
        for (uint256 i = 0; i < from.length; i++) {
            require(token.transferFrom(from[i], to, value[i]), "a transfer failed");
        }
    }
}
