//! Reading and adding by index.

use crate::error::ComputeError;

/// Where a gather or scatter lies in the tensor that is indexed.
#[derive(Clone, Copy)]
pub(crate) struct Indexed {
    /// Extent of the axis.
    pub(crate) extent: usize,
    /// Elements of everything after it.
    pub(crate) inner: usize,
}

impl Indexed {
    /// y \[outer, indices, inner\] from x \[outer, extent, inner\].
    pub(crate) fn gather<T: Copy>(self, x: &[T], indices: &[i32], y: &mut [T]) -> Result<(), ComputeError> {
        let outers = x.chunks(self.extent * self.inner).zip(y.chunks_mut(indices.len() * self.inner));
        for (x, y) in outers {
            for (position, (index, y)) in indices.iter().zip(y.chunks_mut(self.inner)).enumerate() {
                let at = self.check(position, *index)?;
                y.copy_from_slice(&x[at * self.inner..][..self.inner]);
            }
        }
        Ok(())
    }

    /// y \[outer, extent, inner\]: zeros, to which updates \[outer, indices, inner\] are added in order.
    pub(crate) fn scatter_add(self, updates: &[f32], indices: &[i32], y: &mut [f32]) -> Result<(), ComputeError> {
        y.fill(0.0);
        let outers = updates.chunks(indices.len() * self.inner).zip(y.chunks_mut(self.extent * self.inner));
        for (updates, y) in outers {
            for (position, (index, update)) in indices.iter().zip(updates.chunks(self.inner)).enumerate() {
                let at = self.check(position, *index)?;
                for (y, x) in y[at * self.inner..][..self.inner].iter_mut().zip(update) {
                    *y += x;
                }
            }
        }
        Ok(())
    }

    fn check(self, position: usize, index: i32) -> Result<usize, ComputeError> {
        let extent = self.extent;
        let inside = usize::try_from(index).ok().filter(|index| *index < extent);
        inside.ok_or(ComputeError::IndexOutOfRange { index, position, extent })
    }
}
