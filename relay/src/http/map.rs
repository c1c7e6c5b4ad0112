//! Map jobs: planned from the document and its blobs; their outputs, shard by shard.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use shoal_compute::Tensors;
use shoal_wire::{
    api::{ApiError, MapOutput},
    job::{MapShard, MapSpec},
    limits::MAX_SHARDS,
};

use super::{
    App, Failure,
    jobs::{known, named_blob},
};
use crate::{
    context::Context,
    plan::{MapGraphPlan, PlanError, job_id, map_units},
    store::{NewJob, Shard, blobs::BlobStore},
};

/// Shards checked at once: reading and hashing keep a few cores busy, and each takes up to twice the largest blob in memory.
const MAX_SHARD_CHECKS: usize = 4;

/// Most outputs of one answer, a hundred bytes each.
const MAX_OUTPUTS: u32 = 4096;

/// Plans a map job.
pub(super) async fn plan(context: &Arc<Context>, document: Vec<u8>, spec: MapSpec) -> Result<NewJob, Failure> {
    let graphs = read_graphs(context, &spec).await?;
    let ordinal = context.public_store.count_documents(&document).await?;
    let id = job_id(&document, ordinal);
    let units = map_units(id, &spec, &graphs)?;
    let spec = Arc::new(spec);
    check_shards(&context.blobs, &spec, &graphs.into()).await?;
    Ok(NewJob {
        id,
        document,
        ordinal,
        name: spec.name.clone(),
        rounds: 1,
        parameters: spec.graphs[0].parameters,
        shards: spec.shards.iter().map(|shard| Shard { blob: shard.blob, samples: shard.rows }).collect(),
        units,
        map_rows: Some(spec.rows()),
    })
}

/// Checks all shards, a few at once, and names the first that does not fit.
async fn check_shards(blobs: &BlobStore, spec: &Arc<MapSpec>, graphs: &Arc<[MapGraphPlan]>) -> Result<(), Failure> {
    let next = Arc::new(AtomicU32::new(0));
    let checkers = (0..MAX_SHARD_CHECKS).map(|_| {
        let (blobs, spec, graphs, next) = (blobs.clone(), spec.clone(), graphs.clone(), next.clone());
        tokio::task::spawn_blocking(move || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(shard) = spec.shards.get(index as usize) else { return Ok(()) };
                if let Err(failure) = check_shard(&blobs, &graphs, index, shard) {
                    // The others end with the shards that they took, so that the first of all is found.
                    next.store(MAX_SHARDS, Ordering::Relaxed);
                    return Err(Box::new((index, failure)));
                }
            }
        })
    });
    let mut failures = Vec::new();
    for checker in checkers.collect::<Vec<_>>() {
        failures.extend(checker.await.expect("checking shards does not panic").err());
    }
    match failures.into_iter().min_by_key(|failed| failed.0) {
        Some(failed) => Err(failed.1),
        None => Ok(()),
    }
}

fn check_shard(blobs: &BlobStore, graphs: &[MapGraphPlan], index: u32, shard: &MapShard) -> Result<(), Failure> {
    let missing = || Failure::BlobMissing { field: format!("shards[{index}].blob"), id: shard.blob };
    let bytes = blobs.get_blocking(&shard.blob)?.ok_or_else(missing)?;
    Ok(graphs[shard.graph as usize].check_shard(index, &bytes, shard.rows)?)
}

/// Reads the graphs, in the order of the document. Those that share parameters are taken one after another, so that these
/// are read once, and one file of parameters at a time is in memory.
async fn read_graphs(context: &Context, spec: &MapSpec) -> Result<Vec<MapGraphPlan>, Failure> {
    let first_sharing = |position: &usize| {
        let parameters = spec.graphs[*position].parameters;
        spec.graphs.iter().position(|graph| graph.parameters == parameters).expect("it is one of them")
    };
    let mut order: Vec<usize> = (0..spec.graphs.len()).collect();
    order.sort_by_key(first_sharing);
    let mut planned = Vec::new();
    for sharing in order.chunk_by(|a, b| first_sharing(a) == first_sharing(b)) {
        let first = sharing[0];
        let field = format!("graphs[{first}].parameters");
        let bytes = named_blob(context, &field, spec.graphs[first].parameters).await?;
        let parameters = blocking(move || {
            let malformed = |source| PlanError::Map { graph: first, field: "parameters", source };
            Tensors::from_bytes(&bytes).map_err(malformed)
        });
        let parameters = Arc::new(parameters.await?);
        for position in sharing.iter().copied() {
            let graph = spec.graphs[position];
            let bytes = named_blob(context, &format!("graphs[{position}].graph"), graph.graph).await?;
            let parameters = parameters.clone();
            let plan = blocking(move || MapGraphPlan::new(position, graph, &bytes, &parameters)).await?;
            planned.push((position, plan));
        }
    }
    planned.sort_by_key(|(position, _)| *position);
    Ok(planned.into_iter().map(|(_, plan)| plan).collect())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PlanError> + Send + 'static,
) -> Result<T, PlanError> {
    tokio::task::spawn_blocking(work).await.expect("planning does not panic")
}

/// Which outputs.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputPage {
    /// First shard, 0 unless told.
    #[serde(default)]
    from: u32,
    /// Most outputs, 1 to 4096; as many unless told.
    #[serde(default = "max_outputs")]
    limit: u32,
}

fn max_outputs() -> u32 {
    MAX_OUTPUTS
}

/// List a map job's outputs
///
/// Those accepted so far from shard `from` on, in order of the shards, at most `limit`: fewer mean that there are no more yet.
/// The blobs are fetched like any others. In a private swarm they are the operator's.
#[utoipa::path(get, path = "/v1/jobs/{id}/outputs", tag = "jobs", params(("id" = String, Path), OutputPage),
    responses((status = 200, body = Vec<MapOutput>), (status = 400, body = ApiError), (status = 404, body = ApiError),
              (status = 409, body = ApiError)))]
pub(super) async fn get_outputs(
    State(app): State<App>,
    Path(id): Path<String>,
    page: Result<Query<OutputPage>, QueryRejection>,
) -> Result<Json<Vec<MapOutput>>, Failure> {
    let Query(OutputPage { from, limit }) = page.map_err(|rejection| Failure::Query(rejection.body_text()))?;
    if !(1..=MAX_OUTPUTS).contains(&limit) {
        return Err(Failure::Query(format!("limit is {limit}, allowed is 1 to {MAX_OUTPUTS}")));
    }
    let row = known(&app, &id).await?;
    if row.map_rows.is_none() {
        return Err(Failure::NotMap(row.id));
    }
    Ok(Json(app.context.public_store.map_outputs(&row.id, from, limit).await?))
}
