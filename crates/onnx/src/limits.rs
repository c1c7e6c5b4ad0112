//! Bounds on what a model file may contain. A file may come from a stranger: what costs memory or time is bounded here
//! before anything is allocated for it. What the lowered graph may contain is bounded by `shoal_graph::limits`.

/// Bytes of a model file: protobuf itself has no longer messages. Larger models keep their weights outside.
pub const MAX_MODEL_BYTES: usize = (1 << 31) - 1;
/// Bytes that decoding may allocate beside the file's own: structure, names, numbers stored one a varint. The largest
/// graphs that lower have 16,384 nodes of about 1 KiB each.
pub const MAX_DECODED_BYTES: usize = 32 << 20;
/// Graphs within graphs (branches of `If`, bodies of loops), functions called by functions.
pub const MAX_NESTING: usize = 8;
/// Nodes of a model, those of its subgraphs included; also those that lowering visits, functions unfolded.
pub const MAX_NODES: usize = 1 << 16;
/// Initialisers of a model: large models have a few thousand.
pub const MAX_INITIALISERS: usize = 1 << 15;
/// Times that tensors may take all bytes of the files that were given beside a model: tied weights share them, two or
/// three tensors at once.
pub const MAX_SHARING: u64 = 4;
/// Bytes of a tensor that is not counted among those: exporters share scalars widely.
pub const MAX_SHARED_FREELY: usize = 64;
/// Inputs or outputs of a model.
pub const MAX_PORTS: usize = 1 << 12;
/// Dimensions of any tensor, before lowering brings them within the graph's limit.
pub const MAX_RANK: usize = 16;
/// Elements of a tensor that is evaluated while lowering: shapes, indices, masks.
pub const MAX_FOLDED_ELEMENTS: usize = 1 << 18;
/// Elements that are decoded, evaluated, copied or kept while one graph is lowered, each time counted: some ten
/// milliseconds and 16 MiB.
pub const MAX_FOLDING: u64 = 1 << 21;
/// Bytes of one constant that becomes part of the graph; a larger one becomes a weight.
pub const MAX_INLINED_BYTES: usize = 1 << 12;
/// Bytes of all constants that become part of one graph: half of what its encoding may have.
pub const MAX_INLINED_TOTAL_BYTES: usize = 1 << 19;
/// Operators named in one error.
pub const MAX_NAMED_OPERATORS: usize = 256;
/// Bytes of a name in an error.
pub const MAX_NAMED_BYTES: usize = 128;

/// The oldest operator set that is read: exporters of the last six years write newer ones.
pub const OLDEST_OPSET: i64 = 7;
/// The newest operator set that is read: that of ONNX 1.23.
pub const NEWEST_OPSET: i64 = 28;
/// The operator set that is written: the first in which reductions take their axes as the newest do, and bits have operators.
pub const WRITTEN_OPSET: i64 = 18;
/// Format versions that are read.
pub const IR_VERSIONS: std::ops::RangeInclusive<i64> = 3..=14;
/// The format version that is written.
pub const WRITTEN_IR_VERSION: i64 = 8;
/// Bytes of a safetensors header: a thousand tensors need about 100 KiB.
pub const MAX_HEADER_BYTES: u64 = 4 << 20;
/// Domain of the operators that are ours.
pub(crate) const OWN_DOMAIN: &str = "shoal";
