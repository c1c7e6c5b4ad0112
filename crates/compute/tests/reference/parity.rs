//! The parity suite: one body for every backend. Each graph's outputs are compared with reference maths in f64, within
//! the bound that tolerant units are judged by.

use shoal_compute::{Backend, tolerance, vectors};
use shoal_graph::{Graph, programs};

use super::{
    distance,
    graphs::{DIFFERENTIABLE, LARGE, with_gradients},
    random_inputs, run, to_reals,
};

/// Graphs of the suite.
pub const GRAPHS: usize = DIFFERENTIABLE.len() + LARGE.len() + 5;

/// Runs everything that a gradient unit may contain and returns how many graphs that were.
///
/// # Panics
/// At the first output that is beyond the bound.
pub async fn check<B: Backend>(backend: &mut B) -> usize {
    let operations = DIFFERENTIABLE.iter().chain(LARGE).map(|(name, build)| (*name, with_gradients(*build), 3));
    let nets = [1, 24, 33].map(|batch| ("net", programs::gradient(&vectors::model(), batch).unwrap(), 10));
    let step = ("training step", programs::training_step(&vectors::model(), 4).unwrap(), 10);
    let inference = ("inference", programs::inference(&vectors::model(), 9).unwrap(), 10);
    let mut graphs = 0;
    for (name, graph, classes) in operations.chain(nets).chain([step, inference]) {
        check_graph(backend, name, &graph, classes).await;
        graphs += 1;
    }
    graphs
}

async fn check_graph<B: Backend>(backend: &mut B, name: &str, graph: &Graph, classes: i32) {
    let inputs = random_inputs(graph, 3, classes);
    let expected = run(graph, &to_reals(&inputs));
    let got = to_reals(&backend.run(graph, inputs).await.unwrap());
    assert_eq!(got.len(), expected.len());
    let bound = tolerance::bound(graph);
    for (output, expected) in &expected {
        let error = distance(&got[output], expected);
        assert!(error <= bound, "{name}, output {output}: off by {error:e}, bound {bound:e}");
    }
}
