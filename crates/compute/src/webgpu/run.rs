//! One run of a graph: check and bind the inputs, record everything into one command buffer, submit it, read back.

use std::rc::Rc;

use futures_channel::oneshot;
use shoal_graph::{Graph, ValueId};

use super::{
    WebGpuBackend,
    plan::{Dispatch, Operand, Plan, Planned},
    pool::Pooled,
};
use crate::{
    error::ComputeError,
    executable::bind_inputs,
    tensor::{Data, Tensor, Tensors},
};

/// Offsets into a uniform buffer are multiples of it on every adapter.
const UNIFORM_STRIDE: u64 = 256;

/// Values on the GPU.
pub(super) type Buffers = Vec<Option<Rc<Pooled>>>;

pub(super) async fn run(backend: &mut WebGpuBackend, graph: &Graph, inputs: Tensors) -> Result<Tensors, ComputeError> {
    if let Some(reason) = backend.lost_reason() {
        return Err(ComputeError::DeviceLost { reason });
    }
    let values = bind_inputs(graph, inputs)?;
    let planned = backend.plan(graph)?;
    let checked = planned.indices.iter().try_for_each(|indices| indices.check(&values));
    if let Err(error) = checked {
        backend.planned = Some(planned);
        return Err(error);
    }

    let memory = backend.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let validation = backend.device.push_error_scope(wgpu::ErrorFilter::Validation);
    let submitted = submit(backend, &planned, &values);
    backend.planned = Some(planned);
    let (validation, memory) = (validation.pop(), memory.pop());
    let (staging, mapped) = submitted?;

    wait(&backend.device);
    let mapped = mapped.await;
    if memory.await.is_some() {
        staging.destroy();
        return Err(ComputeError::OutOfMemory { needed_bytes: graph.peak_memory_bytes() });
    }
    if let Some(error) = validation.await {
        staging.destroy();
        return Err(ComputeError::DeviceFault { reason: error.to_string() });
    }
    let Ok(Ok(())) = mapped else {
        // Without an error of ours, only a lost device refuses to map.
        return Err(backend.lost("the result could not be mapped"));
    };
    let outputs = read_outputs(graph, &staging);
    staging.unmap();
    backend.staging = Some(staging);
    backend.pool.trim();
    Ok(outputs)
}

/// Waits until the device has done what was submitted. In a browser the event loop does, when the run's future waits.
pub(super) fn wait(device: &wgpu::Device) {
    if !cfg!(target_arch = "wasm32") {
        // A lost device fails here, and says why where the result cannot be mapped.
        let _ = device.poll(wgpu::PollType::wait_indefinitely());
    }
}

pub(super) type Mapped = oneshot::Receiver<Result<(), wgpu::BufferAsyncError>>;

/// Records and submits everything; returns the staging buffer and the promise that it is readable.
fn submit(
    backend: &mut WebGpuBackend,
    planned: &Planned,
    values: &[Option<Tensor>],
) -> Result<(wgpu::Buffer, Mapped), ComputeError> {
    let graph = &planned.graph;
    backend.prepare_pipelines(planned);
    let uniforms = write_uniforms(backend, planned);
    let mut buffers = upload(backend, planned, values)?;
    let mut encoder = backend.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("shoal") });
    encode(backend, planned, &uniforms, &mut buffers, &mut encoder, None)?;
    backend.uniforms = Some(uniforms);

    let total: u64 = graph.outputs().iter().map(|(_, value)| graph.value_type(*value).bytes()).sum();
    let staging = reuse(
        &backend.device,
        backend.staging.take(),
        total,
        wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
    );
    let mut offset = 0;
    for (_, value) in graph.outputs() {
        let bytes = graph.value_type(*value).bytes();
        let from = buffers[value.index()].as_ref().expect("an output is kept until the end");
        encoder.copy_buffer_to_buffer(&from.buffer, 0, &staging, offset, bytes);
        offset += bytes;
    }
    backend.queue.submit([encoder.finish()]);
    backend.submissions += 1;
    // The queue works in order, so what a later run writes into these buffers comes after this run.
    for buffer in buffers.into_iter().flatten() {
        backend.pool.give(buffer);
    }
    let mapped = map(&staging, total);
    Ok((staging, mapped))
}

/// Asks for a buffer's first bytes.
pub(super) fn map(staging: &wgpu::Buffer, bytes: u64) -> Mapped {
    let (sender, receiver) = oneshot::channel();
    staging.map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
        // The run may have been dropped; then nobody waits for the result.
        let _ = sender.send(result);
    });
    receiver
}

/// The given buffer if it is large enough, else a new one of at least so many bytes.
fn reuse(device: &wgpu::Device, old: Option<wgpu::Buffer>, bytes: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    match old {
        Some(buffer) if buffer.size() >= bytes => buffer,
        old => {
            if let Some(buffer) = old {
                buffer.destroy();
            }
            let size = bytes.next_power_of_two().max(UNIFORM_STRIDE);
            device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        }
    }
}

/// All parameters of all dispatches, each aligned, written at once.
pub(super) fn write_uniforms(backend: &mut WebGpuBackend, planned: &Planned) -> wgpu::Buffer {
    let mut bytes = Vec::new();
    for dispatch in planned.dispatches() {
        let start = bytes.len();
        bytes.extend(dispatch.parameters.iter().flat_map(|word| word.to_le_bytes()));
        bytes.resize(start + uniform_bytes(dispatch) as usize, 0);
    }
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let buffer = reuse(&backend.device, backend.uniforms.take(), bytes.len() as u64, usage);
    if !bytes.is_empty() {
        backend.queue.write_buffer(&buffer, 0, &bytes);
    }
    buffer
}

