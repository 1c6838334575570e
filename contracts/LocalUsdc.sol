// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

// Promises: to a payer, a seller and a settling wallet it behaves like USDC on Base or Base Sepolia: six decimals,
// EIP-3009 with both signature forms, contract signers, the same EIP-712 domain, events in the same order, the same
// revert texts. It is for local chains only: anybody may mint, and anybody may block an account.
// All state begins as zero and all names are code, so the runtime code may be copied to the real token's address.

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// `name_` is "USD Coin" on Base and "USDC" on Base Sepolia, as is the real token's.
contract LocalUsdc is ERC20("", ""), EIP712 {
    bytes32 public constant TRANSFER_WITH_AUTHORIZATION_TYPEHASH =
        keccak256("TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)");
    bytes32 public constant RECEIVE_WITH_AUTHORIZATION_TYPEHASH =
        keccak256("ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)");
    bytes32 public constant CANCEL_AUTHORIZATION_TYPEHASH = keccak256("CancelAuthorization(address authorizer,bytes32 nonce)");

    mapping(address authorizer => mapping(bytes32 nonce => bool)) private _authorizationUsed;
    mapping(address account => bool) public isBlacklisted;

    event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce);
    event AuthorizationCanceled(address indexed authorizer, bytes32 indexed nonce);

    constructor(string memory name_) EIP712(name_, "2") {}

    function name() public view override returns (string memory) {
        return _EIP712Name();
    }

    function symbol() public pure override returns (string memory) {
        return "USDC";
    }

    function version() external pure returns (string memory) {
        return "2";
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    // solhint-disable-next-line func-name-mixedcase
    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    // --- only here, not in the real token -----------------------------------------------------------------------

    function mint(address to, uint256 value) external {
        _mint(to, value);
    }

    function setBlacklisted(address account, bool blocked) external {
        isBlacklisted[account] = blocked;
    }

    // --- EIP-3009 -----------------------------------------------------------------------------------------------

    function authorizationState(address authorizer, bytes32 nonce) external view returns (bool) {
        return _authorizationUsed[authorizer][nonce];
    }

    function transferWithAuthorization(
        address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s
    ) external {
        transferWithAuthorization(from, to, value, validAfter, validBefore, nonce, abi.encodePacked(r, s, v));
    }

    function transferWithAuthorization(
        address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes memory signature
    ) public {
        _useWithin(from, nonce, validAfter, validBefore);
        _checkSignature(
            from, abi.encode(TRANSFER_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce), signature
        );
        emit AuthorizationUsed(from, nonce);
        _move(from, to, value);
    }

    function receiveWithAuthorization(
        address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s
    ) external {
        receiveWithAuthorization(from, to, value, validAfter, validBefore, nonce, abi.encodePacked(r, s, v));
    }

    function receiveWithAuthorization(
        address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes memory signature
    ) public {
        require(to == msg.sender, "FiatTokenV2: caller must be the payee");
        _useWithin(from, nonce, validAfter, validBefore);
        _checkSignature(
            from, abi.encode(RECEIVE_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce), signature
        );
        emit AuthorizationUsed(from, nonce);
        _move(from, to, value);
    }

    function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external {
        cancelAuthorization(authorizer, nonce, abi.encodePacked(r, s, v));
    }

    function cancelAuthorization(address authorizer, bytes32 nonce, bytes memory signature) public {
        _use(authorizer, nonce);
        _checkSignature(authorizer, abi.encode(CANCEL_AUTHORIZATION_TYPEHASH, authorizer, nonce), signature);
        emit AuthorizationCanceled(authorizer, nonce);
    }

    function _useWithin(address from, bytes32 nonce, uint256 validAfter, uint256 validBefore) private {
        require(block.timestamp > validAfter, "FiatTokenV2: authorization is not yet valid");
        require(block.timestamp < validBefore, "FiatTokenV2: authorization is expired");
        _use(from, nonce);
    }

    /// Marked before the signature is looked at: a failure undoes it, and a contract signer cannot come back in.
    function _use(address authorizer, bytes32 nonce) private {
        require(!_authorizationUsed[authorizer][nonce], "FiatTokenV2: authorization is used or canceled");
        _authorizationUsed[authorizer][nonce] = true;
    }

    /// An account with code answers for itself (EIP-1271); any other needs 65 bytes of ECDSA with a low s.
    function _checkSignature(address signer, bytes memory message, bytes memory signature) private view {
        bytes32 digest = _hashTypedDataV4(keccak256(message));
        if (signer.code.length > 0) {
            require(SignatureChecker.isValidERC1271SignatureNow(signer, digest, signature), "FiatTokenV2: invalid signature");
            return;
        }
        require(signature.length == 65, "ECRecover: invalid signature length");
        uint8 v = uint8(signature[64]);
        (address recovered, ECDSA.RecoverError problem,) = ECDSA.tryRecover(digest, signature);
        require(problem != ECDSA.RecoverError.InvalidSignatureS, "ECRecover: invalid signature 's' value");
        require(v == 27 || v == 28, "ECRecover: invalid signature 'v' value");
        require(problem == ECDSA.RecoverError.NoError, "ECRecover: invalid signature");
        require(recovered == signer, "FiatTokenV2: invalid signature");
    }

    // --- ERC-20 with the texts of the real token ----------------------------------------------------------------

    function transfer(address to, uint256 value) public override returns (bool) {
        _move(_msgSender(), to, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        require(value <= allowance(from, _msgSender()), "ERC20: transfer amount exceeds allowance");
        _move(from, to, value);
        _approve(from, _msgSender(), allowance(from, _msgSender()) - value);
        return true;
    }

    function _move(address from, address to, uint256 value) private {
        require(from != address(0), "ERC20: transfer from the zero address");
        require(to != address(0), "ERC20: transfer to the zero address");
        require(!isBlacklisted[from] && !isBlacklisted[to], "Blacklistable: account is blacklisted");
        require(value <= balanceOf(from), "ERC20: transfer amount exceeds balance");
        _transfer(from, to, value);
    }
}
