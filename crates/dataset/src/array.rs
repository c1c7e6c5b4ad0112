//! Numbers in a shape: values of a row, inputs and outputs of a model.

use crate::limits::MAX_DIMENSIONS;

/// What an element of an array is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// IEEE 754 single precision.
    F32,
    /// Signed 32-bit integer; token ids and masks.
    I32,
}

/// The numbers of an array, last dimension fastest.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// See [`ElementType::F32`].
    F32(Vec<f32>),
    /// See [`ElementType::I32`].
    I32(Vec<i32>),
}

/// An array; its data has as many elements as its shape says.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    shape: Vec<u32>,
    data: Elements,
}

impl Elements {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(data) => data.len(),
            Self::I32(data) => data.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Their type.
    pub fn element_type(&self) -> ElementType {
        match self {
            Self::F32(_) => ElementType::F32,
            Self::I32(_) => ElementType::I32,
        }
    }
}

impl Array {
    /// None if `data` has not as many elements as `shape` says, or `shape` has more than [`MAX_DIMENSIONS`].
    pub fn new(shape: Vec<u32>, data: Elements) -> Option<Self> {
        (shape.len() <= MAX_DIMENSIONS && element_count(&shape) == Some(data.len())).then_some(Self { shape, data })
    }

    /// One dimension of floats.
    pub fn vector(data: Vec<f32>) -> Self {
        Self { shape: vec![data.len() as u32], data: Elements::F32(data) }
    }

    /// Extent of each dimension; empty for a scalar.
    pub fn shape(&self) -> &[u32] {
        &self.shape
    }

    /// Its numbers, last dimension fastest.
    pub fn data(&self) -> &Elements {
        &self.data
    }

    /// Takes it apart.
    pub fn into_parts(self) -> (Vec<u32>, Elements) {
        (self.shape, self.data)
    }

    /// Its numbers if they are floats.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            Elements::F32(data) => Some(data),
            Elements::I32(_) => None,
        }
    }

    /// Its numbers if they are integers.
    pub fn as_i32(&self) -> Option<&[i32]> {
        match &self.data {
            Elements::I32(data) => Some(data),
            Elements::F32(_) => None,
        }
    }

    /// Element `row` of the first dimension; None beyond it, and of a scalar.
    pub fn row(&self, row: u32) -> Option<Self> {
        let (&rows, shape) = self.shape.split_first()?;
        if row >= rows {
            return None;
        }
        let length = element_count(shape)?;
        let range = row as usize * length..(row as usize + 1) * length;
        let data = match &self.data {
            Elements::F32(data) => Elements::F32(data[range].to_vec()),
            Elements::I32(data) => Elements::I32(data[range].to_vec()),
        };
        Some(Self { shape: shape.to_vec(), data })
    }

    /// Rows of one shape and type, stacked along a new first dimension; None if there are none or they differ.
    pub fn stack<'a>(rows: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let mut rows = rows.into_iter();
        let mut stacked = rows.next()?.clone();
        let mut count = 1;
        for row in rows {
            match (&mut stacked.data, &row.data) {
                _ if stacked.shape != row.shape => return None,
                (Elements::F32(data), Elements::F32(more)) => data.extend_from_slice(more),
                (Elements::I32(data), Elements::I32(more)) => data.extend_from_slice(more),
                _ => return None,
            }
            count += 1;
        }
        stacked.shape.insert(0, count);
        Some(stacked)
    }
}

/// Elements of a shape; None beyond what a machine can address.
pub(crate) fn element_count(shape: &[u32]) -> Option<usize> {
    shape.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_must_fill_the_shape() {
        assert!(Array::new(vec![2, 3], Elements::I32(vec![0; 6])).is_some());
        assert!(Array::new(vec![], Elements::I32(vec![0])).is_some());
        assert!(Array::new(vec![2, 3], Elements::I32(vec![0; 5])).is_none());
        assert!(Array::new(vec![1; MAX_DIMENSIONS + 1], Elements::I32(vec![0])).is_none());
        assert!(Array::new(vec![u32::MAX; 3], Elements::F32(Vec::new())).is_none());
    }

    #[test]
    fn stacked_rows_come_apart_again() {
        let rows = [Array::vector(vec![1.0, 2.0]), Array::vector(vec![3.0, 4.0])];
        let stacked = Array::stack(&rows).unwrap();
        assert_eq!(stacked.shape(), [2, 2]);
        assert_eq!([stacked.row(0).unwrap(), stacked.row(1).unwrap()], rows);
        assert_eq!(stacked.row(2), None);
        assert_eq!(Array::stack([&rows[0], &Array::vector(vec![1.0])]), None);
        assert_eq!(Array::stack([&rows[0], &Array::new(vec![2], Elements::I32(vec![1, 2])).unwrap()]), None);
    }
}
