//! What `shoal model inspect` prints: one object for machines, or a text for people.

use std::{collections::BTreeMap, fmt, path::Path};

use serde::Serialize;
use shoal_onnx::{Dimension, Lowered, Port, Stored, Summary};

use super::inspect::Chosen;

/// Devices whose time is estimated, with the rate that is assumed of them, billions of reference operations a second: what
/// matrix products reach in one thread of a tab.
const ASSUMED_GIGAOPS: [(&str, f64); 2] = [("phone_tab", 5.0), ("laptop_tab", 40.0)];
/// Tensors that people are shown; machines get all.
const MAX_SHOWN_TENSORS: usize = 40;

/// A model file.
#[derive(Serialize)]
pub(super) struct ModelReport {
    file: String,
    producer: String,
    ir_version: i64,
    opsets: BTreeMap<String, i64>,
    inputs: Vec<PortReport>,
    outputs: Vec<PortReport>,
    operators: Vec<OpReport>,
    weights: usize,
    parameters: u64,
    weight_bytes: u64,
    external_files: Vec<String>,
    /// Absent where operators are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cost: Option<CostReport>,
}

#[derive(Serialize)]
struct PortReport {
    name: String,
    element: String,
    /// Numbers, symbols, or `?`; absent where the model does not say.
    shape: Option<Vec<String>>,
}

#[derive(Serialize)]
struct OpReport {
    #[serde(skip_serializing_if = "String::is_empty")]
    domain: String,
    name: String,
    count: usize,
    supported: bool,
}

/// One run of given sizes.
#[derive(Serialize)]
pub(super) struct CostReport {
    sizes: Vec<SizeReport>,
    samples: u32,
    graph_nodes: usize,
    graph_bytes: usize,
    reference_ops: u64,
    reference_ops_per_sample: u64,
    peak_memory_bytes: u64,
    /// Of the fastest run here, on one thread, over its samples; absent where a run takes long.
    #[serde(skip_serializing_if = "Option::is_none")]
    measured_seconds_per_sample: Option<f64>,
    estimates: Vec<EstimateReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

#[derive(Serialize)]
struct SizeReport {
    symbol: String,
    size: u32,
    given: bool,
}

#[derive(Serialize)]
struct EstimateReport {
    device: &'static str,
    assumed_gigaops_per_second: f64,
    seconds_per_sample: f64,
}

impl ModelReport {
    pub(super) fn new(path: &Path, summary: &Summary) -> Self {
        let port = |port: &Port| PortReport {
            name: port.name.clone(),
            element: port.element.map_or_else(|| "?".to_owned(), |element| format!("{element:?}").to_lowercase()),
            shape: port.shape.as_ref().map(|shape| shape.iter().map(Dimension::to_string).collect()),
        };
        let operators = summary.operators.iter().map(|op| OpReport {
            domain: op.domain.clone(),
            name: op.name.clone(),
            count: op.count,
            supported: op.is_supported,
        });
        Self {
            file: path.display().to_string(),
            producer: summary.producer.clone(),
            ir_version: summary.ir_version,
            opsets: summary.opsets.clone(),
            inputs: summary.inputs.iter().map(port).collect(),
            outputs: summary.outputs.iter().map(port).collect(),
            operators: operators.collect(),
            weights: summary.weights,
            parameters: summary.parameters,
            weight_bytes: summary.weight_bytes,
            external_files: summary.external_files.iter().cloned().collect(),
            cost: None,
        }
    }
}

impl CostReport {
    pub(super) fn new(lowered: &Lowered, chosen: &[Chosen], samples: u32, seconds: Option<f64>) -> Self {
        let graph = &lowered.graph;
        let samples = samples.max(1);
        let per_sample = graph.reference_ops().div_ceil(samples.into());
        let estimate = |(device, gigaops): &(&'static str, f64)| EstimateReport {
            device,
            assumed_gigaops_per_second: *gigaops,
            seconds_per_sample: per_sample as f64 / (gigaops * 1e9),
        };
        let sizes =
            chosen.iter().map(|own| SizeReport { symbol: own.symbol.clone(), size: own.size, given: own.is_given });
        let notes = lowered
            .notes
            .iter()
            .map(|note| format!("{} is {:?} in the model and {:?} in the graph", note.name, note.declared, note.held));
        Self {
            sizes: sizes.collect(),
            samples,
            graph_nodes: graph.nodes().len(),
            graph_bytes: graph.bytes().len(),
            reference_ops: graph.reference_ops(),
            reference_ops_per_sample: per_sample,
            peak_memory_bytes: graph.peak_memory_bytes(),
            measured_seconds_per_sample: seconds.map(|seconds| seconds / f64::from(samples)),
            estimates: ASSUMED_GIGAOPS.iter().map(estimate).collect(),
            notes: notes.collect(),
        }
    }
}

impl fmt::Display for ModelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.file)?;
        let opsets = self.opsets.iter().map(|(domain, version)| match domain.as_str() {
            "" => version.to_string(),
            domain => format!("{domain} {version}"),
        });
        let opsets = opsets.collect::<Vec<_>>().join(", ");
        let producer = if self.producer.is_empty() { "unknown" } else { &self.producer };
        writeln!(f, "producer    {producer}, format {}, opset {opsets}", self.ir_version)?;
        for (what, ports) in [("input", &self.inputs), ("output", &self.outputs)] {
            for port in ports {
                let shape = port.shape.as_ref().map_or("?".to_owned(), |shape| format!("[{}]", shape.join(", ")));
                writeln!(f, "{what:<11} {} {} {shape}", port.name, port.element)?;
            }
        }
        let (count, bytes) = (self.parameters, mib(self.weight_bytes));
        writeln!(f, "parameters  {count} in {} weights, {bytes}", self.weights)?;
        if !self.external_files.is_empty() {
            writeln!(f, "weights in  {}", self.external_files.join(", "))?;
        }
        let named = |op: &OpReport| match op.domain.as_str() {
            "" => format!("{} {}", op.name, op.count),
            domain => format!("{domain}:{} {}", op.name, op.count),
        };
        let list = |is_wanted: bool| {
            let ops = self.operators.iter().filter(|op| op.supported == is_wanted).map(named);
            ops.collect::<Vec<_>>().join(", ")
        };
        write!(f, "operators   {}", list(true))?;
        if self.operators.iter().any(|op| !op.supported) {
            write!(f, "\nunsupported {}", list(false))?;
        }
        match &self.cost {
            Some(cost) => write!(f, "\n{cost}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for CostReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = self.sizes.iter().map(|own| {
            let assumed = if own.given { "" } else { " (assumed)" };
            format!("{}={}{assumed}", own.symbol, own.size)
        });
        let sizes = sizes.collect::<Vec<_>>().join(", ");
        writeln!(f, "sizes       {}", if sizes.is_empty() { "all fixed" } else { &sizes })?;
        writeln!(f, "graph       {} nodes, {} bytes", self.graph_nodes, self.graph_bytes)?;
        writeln!(
            f,
            "one run     {} reference operations, {} a sample; at most {} of memory",
            self.reference_ops,
            self.reference_ops_per_sample,
            mib(self.peak_memory_bytes)
        )?;
        match self.measured_seconds_per_sample {
            Some(seconds) => writeln!(f, "measured    {} a sample (here, 1 thread)", time(seconds))?,
            None => writeln!(f, "measured    not: one run would take long here")?,
        }
        let estimates = self.estimates.iter().map(|own| {
            let (device, rate) = (own.device.replace('_', " "), own.assumed_gigaops_per_second);
            format!("{} on a {device} if it does {rate} GFLOP/s", time(own.seconds_per_sample))
        });
        write!(f, "estimated   {} a sample", estimates.collect::<Vec<_>>().join(", "))?;
        for note in &self.notes {
            write!(f, "\nnote        {note}")?;
        }
        Ok(())
    }
}

