// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {IRewardDistributor} from "./IRewardDistributor.sol";

/// @title The cumulative Merkle distributor; everything it promises is documented in `IRewardDistributor`
/// @dev `AccessControl` and not a fixed relay address, so that a lost or leaked relay key can be replaced by the admin.
contract RewardDistributor is IRewardDistributor, AccessControl {
    using SafeERC20 for IERC20;

    /// @notice May post roots.
    bytes32 public constant RELAY_ROLE = keccak256("RELAY_ROLE");

    /// @inheritdoc IRewardDistributor
    IERC20 public immutable token;
    /// @inheritdoc IRewardDistributor
    uint64 public epoch;
    /// @inheritdoc IRewardDistributor
    bytes32 public root;
    /// @inheritdoc IRewardDistributor
    uint256 public cumulativeTotal;
    /// @inheritdoc IRewardDistributor
    uint256 public totalPaid;
    /// @inheritdoc IRewardDistributor
    mapping(bytes32 nodeHash => mapping(address payout => uint256 amount)) public claimed;

    /// @param token_ The token that is paid.
    /// @param admin Grants and revokes the relay role.
    /// @param relay Posts roots from the start.
    constructor(IERC20 token_, address admin, address relay) {
        token = token_;
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(RELAY_ROLE, relay);
    }

    /// @inheritdoc IRewardDistributor
    function postRoot(uint64 epoch_, bytes32 root_, uint256 cumulativeTotal_) external onlyRole(RELAY_ROLE) {
        if (epoch_ <= epoch) revert EpochNotAscending(epoch_, epoch);
        if (cumulativeTotal_ < cumulativeTotal) revert TotalDecreased(cumulativeTotal_, cumulativeTotal);
        uint256 owed = cumulativeTotal_ - totalPaid;
        uint256 balance = token.balanceOf(address(this));
        if (owed > balance) revert Underfunded(owed, balance);

        epoch = epoch_;
        root = root_;
        cumulativeTotal = cumulativeTotal_;
        emit RootPosted(epoch_, root_, cumulativeTotal_);
    }

    /// @inheritdoc IRewardDistributor
    function claim(bytes32 nodeHash, address payout, uint256 cumulativeAmount, bytes32[] calldata proof)
        external
        returns (uint256 amount)
    {
        // Hashed twice, so that no inner node (64 bytes) can be passed off as a leaf.
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(nodeHash, payout, cumulativeAmount))));
        if (!MerkleProof.verifyCalldata(proof, root, leaf)) revert InvalidProof(leaf, root);

        uint256 before = claimed[nodeHash][payout];
        if (cumulativeAmount <= before) return 0;
        amount = cumulativeAmount - before;

        uint256 paid = totalPaid + amount;
        if (paid > cumulativeTotal) revert TotalExceeded(paid, cumulativeTotal);
        claimed[nodeHash][payout] = cumulativeAmount;
        totalPaid = paid;
        emit Claimed(nodeHash, payout, amount, cumulativeAmount);
        token.safeTransfer(payout, amount);
    }
}
