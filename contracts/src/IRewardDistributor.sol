// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title Pays what a cumulative Merkle tree says
/// @notice A relay counts accepted work off chain and, once an epoch, posts one Merkle root over everything every node
/// ever earned. Whoever holds a proof moves the part that is not yet paid to its payout address. One post costs the
/// same however many are paid, and a node that skipped ten epochs claims them all in one call.
///
/// Units. Amounts are base units of `token` (1 SHOAL = 10^18). Epochs are counted from 1; 0 means that nothing was
/// posted. All amounts in the tree are cumulative: they never go down.
///
/// Tree. A leaf is `keccak256(bytes.concat(keccak256(abi.encode(nodeHash, payout, cumulativeAmount))))`, where
/// `nodeHash` is keccak256 of the node's 32-byte Ed25519 public key; an inner node is keccak256 of its two children in
/// ascending order (OpenZeppelin's StandardMerkleTree). One node may have several leaves, one for each payout address
/// it was ever bound to.
///
/// Trust. Only the relay role posts roots, so it decides who is paid. It cannot pay out more than it posted, cannot
/// post more than the contract holds, and cannot take back what was paid. Tokens sent here leave only by claims.
interface IRewardDistributor {
    /// @notice A new root is in force; it replaces the one before.
    /// @param epoch The epoch's number.
    /// @param root The Merkle root over all cumulative amounts.
    /// @param cumulativeTotal The sum of all cumulative amounts in the tree, base units.
    event RootPosted(uint64 indexed epoch, bytes32 root, uint256 cumulativeTotal);

    /// @notice A node's unpaid rewards were paid.
    /// @param nodeHash keccak256 of the node id.
    /// @param payout The address that was paid.
    /// @param amount What this claim paid, base units, never 0.
    /// @param cumulativeAmount What this leaf was paid in all claims together, base units.
    event Claimed(bytes32 indexed nodeHash, address indexed payout, uint256 amount, uint256 cumulativeAmount);

    /// @notice An epoch was posted that is not after the one in force.
    error EpochNotAscending(uint64 posted, uint64 current);

    /// @notice A root was posted whose total is smaller than the one in force.
    error TotalDecreased(uint256 posted, uint256 current);

    /// @notice A root was posted that promises more than the contract holds.
    /// @param owed What would be owed after the post: the posted total less everything paid, base units.
    /// @param balance What the contract holds, base units.
    error Underfunded(uint256 owed, uint256 balance);

    /// @notice The proof does not lead from the leaf to the root in force.
    error InvalidProof(bytes32 leaf, bytes32 root);

    /// @notice The claim would pay more than the posted total: the tree's leaves add up to more than the relay said.
    error TotalExceeded(uint256 paid, uint256 posted);

    /// @notice The token that is paid.
    function token() external view returns (IERC20);

    /// @notice The epoch in force, 0 before the first post.
    function epoch() external view returns (uint64);

    /// @notice The Merkle root in force.
    function root() external view returns (bytes32);

    /// @notice The sum of all cumulative amounts under the root in force, base units.
    function cumulativeTotal() external view returns (uint256);

    /// @notice Everything paid so far, base units; never more than `cumulativeTotal`.
    function totalPaid() external view returns (uint256);

    /// @notice What was paid so far for a node at a payout address, base units.
    function claimed(bytes32 nodeHash, address payout) external view returns (uint256);

    /// @notice Puts a new root in force. Only the relay role.
    /// @param epoch_ Greater than the epoch in force; gaps are allowed, because the tree is cumulative.
    /// @param root_ The Merkle root.
    /// @param cumulativeTotal_ The sum of all leaves, base units; not less than before, and funded.
    function postRoot(uint64 epoch_, bytes32 root_, uint256 cumulativeTotal_) external;

    /// @notice Pays `payout` what it is owed under the root in force. Anyone may call. Pays nothing, and does not
    /// revert, when everything was paid before, so that two claims for one leaf can race without harm.
    /// @param nodeHash keccak256 of the node id.
    /// @param payout The address that is paid.
    /// @param cumulativeAmount The leaf's amount, base units.
    /// @param proof The siblings from the leaf up to the root.
    /// @return amount What was paid now, base units.
    function claim(bytes32 nodeHash, address payout, uint256 cumulativeAmount, bytes32[] calldata proof)
        external
        returns (uint256 amount);
}
