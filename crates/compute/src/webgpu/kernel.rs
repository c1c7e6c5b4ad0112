//! The WGSL kernels: which text and entry point each has. What needs workgroup memory has a kernel without it beside it, for
//! small shapes and for software adapters, which run barriers very slowly.

use std::rc::Rc;

use shoal_graph::{DType, Reduction};

use super::tile::TileKernel;

/// A kernel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Kernel {
    /// A loop of element-wise operations: its text, after the common part.
    Elementwise(Rc<str>),
    Reduce(Reduction, DType),
    /// A reduction with a workgroup for each result, or chunk of one.
    ReduceWide(Reduction, DType),
    /// Attention in one pass: its text, as of a loop.
    Attention(Rc<str>),
    /// A product by tiles.
    Tile(TileKernel),
    MatMul,
    Conv2d,
    Conv2dGradInput,
    Conv2dGradWeight,
    Copy,
    Fill,
    Iota,
    Gather,
    ScatterAdd,
    ArgMax,
    MaxPool,
    MaxPoolPositions,
    MaxPoolGrad,
    SumPool,
    SumPoolGrad,
    /// An invocation a row.
    Rows(RowOp),
    /// A workgroup a row.
    WideRows(RowOp),
}

/// Operations on rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum RowOp {
    Softmax,
    SoftmaxGrad,
    CrossEntropy,
    CrossEntropyGrad,
}

/// Invocations in a workgroup of a kernel without workgroup memory: two waves of common GPUs, and within every adapter's limit.
pub(super) const WORKGROUP: u64 = 64;
/// Rows and columns of a register tile.
pub(super) const TILE: u64 = 4;

impl Kernel {
    pub(super) fn entry(&self) -> &'static str {
        match self {
            Kernel::Elementwise(_)
            | Kernel::Attention(_)
            | Kernel::Reduce(..)
            | Kernel::ReduceWide(..)
            | Kernel::Tile(_)
            | Kernel::MatMul
            | Kernel::Conv2d
            | Kernel::Conv2dGradInput
            | Kernel::Conv2dGradWeight
            | Kernel::Copy
            | Kernel::ScatterAdd => "main",
            Kernel::Fill => "fill",
            Kernel::Iota => "iota",
            Kernel::Gather => "gather",
            Kernel::ArgMax => "arg_max",
            Kernel::MaxPool => "greatest",
            Kernel::MaxPoolPositions => "greatest_positions",
            Kernel::MaxPoolGrad => "greatest_grad",
            Kernel::SumPool => "sums",
            Kernel::SumPoolGrad => "sums_grad",
            Kernel::Rows(RowOp::Softmax) | Kernel::WideRows(RowOp::Softmax) => "softmax",
            Kernel::Rows(RowOp::SoftmaxGrad) | Kernel::WideRows(RowOp::SoftmaxGrad) => "softmax_grad",
            Kernel::Rows(RowOp::CrossEntropy) | Kernel::WideRows(RowOp::CrossEntropy) => "cross_entropy",
            Kernel::Rows(RowOp::CrossEntropyGrad) | Kernel::WideRows(RowOp::CrossEntropyGrad) => "cross_entropy_grad",
        }
    }

    /// The whole WGSL text.
    pub(super) fn source(&self) -> String {
        let views = include_str!("shaders/views.wgsl");
        let conv = include_str!("shaders/conv2d_common.wgsl");
        let own: &[&str] = match self {
            Kernel::Elementwise(text) | Kernel::Attention(text) => {
                &[views, include_str!("shaders/functions.wgsl"), text]
            }
            Kernel::Reduce(reduction, dtype) | Kernel::ReduceWide(reduction, dtype) => {
                let text = match self {
                    Kernel::ReduceWide(..) => include_str!("shaders/reduce_wide.wgsl"),
                    _ => include_str!("shaders/reduce.wgsl"),
                };
                let text = text.replace("NUMBER", number(*dtype)).replace("COMBINE", combine(*reduction));
                return [include_str!("shaders/common.wgsl"), views, &text].concat();
            }
            Kernel::Tile(kernel) => return kernel.source(),
            Kernel::MatMul => &[include_str!("shaders/matmul.wgsl")],
            Kernel::Conv2d => &[conv, include_str!("shaders/conv2d.wgsl")],
            Kernel::Conv2dGradInput => &[conv, include_str!("shaders/conv2d_grad_input.wgsl")],
            Kernel::Conv2dGradWeight => &[conv, include_str!("shaders/conv2d_grad_weight.wgsl")],
            Kernel::Copy => &[views, include_str!("shaders/copy.wgsl")],
            Kernel::Fill | Kernel::Iota => &[include_str!("shaders/made.wgsl")],
            Kernel::Gather | Kernel::ArgMax => &[include_str!("shaders/index.wgsl")],
            Kernel::ScatterAdd => &[include_str!("shaders/scatter.wgsl")],
            Kernel::MaxPool
            | Kernel::MaxPoolPositions
            | Kernel::MaxPoolGrad
            | Kernel::SumPool
            | Kernel::SumPoolGrad => &[include_str!("shaders/pool.wgsl")],
            Kernel::Rows(_) => &[include_str!("shaders/rows.wgsl")],
            Kernel::WideRows(_) => &[include_str!("shaders/rows_wide.wgsl")],
        };
        [include_str!("shaders/common.wgsl"), &own.concat()].concat()
    }
}

/// `dot4`, the products of four bytes with their sum.
pub(super) fn dot_function(has_packed_dot: bool) -> &'static str {
    if has_packed_dot {
        "fn dot4(a: u32, b: u32) -> i32 { return dot4I8Packed(a, b); }\n"
    } else {
        include_str!("shaders/dot.wgsl")
    }
}

/// The WGSL type of an element.
pub(super) fn number(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "f32",
        DType::I32 => "i32",
        DType::I8 | DType::U8 => unreachable!("bytes are refused before anything is planned"),
    }
}

/// How a reduction continues from `a` with `b`.
fn combine(reduction: Reduction) -> &'static str {
    match reduction {
        Reduction::Sum => "a + b",
        Reduction::Product => "a * b",
        Reduction::Max => "select(a, b, b > a)",
        Reduction::Min => "select(a, b, b < a)",
    }
}
