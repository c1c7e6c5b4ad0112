// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";

import {IRewardDistributor} from "../src/IRewardDistributor.sol";
import {RewardDistributor} from "../src/RewardDistributor.sol";
import {ShoalToken} from "../src/ShoalToken.sol";
import {Leaf, Trees} from "./Trees.sol";
import {vm, within} from "./Vm.sol";

/// @notice One token, one funded distributor, one relay; `post` puts a tree over `leaves` in force.
contract DistributorFixture {
    uint256 internal constant SUPPLY = 1_000_000 ether;
    uint256 internal constant BUDGET = 1_000 ether;
    address internal constant RELAY = address(0x4e1a);

    ShoalToken internal token;
    RewardDistributor internal distributor;

    function setUp() public virtual {
        token = new ShoalToken(address(this), SUPPLY);
        distributor = new RewardDistributor(token, address(this), RELAY);
        require(token.transfer(address(distributor), BUDGET));
    }

    function leaf(uint256 node, uint256 cumulative) internal pure returns (Leaf memory) {
        return Leaf(keccak256(abi.encode("node", node)), payoutOf(node), cumulative);
    }

    function payoutOf(uint256 node) internal pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("payout", node)))));
    }

    function post(uint64 epoch, Leaf[] memory leaves) internal returns (bytes32[] memory tree) {
        uint256 total = 0;
        for (uint256 i = 0; i < leaves.length; i++) {
            total += leaves[i].cumulative;
        }
        tree = Trees.build(leaves);
        vm.prank(RELAY);
        distributor.postRoot(epoch, tree[0], total);
    }

    function claim(Leaf memory from, bytes32[] memory proof) internal returns (uint256) {
        return distributor.claim(from.nodeHash, from.payout, from.cumulative, proof);
    }
}

