//! The WebGPU backend, in a dedicated worker of a browser and natively: the same parity suite as the CPU, whole tolerant units
//! against the CPU's result, and the device's failures by name.

#![allow(clippy::unwrap_used)] // a panic is how a test fails
#![cfg(feature = "webgpu")]

mod gpu;
mod reference;

use shoal_compute::{
    Backend, BackendKind, ComputeError, CpuBackend, Tensors,
    program::{Budget, run_unit, run_unit_on_cpu},
    tolerance,
    vectors::vector_unit,
};
use shoal_graph::{DType, Graph, GraphBuilder, Literal, Op, TensorType, Unary, ValueId};
use shoal_wire::proto::{Gradient, LocalTraining, unit::Program};

use gpu::{gpu_test, say};

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);

const PLENTY: Budget = Budget { reference_ops: u64::MAX, memory_bytes: u64::MAX };

gpu_test! {
    async fn the_gpu_agrees_with_reference_maths(backend) {
        let graphs = reference::parity::check(&mut backend).await;
        assert_eq!(graphs, reference::parity::GRAPHS);
        assert_eq!(backend.submissions(), graphs as u64, "one submission a run");
        assert!(backend.info().dispatches > graphs as u64);
    }
}

gpu_test! {
    async fn the_gpu_agrees_with_the_cpu_on_random_shapes(backend) {
        let mut compared = 0;
        for case in reference::random_cases::random_cases(1200) {
            let inputs = case.inputs();
            let got = backend.run(&case.graph, inputs.clone()).await;
            let is_bytes = |value: &TensorType| matches!(value.dtype, DType::I8 | DType::U8);
            let is_root = case.op == Op::Unary(Unary::Sqrt) && case.types[0].dtype == DType::I32;
            if is_root || matches!(case.op, Op::Requantize { .. }) || case.graph.types().iter().any(is_bytes) {
                let refused = ComputeError::UnsupportedOp { backend: "webgpu", op: case.op.name() };
                assert_eq!(got.unwrap_err(), refused);
                continue;
            }
            let expected = reference::to_reals(&CpuBackend::new().run_now(&case.graph, inputs).unwrap());
            let error = reference::distance(&reference::to_reals(&got.unwrap())["made"], &expected["made"]);
            assert!(error < 1e-5, "{:?} of {:?}: off by {error:e}", case.op, case.types);
            compared += 1;
        }
        assert!(compared > 450, "{compared}");
    }
}

gpu_test! {
    async fn a_gradient_unit_is_within_the_bound_of_the_cpus(backend) {
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
            say(&format!("{comparison:?}"));
            assert!(comparison.is_within(), "{comparison:?}");
        }
    }
}

gpu_test! {
    async fn a_software_adapter_is_known_by_its_name(backend) {
        let info = backend.with_adapter("google swiftshader".to_owned(), false).info();
        assert_eq!((info.adapter.as_str(), info.is_fallback), ("google swiftshader", true));
    }
}

gpu_test! {
    async fn an_exact_unit_is_refused(backend) {
        let program = LocalTraining { steps: 1, batch: 8, learning_rate: 0.1, momentum: 0.9 };
        let unit = vector_unit(Program::LocalTraining(program));
        let result = run_unit(&unit.unit, &unit.graph, &unit.parameters, &unit.data, &mut backend, &PLENTY).await;
        assert_eq!(result.unwrap_err(), ComputeError::BackendNotExact { backend: "webgpu" });
    }
}

gpu_test! {
    async fn a_wrong_label_never_reaches_the_gpu(backend) {
        let mut b = GraphBuilder::new();
        let logits = b.input("logits", TensorType::f32([2, 3])).unwrap();
        let labels = b.input("labels", TensorType::i32([2])).unwrap();
        let loss = b.cross_entropy(logits, labels).unwrap();
        b.output("loss", loss);
        let graph = b.finish().unwrap();
        let mut inputs = reference::random_inputs(&graph, 1, 3);
        inputs.insert("labels", shoal_compute::Tensor::i32([2], vec![0, 3]));
        let error = backend.run(&graph, inputs).await.unwrap_err();
        assert_eq!(error, ComputeError::LabelOutOfRange { label: 3, sample: 1, classes: 3 });
    }
}

