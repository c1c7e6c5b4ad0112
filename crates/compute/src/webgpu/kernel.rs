//! The WGSL kernels: which source and entry point each has. Arithmetic that matters for speed is register-blocked;
//! nothing uses shared memory or barriers, which software adapters run very slowly.

/// A kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kernel {
    MatMul,
    Conv2d,
    Conv2dGradInput,
    Conv2dGradWeight,
    Relu,
    ReluGrad,
    Add,
    AddBias,
    Scale,
    Fill,
    SumInner,
    SumRows,
    MaxPool,
    MaxPoolGrad,
    Softmax,
    SoftmaxGrad,
    CrossEntropy,
    CrossEntropyGrad,
}

/// Invocations in a workgroup, the same in every kernel: two waves of common GPUs, and within every adapter's limit.
pub(super) const WORKGROUP: u64 = 64;
/// Rows and columns of a register tile.
pub(super) const TILE: u64 = 4;
/// Bytes of a kernel's parameters: 16 words, more than the largest kernel has.
pub(super) const PARAMETER_BYTES: u64 = 64;
/// Words of a kernel's parameters.
pub(super) const PARAMETER_WORDS: usize = 16;

const _: () = assert!(PARAMETER_BYTES as usize == 4 * PARAMETER_WORDS);

impl Kernel {
    pub(super) fn entry(self) -> &'static str {
        match self {
            Kernel::MatMul | Kernel::Conv2d | Kernel::Conv2dGradInput | Kernel::Conv2dGradWeight => "main",
            Kernel::Relu => "relu",
            Kernel::ReluGrad => "relu_grad",
            Kernel::Add => "add",
            Kernel::AddBias => "add_bias",
            Kernel::Scale => "scale",
            Kernel::Fill => "fill",
            Kernel::SumInner => "sum_inner",
            Kernel::SumRows => "sum_rows",
            Kernel::MaxPool => "forward",
            Kernel::MaxPoolGrad => "grad",
            Kernel::Softmax => "softmax",
            Kernel::SoftmaxGrad => "softmax_grad",
            Kernel::CrossEntropy => "cross_entropy",
            Kernel::CrossEntropyGrad => "cross_entropy_grad",
        }
    }

    /// The whole WGSL text.
    pub(super) fn source(self) -> String {
        let own = match self {
            Kernel::MatMul => include_str!("shaders/matmul.wgsl"),
            Kernel::Conv2d => include_str!("shaders/conv2d.wgsl"),
            Kernel::Conv2dGradInput => include_str!("shaders/conv2d_grad_input.wgsl"),
            Kernel::Conv2dGradWeight => include_str!("shaders/conv2d_grad_weight.wgsl"),
            Kernel::MaxPool | Kernel::MaxPoolGrad => include_str!("shaders/pool.wgsl"),
            Kernel::Softmax | Kernel::SoftmaxGrad | Kernel::CrossEntropy | Kernel::CrossEntropyGrad => {
                include_str!("shaders/rows.wgsl")
            }
            _ => include_str!("shaders/elementwise.wgsl"),
        };
        [include_str!("shaders/common.wgsl"), own].concat()
    }
}
