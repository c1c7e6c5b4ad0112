//! Padded copies of image planes. Forward, column x of a row is stored with the others of its phase x mod stride, so that
//! the columns under one kernel column, a stride apart in the image, lie side by side. Backward, the gradient's rows and
//! columns are spread by the stride with zeros between, and every step is one.
#![allow(unsafe_code, reason = "rows are copied as whole vectors; every reach is checked against the slices first")]

use std::ops::Range;

use super::super::lanes::{Element, Lanes};
use super::Conv;

/// Floats after the last plane that a vector may read and drop.
pub(super) const SLACK: usize = 64;

/// How one plane is laid out: rows of `phases` × `phase_width`.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    pub(super) rows: usize,
    phases: usize,
    phase_width: usize,
    /// Columns between the columns under neighbouring kernel columns.
    dilation: [usize; 2],
    spread: [usize; 2],
    /// Zeros before the first element; negative if elements are cut off.
    before: [isize; 2],
}

/// Planes as they come: \[…, height, width\].
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) data: &'a [f32],
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Planes {
    pub(super) fn forward(conv: &Conv) -> Self {
        let [reach_y, reach_x] = conv.reach();
        Self {
            rows: (conv.out_height.max(1) - 1) * conv.stride[0] + reach_y + 1,
            phases: conv.stride[1],
            phase_width: reach_x / conv.stride[1] + conv.out_width,
            dilation: conv.dilation,
            spread: [1, 1],
            before: conv.low.map(|low| low as isize),
        }
    }

    pub(super) fn backward(conv: &Conv) -> Self {
        let [reach_y, reach_x] = conv.reach();
        Self {
            rows: conv.height + reach_y,
            phases: 1,
            phase_width: conv.width + reach_x,
            dilation: conv.dilation,
            spread: conv.stride,
            before: [reach_y as isize - conv.low[0] as isize, reach_x as isize - conv.low[1] as isize],
        }
    }

    /// Floats from one row to the next.
    pub(super) fn pitch(&self) -> usize {
        self.phases * self.phase_width
    }

    pub(super) fn len(&self) -> usize {
        self.rows * self.pitch()
    }

    /// Where the element under kernel position (ky, kx) lies for the first output of a plane.
    pub(super) fn offset(&self, ky: usize, kx: usize) -> usize {
        let x = kx * self.dilation[1];
        ky * self.dilation[0] * self.pitch() + x % self.phases * self.phase_width + x / self.phases
    }

    /// Copies planes `first..` of the source, as many as `out` holds. What no plane has is not written, for it is the same from
    /// sample to sample: 0 from the start.
    pub(super) fn fill(&self, source: Source<'_>, first: usize, out: &mut [f32]) {
        let plane_len = source.height * source.width;
        let present = self.present(0, source.height);
        for (i, out) in out.chunks_exact_mut(self.len().max(1)).enumerate() {
            let plane = &source.data[(first + i) * plane_len..][..plane_len];
            for y in present.clone() {
                let row = (self.before[0] + (y * self.spread[0]).cast_signed()).cast_unsigned();
                let out = &mut out[row * self.pitch()..][..self.pitch()];
                self.fill_row(&plane[y * source.width..][..source.width], out);
            }
        }
    }

    /// Copies `count` planes from `first` on, position by position: `block` floats for each, of which what no plane has is 0.
    pub(super) fn fill_interleaved(
        &self,
        source: Source<'_>,
        first: usize,
        count: usize,
        block: usize,
        out: &mut [f32],
    ) {
        let plane_len = source.height * source.width;
        let data = &source.data[first * plane_len..][..count * plane_len];
        for (row, out) in out[..self.len() * block].chunks_exact_mut((self.pitch() * block).max(1)).enumerate() {
            let Some(y) = index(row, self.before[0], self.spread[0], source.height) else {
                out.fill(0.0);
                continue;
            };
            for (at, out) in out.chunks_exact_mut(block).enumerate() {
                let column = at % self.phase_width * self.phases + at / self.phase_width;
                let Some(x) = index(column, self.before[1], self.spread[1], source.width) else {
                    out.fill(0.0);
                    continue;
                };
                let (present, rest) = out.split_at_mut(count);
                for (channel, out) in present.iter_mut().enumerate() {
                    *out = data[channel * plane_len + y * source.width + x];
                }
                rest.fill(0.0);
            }
        }
    }

    /// The rows (axis 0) or columns (axis 1) of a source of that length that the planes hold.
    fn present(&self, axis: usize, len: usize) -> Range<usize> {
        let (before, spread) = (self.before[axis], self.spread[axis]);
        let room = if axis == 0 { self.rows } else { self.pitch() };
        let first = (-before).max(0).cast_unsigned().div_ceil(spread);
        let end = (room.cast_signed() - before).max(0).cast_unsigned().div_ceil(spread);
        first..end.min(len).max(first)
    }

    fn fill_row(&self, line: &[f32], out: &mut [f32]) {
        let present = self.present(1, line.len());
        if present.is_empty() {
            return;
        }
        let column = |x: usize| (self.before[1] + (x * self.spread[1]).cast_signed()).cast_unsigned();
        let at = column(present.start);
        if self.phases == 1 && self.spread[1] == 1 {
            let out = &mut out[at..][..present.len()];
            return copy(&line[present], out);
        }
        if self.phases == 1 {
            for (x, out) in line[present].iter().zip(out[at..].iter_mut().step_by(self.spread[1])) {
                *out = *x;
            }
            return;
        }
        for (phase, out) in out.chunks_exact_mut(self.phase_width).enumerate() {
            // The first column of this phase that is not before the source.
            let skipped = (at.saturating_sub(phase)).div_ceil(self.phases);
            let x = (skipped * self.phases + phase).cast_signed() - self.before[1];
            let line = line.get(x.max(0).cast_unsigned()..).unwrap_or_default();
            for (x, out) in line.iter().step_by(self.phases).zip(&mut out[skipped..]) {
                *out = *x;
            }
        }
    }
}

/// Quads, the last of which overlaps the one before: a row is too short for the platform's copy to pay.
fn copy(from: &[f32], to: &mut [f32]) {
    type Quad = <f32 as Element>::Quad;
    assert_eq!(from.len(), to.len());
    let Some(last) = from.len().checked_sub(Quad::COUNT) else {
        for (from, to) in from.iter().zip(to) {
            *to = *from;
        }
        return;
    };
    for at in (0..from.len()).step_by(Quad::COUNT) {
        let at = at.min(last);
        // SAFETY: a quad from `last` on ends with the slices, which are of one length.
        unsafe { Quad::load(from.as_ptr().add(at)).store(to.as_mut_ptr().add(at)) };
    }
}

impl Conv {
    /// From the first element under a kernel to the last.
    fn reach(&self) -> [usize; 2] {
        [(self.kernel_height.max(1) - 1) * self.dilation[0], (self.kernel_width.max(1) - 1) * self.dilation[1]]
    }
}

/// The element of the source at a padded position, if there is one.
fn index(padded: usize, before: isize, spread: usize, len: usize) -> Option<usize> {
    let position = usize::try_from(padded.cast_signed() - before).ok()?;
    (position.is_multiple_of(spread) && position / spread < len).then_some(position / spread)
}