/// Bytes of a dispatch's parameters with what aligns the next.
fn uniform_bytes(dispatch: &Dispatch) -> u64 {
    (dispatch.parameters.len() as u64 * 4).next_multiple_of(UNIFORM_STRIDE)
}

/// Puts inputs and constants on the GPU.
pub(super) fn upload(
    backend: &mut WebGpuBackend,
    planned: &Planned,
    values: &[Option<Tensor>],
) -> Result<Buffers, ComputeError> {
    let mut buffers = vec![None; values.len()];
    let mut put = |value: usize, bytes: &[u8]| -> Result<(), ComputeError> {
        let pooled = backend.pool.take(&backend.device, bytes.len() as u64)?;
        backend.queue.write_buffer(&pooled.buffer, 0, bytes);
        buffers[value] = Some(pooled);
        Ok(())
    };
    for (value, tensor) in values.iter().enumerate() {
        if let Some(tensor) = tensor {
            put(value, &tensor.data().to_bytes())?;
        }
    }
    for (value, bytes) in &planned.constants {
        put(value.index(), bytes)?;
    }
    Ok(buffers)
}

pub(super) fn encode(
    backend: &mut WebGpuBackend,
    planned: &Planned,
    uniforms: &wgpu::Buffer,
    buffers: &mut Buffers,
    encoder: &mut wgpu::CommandEncoder,
    timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
) -> Result<(), ComputeError> {
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes });
    let mut offset = 0;
    for plan in &planned.plans {
        let scratch = make(backend, &planned.graph, plan, buffers)?;
        for dispatch in &plan.dispatches {
            let group = bind(backend, dispatch, (uniforms, offset), |operand| match operand {
                Operand::Value(value) => (buffer(buffers, value), planned.graph.value_type(value).bytes()),
                Operand::Scratch(index) => (&scratch[index].buffer, plan.scratch[index] * 4),
            });
            pass.set_pipeline(&backend.pipelines[&dispatch.kernel]);
            pass.set_bind_group(0, &group, &[]);
            let (x, y) = workgroups(backend, dispatch.workgroups);
            pass.dispatch_workgroups(x, y, 1);
            backend.dispatches += 1;
            offset += uniform_bytes(dispatch);
        }
        let dead = plan.dead.iter().filter_map(|value| buffers[value.index()].take());
        for buffer in scratch.into_iter().chain(dead) {
            backend.pool.give(buffer);
        }
    }
    Ok(())
}

/// Takes buffers for what a step makes, and returns those of its temporaries.
fn make(
    backend: &mut WebGpuBackend,
    graph: &Graph,
    plan: &Plan,
    buffers: &mut Buffers,
) -> Result<Vec<Rc<Pooled>>, ComputeError> {
    if let Some((from, to)) = plan.same {
        buffers[to.index()] = buffers[from.index()].clone();
    }
    for value in &plan.made {
        let bytes = graph.value_type(*value).bytes();
        buffers[value.index()] = Some(backend.pool.take(&backend.device, bytes)?);
    }
    plan.scratch.iter().map(|elements| backend.pool.take(&backend.device, elements * 4)).collect()
}

fn buffer(buffers: &Buffers, value: ValueId) -> &wgpu::Buffer {
    &buffers[value.index()].as_ref().expect("a value lives until its last use").buffer
}

/// The bind group of a dispatch: 0 its parameters, from 1 on its results, then its operands.
fn bind<'a>(
    backend: &WebGpuBackend,
    dispatch: &Dispatch,
    (uniforms, offset): (&wgpu::Buffer, u64),
    resolve: impl Fn(Operand) -> (&'a wgpu::Buffer, u64),
) -> wgpu::BindGroup {
    let binding = |buffer, offset, bytes: u64| {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: std::num::NonZeroU64::new(bytes) })
    };
    let parameters = binding(uniforms, offset, (dispatch.parameters.len() as u64 * 4).next_multiple_of(16));
    let storage = dispatch.results.iter().chain(&dispatch.operands).map(|operand| {
        let (buffer, bytes) = resolve(*operand);
        binding(buffer, 0, bytes)
    });
    let entries: Vec<wgpu::BindGroupEntry<'_>> = std::iter::once(parameters)
        .chain(storage)
        .zip(0..)
        .map(|(resource, binding)| wgpu::BindGroupEntry { binding, resource })
        .collect();
    backend.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &backend.pipelines[&dispatch.kernel].get_bind_group_layout(0),
        entries: &entries,
    })
}

/// Workgroups along x and y for so many.
fn workgroups(backend: &WebGpuBackend, groups: u64) -> (u32, u32) {
    let limit = u64::from(backend.device.limits().max_compute_workgroups_per_dimension);
    let groups = groups.max(1);
    let x = groups.min(limit);
    // A tensor has at most 2^28 elements, so y is far below the limit of 65,535 that every adapter has.
    (x as u32, groups.div_ceil(x) as u32)
}

/// The outputs from the mapped staging buffer, one after another.
fn read_outputs(graph: &Graph, staging: &wgpu::Buffer) -> Tensors {
    let total: u64 = graph.outputs().iter().map(|(_, value)| graph.value_type(*value).bytes()).sum();
    let view = staging.get_mapped_range(0..total);
    let mut rest = &view[..];
    let outputs = graph.outputs().iter().map(|(name, value)| {
        let tensor_type = graph.value_type(*value);
        let (bytes, others) = rest.split_at(tensor_type.bytes() as usize);
        rest = others;
        (name.clone(), Tensor::new(tensor_type.shape.clone(), Data::from_bytes(tensor_type.dtype, bytes)))
    });
    outputs.collect()
}
