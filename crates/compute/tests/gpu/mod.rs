//! GPU tests in a browser's dedicated worker and natively: one body, on whatever adapter is there. Natively `SHOAL_GPU` names
//! one, and without any the tests say that they were skipped.

#![allow(dead_code, unreachable_pub)] // each test file uses its part

use shoal_compute::{AdapterChoice, Backend as _, ComputeError, KernelChoice, TileSize, WebGpuBackend};

/// Defines tests with an open backend: `gpu_test! { async fn name(backend) { … } }`.
macro_rules! gpu_test {
    ($($(#[$attribute:meta])* async fn $name:ident($backend:ident) $body:block)+) => {$(
        $(#[$attribute])*
        #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
        #[cfg_attr(target_arch = "wasm32", allow(dead_code))]
        #[cfg(target_arch = "wasm32")]
        async fn $name() {
            #[allow(unused_mut)]
            let mut $backend = $crate::gpu::open().await.expect("the browser under test has an adapter");
            $body
        }

        $(#[$attribute])*
        #[cfg(not(target_arch = "wasm32"))]
        #[test]
        fn $name() {
            $crate::gpu::block_on(async {
                #[allow(unused_mut)]
                let Some(mut $backend) = $crate::gpu::open_or_skip(stringify!($name)).await else { return };
                $body
            });
        }
    )+};
}
pub(crate) use gpu_test;

/// Prints a line of a test's report.
pub fn say(line: &str) {
    #[cfg(target_arch = "wasm32")]
    wasm_bindgen_test::console_log!("{line}");
    #[cfg(not(target_arch = "wasm32"))]
    println!("{line}");
}

/// The adapter under test.
pub async fn open() -> Result<WebGpuBackend, ComputeError> {
    let named = std::env::var("SHOAL_GPU").ok();
    let choice = named.map_or(AdapterChoice::Fastest, AdapterChoice::Named);
    let backend = WebGpuBackend::on(&choice).await?;
    say(&format!("{:?}", backend.info()));
    Ok(backend)
}

/// The adapter under test, unless there is none and none was named.
#[cfg(not(target_arch = "wasm32"))]
pub async fn open_or_skip(test: &str) -> Option<WebGpuBackend> {
    match open().await {
        Ok(backend) => Some(backend),
        Err(error @ ComputeError::NoDevice { .. }) if std::env::var_os("SHOAL_GPU").is_none() => {
            println!("skipped: no adapter ({error}): {test}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Runs a future of the native backend, which waits for the device itself.
#[cfg(not(target_arch = "wasm32"))]
pub fn block_on(future: impl Future<Output = ()>) {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(std::pin::pin!(future).poll(&mut context).is_ready(), "the native backend waits for the device");
}

/// Kernels that every adapter must run, whatever it would choose.
pub const VARIANTS: [KernelChoice; 4] = [
    KernelChoice::Registers,
    KernelChoice::Tiles(TileSize::Small),
    KernelChoice::Tiles(TileSize::Medium),
    KernelChoice::Tiles(TileSize::Large),
];
