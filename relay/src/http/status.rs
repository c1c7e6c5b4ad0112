//! A job as its consumer sees it, put together from the store.

use shoal_wire::api::{JobState, JobStatus, RowProgress, WorkerRow};

use crate::{
    context::Context,
    store::{JobRow, StoreError},
};

pub(super) async fn job_status(context: &Context, row: JobRow) -> Result<JobStatus, StoreError> {
    let store = &context.public_store;
    let cost = store.validation_cost(&row.id).await?;
    // The last round of a finished job is complete; there is no round after it.
    let round_accepted = match row.state {
        JobState::Finished => row.units_per_round,
        _ => store.count_accepted(&row.id, row.rounds_done).await?,
    };
    let rows = match row.map_rows {
        Some(total) => Some(RowProgress { done: store.map_rows_done(&row.id).await?, total }),
        None => None,
    };
    Ok(JobStatus {
        id: row.id,
        name: row.name,
        state: row.state,
        failure: row.failure,
        rounds_done: row.rounds_done,
        rounds: row.rounds,
        round_accepted,
        units_per_round: row.units_per_round,
        held_out_accuracy: row.held_out_accuracy,
        model: (row.rounds_done > 0 && rows.is_none()).then_some(row.parameters),
        rows,
        verified_ops: store.verified_ops(&row.id).await?,
        validation_overhead: (cost.compute_seconds > 0.0).then(|| cost.check_seconds / cost.compute_seconds),
        workers: connected(context, store.worker_rows(Some(&row.id)).await?),
    })
}

/// Fills in who is connected.
pub(super) fn connected(context: &Context, mut rows: Vec<WorkerRow>) -> Vec<WorkerRow> {
    for row in &mut rows {
        row.connected = context.is_connected(&row.node);
    }
    rows
}
