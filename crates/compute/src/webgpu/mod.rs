//! The WebGPU backend: WGSL kernels through wgpu, for tolerant units, in browsers and natively on Vulkan or Metal. A run of a graph is one submission:
//! inputs are written, every node dispatched in one compute pass, outputs copied to one staging buffer and read back.
//! Floats are within `tolerance::bound` of the CPU's, not equal to them; exact units are refused before they get here.

mod adapter;
mod kernel;
mod plan;
mod pool;
mod run;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use shoal_graph::Graph;

pub use self::adapter::{AdapterChoice, adapter_names};
use self::{kernel::Kernel, plan::Planned, pool::Pool};
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

    /// Compiles the kernels that are not compiled yet.
    fn prepare_pipelines(&mut self, planned: &Planned) {
        if self.pipelines.len() > MAX_PIPELINES {
            self.pipelines.clear();
        }
        for dispatch in planned.dispatches() {
            if !self.pipelines.contains_key(&dispatch.kernel) {
                let pipeline = compile(&self.device, &dispatch.kernel);
                self.pipelines.insert(dispatch.kernel.clone(), pipeline);
            }
        }
    }
}

fn compile(device: &wgpu::Device, kernel: &Kernel) -> wgpu::ComputePipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(kernel.entry()),
        source: wgpu::ShaderSource::Wgsl(kernel.source().into()),
    });
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(kernel.entry()),
        layout: None,
        module: &module,
        entry_point: Some(kernel.entry()),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
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
