// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {RewardDistributor} from "../src/RewardDistributor.sol";
import {ShoalToken} from "../src/ShoalToken.sol";
import {Leaf, Trees} from "./Trees.sol";
import {vm, within} from "./Vm.sol";

/// @notice A swarm in any order of events: nodes earn, the relay posts, anybody claims rightly, again or wrongly.
contract Swarm {
    uint256 public constant NODES = 5;
    uint256 public constant BUDGET = 1_000_000;

    ShoalToken public immutable token;
    RewardDistributor public immutable distributor;

    uint256[NODES] public earned;
    uint256[NODES] public posted;
    Leaf[] internal leaves;

    constructor() {
        token = new ShoalToken(address(this), BUDGET);
        distributor = new RewardDistributor(token, address(this), address(this));
        require(token.transfer(address(distributor), BUDGET));
        for (uint256 i = 0; i < NODES; i++) {
            leaves.push(Leaf(keccak256(abi.encode(i)), payout(i), 0));
        }
    }

    function payout(uint256 node) public pure returns (address) {
        return address(uint160(0x1000 + node));
    }

    function earn(uint256 node, uint256 amount) external {
        earned[node % NODES] += within(amount, 0, BUDGET / 50);
    }

    /// @notice Posts the truth, or, with a false total, less or more than the leaves add up to.
    function post(uint64 gap, uint256 skew) external {
        uint256 total = 0;
        for (uint256 i = 0; i < NODES; i++) {
            total += earned[i];
        }
        if (skew % 4 == 1) total -= within(skew, 0, total);
        if (skew % 4 == 2) total += within(skew, 0, BUDGET);
        Leaf[] memory tree = leaves;
        for (uint256 i = 0; i < NODES; i++) {
            tree[i].cumulative = earned[i];
        }
        uint256 before = distributor.cumulativeTotal();
        bool refusable = total < before || total - distributor.totalPaid() > token.balanceOf(address(distributor));
        uint64 epoch = distributor.epoch() + 1 + gap % 3;
        try distributor.postRoot(epoch, Trees.build(tree)[0], total) {
            require(!refusable, "an unfunded or shrinking root was accepted");
            for (uint256 i = 0; i < NODES; i++) {
                posted[i] = earned[i];
                leaves[i].cumulative = earned[i];
            }
        } catch {
            require(refusable, "an honest root was refused");
        }
    }

    function claim(uint256 node) external {
        node = node % NODES;
        Leaf memory leaf = leaves[node];
        bytes32[] memory proof = Trees.proof(Trees.build(leaves), node);
        uint256 due = leaf.cumulative - distributor.claimed(leaf.nodeHash, leaf.payout);
        bool exceeds = distributor.totalPaid() + due > distributor.cumulativeTotal();
        uint256 before = token.balanceOf(leaf.payout);
        try distributor.claim(leaf.nodeHash, leaf.payout, leaf.cumulative, proof) returns (uint256 paid) {
            require(paid == due && token.balanceOf(leaf.payout) == before + due, "paid something else than due");
        } catch {
            require(exceeds || distributor.epoch() == 0, "an honest claim was refused");
        }
    }

    function claimWrongly(uint256 node, uint256 surplus, bytes32 change) external {
        node = node % NODES;
        Leaf memory leaf = leaves[node];
        bytes32[] memory proof = Trees.proof(Trees.build(leaves), node);
        leaf.cumulative += within(surplus, 0, BUDGET);
        proof[0] ^= change;
        if (change == 0 && leaf.cumulative == leaves[node].cumulative) return;
        try distributor.claim(leaf.nodeHash, leaf.payout, leaf.cumulative, proof) {
            revert("a wrong proof was accepted");
        } catch {}
    }
}

contract RewardDistributorInvariantTest {
    Swarm internal swarm;

    function setUp() public {
        swarm = new Swarm();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(swarm);
    }

    function invariant_paidNeverExceedsThePostedTotal() public view {
        RewardDistributor distributor = swarm.distributor();
        vm.assertLe(distributor.totalPaid(), distributor.cumulativeTotal(), "paid, posted");
        vm.assertLe(distributor.cumulativeTotal(), swarm.BUDGET(), "posted, funded");
    }

    function invariant_nobodyIsPaidTwice() public view {
        uint256 paid = 0;
        for (uint256 i = 0; i < swarm.NODES(); i++) {
            uint256 balance = swarm.token().balanceOf(swarm.payout(i));
            vm.assertLe(balance, swarm.posted(i), "paid, earned and posted");
            vm.assertEq(
                balance, swarm.distributor().claimed(keccak256(abi.encode(i)), swarm.payout(i)), "paid, recorded"
            );
            paid += balance;
        }
        vm.assertEq(paid, swarm.distributor().totalPaid(), "sum of all payouts");
        uint256 left = swarm.token().balanceOf(address(swarm.distributor()));
        vm.assertEq(left + paid, swarm.BUDGET(), "no token appears or vanishes");
    }
}
