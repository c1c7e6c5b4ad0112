//! The WebGPU backend: WGSL kernels through wgpu, for tolerant units, in browsers and natively on Vulkan or Metal. A run of a graph is one submission:
//! inputs are written, every node dispatched in one compute pass, outputs copied to one staging buffer and read back.
//! Floats are within `tolerance::bound` of the CPU's, not equal to them; exact units are refused before they get here.

mod adapter;
mod kernel;
mod measure;
mod plan;
mod pool;
mod run;
mod tile;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use shoal_graph::Graph;

pub use self::{
    adapter::{AdapterChoice, adapter_names},
    measure::{Limit, Measured},
    tile::{KernelChoice, TileSize},
};
use self::{
    kernel::Kernel,
    plan::{Device, Planned},
    pool::Pool,
};
use crate::{
    backend::{Backend, BackendInfo, BackendKind},
    error::ComputeError,
    tensor::Tensors,
};

/// Pipelines kept at most. A model has some dozens; strangers' graphs must not fill the browser's memory.
const MAX_PIPELINES: usize = 512;

/// Runs graphs on a GPU. One device, one run at a time.
#[derive(Debug)]
pub struct WebGpuBackend {
    device: wgpu::Device,
    queue: wgpu::Queue,
    adapter: String,
    is_fallback: bool,
    has_packed_dot: bool,
    choice: KernelChoice,
    pipelines: HashMap<Kernel, wgpu::ComputePipeline>,
    /// What ran last: most runs repeat it.
    planned: Option<Planned>,
    pool: Pool,
    /// Kept between runs and absent during one, so that a run dropped half-way leaves no mapped buffer behind.
    staging: Option<wgpu::Buffer>,
    uniforms: Option<wgpu::Buffer>,
    dispatches: u64,
    submissions: u64,
    /// Why the device is gone, once it is.
    lost: Arc<Mutex<Option<String>>>,
}

impl WebGpuBackend {
    /// A device of the fastest adapter.
    ///
    /// # Errors
    /// [`ComputeError::NoDevice`] when there is none.
    pub async fn new() -> Result<Self, ComputeError> {
        Self::on(&AdapterChoice::Fastest).await
    }

    /// A device of the chosen adapter.
    ///
    /// # Errors
    /// [`ComputeError::NoDevice`] when there is none such.
    pub async fn on(choice: &AdapterChoice) -> Result<Self, ComputeError> {
        let opened = adapter::open(choice).await?;
        let lost = Arc::new(Mutex::new(None));
        let report = lost.clone();
        opened.device.set_device_lost_callback(move |reason, message| {
            *report.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{reason:?}: {message}"));
        });
        Ok(Self {
            device: opened.device,
            queue: opened.queue,
            adapter: opened.name,
            is_fallback: opened.is_fallback,
            has_packed_dot: opened.has_packed_dot,
            choice: KernelChoice::ByShape,
            pipelines: HashMap::new(),
            planned: None,
            pool: Pool::default(),
            staging: None,
            uniforms: None,
            dispatches: 0,
            submissions: 0,
            lost,
        })
    }

    /// Says what the adapter is, for reports in a browser. There wgpu reads only the adapter's description, which browsers
    /// leave empty; vendor, architecture and whether it is a fallback are in `GPUAdapterInfo`, which the JavaScript boundary
    /// reads.
    #[must_use]
    pub fn with_adapter(mut self, name: String, is_fallback: bool) -> Self {
        self.is_fallback = is_fallback || adapter::is_software(&name);
        self.adapter = name;
        self
    }

    /// Takes kernels of one kind from now on, for tests and benches.
    #[must_use]
    pub fn with_kernels(mut self, choice: KernelChoice) -> Self {
        self.choice = choice;
        self.planned = None;
        self
    }

    /// Submissions to the GPU so far: one a run.
    pub fn submissions(&self) -> u64 {
        self.submissions
    }

    /// Gives the device up; every later run fails with [`ComputeError::DeviceLost`].
    pub fn destroy(&self) {
        self.device.destroy();
    }

    fn lost_reason(&self) -> Option<String> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The run's failure when nothing but a lost device explains it.
    fn lost(&self, what: &str) -> ComputeError {
        ComputeError::DeviceLost { reason: self.lost_reason().unwrap_or_else(|| what.to_owned()) }
    }

    /// What ran last, or a new plan.
    fn plan(&mut self, graph: &Graph) -> Result<Planned, ComputeError> {
        if let Some(planned) = self.planned.take().filter(|planned| planned.graph == *graph) {
            return Ok(planned);
        }
        let limits = self.device.limits();
        let device = Device {
            choice: self.choice,
            is_fallback: self.is_fallback,
            max_storage_buffers: limits.max_storage_buffers_per_shader_stage as usize,
            max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
        };
        Planned::new(graph.clone(), device)
    }

    /// Compiles the kernels that are not compiled yet.
    fn prepare_pipelines(&mut self, planned: &Planned) {
        if self.pipelines.len() > MAX_PIPELINES {
            self.pipelines.clear();
        }
        for dispatch in planned.dispatches() {
            if !self.pipelines.contains_key(&dispatch.kernel) {
                let pipeline = compile(&self.device, dispatch.kernel.entry(), &dispatch.kernel.source());
                self.pipelines.insert(dispatch.kernel.clone(), pipeline);
            }
        }
    }
}

fn compile(device: &wgpu::Device, entry: &str, source: &str) -> wgpu::ComputePipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(entry),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    });
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(entry),
        layout: None,
        module: &module,
        entry_point: Some(entry),
        compilation_options: wgpu::PipelineCompilationOptions {
            // Kernels write workgroup memory before they read it.
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: None,
    })
}

impl Backend for WebGpuBackend {
    fn info(&self) -> BackendInfo {
        BackendInfo {
            is_exact: false,
            kind: BackendKind::WebGpu,
            adapter: self.adapter.clone(),
            is_fallback: self.is_fallback,
            dispatches: self.dispatches,
        }
    }

    fn run(&mut self, graph: &Graph, inputs: Tensors) -> impl Future<Output = Result<Tensors, ComputeError>> {
        run::run(self, graph, inputs)
    }
}
