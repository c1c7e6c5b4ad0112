//! What samples show: the values that follow from weights alone, and the range of every other float.

use shoal_compute::{Data, Executable, Tensor, Tensors};
use shoal_graph::{DType, Graph, GraphBuilder, ValueId};

use crate::{Options, QuantizeError, RangeRule};

/// Bins of a histogram of magnitudes: a clip is found to a two-thousandth of the range.
const BINS: usize = 2048;
/// Part of the elements that the percentile rule leaves out.
const LEFT_OUT: f64 = 1e-4;
/// Magnitudes from here on are masks: they stand for minus infinity, and no scale is chosen by them.
pub(crate) const MASK_FROM: f64 = 1e4;

/// Range of a float.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    /// Greatest magnitude.
    pub(crate) greatest: f64,
    /// Where bytes are cut off.
    pub(crate) clip: f64,
    /// What bytes lose of the mean square.
    pub(crate) loss: f64,
}

/// What is known of the values of a graph, by [`ValueId::index`].
pub(crate) struct Facts {
    /// Values that follow from weights and constants, where others read them.
    pub(crate) known: Vec<Option<Tensor>>,
    pub(crate) is_known: Vec<bool>,
    ranges: Vec<Option<Range>>,
    /// What bytes may lose of the mean square of a left factor.
    pub(crate) max_loss: f64,
}

impl Facts {
    pub(crate) fn gather(
        graph: &Graph,
        weights: &Tensors,
        samples: &[Tensors],
        options: Options,
    ) -> Result<Self, QuantizeError> {
        if samples.is_empty() {
            return Err(QuantizeError::NoSamples);
        }
        let is_known = known_values(graph, weights);
        let watched = watched(graph, &is_known);
        let mut b = GraphBuilder::continuing(graph);
        for value in &watched {
            b.output(value.index().to_string(), *value);
        }
        let mut executable = Executable::new(b.finish()?);
        executable.hold(weights.clone())?;
        let max_loss = options.max_loss;
        let mut facts = Self {
            max_loss,
            known: vec![None; graph.types().len()],
            ranges: vec![None; graph.types().len()],
            is_known,
        };
        let mut greatest = vec![0.0f64; graph.types().len()];
        let mut histograms: Vec<Vec<u64>> = vec![Vec::new(); graph.types().len()];
        for pass in 0..2 {
            for sample in samples {
                let made = executable.run(sample.clone())?;
                for (name, tensor) in made.iter() {
                    let at: usize = name.parse().expect("outputs are named by their index");
                    if facts.is_known[at] {
                        facts.known[at].get_or_insert_with(|| tensor.clone());
                    } else if pass == 0 {
                        greatest[at] = greatest[at].max(greatest_of(tensor));
                    } else {
                        count(tensor, greatest[at], &mut histograms[at]);
                    }
                }
                executable.recycle(made);
            }
        }
        for value in watched.iter().filter(|value| !facts.is_known[value.index()]) {
            let at = value.index();
            if !greatest[at].is_finite() {
                let maker = graph.nodes().iter().find(|node| node.output == *value);
                return Err(QuantizeError::NotFinite { op: maker.map_or("input", |node| node.op.name()) });
            }
            // What is always zero has any scale.
            let most = if greatest[at] > 0.0 { greatest[at] } else { 1.0 };
            facts.ranges[at] = Some(range_of(&histograms[at], most, options.rule));
        }
        Ok(facts)
    }

    pub(crate) fn range(&self, value: ValueId) -> Range {
        self.ranges[value.index()].expect("floats that depend on inputs were watched")
    }
}

/// Values that depend on no input but weights.
fn known_values(graph: &Graph, weights: &Tensors) -> Vec<bool> {
    let mut is_known = vec![false; graph.types().len()];
    for (name, value) in graph.inputs() {
        is_known[value.index()] = weights.get(name).is_some();
    }
    for node in graph.nodes() {
        is_known[node.output.index()] = node.inputs.iter().all(|value| is_known[value.index()]);
    }
    is_known
}

