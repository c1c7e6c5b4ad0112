//! Views of tensors by strides: what broadcasting, transposing, slicing and padding read or write.

/// Axes of a view from the outermost, with the distance between neighbours in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// Extent and stride of each axis; neighbours that are one run are merged. Never empty.
    axes: Vec<(usize, isize)>,
    /// Position of the first element.
    offset: usize,
}

impl View {
    /// A view of the given extents and strides.
    pub(crate) fn new(shape: &[u32], strides: &[isize], offset: usize) -> Self {
        let mut axes: Vec<(usize, isize)> = Vec::with_capacity(shape.len().max(1));
        for (extent, stride) in shape.iter().map(|dim| *dim as usize).zip(strides.iter().copied()) {
            match axes.last_mut() {
                _ if extent == 1 => {}
                Some((outer, outer_stride)) if *outer_stride == stride * extent as isize => {
                    (*outer, *outer_stride) = (*outer * extent, stride);
                }
                _ => axes.push((extent, stride)),
            }
        }
        if axes.is_empty() {
            axes.push((1, 1));
        }
        Self { axes, offset }
    }

    /// A tensor of shape `from` stretched to `to` (as in NumPy).
    pub(crate) fn broadcast(from: &[u32], to: &[u32]) -> Self {
        let own = row_major(from);
        let added = to.len() - from.len();
        let strides: Vec<isize> = (0..to.len())
            .map(|axis| match axis.checked_sub(added) {
                Some(at) if from[at] > 1 => own[at],
                _ => 0,
            })
            .collect();
        Self::new(to, &strides, 0)
    }

    /// Extent and stride of each axis from the outermost: one at least, and no more than the tensor has.
    #[cfg(feature = "webgpu")]
    pub(crate) fn axes(&self) -> &[(usize, isize)] {
        &self.axes
    }

    /// Position of the first element.
    #[cfg(feature = "webgpu")]
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// Whether it reads the tensor from its first to its last element.
    pub(crate) fn is_flat(&self) -> bool {
        self.offset == 0 && matches!(self.axes[..], [(_, 1)])
    }

    /// Whether it reads one element over and over.
    pub(crate) fn is_single(&self) -> bool {
        matches!(self.axes[..], [(_, 0)] | [(1, _)])
    }

    /// Copies `out.len()` elements from position `start` of the view on.
    pub(crate) fn read<T: Copy>(&self, data: &[T], start: usize, out: &mut [T]) {
        let (inner, stride) = self.inner();
        let mut left = out;
        let mut position = start;
        while !left.is_empty() {
            let column = position % inner;
            let (run, rest) = left.split_at_mut((inner - column).min(left.len()));
            let first = self.row_offset(position / inner).wrapping_add_signed(stride * column as isize);
            match stride {
                0 => run.fill(data[first]),
                1 => run.copy_from_slice(&data[first..first + run.len()]),
                _ => {
                    for (i, out) in run.iter_mut().enumerate() {
                        *out = data[first.wrapping_add_signed(stride * i as isize)];
                    }
                }
            }
            position += run.len();
            left = rest;
        }
    }

    /// Copies a whole tensor to the places of this view.
    pub(crate) fn write<T: Copy>(&self, data: &[T], out: &mut [T]) {
        let (inner, stride) = self.inner();
        for (row, run) in data.chunks(inner).enumerate() {
            let first = self.row_offset(row);
            if stride == 1 {
                out[first..first + run.len()].copy_from_slice(run);
                continue;
            }
            for (i, x) in run.iter().enumerate() {
                out[first.wrapping_add_signed(stride * i as isize)] = *x;
            }
        }
    }

    fn inner(&self) -> (usize, isize) {
        *self.axes.last().expect("a view has an axis")
    }

    /// Position of the first element of an innermost run.
    fn row_offset(&self, row: usize) -> usize {
        let (mut row, mut offset) = (row, self.offset);
        for (extent, stride) in self.axes[..self.axes.len() - 1].iter().rev() {
            offset = offset.wrapping_add_signed(stride * (row % extent) as isize);
            row /= extent;
        }
        offset
    }
}

