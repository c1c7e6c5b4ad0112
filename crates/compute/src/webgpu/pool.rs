//! GPU buffers for values, reused within a run and between runs. A browser frees a buffer only when its garbage
//! collector gets to it, so what is not kept is destroyed by name.

use std::{collections::BTreeMap, rc::Rc};

use crate::error::ComputeError;

/// Bytes of idle buffers kept between runs: several mini-batches of a small net, a fraction of any GPU's memory.
const MAX_IDLE_BYTES: u64 = 256 << 20;
/// The smallest buffer.
const MIN_BYTES: u64 = 256;

/// A buffer of the pool; as large as what was asked for or a little larger.
#[derive(Debug)]
pub(super) struct Pooled {
    pub(super) buffer: wgpu::Buffer,
    bytes: u64,
}

/// Idle buffers by size.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: BTreeMap<u64, Vec<Pooled>>,
    idle_bytes: u64,
}

impl Pool {
    /// A buffer of at least so many bytes, with any content.
    pub(super) fn take(&mut self, device: &wgpu::Device, bytes: u64) -> Result<Rc<Pooled>, ComputeError> {
        let limits = device.limits();
        let limit = limits.max_buffer_size.min(limits.max_storage_buffer_binding_size);
        if bytes > limit {
            return Err(ComputeError::TensorTooLargeForDevice { bytes, limit });
        }
        let bytes = bytes.next_power_of_two().clamp(MIN_BYTES, limit.max(MIN_BYTES));
        if let Some(pooled) = self.idle.get_mut(&bytes).and_then(Vec::pop) {
            self.idle_bytes -= bytes;
            return Ok(Rc::new(pooled));
        }
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Ok(Rc::new(Pooled { buffer, bytes }))
    }

    /// Takes a buffer back if nothing else holds it.
    pub(super) fn give(&mut self, pooled: Rc<Pooled>) {
        if let Ok(pooled) = Rc::try_unwrap(pooled) {
            self.idle_bytes += pooled.bytes;
            self.idle.entry(pooled.bytes).or_default().push(pooled);
        }
    }

    /// Destroys the largest idle buffers beyond what is kept. Only between runs: commands that are recorded but not yet
    /// done must not lose their buffers.
    pub(super) fn trim(&mut self) {
        while self.idle_bytes > MAX_IDLE_BYTES {
            let Some(mut largest) = self.idle.last_entry() else { return };
            match largest.get_mut().pop() {
                Some(pooled) => {
                    self.idle_bytes -= pooled.bytes;
                    pooled.buffer.destroy();
                }
                None => drop(largest.remove()),
            }
        }
    }
}