contract RewardDistributorTest is DistributorFixture {
    function two(uint256 first, uint256 second) internal pure returns (Leaf[] memory leaves) {
        leaves = new Leaf[](2);
        leaves[0] = leaf(0, first);
        leaves[1] = leaf(1, second);
    }

    function test_supplyIsFixed() public view {
        vm.assertEq(token.totalSupply(), SUPPLY, "supply");
        vm.assertEq(token.decimals(), 18, "decimals");
    }

    function test_paysAcrossEpochs() public {
        Leaf[] memory first = two(10, 20);
        bytes32[] memory tree = post(1, first);
        vm.expectEmit(address(distributor));
        emit IRewardDistributor.Claimed(first[0].nodeHash, payoutOf(0), 10, 10);
        vm.assertEq(claim(first[0], Trees.proof(tree, 0)), 10, "first claim");

        Leaf[] memory second = two(15, 50);
        tree = post(2, second);
        vm.assertEq(claim(second[0], Trees.proof(tree, 0)), 5, "only the difference");
        vm.assertEq(claim(second[1], Trees.proof(tree, 1)), 50, "two epochs in one claim");
        vm.assertEq(token.balanceOf(payoutOf(0)), 15, "balance 0");
        vm.assertEq(token.balanceOf(payoutOf(1)), 50, "balance 1");
        vm.assertEq(distributor.totalPaid(), 65, "paid");
    }

    function test_secondClaimPaysNothing() public {
        Leaf[] memory leaves = two(10, 20);
        bytes32[] memory tree = post(1, leaves);
        vm.assertEq(claim(leaves[0], Trees.proof(tree, 0)), 10, "first");
        vm.assertEq(claim(leaves[0], Trees.proof(tree, 0)), 0, "second");
        vm.assertEq(token.balanceOf(payoutOf(0)), 10, "balance");
    }

    function test_wrongClaimsRevert() public {
        Leaf[] memory leaves = two(10, 20);
        bytes32[] memory tree = post(1, leaves);
        bytes32[] memory proof = Trees.proof(tree, 0);

        expectInvalid(Leaf(leaves[0].nodeHash, leaves[0].payout, 11), proof, tree[0]);
        expectInvalid(Leaf(leaves[0].nodeHash, address(this), 10), proof, tree[0]);
        expectInvalid(Leaf(leaves[1].nodeHash, leaves[0].payout, 10), proof, tree[0]);
        expectInvalid(leaves[0], new bytes32[](0), tree[0]);
        vm.assertEq(distributor.totalPaid(), 0, "paid");
    }

    function test_proofOfReplacedRootReverts() public {
        Leaf[] memory leaves = two(10, 20);
        bytes32[] memory old = post(1, leaves);
        bytes32[] memory tree = post(2, two(11, 20));
        expectInvalid(leaves[0], Trees.proof(old, 0), tree[0]);
    }

    function test_nothingCanBeClaimedBeforeTheFirstPost() public {
        expectInvalid(leaf(0, 10), new bytes32[](0), bytes32(0));
    }

    function expectInvalid(Leaf memory wrong, bytes32[] memory proof, bytes32 root) internal {
        vm.expectRevert(abi.encodeWithSelector(IRewardDistributor.InvalidProof.selector, Trees.hash(wrong), root));
        claim(wrong, proof);
    }

    function test_onlyTheRelayPosts() public {
        vm.expectRevert(
            abi.encodeWithSelector(
                IAccessControl.AccessControlUnauthorizedAccount.selector, address(this), distributor.RELAY_ROLE()
            )
        );
        distributor.postRoot(1, bytes32(uint256(1)), 1);
    }

    function test_adminReplacesTheRelay() public {
        bytes32 role = distributor.RELAY_ROLE();
        distributor.revokeRole(role, RELAY);
        vm.expectRevert(abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, RELAY, role));
        vm.prank(RELAY);
        distributor.postRoot(1, bytes32(uint256(1)), 1);

        distributor.grantRole(role, address(this));
        distributor.postRoot(1, bytes32(uint256(1)), 1);
    }

    function test_epochsAscend() public {
        post(5, two(1, 1));
        for (uint64 epoch = 0; epoch <= 5; epoch++) {
            vm.expectRevert(abi.encodeWithSelector(IRewardDistributor.EpochNotAscending.selector, epoch, 5));
            vm.prank(RELAY);
            distributor.postRoot(epoch, bytes32(uint256(1)), 2);
        }
        post(7, two(1, 1));
        vm.assertEq(distributor.epoch(), 7, "a gap is allowed");
    }

    function test_totalNeverDecreases() public {
        post(1, two(10, 20));
        vm.expectRevert(abi.encodeWithSelector(IRewardDistributor.TotalDecreased.selector, 29, 30));
        vm.prank(RELAY);
        distributor.postRoot(2, bytes32(uint256(1)), 29);
    }

    function test_anUnfundedRootIsRefused() public {
        Leaf[] memory leaves = two(BUDGET, 0);
        bytes32[] memory tree = post(1, leaves);
        claim(leaves[0], Trees.proof(tree, 0));

        vm.expectRevert(abi.encodeWithSelector(IRewardDistributor.Underfunded.selector, 1, 0));
        vm.prank(RELAY);
        distributor.postRoot(2, bytes32(uint256(1)), BUDGET + 1);

        require(token.transfer(address(distributor), 1));
        post(2, two(BUDGET, 1));
    }

    function test_neverPaysMoreThanThePostedTotal() public {
        Leaf[] memory leaves = two(10, 20);
        bytes32[] memory tree = Trees.build(leaves);
        vm.prank(RELAY);
        distributor.postRoot(1, tree[0], 29);

        claim(leaves[0], Trees.proof(tree, 0));
        vm.expectRevert(abi.encodeWithSelector(IRewardDistributor.TotalExceeded.selector, 30, 29));
        claim(leaves[1], Trees.proof(tree, 1));
        vm.assertEq(token.balanceOf(payoutOf(1)), 0, "not paid");
    }

    function test_anInnerNodeIsNoLeaf() public {
        // The two halves of an inner node's preimage, read as a leaf that is hashed once: 64 bytes never make a leaf of
        // 96, and hashing twice keeps it so even for a leaf type of 64 bytes.
        Leaf[] memory leaves = new Leaf[](4);
        for (uint256 i = 0; i < 4; i++) {
            leaves[i] = leaf(i, i + 1);
        }
        bytes32[] memory tree = post(1, leaves);
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = tree[2];
        expectInvalid(Leaf(tree[3], address(uint160(uint256(tree[4]))), 0), proof, tree[0]);
    }

    function testFuzz_everyLeafIsPaidOnce(uint256[] calldata amounts, uint256 order) public {
        uint256 count = within(amounts.length, 1, 24);
        Leaf[] memory leaves = new Leaf[](count);
        uint256 total = 0;
        for (uint256 i = 0; i < count; i++) {
            leaves[i] = leaf(i, i < amounts.length ? within(amounts[i], 0, BUDGET / count) : i);
            total += leaves[i].cumulative;
        }
        bytes32[] memory tree = post(1, leaves);
        for (uint256 i = 0; i < 2 * count; i++) {
            uint256 spot = (i + order % count) % count;
            claim(leaves[spot], Trees.proof(tree, spot));
        }
        for (uint256 i = 0; i < count; i++) {
            vm.assertEq(token.balanceOf(leaves[i].payout), leaves[i].cumulative, "balance");
        }
        vm.assertEq(distributor.totalPaid(), total, "total paid");
    }

    function testFuzz_aChangedProofReverts(uint256 index, uint256 spot, bytes32 change) public {
        vm.assume(change != 0);
        Leaf[] memory leaves = new Leaf[](9);
        for (uint256 i = 0; i < leaves.length; i++) {
            leaves[i] = leaf(i, i + 1);
        }
        bytes32[] memory tree = post(1, leaves);
        index = index % leaves.length;
        bytes32[] memory proof = Trees.proof(tree, index);
        proof[spot % proof.length] ^= change;
        expectInvalid(leaves[index], proof, tree[0]);
    }

    function test_treesOfTheOtherLanguagesAreAccepted() public {
        string memory json = vm.readFile("../tests/vectors/merkle/trees.json");
        uint256 trees = 0;
        for (; vm.keyExistsJson(json, string.concat(".trees[", vm.toString(trees), "]")); trees++) {
            string memory tree = string.concat(".trees[", vm.toString(trees), "]");
            setUp();
            uint256 total = vm.parseJsonUint(json, string.concat(tree, ".total"));
            ShoalToken rich = new ShoalToken(address(this), total);
            distributor = new RewardDistributor(rich, address(this), RELAY);
            require(rich.transfer(address(distributor), total));
            vm.prank(RELAY);
            distributor.postRoot(1, vm.parseJsonBytes32(json, string.concat(tree, ".root")), total);
            claimAll(json, tree);
            vm.assertEq(distributor.totalPaid(), total, "everything was paid");
        }
        vm.assertEq(trees, 12, "trees in the file");
    }

    function claimAll(string memory json, string memory tree) internal {
        for (uint256 i = 0;; i++) {
            string memory key = string.concat(tree, ".entries[", vm.toString(i), "]");
            if (!vm.keyExistsJson(json, key)) return;
            bytes32 node = vm.parseJsonBytes32(json, string.concat(key, ".node"));
            Leaf memory entry = Leaf(
                keccak256(abi.encodePacked(node)),
                vm.parseJsonAddress(json, string.concat(key, ".payout")),
                vm.parseJsonUint(json, string.concat(key, ".cumulative"))
            );
            vm.assertEq(Trees.hash(entry), vm.parseJsonBytes32(json, string.concat(key, ".leaf")), "leaf");
            claim(entry, vm.parseJsonBytes32Array(json, string.concat(key, ".proof")));
        }
    }
}
