//! Runs a unit on the right device, in slices, at the pace the volunteer set.

use bytes::Bytes;
use shoal_compute::{
    Backend, BackendKind, ComputeError, CpuBackend,
    program::{Budget, UnitRun},
};
use shoal_wire::{
    proto::{self, Class, WorkReport},
    unit::CheckedUnit,
};

use crate::{limits::COMPUTE_SLICE, pace::Pace, platform::Platform};

/// What this machine computes with. The CPU is always there and runs every exact unit; tolerant ones run on `G`, or on the
/// CPU by other kernels.
#[derive(Debug)]
pub struct Devices<G = CpuBackend> {
    gpu: Option<G>,
    tolerant_cpu: CpuBackend,
}

impl Devices<CpuBackend> {
    /// The CPU alone.
    pub fn cpu() -> Self {
        Self::with_gpu(None)
    }
}

impl<G: Backend> Devices<G> {
    /// A GPU for tolerant units beside the CPU; without one, as [`Devices::cpu`].
    pub fn with_gpu(gpu: Option<G>) -> Self {
        Self { gpu, tolerant_cpu: CpuBackend::tolerant() }
    }

    /// What computes tolerant units.
    pub(crate) fn backend(&self) -> proto::Backend {
        match self.gpu.as_ref().map(|gpu| gpu.info().kind) {
            Some(BackendKind::WebGpu) => proto::Backend::Webgpu,
            Some(BackendKind::Cpu) | None => proto::Backend::Cpu,
        }
    }

    /// Name of the GPU adapter, or empty.
    pub(crate) fn adapter(&self) -> String {
        self.gpu.as_ref().map(|gpu| gpu.info().adapter).unwrap_or_default()
    }

    /// The device for a unit of that class.
    pub(crate) fn backend_for(&self, class: Class) -> BackendKind {
        match (&self.gpu, class) {
            (Some(gpu), Class::Tolerant) => gpu.info().kind,
            _ => BackendKind::Cpu,
        }
    }
}

/// A unit's inputs, each verified against its hash.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    pub(crate) graph: Bytes,
    pub(crate) parameters: Bytes,
    pub(crate) data: Bytes,
}

/// A unit's output and what it took.
#[derive(Debug)]
pub(crate) struct Computed {
    pub(crate) output: Bytes,
    pub(crate) report: WorkReport,
}

/// Computes a whole unit. Between slices the event loop runs; dropping the future stops the work.
pub(crate) async fn compute<P: Platform, G: Backend>(
    platform: &P,
    devices: &mut Devices<G>,
    pace: &Pace,
    unit: &CheckedUnit,
    inputs: &Inputs,
    budget: &Budget,
) -> Result<Computed, ComputeError> {
    let mut run = UnitRun::prepare(unit, &inputs.graph, &inputs.parameters, &inputs.data, budget)?;
    let is_tolerant = unit.class == Class::Tolerant;
    let mut gpu = devices.gpu.as_mut().filter(|_| is_tolerant);
    let dispatches = |gpu: &Option<&mut G>| gpu.as_ref().map_or(0, |gpu| gpu.info().dispatches);
    let dispatches_before = dispatches(&gpu);
    let backend = gpu.as_ref().map_or(BackendKind::Cpu, |gpu| gpu.info().kind);
    let mut worked = std::time::Duration::ZERO;
    while !run.is_done() {
        let start = platform.now();
        while !run.is_done() && platform.now() - start < COMPUTE_SLICE {
            match &mut gpu {
                Some(gpu) => run.step(*gpu).await?,
                None if is_tolerant => run.step(&mut devices.tolerant_cpu).await?,
                None => run.step_on_cpu()?,
            }
        }
        let slice = platform.now() - start;
        worked += slice;
        pace.rest(platform, slice).await;
    }
    let report = WorkReport {
        compute_ms: u32::try_from(worked.as_millis()).unwrap_or(u32::MAX),
        backend: match backend {
            BackendKind::Cpu => proto::Backend::Cpu,
            BackendKind::WebGpu => proto::Backend::Webgpu,
        } as i32,
        gpu_dispatches: u32::try_from(dispatches(&gpu) - dispatches_before).unwrap_or(u32::MAX),
    };
    Ok(Computed { output: Bytes::from(run.finish()?), report })
}
