//! The convolutional net of `examples/digits`, trained in one process and quantised after it: what it gets right of the
//! held-out digits, in floats and as integers. `cargo run -p shoal-quantize --example digits`, from the repository's root.

use std::{error::Error, fs::File, io::Read, str::FromStr};

use shoal_compute::{
    Executable, Tensor, Tensors,
    init::initial_parameters,
    program::{Budget, run_unit_on_cpu, unit_cost},
    seed::job_seed,
};
use shoal_graph::programs;
use shoal_quantize::{Options, compare, dequantised, quantised_inputs, quantize};
use shoal_wire::{
    ids::BlobId,
    job::{LayerSpec, ModelSpec},
    proto::{Class, LocalTraining, Unit, unit::Program},
    unit::CheckedUnit,
};

const PIXELS: usize = 64;
const STEPS: u32 = 1500;
/// Images that scales are chosen by.
const CALIBRATION: u32 = 256;

fn main() -> Result<(), Box<dyn Error>> {
    let conv = |out_channels| LayerSpec::Conv2d { out_channels, kernel: 3, stride: 1, padding: 1 };
    let model = ModelSpec {
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
    };
    let (train, _) = read_digits(false)?;
    let (held_out, labels) = read_digits(true)?;
    let parameters = trained(&model, &train)?;
    let images = held_out.get(programs::SAMPLES).ok_or("the samples have images")?;
    let graph = programs::inference(&model, images.shape()[0])?;
    let sample = |images: Tensor| -> Tensors { [(programs::SAMPLES.to_owned(), images)].into_iter().collect() };
    let calibration: Vec<Tensors> = {
        let images = train.get(programs::SAMPLES).ok_or("the samples have images")?;
        // As many rows as the graph takes, from those that it was trained with.
        let rows = (0..images.shape()[0]).take(images_of(&graph)?).map(|row| (row % CALIBRATION) as usize);
        vec![sample(images.gather_rows(rows))]
    };
    let made = quantize(&graph, &parameters, &calibration, Options::default())?;
    let given = sample(images.clone());
    let mut floats = Executable::new(graph.clone());
    floats.hold(parameters.clone())?;
    let mut integers = Executable::new(made.graph.clone());
    integers.hold(made.weights.clone())?;
    let before = right(&floats.run(given.clone())?, &labels)?;
    let after = right(&dequantised(&made, &integers.run(quantised_inputs(&made, &given))?), &labels)?;
    println!("held out {}: right {before} in floats, {after} as integers", labels.len());
    println!("{:?}", compare(&graph, &parameters, &made, &[given])?.outputs);
    let bytes: u64 = parameters.iter().map(|(_, tensor)| tensor.tensor_type().bytes()).sum();
    println!("weights {} bytes, were {bytes}", made.weight_bytes());
    Ok(())
}

fn images_of(graph: &shoal_graph::Graph) -> Result<usize, Box<dyn Error>> {
    Ok(graph.input_type(programs::SAMPLES).ok_or("the graph takes samples")?.shape[0] as usize)
}

fn trained(model: &ModelSpec, train: &Tensors) -> Result<Tensors, Box<dyn Error>> {
    let training = LocalTraining { steps: STEPS, batch: 16, learning_rate: 0.05, momentum: 0.9 };
    let graph = programs::training_step(model, training.batch)?;
    let parameters = initial_parameters(model, job_seed(1, "initial parameters"))?.to_bytes();
    let data = train.to_bytes();
    let program = Program::LocalTraining(training);
    let cost = unit_cost(&program, &graph);
    let unit = CheckedUnit::new(Unit {
        job: vec![1; 32],
        round: 0,
        index: 0,
        class: Class::Exact as i32,
        graph: BlobId::of(graph.bytes()).to_vec(),
        parameters: BlobId::of(&parameters).to_vec(),
        data: BlobId::of(&data).to_vec(),
        reference_ops: cost.reference_ops,
        memory_bytes: cost.memory_bytes,
        program: Some(program),
    })?;
    let budget = Budget { reference_ops: u64::MAX, memory_bytes: u64::MAX };
    Ok(Tensors::from_bytes(&run_unit_on_cpu(&unit, graph.bytes(), &parameters, &data, &budget)?)?)
}

/// Rows whose greatest logit is at their label.
fn right(outputs: &Tensors, labels: &[i32]) -> Result<usize, Box<dyn Error>> {
    let (_, logits) = outputs.iter().next().ok_or("the net has an output")?;
    let logits = logits.as_f32().ok_or("logits are floats")?;
    let greatest = |row: &[f32]| (0..row.len()).reduce(|best, at| if row[at] > row[best] { at } else { best });
    Ok(logits.chunks(10).zip(labels).filter(|(row, label)| greatest(row) == Some(**label as usize)).count())
}

/// Every fifth row from the fifth on is held out.
fn read_digits(is_held_out: bool) -> Result<(Tensors, Vec<i32>), Box<dyn Error>> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(File::open("examples/digits/digits.csv.gz")?).read_to_string(&mut text)?;
    let rows: Vec<Vec<u8>> =
        text.lines().map(|line| line.split(',').map(u8::from_str).collect()).collect::<Result<_, _>>()?;
    let rows = rows.iter().enumerate().filter(|(at, _)| (at % 5 == 4) == is_held_out).map(|(_, row)| row);
    let rows: Vec<&Vec<u8>> = rows.collect();
    let images = rows.iter().flat_map(|row| row[..PIXELS].iter().map(|pixel| f32::from(*pixel) / 16.0)).collect();
    let labels: Vec<i32> = rows.iter().map(|row| i32::from(row[PIXELS])).collect();
    let mut tensors = Tensors::new();
    tensors.insert(programs::SAMPLES, Tensor::f32([rows.len() as u32, 1, 8, 8], images));
    tensors.insert(programs::LABELS, Tensor::i32([rows.len() as u32], labels.clone()));
    Ok((tensors, labels))
}
