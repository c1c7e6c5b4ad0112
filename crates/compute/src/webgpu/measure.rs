//! How long the device takes: for a graph whose inputs are already there, and for loops that meet one limit of the hardware each,
//! so that a kernel's rate is a share of something. The device's own clock is read where it lets us; elsewhere the caller's,
//! around many runs in one submission, so that asking and answering weigh little.

use shoal_graph::Graph;

use super::{WebGpuBackend, plan::Planned, run};
use crate::{error::ComputeError, executable::bind_inputs, tensor::Tensors};

/// A limit of the hardware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Multiplications with additions of f32 in registers, two operations each.
    Arithmetic,
    /// Products of four bytes each, with their sum and an addition, in registers: eight operations each.
    IntegerArithmetic,
    /// Bytes read and written by a copy that no cache holds.
    Bandwidth,
}

/// What took how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Operations or bytes of a limit, runs of a graph.
    pub amount: f64,
    /// Seconds for all of it.
    pub seconds: f64,
    /// Whether the device's clock was read.
    pub is_device_clock: bool,
}

impl Measured {
    /// Amount in a second.
    pub fn rate(&self) -> f64 {
        self.amount / self.seconds
    }
}

/// Timestamps of a submission: its first and its last.
struct Stamps {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
}

/// Bytes of two timestamps.
const STAMP_BYTES: u64 = 16;
/// Workgroups of a loop in registers: many for every multiprocessor, so that the last ones weigh little.
const LIMIT_WORKGROUPS: u32 = 4096;
const LIMIT_WORKGROUP: u32 = 256;
/// Independent sums of an invocation.
const CHAINS: u32 = 8;
/// Steps of the loop's body.
const UNROLLED: u32 = 16;
/// Bytes of each of a copy's buffers: beyond the caches of the largest GPUs.
const COPIED_BYTES: u64 = 256 << 20;

impl WebGpuBackend {
    /// Runs a graph several times in one submission. Nothing is read back.
    ///
    /// # Errors
    /// As a run.
    pub async fn measure(
        &mut self,
        graph: &Graph,
        inputs: Tensors,
        runs: u32,
        now_s: &dyn Fn() -> f64,
    ) -> Result<Measured, ComputeError> {
        let values = bind_inputs(graph, inputs)?;
        let planned = self.plan(graph)?;
        self.prepare_pipelines(&planned);
        let uniforms = run::write_uniforms(self, &planned);
        let buffers = run::upload(self, &planned, &values)?;
        // So that neither the upload nor what a first run prepares is measured.
        self.encode_runs(&planned, &uniforms, &buffers, 1, None)?;
        self.settle().await?;
        let stamps = self.stamps();
        let start = now_s();
        self.encode_runs(&planned, &uniforms, &buffers, runs, stamps.as_ref())?;
        let measured = self.elapsed(stamps, f64::from(runs), start, now_s).await;
        (self.planned, self.uniforms) = (Some(planned), Some(uniforms));
        buffers.into_iter().flatten().for_each(|buffer| self.pool.give(buffer));
        measured
    }

    fn encode_runs(
        &mut self,
        planned: &Planned,
        uniforms: &wgpu::Buffer,
        buffers: &run::Buffers,
        runs: u32,
        stamps: Option<&Stamps>,
    ) -> Result<(), ComputeError> {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for run in 0..runs {
            let mut own = buffers.clone();
            let writes = stamps.map(|stamps| wgpu::ComputePassTimestampWrites {
                query_set: &stamps.queries,
                beginning_of_pass_write_index: (run == 0).then_some(0),
                end_of_pass_write_index: (run + 1 == runs).then_some(1),
            });
            // WebGPU wants one of the two where there are timestamps at all.
            let writes = writes.filter(|_| run == 0 || run + 1 == runs);
            run::encode(self, planned, uniforms, &mut own, &mut encoder, writes)?;
            own.into_iter().flatten().for_each(|buffer| self.pool.give(buffer));
        }
        if let Some(stamps) = stamps {
            encoder.resolve_query_set(&stamps.queries, 0..2, &stamps.resolved, 0);
        }
        self.queue.submit([encoder.finish()]);
        Ok(())
    }

