//! One run of a graph: check and bind the inputs, record everything into one command buffer, submit it, read back.

use std::rc::Rc;

use futures_channel::oneshot;
use shoal_graph::{Graph, Op, ValueId, cost::last_uses};

use super::{
    WebGpuBackend,
    kernel::{PARAMETER_BYTES, WORKGROUP},
    plan::{Dispatch, Operand, Plan, plan},
    pool::Pooled,
};
use crate::{
    error::ComputeError,
    executable::bind_inputs,
    tensor::{Data, Tensor, Tensors},
};

/// Offsets into a uniform buffer are multiples of it on every adapter.
const UNIFORM_STRIDE: u64 = 256;

const _: () = assert!(PARAMETER_BYTES <= UNIFORM_STRIDE);

/// Values on the GPU.
type Buffers = Vec<Option<Rc<Pooled>>>;

pub(super) async fn run(backend: &mut WebGpuBackend, graph: &Graph, inputs: Tensors) -> Result<Tensors, ComputeError> {
    if let Some(reason) = backend.lost_reason() {
        return Err(ComputeError::DeviceLost { reason });
    }
    let values = bind_inputs(graph, inputs)?;
    check_labels(graph, &values)?;
    let plans = graph.nodes().iter().map(|node| plan(graph, node)).collect::<Result<Vec<_>, _>>()?;

    let memory = backend.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let validation = backend.device.push_error_scope(wgpu::ErrorFilter::Validation);
    let submitted = submit(backend, graph, &values, &plans);
    let (validation, memory) = (validation.pop(), memory.pop());
    let (staging, mapped) = submitted?;

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
        let reason = backend.lost_reason().unwrap_or_else(|| "the result could not be mapped".to_owned());
        return Err(ComputeError::DeviceLost { reason });
    };
    let outputs = read_outputs(graph, &staging);
    staging.unmap();
    backend.staging = Some(staging);
    backend.pool.trim();
    Ok(outputs)
}

type Mapped = oneshot::Receiver<Result<(), wgpu::BufferAsyncError>>;

/// Records and submits everything; returns the staging buffer and the promise that it is readable.
fn submit(
    backend: &mut WebGpuBackend,
    graph: &Graph,
    values: &[Option<Tensor>],
    plans: &[Plan],
) -> Result<(wgpu::Buffer, Mapped), ComputeError> {
    for dispatch in plans.iter().flat_map(|plan| &plan.dispatches) {
        backend.prepare_pipeline(dispatch.kernel);
    }
    let uniforms = write_uniforms(backend, plans);
    let mut buffers = upload(backend, values)?;
    let mut encoder = backend.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("shoal") });
    encode(backend, graph, plans, &uniforms, &mut buffers, &mut encoder)?;
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
    let (sender, receiver) = oneshot::channel();
    staging.map_async(wgpu::MapMode::Read, 0..total, move |result| {
        // The run may have been dropped; then nobody waits for the result.
        let _ = sender.send(result);
    });
    Ok((staging, receiver))
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

/// All parameters of all dispatches, one aligned slot each, written at once.
fn write_uniforms(backend: &mut WebGpuBackend, plans: &[Plan]) -> wgpu::Buffer {
    let mut bytes = Vec::new();
    for dispatch in plans.iter().flat_map(|plan| &plan.dispatches) {
        let start = bytes.len();
        bytes.extend(dispatch.parameters.iter().flat_map(|word| word.to_le_bytes()));
        bytes.resize(start + UNIFORM_STRIDE as usize, 0);
    }
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let buffer = reuse(&backend.device, backend.uniforms.take(), bytes.len() as u64, usage);
    if !bytes.is_empty() {
        backend.queue.write_buffer(&buffer, 0, &bytes);
    }
    buffer
}

fn upload(backend: &mut WebGpuBackend, values: &[Option<Tensor>]) -> Result<Buffers, ComputeError> {
    let mut buffers = vec![None; values.len()];
    for (slot, tensor) in buffers.iter_mut().zip(values) {
        let Some(tensor) = tensor else { continue };
        let bytes: Vec<u8> = match tensor.data() {
            Data::F32(data) => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::I32(data) => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        };
        let pooled = backend.pool.take(&backend.device, bytes.len() as u64)?;
        backend.queue.write_buffer(&pooled.buffer, 0, &bytes);
        *slot = Some(pooled);
    }
    Ok(buffers)
}

