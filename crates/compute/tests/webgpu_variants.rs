//! Every variant of the GPU kernels, forced on whatever adapter is there: the parity suite, and products and convolutions whose
//! edges lie within tiles, at them and beyond.

#![allow(clippy::unwrap_used)] // a panic is how a test fails
#![cfg(feature = "webgpu")]

mod gpu;
mod reference;

use gpu::{VARIANTS, gpu_test, say};
use shoal_compute::{Backend, CpuBackend, WebGpuBackend, tolerance};
use shoal_graph::{Graph, GraphBuilder, Op, Reduction, TensorType, ValueId, Window2d};

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);

gpu_test! {
    async fn every_variant_agrees_with_reference_maths(backend) {
        for choice in VARIANTS {
            backend = backend.with_kernels(choice);
            assert_eq!(reference::parity::check(&mut backend).await, reference::parity::GRAPHS);
            say(&format!("{choice:?} agrees"));
        }
    }
}

fn graph(build: impl FnOnce(&mut GraphBuilder) -> ValueId) -> Graph {
    let mut b = GraphBuilder::new();
    let value = build(&mut b);
    b.output("made", value);
    b.finish().unwrap()
}

async fn agrees_with_the_cpu(backend: &mut WebGpuBackend, graph: &Graph, what: &str) {
    let inputs = reference::random_inputs(graph, 7, 3);
    let expected = CpuBackend::new().run_now(graph, inputs.clone()).unwrap();
    let got = backend.run(graph, inputs).await.unwrap();
    let comparison = tolerance::compare_tolerant(&got, &expected, tolerance::bound(graph)).unwrap();
    assert!(comparison.is_within(), "{what}: {comparison:?}");
}

/// Batch, m, n, k: within a tile, one beyond, aligned and not, deep enough to be split.
const PRODUCTS: [[u32; 4]; 8] = [
    [1, 1, 1, 1],
    [2, 33, 31, 17],
    [1, 64, 64, 32],
    [3, 36, 68, 20],
    [1, 129, 130, 19],
    [1, 128, 132, 48],
    [1, 5, 260, 600],
    [1, 40, 44, 1300],
];

gpu_test! {
    async fn every_variant_multiplies_every_layout(backend) {
        for choice in VARIANTS {
            backend = backend.with_kernels(choice);
            for [batch, m, n, k] in PRODUCTS {
                for (trans_a, trans_b) in [(false, false), (false, true), (true, false), (true, true)] {
                    let graph = graph(|b| {
                        let a = b.input("a", TensorType::f32(if trans_a { [batch, k, m] } else { [batch, m, k] })).unwrap();
                        let w = b.input("w", TensorType::f32(if trans_b { [batch, n, k] } else { [batch, k, n] })).unwrap();
                        b.apply(Op::MatMul { trans_a, trans_b }, &[a, w]).unwrap()
                    });
                    let what = format!("{choice:?} {batch}x{m}x{n}x{k} {trans_a} {trans_b}");
                    agrees_with_the_cpu(&mut backend, &graph, &what).await;
                }
            }
        }
    }
}

/// Samples, channels in and out, side, kernel, groups, stride and padding.
const CONVOLUTIONS: [[u32; 8]; 4] =
    [[2, 3, 5, 9, 3, 1, 1, 1], [3, 8, 36, 11, 3, 1, 2, 1], [1, 12, 8, 7, 2, 4, 1, 0], [5, 4, 33, 12, 1, 1, 1, 0]];

gpu_test! {
    async fn every_variant_convolves(backend) {
        for choice in VARIANTS {
            backend = backend.with_kernels(choice);
            for [n, c, o, side, kernel, groups, stride, padding] in CONVOLUTIONS {
                let graph = graph(|b| {
                    let x = b.input("x", TensorType::f32([n, c, side, side])).unwrap();
                    let w = b.input("w", TensorType::f32([o, c / groups, kernel, kernel])).unwrap();
                    let window = Window2d::square(stride, padding);
                    let y = b.apply(Op::Conv2d { window, groups }, &[x, w]).unwrap();
                    let dx = Op::Conv2dGradInput { window, groups, height: side, width: side };
                    let dx = b.apply(dx, &[w, y]).unwrap();
                    let dw = Op::Conv2dGradWeight { window, groups, kernel_height: kernel, kernel_width: kernel };
                    let dw = b.apply(dw, &[x, y]).unwrap();
                    b.output("dx", dx);
                    b.output("dw", dw);
                    y
                });
                agrees_with_the_cpu(&mut backend, &graph, &format!("{choice:?} {n} {c} {o} {side} {kernel}")).await;
            }
        }
    }
}