gpu_test! {
    /// More elements than workgroups along one dimension hold: 65,535 × 64 of them.
    async fn a_large_tensor_is_covered_to_its_end(backend) {
        const LEN: u32 = 65_535 * 64 + 1000;
        let mut b = GraphBuilder::new();
        let x = b.input("x", TensorType::f32([LEN])).unwrap();
        let y = b.unary(Unary::Relu, x).unwrap();
        b.output("y", y);
        let graph = b.finish().unwrap();
        let inputs = reference::random_inputs(&graph, 1, 1);
        let expected = CpuBackend::new().run_now(&graph, inputs.clone()).unwrap();
        assert!(backend.run(&graph, inputs).await.unwrap() == expected);
    }
}

gpu_test! {
    async fn a_run_that_is_dropped_half_way_leaves_the_backend_usable(backend) {
        let graph = reference::graphs::with_gradients(reference::graphs::DIFFERENTIABLE[0].1);
        let inputs = reference::random_inputs(&graph, 1, 3);
        let expected = backend.run(&graph, inputs.clone()).await.unwrap();
        {
            let mut dropped = std::pin::pin!(backend.run(&graph, inputs.clone()));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let polled = dropped.as_mut().poll(&mut context);
            assert!(polled.is_pending() || cfg!(not(target_arch = "wasm32")), "the GPU answers later");
        }
        assert_eq!(backend.run(&graph, inputs).await.unwrap(), expected);
    }
}

/// One graph with a gather.
fn gather(indices: impl FnOnce(&mut GraphBuilder) -> ValueId) -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", TensorType::f32([3, 4])).unwrap();
    let indices = indices(&mut b);
    let y = b.embedding(x, indices).unwrap();
    b.output("y", y);
    b.finish().unwrap()
}

gpu_test! {
    async fn a_wrong_index_never_reaches_the_gpu(backend) {
        let given = gather(|b| {
            let indices = b.input("indices", TensorType::i32([2])).unwrap();
            b.reshape(indices, &[1, 2]).unwrap()
        });
        let mut inputs = reference::random_inputs(&given, 1, 3);
        assert!(backend.run(&given, inputs.clone()).await.is_ok());
        inputs.insert("indices", shoal_compute::Tensor::i32([2], vec![2, -1]));
        let wrong = ComputeError::IndexOutOfRange { index: -1, position: 1, extent: 3 };
        assert_eq!(backend.run(&given, inputs).await.unwrap_err(), wrong);

        let constant = gather(|b| b.apply(Op::Constant(Literal::i32([2], &[3, 0])), &[]).unwrap());
        let wrong = ComputeError::IndexOutOfRange { index: 3, position: 0, extent: 3 };
        let inputs = reference::random_inputs(&constant, 1, 3);
        assert_eq!(backend.run(&constant, inputs).await.unwrap_err(), wrong);

        // What is only known on the GPU cannot be checked before.
        let computed = gather(|b| b.apply(Op::Iota { axis: 0, shape: vec![2] }, &[]).unwrap());
        let refused = ComputeError::UnsupportedOp { backend: "webgpu", op: "gather" };
        let inputs = reference::random_inputs(&computed, 1, 3);
        assert_eq!(backend.run(&computed, inputs).await.unwrap_err(), refused);
    }
}

gpu_test! {
    /// More values than a kernel has bindings for: the loop is split.
    async fn a_long_loop_is_split(backend) {
        let mut b = GraphBuilder::new();
        let inputs: Vec<ValueId> = (0..40).map(|i| b.input(format!("x{i}"), TensorType::f32([2, 7])).unwrap()).collect();
        let mut sum = inputs[0];
        for (i, input) in inputs.iter().enumerate() {
            sum = b.add(sum, *input).unwrap();
            if i % 3 == 0 {
                b.output(format!("sum{i}"), sum);
            }
        }
        let graph = b.finish().unwrap();
        let inputs = reference::random_inputs(&graph, 1, 3);
        let expected = CpuBackend::new().run_now(&graph, inputs.clone()).unwrap();
        let got = backend.run(&graph, inputs).await.unwrap();
        let comparison = tolerance::compare_tolerant(&got, &expected, 1e-6).unwrap();
        assert!(comparison.is_within(), "{comparison:?}");
        assert!(backend.info().dispatches > 1 && backend.info().dispatches < 40);
    }
}

gpu_test! {
    async fn a_lost_device_is_named(backend) {
        let graph = reference::graphs::with_gradients(reference::graphs::DIFFERENTIABLE[0].1);
        backend.run(&graph, reference::random_inputs(&graph, 1, 3)).await.unwrap();
        backend.destroy();
        for _ in 0..2 {
            let error = backend.run(&graph, reference::random_inputs(&graph, 1, 3)).await.unwrap_err();
            assert!(matches!(error, ComputeError::DeviceLost { .. }), "{error:?}");
        }
    }
}
