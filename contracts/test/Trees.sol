// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";

struct Leaf {
    bytes32 nodeHash;
    address payout;
    uint256 cumulative;
}

/// @notice Merkle trees for tests, written independently of the contract's own hashing of a leaf.
library Trees {
    function hash(Leaf memory leaf) internal pure returns (bytes32) {
        bytes32 inner = keccak256(abi.encode(leaf.nodeHash, leaf.payout, leaf.cumulative));
        return keccak256(abi.encodePacked(inner));
    }

    /// @notice The tree as a heap: node i has the children 2i + 1 and 2i + 2, leaf i is the i-th node from the end.
    function build(Leaf[] memory leaves) internal pure returns (bytes32[] memory tree) {
        uint256 count = leaves.length;
        tree = new bytes32[](2 * count - 1);
        for (uint256 i = 0; i < count; i++) {
            tree[tree.length - 1 - i] = hash(leaves[i]);
        }
        for (uint256 i = count - 1; i > 0; i--) {
            tree[i - 1] = Hashes.commutativeKeccak256(tree[2 * i - 1], tree[2 * i]);
        }
    }

    function proof(bytes32[] memory tree, uint256 leaf) internal pure returns (bytes32[] memory siblings) {
        uint256 depth = 0;
        uint256 start = tree.length - 1 - leaf;
        for (uint256 spot = start; spot > 0; spot = (spot - 1) / 2) {
            depth++;
        }
        siblings = new bytes32[](depth);
        depth = 0;
        for (uint256 spot = start; spot > 0; spot = (spot - 1) / 2) {
            siblings[depth++] = tree[spot % 2 == 1 ? spot + 1 : spot - 1];
        }
    }
}