/// Floats that depend on inputs, integers that become floats, and known values that something else reads.
fn watched(graph: &Graph, is_known: &[bool]) -> Vec<ValueId> {
    let mut is_watched = vec![false; graph.types().len()];
    for node in graph.nodes() {
        let made = node.output.index();
        let is_float = graph.value_type(node.output).dtype == DType::F32;
        is_watched[made] |= is_float && !is_known[made];
        for input in &node.inputs {
            is_watched[input.index()] |= !is_known[made] && is_known[input.index()];
        }
    }
    for (_, value) in graph.outputs() {
        is_watched[value.index()] |= is_known[value.index()];
    }
    for (_, value) in graph.inputs() {
        let is_float = graph.value_type(*value).dtype == DType::F32;
        is_watched[value.index()] |= is_float && !is_known[value.index()];
    }
    let ids = graph.inputs().iter().map(|(_, value)| *value).chain(graph.nodes().iter().map(|node| node.output));
    ids.filter(|value| is_watched[value.index()]).collect()
}

fn greatest_of(tensor: &Tensor) -> f64 {
    let Data::F32(x) = tensor.data() else { return 0.0 };
    // A NaN stays one.
    x.iter().fold(0.0f64, |greatest, x| if greatest >= f64::from(x.abs()) { greatest } else { f64::from(x.abs()) })
}

fn count(tensor: &Tensor, greatest: f64, histogram: &mut Vec<u64>) {
    let Data::F32(x) = tensor.data() else { return };
    histogram.resize(BINS, 0);
    let per_bin = BINS as f64 / greatest.max(f64::MIN_POSITIVE);
    for x in x {
        histogram[((f64::from(x.abs()) * per_bin) as usize).min(BINS - 1)] += 1;
    }
}

fn range_of(histogram: &[u64], greatest: f64, rule: RangeRule) -> Range {
    let clip = clip(histogram, greatest, rule);
    let width = greatest / BINS as f64;
    let squares = histogram.iter().enumerate().map(|(bin, count)| *count as f64 * ((bin as f64 + 0.5) * width).powi(2));
    let loss = error(histogram, width, (clip / width).round() as usize) / squares.sum::<f64>().max(f64::MIN_POSITIVE);
    Range { greatest, clip, loss }
}

fn clip(histogram: &[u64], greatest: f64, rule: RangeRule) -> f64 {
    let width = greatest / BINS as f64;
    let total: u64 = histogram.iter().sum();
    match rule {
        RangeRule::MinMax => greatest,
        RangeRule::Percentile => {
            let mut left = total as f64 * LEFT_OUT;
            let cut = histogram.iter().rposition(|count| {
                left -= *count as f64;
                left < 0.0
            });
            cut.map_or(greatest, |bin| (bin + 1) as f64 * width)
        }
        RangeRule::MeanSquare => {
            let error = |bins: usize| error(histogram, width, bins);
            let candidates = (1..=256).map(|part| part * BINS / 256);
            let best = candidates.min_by(|a, b| error(*a).total_cmp(&error(*b)));
            best.map_or(greatest, |bins| bins as f64 * width)
        }
    }
}

/// Sum of the squares that bytes lose, when so many bins are within their range.
fn error(histogram: &[u64], width: f64, bins: usize) -> f64 {
    let cut = bins as f64 * width;
    let rounding = (cut / 127.0).powi(2) / 12.0;
    let lost = histogram[bins..].iter().enumerate().map(|(beyond, count)| {
        let distance = (beyond as f64 + 0.5) * width;
        *count as f64 * (distance * distance)
    });
    let kept: u64 = histogram[..bins].iter().sum();
    lost.sum::<f64>() + kept as f64 * rounding
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_is_cut_off_where_that_loses_less() {
        let mut x = vec![0.0f32; 100_000];
        let mut state = 1u32;
        for x in &mut x {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *x = (state >> 8) as f32 / (1 << 24) as f32;
        }
        x[7] = 8.0;
        let tensor = Tensor::f32([100_000], x);
        let mut histogram = Vec::new();
        count(&tensor, 8.0, &mut histogram);
        assert_eq!(clip(&histogram, 8.0, RangeRule::MinMax), 8.0);
        for rule in [RangeRule::MeanSquare, RangeRule::Percentile] {
            let clip = clip(&histogram, 8.0, rule);
            assert!((0.9..6.0).contains(&clip), "{rule:?}: {clip}");
        }
    }
}
