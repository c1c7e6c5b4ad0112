//! Products of matrices: by tiles where that pays, otherwise by the register kernel.

use super::{Call, Dispatch, Operand, Plan, reduce, tiles};
use crate::webgpu::{
    kernel::Kernel,
    tile::{Along, Cut, Product, Side, Sizes, TileKernel},
};

/// A matrix as it lies.
#[derive(Clone, Copy)]
struct Strides {
    /// From row to row of A, from column to column of B.
    line: u32,
    /// Along what is summed over.
    depth: u32,
}

impl Strides {
    /// Of a matrix whose lines lie one after the other, or deep by deep.
    fn new(lines: u32, depth: u32, are_lines_together: bool) -> Self {
        if are_lines_together { Self { line: 1, depth: lines } } else { Self { line: depth, depth: 1 } }
    }

    fn side(self) -> Side {
        match self {
            Self { line: 1, depth } => Side { along: Along::Lines, is_aligned: depth.is_multiple_of(4) },
            Self { line, .. } => Side { along: Along::Depth, is_aligned: line.is_multiple_of(4) },
        }
    }
}

/// A product of floats.
pub(super) fn floats(call: &Call<'_>, trans_a: bool, trans_b: bool) -> Plan {
    let [batch @ .., m, n] = call.made() else { unreachable!("a product has two dimensions at least") };
    let a = call.shape(0);
    let k = a[a.len() - if trans_a { 2 } else { 1 }];
    let sizes = Sizes { batch: batch.iter().product(), m: *m, n: *n, k };
    let (a, b) = (Strides::new(*m, k, trans_a), Strides::new(*n, k, !trans_b));
    let Some(cut) = Cut::choose(sizes, call.device.choice, call.device.is_fallback) else {
        let words = [*m, *n, k, a.line, a.depth, b.depth, b.line, sizes.batch];
        return call.one(Kernel::MatMul, &words, u64::from(sizes.batch) * tiles(*m) * tiles(*n));
    };
    let product = Product::Floats { a: a.side(), b: b.side(), is_result_aligned: n.is_multiple_of(4) };
    by_tiles(call, sizes, cut, product, &[a.line, a.depth, b.line, b.depth])
}

/// The dispatch of a tile kernel, and that which adds its parts.
pub(super) fn by_tiles(call: &Call<'_>, sizes: Sizes, cut: Cut, product: Product, words: &[u32]) -> Plan {
    let kernel = Kernel::Tile(TileKernel { size: cut.size, product });
    let words = [&cut.words(sizes), words].concat();
    let mut parts = Dispatch { workgroups: cut.workgroups(sizes), ..call.dispatch(kernel, &words, 0) };
    if cut.chunks == 1 {
        return call.plan(vec![parts]);
    }
    let result = std::mem::replace(&mut parts.results, vec![Operand::Scratch(0)])[0];
    let total = reduce::sum_rows(call.len(), cut.chunks.into(), Operand::Scratch(0), result);
    Plan { scratch: vec![u64::from(cut.chunks) * call.len()], ..call.plan(vec![parts, total]) }
}
