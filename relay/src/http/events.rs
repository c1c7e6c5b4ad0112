//! Progress as server-sent events: the job's status whenever it changed, until the job ends.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{Path, State},
    response::sse::{Event, KeepAlive, Sse},
};
use futures::Stream;
use shoal_wire::{
    api::{ApiError, JobState, JobStatus},
    ids::JobId,
};
use tokio::sync::{OwnedSemaphorePermit, broadcast};

use super::{App, Failure, MAX_WATCHERS, jobs::known, status::job_status};

/// Fastest rate of events: faster than people read, slower than units are accepted.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Watch a job
///
/// Events named `status` with a `JobStatus` each: one at once, one after each change, the last one when the job has ended.
#[utoipa::path(get, path = "/v1/jobs/{id}/events", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, content_type = "text/event-stream", body = JobStatus), (status = 404, body = ApiError)))]
pub(super) async fn job_events(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let busy = Failure::Busy { what: "event streams", limit: MAX_WATCHERS };
    let permit = app.watchers.clone().try_acquire_owned().map_err(|_| busy)?;
    // Subscribed before the first look, so that nothing falls in between.
    let notes = app.context.progress();
    let job = known(&app, &id).await?.id;
    let watch = Watch { app, job, notes, first: true, ended: false, _permit: permit };
    Ok(Sse::new(futures::stream::unfold(watch, Watch::next)).keep_alive(KeepAlive::default()))
}

struct Watch {
    app: App,
    job: JobId,
    notes: broadcast::Receiver<JobId>,
    first: bool,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Watch {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        if self.ended {
            return None;
        }
        if !std::mem::take(&mut self.first) {
            self.wait_for_change().await?;
        }
        let status = match self.look().await {
            Ok(status) => status?,
            Err(error) => {
                tracing::error!(%error, "events");
                return None;
            }
        };
        self.ended = status.state != JobState::Running;
        let event = Event::default().event("status").json_data(&status).expect("a status is plain data");
        Some((Ok(event), self))
    }

    /// Waits for a note about this job; `None` when the relay stops.
    async fn wait_for_change(&mut self) -> Option<()> {
        loop {
            let note = tokio::select! {
                note = self.notes.recv() => note,
                _ = self.app.stop.changed() => return None,
            };
            match note {
                Ok(job) if job != self.job => {}
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => break,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
        tokio::time::sleep(MIN_INTERVAL).await;
        // Whatever came meanwhile is seen by the same look.
        self.notes = self.app.context.progress();
        Some(())
    }

    async fn look(&self) -> Result<Option<JobStatus>, crate::store::StoreError> {
        match self.app.context.public_store.job(&self.job).await? {
            Some(row) => Ok(Some(job_status(&self.app.context, row).await?)),
            None => Ok(None),
        }
    }
}