fn encode(
    backend: &mut WebGpuBackend,
    graph: &Graph,
    plans: &[Plan],
    uniforms: &wgpu::Buffer,
    buffers: &mut Buffers,
    encoder: &mut wgpu::CommandEncoder,
) -> Result<(), ComputeError> {
    let last = last_uses(graph.types().len(), graph.nodes(), graph.outputs());
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    let mut slot = 0;
    for (index, (node, plan)) in graph.nodes().iter().zip(plans).enumerate() {
        if let Op::Reshape { .. } = node.op {
            buffers[node.outputs[0].index()] = buffers[node.inputs[0].index()].clone();
        } else {
            let made = node.outputs[0];
            let bytes = graph.value_type(made).bytes();
            buffers[made.index()] = Some(backend.pool.take(&backend.device, bytes)?);
        }
        let scratch = match plan.scratch_elements {
            0 => None,
            elements => Some(backend.pool.take(&backend.device, elements * 4)?),
        };
        for dispatch in &plan.dispatches {
            let group = bind(backend, dispatch, uniforms, slot, |operand| match operand {
                Operand::Value(value) => (buffer(buffers, value), graph.value_type(value).bytes()),
                Operand::Scratch => {
                    let scratch = scratch.as_ref().expect("a plan that uses scratch says how much");
                    (&scratch.buffer, plan.scratch_elements * 4)
                }
            });
            pass.set_pipeline(&backend.pipelines[&dispatch.kernel]);
            pass.set_bind_group(0, &group, &[]);
            let (x, y) = workgroups(backend, dispatch.invocations);
            pass.dispatch_workgroups(x, y, 1);
            backend.dispatches += 1;
            slot += 1;
        }
        if let Some(scratch) = scratch {
            backend.pool.give(scratch);
        }
        for value in node.inputs.iter().chain(&node.outputs) {
            if last[value.index()] == index
                && let Some(buffer) = buffers[value.index()].take()
            {
                backend.pool.give(buffer);
            }
        }
    }
    Ok(())
}

fn buffer(buffers: &Buffers, value: ValueId) -> &wgpu::Buffer {
    &buffers[value.index()].as_ref().expect("a value lives until its last use").buffer
}

/// The bind group of a dispatch: 0 its parameters, 1 its result, 2 and on its operands.
fn bind<'a>(
    backend: &WebGpuBackend,
    dispatch: &Dispatch,
    uniforms: &wgpu::Buffer,
    slot: u64,
    resolve: impl Fn(Operand) -> (&'a wgpu::Buffer, u64),
) -> wgpu::BindGroup {
    let binding = |buffer, offset, bytes: u64| {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: std::num::NonZeroU64::new(bytes) })
    };
    let parameters = binding(uniforms, slot * UNIFORM_STRIDE, PARAMETER_BYTES);
    let storage = std::iter::once(dispatch.result).chain(dispatch.operands.iter().copied()).map(|operand| {
        let (buffer, bytes) = resolve(operand);
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

/// Workgroups along x and y for so many invocations.
fn workgroups(backend: &WebGpuBackend, invocations: u64) -> (u32, u32) {
    let limit = u64::from(backend.device.limits().max_compute_workgroups_per_dimension);
    let groups = invocations.div_ceil(WORKGROUP).max(1);
    let x = groups.min(limit);
    // A tensor has at most 2^28 elements, so y is far below the limit of 65,535 that every adapter has.
    (x as u32, groups.div_ceil(x) as u32)
}

/// Checks the labels before they index anything on the GPU.
fn check_labels(graph: &Graph, values: &[Option<Tensor>]) -> Result<(), ComputeError> {
    for node in graph.nodes() {
        if !matches!(node.op, Op::SoftmaxCrossEntropy | Op::SoftmaxCrossEntropyGrad) {
            continue;
        }
        let classes = graph.value_type(node.inputs[0]).shape[1] as usize;
        let labels = values[node.inputs[1].index()].as_ref().and_then(Tensor::as_i32);
        // No operation makes integers, so labels are always an input.
        for (sample, label) in labels.expect("labels are an i32 input").iter().enumerate() {
            if !usize::try_from(*label).is_ok_and(|label| label < classes) {
                return Err(ComputeError::LabelOutOfRange { label: *label, sample, classes });
            }
        }
    }
    Ok(())
}

/// The outputs from the mapped staging buffer, one after another.
fn read_outputs(graph: &Graph, staging: &wgpu::Buffer) -> Tensors {
    let total: u64 = graph.outputs().iter().map(|(_, value)| graph.value_type(*value).bytes()).sum();
    let view = staging.get_mapped_range(0..total);
    let mut words = view.as_chunks::<4>().0.iter();
    let mut outputs = Tensors::new();
    for (name, value) in graph.outputs() {
        let tensor_type = graph.value_type(*value);
        let data = words.by_ref().take(tensor_type.elements() as usize).map(|word| f32::from_le_bytes(*word)).collect();
        outputs.insert(name.clone(), Tensor::f32(tensor_type.shape.clone(), data));
    }
    outputs
}