/// A safetensors file.
#[derive(Serialize)]
pub(super) struct TensorsReport {
    file: String,
    parameters: u64,
    weight_bytes: u64,
    tensors: Vec<TensorReport>,
}

#[derive(Serialize)]
struct TensorReport {
    name: String,
    element: String,
    shape: Vec<u32>,
    bytes: usize,
}

impl TensorsReport {
    pub(super) fn new(path: &Path, tensors: &BTreeMap<String, Stored>) -> Self {
        let each = tensors.iter().map(|(name, stored)| TensorReport {
            name: name.clone(),
            element: format!("{:?}", stored.element()).to_lowercase(),
            shape: stored.shape().to_vec(),
            bytes: stored.bytes().len(),
        });
        Self {
            file: path.display().to_string(),
            parameters: tensors.values().map(|stored| stored.elements() as u64).sum(),
            weight_bytes: tensors.values().map(|stored| stored.bytes().len() as u64).sum(),
            tensors: each.collect(),
        }
    }
}

impl fmt::Display for TensorsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, bytes) = (self.tensors.len(), mib(self.weight_bytes));
        write!(f, "{}: {} parameters in {count} tensors, {bytes}", self.file, self.parameters)?;
        for own in self.tensors.iter().take(MAX_SHOWN_TENSORS) {
            write!(f, "\n  {:<4} {:?} {}", own.element, own.shape, own.name)?;
        }
        match count.saturating_sub(MAX_SHOWN_TENSORS) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more; --json shows all"),
        }
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 1e-7 => "less than 0.1 µs".to_owned(),
        seconds if seconds < 1e-3 => format!("{:.1} µs", seconds * 1e6),
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        seconds => format!("{seconds:.1} s"),
    }
}
