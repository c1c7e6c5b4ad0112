//! `shoal chain` and `shoal rewards`: deploy the contracts, see what was earned, have it paid.

use std::path::PathBuf;

use serde_json::json;
use shoal_chain::{
    BaseUnits, ChainClient, Claim, DeployTerms, Deployment, EvmAddress, OperatorKey, Rewards, anvil::LocalChain,
};
use shoal_wire::api::{RewardClaim, RewardsInfo};

use crate::{
    args::{ChainCommand, KeyArgs, RelayArgs, RewardsCommand, WhoseArgs},
    error::CliError,
    files,
    output::Output,
    relay_api::RelayApi,
};

pub(crate) async fn chain(command: ChainCommand, output: &Output) -> Result<(), CliError> {
    let ChainCommand::Deploy { rpc_url, key, relay_address, output: path } = command;
    let relay = relay_address.as_deref().map(|text| address("--relay-address", text)).transpose()?;
    let client = ChainClient::connect(&rpc_url, &load_key(&key)?).await?;
    let terms = DeployTerms { relay, ..DeployTerms::default() };
    let deployment = client.deploy(&terms).await?;
    let text = serde_json::to_string_pretty(&deployment).expect("plain data");
    files::write_whole(&path, text.as_bytes())?;
    let Deployment { chain_id, token, distributor, .. } = deployment;
    output.result(
        &json!({"event": "deployed", "deployment": deployment, "file": path}),
        format!("chain {chain_id}: token {token}, distributor {distributor}; written to {}", path.display()),
    );
    Ok(())
}

pub(crate) async fn rewards(command: RewardsCommand, output: &Output) -> Result<(), CliError> {
    match command {
        RewardsCommand::Show { whose, relay } => show(&whose, &relay, output).await,
        RewardsCommand::Claim { whose, relay, key } => claim(&whose, &relay, &key, output).await,
    }
}

async fn show(whose: &WhoseArgs, relay: &RelayArgs, output: &Output) -> Result<(), CliError> {
    let info = ask(whose, relay).await?;
    // Without a chain there is still what was earned.
    let chain = match rpc_url(whose, &info) {
        Some(url) => Some(open(ChainClient::read_only(&url).await?, &info).await?),
        None => None,
    };
    let mut rows = Vec::new();
    for claim in &info.claims {
        let claim = parse(claim)?;
        let paid = match &chain {
            Some(rewards) => Some(rewards.claimed(&claim.node_hash, claim.payout).await?),
            None => None,
        };
        rows.push((claim, paid));
    }
    let claims: Vec<_> = rows
        .iter()
        .map(|(claim, paid)| {
            json!({"node_hash": claim.node_hash, "payout": claim.payout, "earned": claim.cumulative, "paid": paid})
        })
        .collect();
    output.object(&json!({
        "event": "rewards", "epoch": info.epoch, "payable": info.payable, "held": info.held, "claims": claims,
    }));
    output.text(format!(
        "epoch {}: {} payable, {} waiting for an address",
        info.epoch,
        tokens(&info.payable)?,
        tokens(&info.held)?
    ));
    for (claim, paid) in rows {
        let paid = paid.map_or_else(|| "unknown, no chain".to_owned(), |paid| paid.display_tokens());
        let earned = claim.cumulative.display_tokens();
        output.text(format!("{}  earned {earned}  paid {paid}", claim.payout));
    }
    Ok(())
}

async fn claim(whose: &WhoseArgs, relay: &RelayArgs, key: &KeyArgs, output: &Output) -> Result<(), CliError> {
    let info = ask(whose, relay).await?;
    let url = rpc_url(whose, &info).ok_or(CliError::NoChain)?;
    let rewards = open(ChainClient::connect(&url, &load_key(key)?).await?, &info).await?;
    let mut total = BaseUnits::ZERO;
    for claim in &info.claims {
        let claim = parse(claim)?;
        let outcome = rewards.claim(&claim).await?;
        total = total.checked_add(outcome.paid).unwrap_or(total);
        let transaction = outcome.sent.map(|sent| sent.transaction);
        output.result(
            &json!({
                "event": "claimed", "node_hash": claim.node_hash, "payout": claim.payout,
                "paid": outcome.paid, "transaction": transaction,
            }),
            format!(
                "{}  paid {} now, {} in all",
                claim.payout,
                outcome.paid.display_tokens(),
                claim.cumulative.display_tokens()
            ),
        );
    }
    output.result(
        &json!({"event": "done", "claims": info.claims.len(), "paid": total}),
        format!("{} claims, {} paid now", info.claims.len(), total.display_tokens()),
    );
    Ok(())
}

async fn ask(whose: &WhoseArgs, relay: &RelayArgs) -> Result<RewardsInfo, CliError> {
    // Checked here, because both end up in a URL.
    let payout = whose.payout.as_deref().map(|text| address("--payout", text)).transpose()?.map(|a| a.to_string());
    let node = whose.node.as_deref().map(|text| {
        text.parse::<shoal_wire::ids::NodeId>().map(|node| node.to_string()).map_err(|error| CliError::Argument {
            argument: "--node",
            value: text.to_owned(),
            reason: error.to_string(),
        })
    });
    let node = node.transpose()?;
    let mut query = Vec::new();
    query.extend(node.as_deref().map(|node| ("node", node)));
    query.extend(payout.as_deref().map(|payout| ("payout", payout)));
    RelayApi::new(relay)?.rewards(&query).await
}

fn rpc_url(whose: &WhoseArgs, info: &RewardsInfo) -> Option<String> {
    whose.rpc_url.clone().or_else(|| info.chain.as_ref().map(|chain| chain.rpc_url.clone()))
}

/// The contracts that the relay names, on the chain that was connected to.
async fn open(client: ChainClient, info: &RewardsInfo) -> Result<Rewards, CliError> {
    let chain = info.chain.as_ref().ok_or(CliError::NoChain)?;
    let deployment = Deployment {
        chain_id: chain.chain_id,
        token: address("token", &chain.token)?,
        distributor: address("distributor", &chain.distributor)?,
        block: 0,
    };
    Ok(client.rewards(&deployment).await?)
}

fn parse(claim: &RewardClaim) -> Result<Claim, CliError> {
    let value = serde_json::to_value(claim).expect("plain data");
    serde_json::from_value(value).map_err(|error| CliError::UnknownAnswer {
        url: "/v1/rewards".to_owned(),
        status: 200,
        reason: error.to_string(),
    })
}

fn tokens(base_units: &str) -> Result<String, CliError> {
    let amount: BaseUnits = base_units.parse().map_err(|error| CliError::UnknownAnswer {
        url: "/v1/rewards".to_owned(),
        status: 200,
        reason: format!("{error}"),
    })?;
    Ok(amount.display_tokens())
}

fn address(argument: &'static str, text: &str) -> Result<EvmAddress, CliError> {
    text.parse().map_err(|error| CliError::Argument { argument, value: text.to_owned(), reason: format!("{error}") })
}

fn load_key(args: &KeyArgs) -> Result<OperatorKey, CliError> {
    let Some(path): Option<&PathBuf> = args.key_file.as_ref() else { return Ok(LocalChain::developer_key()) };
    let text = files::read_text(path)?;
    text.parse().map_err(|error: shoal_chain::KeyError| CliError::Argument {
        argument: "--key-file",
        value: path.display().to_string(),
        reason: error.to_string(),
    })
}
