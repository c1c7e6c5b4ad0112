//! Buffers that outlive a call, so that no product allocates once the largest has been seen, and the level at which the
//! kernels run.

use super::lanes::Level;

/// What the kernels need besides their operands. One for each thread that runs kernels.
pub(crate) struct Scratch {
    pub(crate) level: Level,
    floats: [Buffer<f32>; 3],
    integers: [Buffer<i32>; 3],
}

impl Scratch {
    /// For exact/1, at the best level of this machine.
    pub(crate) fn exact() -> Self {
        Self::at(Level::best())
    }

    /// For tolerant work, at the fastest level of this machine.
    pub(crate) fn tolerant() -> Self {
        Self::at(Level::fastest())
    }

    /// At one level.
    pub(crate) fn at(level: Level) -> Self {
        Self { level, floats: Default::default(), integers: Default::default() }
    }

    /// Two buffers with whatever the last call left in them.
    pub(crate) fn buffers(&mut self, first_len: usize, second_len: usize) -> (&mut [f32], &mut [f32]) {
        let [first, second, _] = &mut self.floats;
        (first.get(first_len), second.get(second_len))
    }

    /// The same for integer products.
    pub(crate) fn integers(&mut self, lens: [usize; 3]) -> [&mut [i32]; 3] {
        let [a, b, c] = &mut self.integers;
        [a.get(lens[0]), b.get(lens[1]), c.get(lens[2])]
    }

    /// The same for convolutions: three of floats and one of offsets.
    pub(crate) fn planes(&mut self, lens: [usize; 3], offsets_len: usize) -> ([&mut [f32]; 3], &mut [i32]) {
        let [a, b, c] = &mut self.floats;
        ([a.get(lens[0]), b.get(lens[1]), c.get(lens[2])], self.integers[0].get(offsets_len))
    }
}

/// Elements from the start of a cache line on, so that the widest vectors do not straddle two.
#[derive(Default)]
struct Buffer<E>(Vec<E>);

impl<E: Copy + Default> Buffer<E> {
    const LINE_BYTES: usize = 64;

    fn get(&mut self, len: usize) -> &mut [E] {
        let slack = Self::LINE_BYTES / size_of::<E>();
        if self.0.len() < len + slack {
            self.0.resize(len + slack, E::default());
        }
        // `align_offset` may refuse to answer; then the buffer is as good unaligned.
        let start = self.0.as_ptr().align_offset(Self::LINE_BYTES).min(slack);
        &mut self.0[start..][..len]
    }
}
