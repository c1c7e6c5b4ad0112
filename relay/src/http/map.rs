//! Map jobs: planned from the document and its blobs; their outputs, shard by shard.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use shoal_compute::Tensors;
use shoal_wire::{
    api::{ApiError, MapOutput},
    job::{JobDocument, MapSpec},
};

use super::{
    App, Failure,
    jobs::{known, named_blob},
};
use crate::{
    context::Context,
    plan::{MapGraphPlan, PlanError, job_id, map_units},
    store::{NewJob, Shard},
};

/// Plans a map job. Its shards are read one after another, so that one of them at a time is in memory.
pub(super) async fn plan(context: &Arc<Context>, document: Vec<u8>, spec: MapSpec) -> Result<NewJob, Failure> {
    let graphs = read_graphs(context, &spec).await?;
    let ordinal = context.public_store.count_documents(&document).await?;
    let id = job_id(&document, ordinal);
    let units = map_units(id, &spec, &graphs)?;
    for (index, shard) in (0u32..).zip(&spec.shards) {
        let bytes = named_blob(context, &format!("shards[{index}].blob"), shard.blob).await?;
        let (graph, rows) = (graphs[shard.graph as usize].clone(), shard.rows);
        blocking(move || graph.check_shard(index, &bytes, rows)).await?;
    }
    Ok(NewJob {
        id,
        document,
        ordinal,
        name: spec.name,
        rounds: 1,
        parameters: spec.graphs[0].parameters,
        shards: spec.shards.iter().map(|shard| Shard { blob: shard.blob, samples: shard.rows }).collect(),
        units,
    })
}

/// Reads the graphs, in the order of the document. Those that share parameters are taken one after another, so that these
/// are read once, and one file of parameters at a time is in memory.
async fn read_graphs(context: &Context, spec: &MapSpec) -> Result<Vec<Arc<MapGraphPlan>>, Failure> {
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
    Ok(planned.into_iter().map(|(_, plan)| Arc::new(plan)).collect())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PlanError> + Send + 'static,
) -> Result<T, PlanError> {
    tokio::task::spawn_blocking(work).await.expect("planning does not panic")
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
