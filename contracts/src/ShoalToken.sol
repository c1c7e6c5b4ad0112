// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title The reward token
/// @notice The whole supply exists from the first block and nobody can mint: rewards are paid out of what was sent to a
/// distributor, so a leaked relay key can waste that budget at most. 18 decimals: 1 SHOAL is 10^18 base units.
contract ShoalToken is ERC20 {
    /// @param treasury Holds the whole supply at first, and funds the distributor from it.
    /// @param supply The cap, all of it minted here, base units.
    constructor(address treasury, uint256 supply) ERC20("Shoal", "SHOAL") {
        _mint(treasury, supply);
    }
}
