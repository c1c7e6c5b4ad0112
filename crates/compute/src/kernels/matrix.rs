//! Where the operand of a product lies.

/// A read-only matrix: element (row, column) is `data[row·row_stride + column·column_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, E = f32> {
    pub(crate) data: &'a [E],
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a, E> Matrix<'a, E> {
    /// Row-major with `columns` columns.
    pub(crate) fn rows(data: &'a [E], columns: usize) -> Self {
        Self { data, row_stride: columns, column_stride: 1 }
    }

    /// The transpose of a row-major matrix that has `columns` columns as stored.
    pub(crate) fn transposed(data: &'a [E], columns: usize) -> Self {
        Self { data, row_stride: 1, column_stride: columns }
    }

    /// Rows for columns.
    pub(crate) fn transpose(self) -> Self {
        Self { data: self.data, row_stride: self.column_stride, column_stride: self.row_stride }
    }

    pub(crate) fn check(&self, rows: usize, columns: usize) {
        if rows > 0 && columns > 0 {
            let last = (rows - 1) * self.row_stride + (columns - 1) * self.column_stride;
            assert!(last < self.data.len(), "a matrix of {rows} × {columns} lies within its data");
        }
    }
}
