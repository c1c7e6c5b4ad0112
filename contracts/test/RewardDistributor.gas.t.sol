// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {DistributorFixture} from "./RewardDistributor.t.sol";
import {Leaf, Trees} from "./Trees.sol";
import {vm} from "./Vm.sol";

/// @notice Measures single calls into snapshots/, which are committed: what an epoch and a claim cost.
contract RewardDistributorGasTest is DistributorFixture {
    uint256 internal constant NODES = 1024;

    function nodes(uint256 each) internal pure returns (Leaf[] memory leaves) {
        leaves = new Leaf[](NODES);
        for (uint256 i = 0; i < NODES; i++) {
            leaves[i] = leaf(i, each);
        }
    }

    function test_gas() public {
        Leaf[] memory leaves = nodes(10);
        bytes32[] memory tree = post(1, leaves);
        vm.snapshotGasLastCall("RewardDistributor", "postRoot, the first");
        claim(leaves[0], Trees.proof(tree, 0));
        vm.snapshotGasLastCall("RewardDistributor", "claim of 1024 nodes, the first of all");
        claim(leaves[1], Trees.proof(tree, 1));
        vm.snapshotGasLastCall("RewardDistributor", "claim of 1024 nodes, to a new address");

        leaves = nodes(20);
        tree = post(2, leaves);
        vm.snapshotGasLastCall("RewardDistributor", "postRoot, later ones");
        claim(leaves[0], Trees.proof(tree, 0));
        vm.snapshotGasLastCall("RewardDistributor", "claim of 1024 nodes, to a known address");
        claim(leaves[0], Trees.proof(tree, 0));
        vm.snapshotGasLastCall("RewardDistributor", "claim of nothing");
    }
}
