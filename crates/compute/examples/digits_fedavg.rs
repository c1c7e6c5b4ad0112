//! Trains the digits net by federated averaging in one process, without relay or network: what hyper-parameters of the
//! demonstration were chosen with, and a bound on what its accuracy can be.
//!
//! `cargo run -p shoal-compute --example digits_fedavg -- [rounds] [local_steps] [batch] [learning_rate] [momentum]
//! [gradient_batch] [gradient_learning_rate] [seed] [validate]`; run from the repository's root.

use std::{error::Error, fs::File, io::Read, str::FromStr};

use shoal_compute::{
    Tensor, Tensors,
    evaluate::evaluate,
    init::initial_parameters,
    program::{Budget, run_unit_on_cpu, unit_cost},
    seed::{job_seed, permutation},
};
use shoal_graph::{Graph, programs};
use shoal_wire::{
    ids::BlobId,
    job::{LayerSpec, ModelSpec},
    proto::{Class, Gradient, LocalTraining, Unit, unit::Program},
    unit::CheckedUnit,
};

const UNITS: usize = 12;
const GRADIENT_UNITS: usize = 3;
const PIXELS: usize = 64;

fn model() -> ModelSpec {
    let conv = |out_channels| LayerSpec::Conv2d { out_channels, kernel: 3, stride: 1, padding: 1 };
    ModelSpec {
        input: vec![1, 8, 8],
        layers: vec![
            conv(8),
            LayerSpec::Relu,
            conv(16),
            LayerSpec::Relu,
            LayerSpec::MaxPool2d { size: 2 },
            LayerSpec::Flatten,
            LayerSpec::Dense { units: 10 },
        ],
    }
}

/// Rows of pixels 0–16 and a label. Those with index % 5 = 4 are held out; with `validate` they are left out altogether and
/// those with index % 5 = 3 take their place, so that hyper-parameters are never chosen by what is held out.
fn read_digits(validate: bool) -> Result<(Tensors, Vec<Tensors>), Box<dyn Error>> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(File::open("examples/digits/digits.csv.gz")?).read_to_string(&mut text)?;
    let rows: Vec<Vec<u8>> =
        text.lines().map(|line| line.split(',').map(u8::from_str).collect()).collect::<Result<_, _>>()?;
    let tensors = |rows: &[&Vec<u8>]| -> Tensors {
        let x = rows.iter().flat_map(|row| row[..PIXELS].iter().map(|pixel| f32::from(*pixel) / 16.0)).collect();
        let y = rows.iter().map(|row| i32::from(row[PIXELS])).collect();
        let n = rows.len() as u32;
        [
            (programs::SAMPLES.to_owned(), Tensor::f32([n, 1, 8, 8], x)),
            (programs::LABELS.to_owned(), Tensor::i32([n], y)),
        ]
        .into_iter()
        .collect()
    };
    let measured = if validate { 3 } else { 4 };
    let rows = rows.iter().enumerate().filter(|(index, _)| !validate || index % 5 != 4);
    let (held_out, train): (Vec<_>, Vec<_>) = rows.partition(|(index, _)| index % 5 == measured);
    let held_out: Vec<&Vec<u8>> = held_out.into_iter().map(|(_, row)| row).collect();
    let order = permutation(job_seed(1, "partition"), train.len() as u32);
    let shards = (0..UNITS).map(|unit| {
        let rows: Vec<_> = order.iter().skip(unit).step_by(UNITS).map(|i| train[*i as usize].1).collect();
        tensors(&rows)
    });
    Ok((tensors(&held_out), shards.collect()))
}

fn unit(graph: &Graph, parameters: &[u8], data: &[u8], round: u32, index: u32, program: Program) -> CheckedUnit {
    let cost = unit_cost(&program, graph);
    CheckedUnit::new(Unit {
        job: vec![1; 32],
        round,
        index,
        class: match program {
            Program::LocalTraining(_) | Program::Map(_) => Class::Exact,
            Program::Gradient(_) => Class::Tolerant,
        } as i32,
        graph: BlobId::of(graph.bytes()).to_vec(),
        parameters: BlobId::of(parameters).to_vec(),
        data: BlobId::of(data).to_vec(),
        reference_ops: cost.reference_ops,
        memory_bytes: cost.memory_bytes,
        program: Some(program),
    })
    .expect("the unit is well-formed")
}

/// Adds `factor·b` to `a`.
fn add_scaled(a: &mut Tensors, b: &Tensors, factor: f32) {
    let sums: Vec<(String, Tensor)> = a
        .iter()
        .map(|(name, tensor)| {
            let other = b.get(name).expect("the same parameters").as_f32().expect("parameters are f32");
            let own = tensor.as_f32().expect("parameters are f32");
            let sum = own.iter().zip(other).map(|(a, b)| a + factor * b).collect();
            (name.to_owned(), Tensor::f32(tensor.shape(), sum))
        })
        .collect();
    *a = sums.into_iter().collect();
}

fn argument<T: FromStr>(index: usize, default: T) -> T {
    std::env::args().nth(index).and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() -> Result<(), Box<dyn Error>> {
    let rounds: u32 = argument(1, 14);
    let local = LocalTraining {
        steps: argument(2, 60),
        batch: argument(3, 16),
        learning_rate: argument(4, 0.08),
        momentum: argument(5, 0.9),
    };
    let gradient = Gradient { batch: argument(6, 96) };
    let gradient_learning_rate: f32 = argument(7, 0.4);
    let model = model();
    let step = programs::training_step(&model, local.batch)?;
    let gradient_graph = programs::gradient(&model, gradient.batch)?;
    let (held_out, shards) = read_digits(std::env::args().any(|argument| argument == "validate"))?;
    let shards: Vec<Vec<u8>> = shards.iter().map(Tensors::to_bytes).collect();
    let mut parameters = initial_parameters(&model, job_seed(argument(8, 1), "parameters"))?;
    let budget = Budget { reference_ops: u64::MAX, memory_bytes: u64::MAX };
    println!(
        "unit: {} operations, {} B; gradient: {} operations, bound {:.2e}",
        unit_cost(&Program::LocalTraining(local), &step).reference_ops,
        step.peak_memory_bytes(),
        gradient_graph.reference_ops(),
        shoal_compute::tolerance::bound(&gradient_graph)
    );
    let begin = std::time::Instant::now();
    for round in 0..rounds {
        let bytes = parameters.to_bytes();
        let mut change = parameters.clone();
        add_scaled(&mut change, &parameters, -1.0);
        for (index, data) in shards.iter().enumerate() {
            let is_gradient = index >= UNITS - GRADIENT_UNITS;
            let (graph, program) = match is_gradient {
                true => (&gradient_graph, Program::Gradient(gradient)),
                false => (&step, Program::LocalTraining(local)),
            };
            let unit = unit(graph, &bytes, data, round, index as u32, program);
            let output = Tensors::from_bytes(&run_unit_on_cpu(&unit, graph.bytes(), &bytes, data, &budget)?)?;
            if is_gradient {
                add_scaled(&mut change, &output, -gradient_learning_rate / UNITS as f32);
            } else {
                add_scaled(&mut change, &output, 1.0 / UNITS as f32);
                add_scaled(&mut change, &parameters, -1.0 / UNITS as f32);
            }
        }
        add_scaled(&mut parameters, &change, 1.0);
        let held_out = evaluate(&model, &parameters, &held_out)?;
        println!(
            "round {round}: held out {:.4} ({}/{}), {:.1} s",
            held_out.accuracy(),
            held_out.correct,
            held_out.total,
            begin.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
