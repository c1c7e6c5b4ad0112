//! Files from strangers: refused with the limit that they exceed, quickly, and never with a panic.

mod common;
mod message;

use std::{collections::BTreeMap, fs, time::Instant};

use message::{calling, field, initialiser, model, node, number, port};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use shoal_onnx::{Data, Model, OnnxError, Sizes, Stored, Tensor, read_safetensors};

const MINILM: &[u8] = include_bytes!("../../../examples/embed/minilm.onnx");

/// Everything that is done with a file.
fn try_all(bytes: &[u8]) -> Result<(), OnnxError> {
    let model = Model::read(bytes.to_vec())?;
    let mut sizes = Sizes::new();
    for symbol in model.symbols() {
        sizes = sizes.symbol(symbol, 2);
    }
    model.graph(&sizes).map(drop)
}

fn refused(bytes: &[u8], what: &str) {
    let start = Instant::now();
    let error = try_all(bytes).expect_err(what);
    println!("{:6.1} ms {error}", start.elapsed().as_secs_f64() * 1e3);
    assert!(error.to_string().contains(what), "{error}");
}

fn refused_quickly(bytes: &[u8], what: &str) {
    let start = Instant::now();
    refused(bytes, what);
    let took = start.elapsed();
    // The limit is 50 ms; a machine that is busy may take longer.
    assert!(took.as_millis() < 500, "{what}: {took:?}");
}

#[test]
fn what_decodes_to_more_than_its_bytes_is_bounded() {
    let empty_nodes = field(1, &[]).repeat(1 << 20);
    refused_quickly(&model(&empty_nodes), "number of nodes");
    let empty_names = field(1, &field(1, &[]).repeat(1 << 21));
    refused_quickly(&model(&empty_names), "structure of the model");
    let empty_tensors = field(5, &[]).repeat(1 << 20);
    refused_quickly(&model(&empty_tensors), "number of tensors");
    let ports = field(11, &[]).repeat(1 << 20);
    refused_quickly(&model(&ports), "number of inputs and outputs");
    let numbers = field(5, &field(7, &vec![0; 1 << 23]));
    refused_quickly(&model(&numbers), "structure of the model");
    let attributes = field(1, &field(5, &[]).repeat(1 << 20));
    refused_quickly(&model(&attributes), "structure of the model");
}

#[test]
fn graphs_within_graphs_are_bounded() {
    let mut graph = node("Abs", &["x"], "y");
    for _ in 0..2000 {
        graph = field(1, &[field(4, b"If"), field(5, &field(6, &graph))].concat());
    }
    refused_quickly(&model(&graph), "nesting of graphs");
}

#[test]
fn huge_shapes_are_refused_before_anything_is_allocated() {
    let output = port(12, "y", &[]);
    let huge = [port(11, "x", &[u64::from(u32::MAX); 2]), output.clone(), node("Abs", &["x"], "y")].concat();
    refused_quickly(&model(&huge), "element count");
    let many = [port(11, "x", &[1; 40]), output.clone(), node("Abs", &["x"], "y")].concat();
    refused_quickly(&model(&many), "rank");
    let dims: Vec<u8> = [u64::from(u32::MAX); 8].iter().flat_map(|dim| number(1, *dim)).collect();
    let weight = field(5, &[dims, number(2, 1), field(8, b"w"), field(9, &[0; 8])].concat());
    refused_quickly(&model(&[weight, output.clone(), node("Abs", &["w"], "y")].concat()), "elements");
    // A small file that asks for a large fill, and then works with it.
    let dims =
        field(5, &[number(1, 2), number(2, 7), field(8, b"s"), field(9, &[0, 0, 1, 0, 0, 0, 0, 0].repeat(2))].concat());
    let mut graph = [dims, output, node("ConstantOfShape", &["s"], "v0")].concat();
    for at in 0..60 {
        graph.extend(node("Add", &[&format!("v{at}"), &format!("v{at}")], &format!("v{}", at + 1)));
    }
    graph.extend(node("Abs", &["v60"], "y"));
    refused_quickly(&model(&graph), "limit");
}

