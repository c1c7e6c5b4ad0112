//! Memory that runs of a graph use again, so that no run clears or maps pages that the one before it had.

use std::collections::BTreeMap;

use shoal_graph::DType;

use crate::{kernels::gemm::Scratch, tensor::Data};

/// Bytes kept between uses at most. What is kept was part of a run's budget a moment ago.
const MAX_KEPT_BYTES: usize = 256 * 1024 * 1024;

/// Buffers by type and length.
#[derive(Default)]
pub(super) struct Buffers {
    floats: BTreeMap<usize, Vec<Vec<f32>>>,
    integers: BTreeMap<usize, Vec<Vec<i32>>>,
    kept_bytes: usize,
    /// Packed operands of products.
    pub(super) scratch: Scratch,
}

impl Buffers {
    /// Floats with whatever is in them.
    pub(super) fn floats(&mut self, len: usize) -> Vec<f32> {
        take(&mut self.floats, &mut self.kept_bytes, len)
    }

    /// Integers with whatever is in them.
    pub(super) fn integers(&mut self, len: usize) -> Vec<i32> {
        take(&mut self.integers, &mut self.kept_bytes, len)
    }

    /// Elements of a type with whatever is in them.
    pub(super) fn of(&mut self, dtype: DType, len: usize) -> Data {
        match dtype {
            DType::F32 => Data::F32(self.floats(len)),
            DType::I32 => Data::I32(self.integers(len)),
            DType::I8 => Data::I8(vec![0; len]),
            DType::U8 => Data::U8(vec![0; len]),
        }
    }

    /// Keeps a buffer for the next use.
    pub(super) fn put(&mut self, data: Data) {
        match data {
            Data::F32(buffer) => keep(&mut self.floats, &mut self.kept_bytes, buffer),
            Data::I32(buffer) => keep(&mut self.integers, &mut self.kept_bytes, buffer),
            Data::I8(_) | Data::U8(_) => {}
        }
    }
}

fn take<T: Default + Clone>(kept: &mut BTreeMap<usize, Vec<Vec<T>>>, bytes: &mut usize, len: usize) -> Vec<T> {
    match kept.get_mut(&len).and_then(Vec::pop) {
        Some(buffer) => {
            *bytes -= size_of_val(buffer.as_slice());
            buffer
        }
        None => vec![T::default(); len],
    }
}

fn keep<T>(kept: &mut BTreeMap<usize, Vec<Vec<T>>>, bytes: &mut usize, buffer: Vec<T>) {
    let len = size_of_val(buffer.as_slice());
    if *bytes + len <= MAX_KEPT_BYTES {
        *bytes += len;
        kept.entry(buffer.len()).or_default().push(buffer);
    }
}
