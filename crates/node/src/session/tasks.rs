//! What runs beside the session's loop: one fetch, one unit, and the relay's downloads of outputs.

use std::future::pending;

use futures::{
    FutureExt as _, StreamExt as _,
    future::{Fuse, LocalBoxFuture},
    stream::FuturesUnordered,
};
use libp2p::swarm::Stream;
use shoal_compute::{Backend, ComputeError};
use shoal_transport::{blob::serve_throttled, streams::Control};
use shoal_wire::{
    ids::BlobId,
    limits::{MAX_BLOB_LEN, MAX_BLOB_STREAMS_PER_PEER},
    proto,
    unit::CheckedUnit,
};

use crate::{
    compute::{Computed, Inputs, compute},
    event::Event,
    fetch::{InputError, Wanted},
    leases::OpenLease,
    limits::SERVE_TIMEOUT,
    platform::{Platform, timeout},
    worker::Core,
};

pub(super) type Fetched = Result<Inputs, InputError>;
pub(super) type ComputeResult = Result<Computed, UnitFault>;

/// Why a unit was not computed.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnitFault {
    #[error(transparent)]
    Compute(#[from] ComputeError),
    #[error("the lease ended before its turn came")]
    Expired,
}

/// A task that finished.
pub(super) enum Done {
    Fetched(Fetched),
    Computed(ComputeResult),
    Served,
}

pub(super) struct Tasks<'a, P, G> {
    core: &'a Core<P, G>,
    control: Control,
    fetch: Fuse<LocalBoxFuture<'a, Fetched>>,
    compute: Fuse<LocalBoxFuture<'a, ComputeResult>>,
    serving: FuturesUnordered<LocalBoxFuture<'a, ()>>,
}

impl<'a, P: Platform, G: Backend> Tasks<'a, P, G> {
    pub(super) fn new(core: &'a Core<P, G>, control: Control) -> Self {
        Self { core, control, fetch: Fuse::terminated(), compute: Fuse::terminated(), serving: FuturesUnordered::new() }
    }

    /// Waits for the next task to finish; never returns while none runs.
    pub(super) fn next(&mut self) -> LocalBoxFuture<'_, Done> {
        async {
            futures::select_biased! {
                fetched = &mut self.fetch => Done::Fetched(fetched),
                () = self.serving.select_next_some() => Done::Served,
                computed = &mut self.compute => Done::Computed(computed),
                // With everything terminated the select would be complete, which is a panic.
                () = pending::<()>().fuse() => unreachable!("pending never ends"),
            }
        }
        .boxed_local()
    }

    /// Fetches a unit's inputs.
    pub(super) fn fetch(&mut self, unit: CheckedUnit) {
        let (core, control) = (self.core, self.control.clone());
        self.fetch = async move {
            // A blob larger than the unit's memory budget could not be computed with.
            let max_len = core.config.budget.memory_bytes.min(MAX_BLOB_LEN);
            let graph = input(core, &control, "graph", unit.graph, max_len).await?;
            let parameters = input(core, &control, "parameters", unit.parameters, max_len).await?;
            let data = input(core, &control, "data", unit.data, max_len).await?;
            Ok(Inputs { graph, parameters, data })
        }
        .boxed_local()
        .fuse();
    }

    /// Computes a unit; returns the name of the device that will.
    pub(super) fn compute(&mut self, open: OpenLease, inputs: Inputs) -> &'static str {
        let core = self.core;
        let devices = core.devices.try_lock();
        let kind = devices.map_or(shoal_compute::BackendKind::Cpu, |devices| devices.backend_for(open.unit.class));
        self.compute = async move {
            if core.platform.now() >= open.expires {
                return Err(UnitFault::Expired);
            }
            let mut devices = core.devices.lock().await;
            let budget = &core.config.budget;
            let computed = compute(&core.platform, &mut devices, &core.pace, &open.unit, &inputs, budget).await?;
            #[cfg(feature = "cheat")]
            let computed = match core.config.cheat {
                Some(cheat) => {
                    let output = cheat.falsify(computed.output, &inputs.parameters);
                    Computed { output, report: computed.report }
                }
                None => computed,
            };
            Ok(computed)
        }
        .boxed_local()
        .fuse();
        kind.name()
    }

    /// Answers one blob stream of the relay. Above the limit it is dropped, which the relay sees at once.
    pub(super) fn serve(&mut self, stream: Stream) {
        if self.serving.len() >= MAX_BLOB_STREAMS_PER_PEER {
            return;
        }
        let core = self.core;
        let counted = core.watched.transfers.upload();
        self.serving.push(
            async move {
                let _counted = counted;
                match timeout(&core.platform, SERVE_TIMEOUT, serve_throttled(stream, &core.outputs, &core.up)).await {
                    Some(Ok(served)) => tracing::debug!(output = %served.id.short(), "output fetched"),
                    Some(Err(error)) => tracing::debug!(%error, "output not fetched"),
                    None => tracing::debug!("output not fetched in time"),
                }
            }
            .boxed_local(),
        );
    }

    /// Drops the fetch.
    pub(super) fn abandon_fetch(&mut self) {
        self.fetch = Fuse::terminated();
    }

    /// Drops the fetch and the unit being computed.
    pub(super) fn abandon(&mut self) {
        self.abandon_fetch();
        self.compute = Fuse::terminated();
    }
}

async fn input<P: Platform, G: Backend>(
    core: &Core<P, G>,
    control: &Control,
    blob: &'static str,
    id: BlobId,
    max_len: u64,
) -> Result<bytes::Bytes, InputError> {
    let input = core.fetcher.fetch(control, Wanted { blob, id, max_len }).await?;
    let mut stats = core.stats.borrow_mut();
    if input.fetched == 0 {
        stats.cached_blobs += 1;
    }
    stats.fetched_bytes += input.fetched;
    drop(stats);
    if let Some(bytes_per_s) = input.rate {
        core.emit(Event::BulkRate { bytes_per_s });
    }
    Ok(input.bytes)
}

pub(super) fn backend_name(backend: proto::Backend) -> &'static str {
    match backend {
        proto::Backend::Webgpu => "webgpu",
        proto::Backend::Cpu | proto::Backend::Unspecified => "cpu",
    }
}