#[test]
fn a_chain_of_products_of_shapes_is_bounded() {
    // Each concatenation doubles.
    let shape = field(5, &[number(1, 1), number(2, 7), field(8, b"v0"), field(9, &[1, 0, 0, 0, 0, 0, 0, 0])].concat());
    let mut graph = [shape, port(12, "y", &[])].concat();
    for at in 0..40 {
        let inputs = [format!("v{at}"), format!("v{at}")];
        let body = [
            field(1, inputs[0].as_bytes()),
            field(1, inputs[1].as_bytes()),
            field(2, format!("v{}", at + 1).as_bytes()),
            field(4, b"Concat"),
            field(5, &[field(1, b"axis"), number(3, 0), number(20, 2)].concat()),
        ];
        graph.extend(field(1, &body.concat()));
    }
    graph.extend(node("Abs", &["v40"], "y"));
    refused_quickly(&model(&graph), "limit");
}

/// Small files that ask for much to be worked out, or that have empty tensors of enormous dimensions.
#[test]
fn what_lowering_works_out_is_bounded() {
    const ALL: u64 = u32::MAX as u64;
    let empty = |dims: &[u64]| initialiser("w", 1, dims, &[]);
    let integers = |name: &str, values: &[u64]| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        initialiser(name, 7, &[values.len() as u64], &bytes)
    };
    let range = ["0", "n", "1"];
    let constant = field(5, &[number(1, 512), number(2, 7), field(9, &[0; 4096])].concat());
    let body = [
        calling("Constant", &[], "k", &[field(1, b"value"), constant, number(20, 4)].concat()),
        [port(11, "i", &[]), port(11, "go", &[]), port(12, "go", &[]), port(12, "k", &[])].concat(),
    ];
    let x = port(11, "x", &[1, 1, 1 << 22]);
    let branch = calling("If", &["go"], "z", &[field(1, b"then_branch"), field(6, &[])].concat());
    let cases: [(&str, Vec<Vec<u8>>); 12] = [
        ("at least 1", vec![integers("s", &[ALL, 0]), node("ConstantOfShape", &["s"], "v"), node("Abs", &["v"], "y")]),
        ("at least 1", vec![empty(&[ALL, 0]), node("ReduceSum", &["w"], "y")]),
        ("at least 1", vec![empty(&[ALL, ALL, ALL, 0]), node("Transpose", &["w"], "y")]),
        (
            "at least 1",
            vec![
                empty(&[ALL, ALL, 1, 0]),
                integers("i", &[0, 0]),
                calling("Gather", &["w", "i"], "y", &[field(1, b"axis"), number(3, 2)].concat()),
            ],
        ),
        (
            "dimension is",
            vec![
                empty(&[0, 70_000, 70_000]),
                calling("Einsum", &["w"], "y", &[field(1, b"equation"), field(4, b"aii->ai")].concat()),
            ],
        ),
        (
            "dimension is",
            vec![
                empty(&[1, 1 << 16, 1 << 16, 0, 1]),
                calling("MaxPool", &["w"], "y", &[field(1, b"kernel_shape"), number(8, 1).repeat(3)].concat()),
            ],
        ),
        (
            "works out",
            [
                vec![integers("0", &[0]), integers("n", &[1 << 18]), integers("1", &[1])],
                vec![node("Range", &range, "y"); 9],
            ]
            .concat(),
        ),
        (
            "works out",
            vec![
                x.clone(),
                integers("p", &[0, 0, 0, 0, 0, 1]),
                calling("Pad", &["x", "p"], "y", &[field(1, b"mode"), field(4, b"reflect")].concat()),
            ],
        ),
        (
            "works out",
            vec![
                port(11, "x", &[1, 1, 1 << 18]),
                integers("s", &[1, 1, (1 << 18) - 1]),
                calling("Resize", &["x", "", "", "s"], "y", &[field(1, b"mode"), field(4, b"cubic")].concat()),
            ],
        ),
        (
            "works out",
            vec![x, calling("AveragePool", &["x"], "y", &[field(1, b"kernel_shape"), number(8, 4096)].concat())],
        ),
        (
            "works out",
            vec![
                integers("n", &[4096]),
                initialiser("go", 9, &[1], &[1]),
                calling("Loop", &["n", "go"], "y", &[field(1, b"body"), field(6, &body.concat())].concat()),
            ],
        ),
        (
            "unfolded",
            vec![
                initialiser("go", 9, &[1], &[1]),
                (0..4000).flat_map(|at| node("Identity", &["go"], &format!("v{at}"))).collect(),
                branch.repeat(4000),
            ],
        ),
    ];
    for (what, parts) in cases {
        refused(&model(&[parts.concat(), port(12, "y", &[])].concat()), what);
    }
}

