//! The WebGPU backend in a dedicated worker of a browser: the same parity suite as the CPU, whole tolerant units against
//! the CPU's result, and the device's failures by name.

#![allow(clippy::unwrap_used)] // a panic is how a test fails
#![cfg(target_arch = "wasm32")]

mod reference;

use shoal_compute::{
    Backend, BackendKind, ComputeError, CpuBackend, Tensors, WebGpuBackend,
    program::{Budget, run_unit, run_unit_on_cpu},
    tolerance,
    vectors::{self, vector_unit},
};
use shoal_graph::{Graph, GraphBuilder, Op, TensorType, programs};
use shoal_wire::proto::{Gradient, LocalTraining, unit::Program};
use wasm_bindgen_test::{console_log, wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

const PLENTY: Budget = Budget { reference_ops: u64::MAX, memory_bytes: u64::MAX };

async fn backend() -> WebGpuBackend {
    let backend = WebGpuBackend::new().await.expect("the browser under test has an adapter");
    console_log!("{:?}", backend.info());
    backend
}

#[wasm_bindgen_test]
async fn the_gpu_agrees_with_reference_maths() {
    let mut backend = backend().await;
    let graphs = reference::parity::check(&mut backend).await;
    assert_eq!(graphs, 22);
    assert_eq!(backend.submissions(), graphs as u64, "one submission a run");
    assert!(backend.info().dispatches > graphs as u64);
}

#[wasm_bindgen_test]
async fn the_gpu_agrees_with_the_cpu_on_random_shapes() {
    let mut backend = backend().await;
    for case in reference::random_cases::random_cases(700) {
        if case.op == Op::SgdMomentum {
            continue;
        }
        let inputs = reference::random_inputs(&case.graph, 5, 1);
        let expected = CpuBackend.run_now(&case.graph, inputs.clone()).unwrap();
        let got = backend.run(&case.graph, inputs).await.unwrap();
        let comparison = tolerance::compare_tolerant(&got, &expected, 1e-5).unwrap();
        assert!(comparison.is_within(), "{:?} of {:?}: {comparison:?}", case.op, case.shapes);
    }
}

#[wasm_bindgen_test]
async fn a_gradient_unit_is_within_the_bound_of_the_cpus() {
    let mut backend = backend().await;
    assert_eq!(backend.info().kind, BackendKind::WebGpu);
    let unit = vector_unit(Program::Gradient(Gradient { batch: 24 }));
    let reference = run_unit_on_cpu(&unit.unit, &unit.graph, &unit.parameters, &unit.data, &PLENTY).unwrap();
    let reference = Tensors::from_bytes(&reference).unwrap();
    // Twice, so that the second run finds its buffers in the pool.
    for _ in 0..2 {
        let got = run_unit(&unit.unit, &unit.graph, &unit.parameters, &unit.data, &mut backend, &PLENTY).await.unwrap();
        let bound = tolerance::bound(&Graph::decode(&unit.graph).unwrap());
        let got = Tensors::from_bytes(&got).unwrap();
        let comparison = tolerance::compare_tolerant(&got, &reference, bound).unwrap();
        console_log!("{comparison:?}");
        assert!(comparison.is_within(), "{comparison:?}");
    }
}

#[wasm_bindgen_test]
async fn a_software_adapter_is_known_by_its_name() {
    let info = backend().await.with_adapter("google swiftshader".to_owned(), false).info();
    assert_eq!((info.adapter.as_str(), info.is_fallback), ("google swiftshader", true));
}

#[wasm_bindgen_test]
async fn an_exact_unit_is_refused() {
    let mut backend = backend().await;
    let program = LocalTraining { steps: 1, batch: 8, learning_rate: 0.1, momentum: 0.9 };
    let unit = vector_unit(Program::LocalTraining(program));
    let result = run_unit(&unit.unit, &unit.graph, &unit.parameters, &unit.data, &mut backend, &PLENTY).await;
    assert_eq!(result.unwrap_err(), ComputeError::BackendNotExact { backend: "webgpu" });
}

#[wasm_bindgen_test]
async fn a_wrong_label_never_reaches_the_gpu() {
    let mut b = GraphBuilder::new();
    let logits = b.input("logits", TensorType::f32([2, 3])).unwrap();
    let labels = b.input("labels", TensorType::i32([2])).unwrap();
    let loss = b.apply_one(Op::SoftmaxCrossEntropy, &[logits, labels]).unwrap();
    b.output("loss", loss);
    let graph = b.finish().unwrap();
    let mut inputs = reference::random_inputs(&graph, 1, 3);
    inputs.insert("labels", shoal_compute::Tensor::i32([2], vec![0, 3]));
    let error = backend().await.run(&graph, inputs).await.unwrap_err();
    assert_eq!(error, ComputeError::LabelOutOfRange { label: 3, sample: 1, classes: 3 });
}

/// More elements than workgroups along one dimension hold: 65,535 × 64 of them.
#[wasm_bindgen_test]
async fn a_large_tensor_is_covered_to_its_end() {
    const LEN: u32 = 65_535 * 64 + 1000;
    let mut b = GraphBuilder::new();
    let x = b.input("x", TensorType::f32([LEN])).unwrap();
    let y = b.apply_one(Op::Relu, &[x]).unwrap();
    b.output("y", y);
    let graph = b.finish().unwrap();
    let inputs = reference::random_inputs(&graph, 1, 1);
    let expected = CpuBackend.run_now(&graph, inputs.clone()).unwrap();
    assert!(backend().await.run(&graph, inputs).await.unwrap() == expected);
}

#[wasm_bindgen_test]
async fn a_run_that_is_dropped_half_way_leaves_the_backend_usable() {
    let mut backend = backend().await;
    let graph = reference::graphs::with_gradients(reference::graphs::DIFFERENTIABLE[0].1);
    let inputs = reference::random_inputs(&graph, 1, 3);
    let expected = backend.run(&graph, inputs.clone()).await.unwrap();
    {
        let mut dropped = std::pin::pin!(backend.run(&graph, inputs.clone()));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(dropped.as_mut().poll(&mut context).is_pending(), "the GPU answers later");
    }
    assert_eq!(backend.run(&graph, inputs).await.unwrap(), expected);
}

#[wasm_bindgen_test]
async fn an_operation_without_kernel_is_named() {
    let graph = programs::training_step(&vectors::model(), 2).unwrap();
    let inputs = reference::random_inputs(&graph, 1, 10);
    let error = backend().await.run(&graph, inputs).await.unwrap_err();
    assert_eq!(error, ComputeError::UnsupportedOp { backend: "webgpu", op: "sgd_momentum" });
}

#[wasm_bindgen_test]
async fn a_lost_device_is_named() {
    let mut backend = backend().await;
    let graph = reference::graphs::with_gradients(reference::graphs::DIFFERENTIABLE[0].1);
    backend.run(&graph, reference::random_inputs(&graph, 1, 3)).await.unwrap();
    backend.destroy();
    for _ in 0..2 {
        let error = backend.run(&graph, reference::random_inputs(&graph, 1, 3)).await.unwrap_err();
        assert!(matches!(error, ComputeError::DeviceLost { .. }), "{error:?}");
    }
}
