//! What was earned, and the claims that pay it.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use shoal_ledger::EvmAddress;
use shoal_wire::{
    api::{ApiError, RewardsInfo},
    ids::NodeId,
};

use super::{App, Failure};

/// Whose rewards.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    /// Node id, 64 hexadecimal digits.
    node: Option<String>,
    /// Payout address, `0x…`.
    payout: Option<String>,
}

/// Look at rewards
///
/// Of a node, of a payout address, or of everybody. Claims are for the epoch in force on chain.
#[utoipa::path(get, path = "/v1/rewards", tag = "rewards", params(Whose),
    responses((status = 200, body = RewardsInfo), (status = 400, body = ApiError)))]
pub(super) async fn get_rewards(
    State(app): State<App>,
    query: Result<Query<Whose>, QueryRejection>,
) -> Result<Json<RewardsInfo>, Failure> {
    let Query(whose) = query.map_err(|rejection| Failure::Query(rejection.body_text()))?;
    let node: Option<NodeId> = whose.node.map(|text| text.parse()).transpose()?;
    let payout: Option<EvmAddress> = match whose.payout {
        Some(text) => Some(text.parse().map_err(|error| Failure::Query(format!("payout: {error}")))?),
        None => None,
    };
    let mut book = app.book.lock().await;
    book.refresh(&app.context.store).await?;
    let mut info = book.info(node, payout);
    info.chain = app.context.join_info().and_then(|join| join.chain);
    Ok(Json(info))
}
