//! The parity suite on the CPU backend: natively, in Node and in browsers.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod reference;

use shoal_compute::CpuBackend;

#[cfg(not(target_arch = "wasm32"))]
#[test]
fn the_cpu_agrees_with_reference_maths() {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let polled = std::pin::pin!(reference::parity::check(&mut CpuBackend::new())).poll(&mut context);
    assert_eq!(polled, std::task::Poll::Ready(reference::parity::GRAPHS), "the CPU answers at once");
}

#[cfg(target_arch = "wasm32")]
#[wasm_bindgen_test::wasm_bindgen_test]
async fn the_cpu_agrees_with_reference_maths() {
    assert_eq!(reference::parity::check(&mut CpuBackend::new()).await, reference::parity::GRAPHS);
}
