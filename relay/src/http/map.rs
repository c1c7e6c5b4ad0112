//! Map jobs: planned from the document and its blobs; their outputs, shard by shard.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use shoal_wire::{
    api::{ApiError, MapOutput},
    job::{JobDocument, MapSpec},
};

use super::{App, Failure, jobs::known};
use crate::{
    context::Context,
    plan::{MapPlan, job_id},
    store::{NewJob, Shard},
};

/// Plans a map job. Its shards are read one after another, so that one of them at a time is in memory.
pub(super) async fn plan(context: &Arc<Context>, document: Vec<u8>, spec: MapSpec) -> Result<NewJob, Failure> {
    let get = async |field, id| context.blobs.get(id).await?.ok_or(Failure::BlobMissing { field, id });
    let (graph, parameters) = (get("graph", spec.graph).await?, get("parameters", spec.parameters).await?);
    let ordinal = context.public_store.count_documents(&document).await?;
    let id = job_id(&document, ordinal);
    let planning = spec.clone();
    let planned = tokio::task::spawn_blocking(move || {
        let plan = MapPlan::new(&planning, &graph, &parameters)?;
        let units = plan.units(id, &planning)?;
        Ok::<_, Failure>((Arc::new(plan), units))
    });
    let (plan, units) = planned.await.expect("planning does not panic")?;
    for (index, shard) in (0u32..).zip(&spec.shards) {
        let bytes = get("shards", shard.blob).await?;
        let (plan, rows) = (plan.clone(), shard.rows);
        let checked = tokio::task::spawn_blocking(move || plan.check_shard(index, &bytes, rows));
        checked.await.expect("checking a shard does not panic")?;
    }
    Ok(NewJob {
        id,
        document,
        ordinal,
        name: spec.name,
        rounds: 1,
        parameters: spec.parameters,
        shards: spec.shards.iter().map(|shard| Shard { blob: shard.blob, samples: shard.rows }).collect(),
        units,
    })
}

/// List a map job's outputs
///
/// One of each shard that is accepted so far, in order of the shards; the blobs are fetched like any others. In a private
/// swarm they are the operator's.
#[utoipa::path(get, path = "/v1/jobs/{id}/outputs", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = Vec<MapOutput>), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub(super) async fn get_outputs(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Vec<MapOutput>>, Failure> {
    let row = known(&app, &id).await?;
    if !matches!(crate::engine::parse(&row)?, JobDocument::Map(_)) {
        return Err(Failure::NotMap(row.id));
    }
    Ok(Json(app.context.public_store.map_outputs(&row.id).await?))
}
