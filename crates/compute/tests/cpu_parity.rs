//! The parity suite on the CPU backend, exact and tolerant: natively, in Node and in browsers, there with and without
//! relaxed SIMD.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod reference;

use shoal_compute::CpuBackend;

#[cfg(not(target_arch = "wasm32"))]
#[test]
fn the_cpu_agrees_with_reference_maths() {
    for mut backend in [CpuBackend::new(), CpuBackend::tolerant()] {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let polled = std::pin::pin!(reference::parity::check(&mut backend)).poll(&mut context);
        assert_eq!(polled, std::task::Poll::Ready(reference::parity::GRAPHS), "the CPU answers at once");
    }
}

#[cfg(target_arch = "wasm32")]
#[wasm_bindgen_test::wasm_bindgen_test]
async fn the_cpu_agrees_with_reference_maths() {
    for mut backend in [CpuBackend::new(), CpuBackend::tolerant()] {
        assert_eq!(reference::parity::check(&mut backend).await, reference::parity::GRAPHS);
    }
}