/// Strides of a tensor as it is stored.
pub(crate) fn row_major(shape: &[u32]) -> Vec<isize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as isize;
    }
    strides
}

/// The view of x that a transposition reads.
pub(crate) fn transposed(shape: &[u32], axes: &[u32]) -> View {
    let own = row_major(shape);
    let order = axes.iter().map(|axis| *axis as usize);
    let extents: Vec<u32> = order.clone().map(|axis| shape[axis]).collect();
    let strides: Vec<isize> = order.map(|axis| own[axis]).collect();
    View::new(&extents, &strides, 0)
}

/// The view of x that a slice reads. The step of an axis with one element may be any number, and is never taken.
pub(crate) fn sliced(shape: &[u32], starts: &[u32], steps: &[i32], out: &[u32]) -> View {
    let own = row_major(shape);
    let strides: Vec<isize> = own.iter().zip(steps).map(|(stride, step)| stride.wrapping_mul(*step as isize)).collect();
    let offset = own.iter().zip(starts).map(|(stride, start)| stride.unsigned_abs() * *start as usize).sum();
    View::new(out, &strides, offset)
}

/// The view of the padded tensor that x is written to. The gap of an axis with one element may be any number.
pub(crate) fn padded(shape: &[u32], low: &[u32], interior: &[u32], out: &[u32]) -> View {
    let own = row_major(out);
    let strides: Vec<isize> = own
        .iter()
        .zip(interior)
        .map(|(stride, between)| stride.wrapping_mul((*between as isize).wrapping_add(1)))
        .collect();
    let offset = own.iter().zip(low).map(|(stride, low)| stride.unsigned_abs() * *low as usize).sum();
    View::new(shape, &strides, offset)
}

/// \[columns, rows\] from \[rows, columns\], in blocks that stay in the cache.
pub(crate) fn transpose<T: Copy>(data: &[T], rows: usize, columns: usize, out: &mut [T]) {
    const BLOCK: usize = 16;
    for row0 in (0..rows).step_by(BLOCK) {
        for column0 in (0..columns).step_by(BLOCK) {
            for column in column0..(column0 + BLOCK).min(columns) {
                for row in row0..(row0 + BLOCK).min(rows) {
                    out[column * rows + row] = data[row * columns + column];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(view: &View, data: &[i32], len: usize) -> Vec<i32> {
        let mut out = vec![0; len];
        view.read(data, 0, &mut out);
        // In pieces that end within runs, it is the same.
        let mut pieces = vec![0; len];
        for (i, piece) in pieces.chunks_mut(5).enumerate() {
            view.read(data, i * 5, piece);
        }
        assert_eq!(out, pieces);
        out
    }

    #[test]
    fn views_read_what_their_names_say() {
        let data: Vec<i32> = (0..24).collect();
        let all = View::new(&[2, 3, 4], &row_major(&[2, 3, 4]), 0);
        assert!(all.is_flat() && !all.is_single());
        assert_eq!(read(&all, &data, 24), data);
        assert_eq!(read(&View::broadcast(&[2], &[3, 2]), &data, 6), [0, 1, 0, 1, 0, 1]);
        assert_eq!(read(&View::broadcast(&[3, 1], &[3, 2]), &data, 6), [0, 0, 1, 1, 2, 2]);
        assert!(View::broadcast(&[1, 1], &[3, 2]).is_single());
        assert_eq!(read(&transposed(&[2, 3], &[1, 0]), &data, 6), [0, 3, 1, 4, 2, 5]);
        assert_eq!(read(&sliced(&[2, 3], &[1, 2], &[-1, -2], &[2, 2]), &data, 4), [5, 3, 2, 0]);
        let mut out = [9; 10];
        padded(&[2, 2], &[0, 1], &[0, 1], &[2, 5]).write(&[1, 2, 3, 4], &mut out);
        assert_eq!(out, [9, 1, 9, 2, 9, 9, 3, 9, 4, 9]);
        let mut turned = [0; 24];
        transpose(&data, 4, 6, &mut turned);
        assert_eq!(turned.to_vec(), read(&transposed(&[4, 6], &[1, 0]), &data, 24));
    }
}
