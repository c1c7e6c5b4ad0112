//! Buffers that outlive a call, so that no product allocates once the largest has been seen, and the level at which the
//! kernels run.

use super::lanes::Level;

/// What the kernels need besides their operands. One for each thread that runs kernels.
pub(crate) struct Scratch {
    pub(crate) level: Level,
    first: Buffer,
    second: Buffer,
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    /// At the best level of this machine.
    pub(crate) fn new() -> Self {
        Self::at(Level::best())
    }

    /// At a level of [`Level::available`]; no level changes a bit.
    pub(crate) fn at(level: Level) -> Self {
        Self { level, first: Buffer::default(), second: Buffer::default() }
    }

    /// Two buffers with whatever the last call left in them.
    pub(crate) fn buffers(&mut self, first_len: usize, second_len: usize) -> (&mut [f32], &mut [f32]) {
        (self.first.get(first_len), self.second.get(second_len))
    }
}

/// Floats from the start of a cache line on, so that the widest vectors do not straddle two.
#[derive(Default)]
struct Buffer(Vec<f32>);

impl Buffer {
    const LINE_BYTES: usize = 64;

    fn get(&mut self, len: usize) -> &mut [f32] {
        let slack = Self::LINE_BYTES / size_of::<f32>();
        if self.0.len() < len + slack {
            self.0.resize(len + slack, 0.0);
        }
        // `align_offset` may refuse to answer; then the buffer is as good unaligned.
        let start = self.0.as_ptr().align_offset(Self::LINE_BYTES).min(slack);
        &mut self.0[start..][..len]
    }
}