/// Heads, queries, keys, depth, width of values.
#[cfg(not(target_arch = "wasm32"))]
const ATTENTIONS: [[u32; 5]; 5] =
    [[2, 5, 7, 4, 3], [3, 32, 64, 16, 64], [1, 70, 130, 33, 65], [2, 1, 200, 64, 128], [1, 129, 65, 128, 20]];

#[cfg(not(target_arch = "wasm32"))] // SwiftShader needs longer for it than a test may
gpu_test! {
    async fn every_variant_attends(backend) {
        for choice in VARIANTS {
            backend = backend.with_kernels(choice);
            for [heads, queries, keys, depth, width] in ATTENTIONS {
                for is_causal in [false, true] {
                    let graph = graph(|b| {
                        let q = b.input("q", TensorType::f32([heads, queries, depth])).unwrap();
                        let k = b.input("k", TensorType::f32([heads, keys, depth])).unwrap();
                        let v = b.input("v", TensorType::f32([heads, keys, width])).unwrap();
                        b.attention(q, k, v, 0.3, is_causal).unwrap()
                    });
                    let before = backend.info().dispatches;
                    agrees_with_the_cpu(&mut backend, &graph, &format!("{choice:?} {queries} {keys}")).await;
                    // The mask, if any, and one pass.
                    let is_one_pass = backend.info().dispatches - before <= 2 + u64::from(is_causal) * 3;
                    assert_eq!(is_one_pass, choice != VARIANTS[0]);
                }
            }
        }
    }

    /// Other layouts of keys and values, and no scale.
    async fn attention_takes_any_layout(backend) {
        for choice in VARIANTS {
            backend = backend.with_kernels(choice);
            for (trans_k, trans_v) in [(true, true), (false, false), (false, true)] {
                let graph = graph(|b| {
                    let q = b.input("q", TensorType::f32([2, 40, 24])).unwrap();
                    let k = b.input("k", TensorType::f32(if trans_k { [2, 70, 24] } else { [2, 24, 70] })).unwrap();
                    let v = b.input("v", TensorType::f32(if trans_v { [2, 36, 70] } else { [2, 70, 36] })).unwrap();
                    let scores = b.mat_mul(q, k, false, trans_k).unwrap();
                    let weights = b.apply(Op::Softmax, &[scores]).unwrap();
                    b.mat_mul(weights, v, false, trans_v).unwrap()
                });
                agrees_with_the_cpu(&mut backend, &graph, &format!("{choice:?} {trans_k} {trans_v}")).await;
            }
        }
    }
}

/// Rows of 1 to beyond a workgroup, and sums split into chunks along either axis.
const ROWS: [[u32; 2]; 6] = [[1, 1], [3, 127], [2, 256], [5, 1000], [300, 33], [2, 20_000]];

gpu_test! {
    async fn every_variant_works_on_rows(backend) {
        for choice in VARIANTS {
            backend = backend.with_kernels(choice);
            for [rows, width] in ROWS {
                let graph = graph(|b| {
                    let x = b.input("x", TensorType::f32([rows, width])).unwrap();
                    let y = b.apply(Op::Softmax, &[x]).unwrap();
                    let dx = b.apply(Op::SoftmaxGrad, &[y, x]).unwrap();
                    let labels = b.input("labels", TensorType::i32([rows])).unwrap();
                    for (name, reduction) in [("sum", Reduction::Sum), ("max", Reduction::Max), ("min", Reduction::Min)] {
                        for axis in 0..2 {
                            let made = b.reduce(reduction, x, &[axis]).unwrap();
                            b.output(format!("{name}{axis}"), made);
                        }
                    }
                    if width >= 3 {
                        let loss = b.cross_entropy(x, labels).unwrap();
                        let gradient = b.apply(Op::SoftmaxCrossEntropyGrad, &[x, labels, loss]).unwrap();
                        b.output("gradient", gradient);
                        b.output("loss", loss);
                    }
                    b.output("dx", dx);
                    y
                });
                agrees_with_the_cpu(&mut backend, &graph, &format!("{choice:?} {rows} {width}")).await;
            }
        }
    }

    /// Longer than Mesa's software driver lets a loop be.
    async fn a_long_row_is_summed_to_its_end(backend) {
        let graph = graph(|b| {
            let x = b.input("x", TensorType::f32([2, 150_000])).unwrap();
            let sum = b.reduce(Reduction::Sum, x, &[1]).unwrap();
            b.output("sum", sum);
            b.apply(Op::Softmax, &[x]).unwrap()
        });
        agrees_with_the_cpu(&mut backend, &graph, "150,000 wide").await;
    }
}
