//! Bounds on what a graph may contain. A graph comes from a stranger: every quantity that costs the reader memory or
//! time is bounded here before anything is allocated for it.

/// Encoded graph, bytes. The largest planned models have ten thousand nodes of about 60 bytes each, and a decoder needs at
/// most some forty times as much memory as it reads.
pub const MAX_GRAPH_BYTES: usize = 1 << 20;
/// Nodes in one graph: a training step of a transformer has about two hundred a layer.
pub const MAX_NODES: usize = 1 << 14;
/// Values in one graph: every node makes one, the rest are inputs.
pub const MAX_VALUES: usize = 2 * MAX_NODES;
/// Bytes of one constant: masks and tables of indices. Weights are inputs.
pub const MAX_LITERAL_BYTES: usize = 1 << 16;
/// K of an integer product: so many products of a byte and a signed byte cannot overflow 32 bits.
pub const MAX_INTEGER_DEPTH: u32 = 1 << 16;
/// Bits that a requantisation drops: the product of two i32 has no more before its sign.
pub const MAX_SHIFT: u32 = 62;
/// Tensors that one concatenation takes.
pub const MAX_CONCAT: usize = 256;
/// Dimensions of a tensor: NCHW needs four; grouped attention heads need six.
pub const MAX_RANK: usize = 6;
/// Elements of one tensor: 1 GiB of f32, more than a browser tab can hold beside anything else.
pub const MAX_ELEMENTS: u64 = 1 << 28;
/// Stride, padding, kernel and window edge: image kernels stay far below it, and sums with it cannot overflow u32.
pub const MAX_WINDOW: u32 = 1 << 12;
/// Bytes of an input's or output's name.
pub const MAX_NAME_BYTES: usize = 128;
/// Bytes of memory that a run of one graph may need: what a 32-bit address space holds.
pub const MAX_MEMORY_BYTES: u64 = 1 << 32;

const _: () = assert!(MAX_ELEMENTS * 4 <= MAX_MEMORY_BYTES, "the largest tensor must fit in the largest run");
const _: () = assert!(255 * 128 * (MAX_INTEGER_DEPTH as i64) <= i32::MAX as i64, "integer products are exact");