/// Tensors that all name one file, of half-precision floats that become twice as large.
#[test]
fn bytes_of_a_file_are_not_multiplied() {
    let file = [field(1, b"location"), field(2, b"w.bin")].concat();
    let mut graph = [port(11, "x", &[1]), port(12, "y", &[]), node("Abs", &["x"], "y")].concat();
    for at in 0..5 {
        let name = format!("w{at}");
        let external = [number(14, 1), field(13, &file)].concat();
        graph.extend(field(5, &[number(1, 1 << 17), number(2, 10), field(8, name.as_bytes()), external].concat()));
    }
    let external = BTreeMap::from([("w.bin".to_owned(), vec![0; 1 << 18].into())]);
    let error = Model::read_with(model(&graph), &external).map(drop).unwrap_err();
    assert!(error.to_string().contains("shared files"), "{error}");
}

#[test]
fn all_missing_operators_are_named_at_once() {
    let graph = [
        port(11, "x", &[1]),
        port(12, "y", &[]),
        node("Quux", &["x"], "a"),
        node("Quux", &["x"], "b"),
        node("Bar", &["x"], "c"),
        node("Abs", &["x"], "y"),
    ];
    let error = Model::read(model(&graph.concat())).unwrap_err();
    assert_eq!(error.to_string(), "no lowering for Bar (1), Quux (2)");
}

#[test]
fn cut_and_damaged_files_never_panic() {
    for length in (0..MINILM.len()).step_by(1009) {
        let _ = try_all(&MINILM[..length]);
    }
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let small = small();
    let mut outcomes = [0, 0];
    for _ in 0..20_000 {
        let mut bytes = small[random.next_u32() as usize % small.len()].clone();
        for _ in 0..=random.next_u32() % 4 {
            let at = random.next_u32() as usize % bytes.len();
            match random.next_u32() % 16 {
                0 => bytes[at] = random.next_u32() as u8,
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, random.next_u32() as u8),
                _ => bytes[at] ^= 1 << (random.next_u32() % 8),
            }
        }
        outcomes[usize::from(try_all(&bytes).is_ok())] += 1;
    }
    println!("{} refused, {} accepted", outcomes[0], outcomes[1]);
    assert!(outcomes[0] > 1000 && outcomes[1] > 300, "{outcomes:?}");
}

#[test]
fn noise_never_panics() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    for _ in 0..20_000 {
        let mut bytes = vec![0; random.next_u32() as usize % 200];
        random.fill_bytes(&mut bytes);
        let _ = try_all(&bytes);
        let _ = Stored::read(bytes.clone());
        let _ = read_safetensors(&bytes.into());
    }
}

/// Inputs that decide shapes, given wrong values: whatever they are, no panic.
#[test]
fn absurd_constants_never_panic() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let folder = common::cached("onnx-node-tests-1.22.0");
    let mut tried = 0;
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for path in names {
        let Ok(model) = Model::read(fs::read(path.join("model.onnx")).unwrap()) else { continue };
        for _ in 0..6 {
            let mut sizes = Sizes::new();
            for port in model.inputs() {
                let rank = random.next_u32() % 5;
                let shape: Vec<u32> = (0..rank).map(|_| random.next_u32() % 5).collect();
                let (is_float, count) = (port.element.is_none_or(|e| e.is_float()), shape.iter().product::<u32>());
                let absurd = [0, 1, -1, 2, 3, -2, 7, 100, i64::MAX, i64::MIN, i64::from(u32::MAX), 1 << 40];
                let mut pick = || absurd[random.next_u32() as usize % absurd.len()];
                let data = match is_float {
                    true => Data::Floats((0..count).map(|_| pick() as f64).collect()),
                    false => Data::Integers((0..count).map(|_| pick()).collect()),
                };
                let Some(element) = port.element else { continue };
                let is_constant = random.next_u32() % 2 == 0;
                sizes = match is_constant {
                    true => sizes.constant(&port.name, Tensor { element, shape, data }),
                    false => sizes.shape(&port.name, shape),
                };
            }
            let _ = model.graph(&sizes);
            tried += 1;
        }
    }
    assert!(tried > 5000, "{tried}");
}

/// Small models of many kinds: ONNX's own tests.
fn small() -> Vec<Vec<u8>> {
    let folder = common::cached("onnx-node-tests-1.22.0");
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().join("model.onnx")).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).filter(|bytes| try_all(bytes).is_ok()).collect()
}
