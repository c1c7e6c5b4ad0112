//! Why a graph is not quantised.

use shoal_compute::ComputeError;
use shoal_graph::GraphError;

/// An operation without an integer form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnsupportedOp {
    /// Its name.
    pub op: &'static str,
    /// Why it has none.
    pub reason: &'static str,
    /// How many of the graph's nodes are so.
    pub count: usize,
}

/// A graph that is not quantised.
#[derive(Debug, thiserror::Error)]
pub enum QuantizeError {
    /// Operations without an integer form.
    #[error("no integer form: {}", list(.0))]
    Unsupported(Vec<UnsupportedOp>),
    /// There is nothing to choose scales by.
    #[error("no samples are given")]
    NoSamples,
    /// A sample makes an infinity or NaN where a scale is chosen.
    #[error("samples make a value of {op} that is not finite")]
    NotFinite {
        /// The operation that makes it, or `input`.
        op: &'static str,
    },
    /// The rewritten graph is refused: it is beyond a limit.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A sample does not run.
    #[error(transparent)]
    Compute(#[from] ComputeError),
}

fn list(ops: &[UnsupportedOp]) -> String {
    let one = |op: &UnsupportedOp| format!("{} of {} ({})", op.count, op.op, op.reason);
    ops.iter().map(one).collect::<Vec<_>>().join("; ")
}
