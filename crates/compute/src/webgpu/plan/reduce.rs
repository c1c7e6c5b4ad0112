//! Reductions. Results that are few and long are split into chunks, whose results are reduced once more.

use shoal_graph::{DType, Reduction};

use super::{Call, Dispatch, Operand, Plan, view_words};
use crate::{
    kernels::strided::{self, View},
    webgpu::kernel::{Kernel, RowOp, WORKGROUP},
};

/// Invocations that are enough to fill a GPU.
const ENOUGH: u64 = 1 << 16;
/// Invocations of a workgroup that works on a chunk together.
const WIDE: u64 = 256;
/// Elements that an invocation's part has at least: below, a second dispatch costs more than it gains.
const LEAST_CHUNK: u64 = 32;
/// Chunks of one result at most, so that their own reduction is short.
const MAX_CHUNKS: u64 = 256;

pub(super) fn plan(call: &Call<'_>, reduction: Reduction, axes: &[u32]) -> Plan {
    let (shape, strides) = (call.shape(0), strided::row_major(call.shape(0)));
    let view = |is_reduced: bool| {
        let own = || (0..shape.len()).filter(|axis| axes.contains(&(*axis as u32)) == is_reduced);
        let extents: Vec<u32> = own().map(|axis| shape[axis]).collect();
        let strides: Vec<isize> = own().map(|axis| strides[axis]).collect();
        (View::new(&extents, &strides, 0), extents.iter().map(|dim| u64::from(*dim)).product())
    };
    let ((kept, results), (reduced, count)) = (view(false), view(true));
    let dtype = call.graph.value_type(call.node.inputs[0]).dtype;
    let is_wide = matches!(reduced.axes(), [(_, 1)]) && call.device.takes_workgroups(count);
    let kernel = if is_wide { Kernel::ReduceWide(reduction, dtype) } else { Kernel::Reduce(reduction, dtype) };
    let from = Operand::Value(call.node.inputs[0]);
    let whole = Reduce { kernel, results, count, kept, reduced, from, to: Operand::Value(call.node.output) };
    let (dispatches, scratch) = whole.dispatches(0);
    Plan { scratch, ..call.plan(dispatches) }
}

/// The mean loss: the share of each row, then their sum.
pub(super) fn cross_entropy(call: &Call<'_>) -> Plan {
    let [rows, _] = call.row_sizes();
    let mut losses = call.row_dispatch(RowOp::CrossEntropy);
    losses.results = vec![Operand::Scratch(0)];
    let (sum, scratch) = Reduce::sum(rows.into(), Operand::Scratch(0), Operand::Value(call.node.output)).dispatches(1);
    let dispatches = std::iter::once(losses).chain(sum).collect();
    Plan { scratch: [vec![rows.into()], scratch].concat(), ..call.plan(dispatches) }
}

/// Sums of `count` rows of `len` elements.
pub(super) fn sum_rows(len: u64, count: u64, from: Operand, to: Operand) -> Dispatch {
    let (extent, rows) = (len as u32, count as u32);
    let (kept, reduced) = (View::new(&[extent], &[1], 0), View::new(&[rows], &[len as isize], 0));
    let kernel = Kernel::Reduce(Reduction::Sum, DType::F32);
    Reduce { kernel, results: len, count, kept, reduced, from, to }.dispatch(1)
}

/// A reduction of `results` results over `count` elements each.
struct Reduce {
    kernel: Kernel,
    results: u64,
    count: u64,
    /// Where each result begins.
    kept: View,
    /// Where its elements lie from there.
    reduced: View,
    from: Operand,
    to: Operand,
}

impl Reduce {
    fn sum(count: u64, from: Operand, to: Operand) -> Self {
        let (kept, reduced) = (View::new(&[], &[], 0), View::new(&[count as u32], &[1], 0));
        Self { kernel: Kernel::Reduce(Reduction::Sum, DType::F32), results: 1, count, kept, reduced, from, to }
    }

    /// One dispatch, or two with a temporary of that number.
    fn dispatches(self, scratch: usize) -> (Vec<Dispatch>, Vec<u64>) {
        let invocations = self.invocations();
        let most = (ENOUGH / self.results / invocations).min(self.count / invocations / LEAST_CHUNK);
        let chunks = most.min(MAX_CHUNKS);
        if chunks <= 1 {
            return (vec![self.dispatch(1)], Vec::new());
        }
        let (results, to) = (self.results, self.to);
        let parts = Self { to: Operand::Scratch(scratch), ..self };
        let (kept, reduced) = if parts.is_across() {
            (View::new(&[results as u32], &[1], 0), View::new(&[chunks as u32], &[results as isize], 0))
        } else {
            (View::new(&[results as u32], &[chunks as isize], 0), View::new(&[chunks as u32], &[1], 0))
        };
        let kernel = match parts.kernel {
            Kernel::ReduceWide(reduction, dtype) => Kernel::Reduce(reduction, dtype),
            ref kernel => kernel.clone(),
        };
        let total = Self { kernel, results, count: chunks, kept, reduced, from: parts.to, to };
        (vec![parts.dispatch(chunks), total.dispatch(1)], vec![results * chunks])
    }

    /// Invocations that a chunk has.
    fn invocations(&self) -> u64 {
        if matches!(self.kernel, Kernel::ReduceWide(..)) { WIDE } else { 1 }
    }

    /// Whether results lie side by side, and not the elements of one.
    fn is_across(&self) -> bool {
        let innermost = |view: &View| view.axes().last().map(|(_, stride)| *stride);
        innermost(&self.reduced) != Some(1) && innermost(&self.kept) == Some(1)
    }

    fn dispatch(&self, chunks: u64) -> Dispatch {
        let sizes = vec![self.results as u32, self.count as u32, chunks as u32, u32::from(self.is_across())];
        Dispatch {
            kernel: self.kernel.clone(),
            parameters: [sizes, view_words(&self.kept), view_words(&self.reduced)].concat(),
            results: vec![self.to],
            operands: vec![self.from],
            workgroups: (self.results * chunks * self.invocations()).div_ceil(self.invocations().max(WORKGROUP)),
        }
    }
}