    /// Meets a limit of the hardware with so many rounds of its loop.
    ///
    /// # Errors
    /// Failures of the device.
    pub async fn measure_limit(
        &mut self,
        limit: Limit,
        rounds: u32,
        now_s: &dyn Fn() -> f64,
    ) -> Result<Measured, ComputeError> {
        let copied = COPIED_BYTES.min(self.device.limits().max_storage_buffer_binding_size);
        let copied = if self.is_fallback { copied / 8 } else { copied };
        let storage = |bytes| {
            self.device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: bytes,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let workgroups = if self.is_fallback { 16 } else { LIMIT_WORKGROUPS };
        let invocations = u64::from(workgroups * LIMIT_WORKGROUP);
        let (from, to) = match limit {
            Limit::Bandwidth => (storage(copied), storage(copied)),
            Limit::Arithmetic | Limit::IntegerArithmetic => (storage(16), storage(invocations * 16)),
        };
        let source = source(limit, self.has_packed_dot);
        let pipeline = super::compile(&self.device, "main", &source);
        let entries = [&from, &to]
            .into_iter()
            .zip(0..)
            .map(|(buffer, binding)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() });
        let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries.collect::<Vec<_>>(),
        });
        let groups = match limit {
            Limit::Bandwidth => (copied / 16).div_ceil(u64::from(LIMIT_WORKGROUP)) as u32,
            Limit::Arithmetic | Limit::IntegerArithmetic => workgroups,
        };
        let width = groups.min(self.device.limits().max_compute_workgroups_per_dimension);
        let submit = |rounds: u32, stamps: Option<&Stamps>| {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: stamps.map(|stamps| wgpu::ComputePassTimestampWrites {
                    query_set: &stamps.queries,
                    beginning_of_pass_write_index: Some(0),
                    end_of_pass_write_index: Some(1),
                }),
            });
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            for _ in 0..rounds {
                pass.dispatch_workgroups(width, groups.div_ceil(width), 1);
            }
            drop(pass);
            if let Some(stamps) = stamps {
                encoder.resolve_query_set(&stamps.queries, 0..2, &stamps.resolved, 0);
            }
            self.queue.submit([encoder.finish()]);
        };
        submit(1, None);
        self.settle().await?;
        let stamps = self.stamps();
        let start = now_s();
        submit(rounds, stamps.as_ref());
        let steps = invocations as f64 * f64::from(LIMIT_STEPS) * f64::from(UNROLLED * CHAINS);
        let amount = f64::from(rounds)
            * match limit {
                Limit::Arithmetic => steps * 8.0,
                Limit::IntegerArithmetic => steps * 32.0,
                Limit::Bandwidth => 2.0 * copied as f64,
            };
        let measured = self.elapsed(stamps, amount, start, now_s).await;
        from.destroy();
        to.destroy();
        measured
    }

    fn stamps(&self) -> Option<Stamps> {
        self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY).then(|| Stamps {
            queries: self.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            }),
            resolved: self.device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: STAMP_BYTES,
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            }),
        })
    }

    /// Waits for the device and says how long the last submission took.
    async fn elapsed(
        &self,
        stamps: Option<Stamps>,
        amount: f64,
        start: f64,
        now_s: &dyn Fn() -> f64,
    ) -> Result<Measured, ComputeError> {
        self.settle().await?;
        let seconds = now_s() - start;
        let Some(stamps) = stamps else { return Ok(Measured { amount, seconds, is_device_clock: false }) };
        let bytes = self.read(&stamps.resolved, STAMP_BYTES).await?;
        let ticks: Vec<u64> = bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let own = ticks[1].saturating_sub(ticks[0]) as f64 * f64::from(self.queue.get_timestamp_period()) * 1e-9;
        // A browser's clock is coarse on purpose; what it cannot tell, the caller's can.
        let is_device_clock = own > 0.0;
        Ok(Measured { amount, seconds: if is_device_clock { own } else { seconds }, is_device_clock })
    }

    /// Waits until everything submitted is done.
    async fn settle(&self) -> Result<(), ComputeError> {
        let small = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 4,
            usage: wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        self.read(&small, 4).await.map(|_| ())
    }

    /// The bytes of a buffer after everything submitted.
    async fn read(&self, from: &wgpu::Buffer, bytes: u64) -> Result<Vec<u8>, ComputeError> {
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(from, 0, &staging, 0, bytes);
        self.queue.submit([encoder.finish()]);
        let mapped = run::map(&staging, bytes);
        run::wait(&self.device);
        match mapped.await {
            Ok(Ok(())) => Ok(staging.get_mapped_range(0..bytes).to_vec()),
            _ => Err(self.lost("a measurement could not be read back")),
        }
    }
}

/// Rounds of the loop in a dispatch.
const LIMIT_STEPS: u32 = 64;

fn source(limit: Limit, has_packed_dot: bool) -> String {
    let start = format!(
        "@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
{}
@compute @workgroup_size({LIMIT_WORKGROUP})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {{
let i = id.y * groups.x * {LIMIT_WORKGROUP}u + id.x;
",
        super::kernel::dot_function(has_packed_dot)
    );
    let every = |line: &dyn Fn(u32) -> String| (0..CHAINS).map(line).collect::<String>();
    let step = |line: &dyn Fn(u32) -> String| every(line).repeat(UNROLLED as usize);
    let (before, body, after) = match limit {
        Limit::Bandwidth => return start + "if i < arrayLength(&y) { y[i] = x[i]; }\n}\n",
        Limit::Arithmetic => (
            "let a = x[0];\n".to_owned() + &every(&|c| format!("var s{c} = vec4(f32(i + {c}u));\n")),
            step(&|c| format!("s{c} = fma(s{c}, a, a);\n")),
            every(&|c| format!("+ s{c}")).replacen('+', "y[i] = ", 1) + ";\n",
        ),
        // Four independent words a chain, as the floats have.
        Limit::IntegerArithmetic => (
            "let a = bitcast<vec4<u32>>(x[0]);\n".to_owned()
                + &every(&|c| format!("var s{c} = vec4<i32>(i32(i + {c}u));\n")),
            step(&|c| {
                ["x", "y", "z", "w"].map(|l| format!("s{c}.{l} += dot4(bitcast<u32>(s{c}.{l}), a.{l});\n")).concat()
            }),
            format!("y[i] = bitcast<vec4<f32>>({});\n", every(&|c| format!("+ s{c}")).replacen('+', "", 1)),
        ),
    };
    format!("{start}{before}for (var step = 0u; step < {LIMIT_STEPS}u; step++) {{\n{body}}}\n{after}}}\n")
}
