// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

// Promises: creates contract wallets at addresses that are known before (CREATE2), so that tests can pay from a wallet that
// does not exist yet. As with the factories in use, creating one twice does nothing.

import {ContractWallet} from "./ContractWallet.sol";

contract WalletFactory {
    function create(address owner, bytes32 salt) external returns (address) {
        address known = addressOf(owner, salt);
        if (known.code.length > 0) return known;
        return address(new ContractWallet{salt: salt}(owner));
    }

    function addressOf(address owner, bytes32 salt) public view returns (address) {
        bytes32 code = keccak256(abi.encodePacked(type(ContractWallet).creationCode, abi.encode(owner)));
        return address(uint160(uint256(keccak256(abi.encodePacked(bytes1(0xff), address(this), salt, code)))));
    }
}

/// A stranger's factory: whatever it is called with, it remembers that it was.
contract TrapFactory {
    uint256 public calls;

    event Sprung(address caller);

    fallback() external {
        calls += 1;
        emit Sprung(msg.sender);
    }
}
