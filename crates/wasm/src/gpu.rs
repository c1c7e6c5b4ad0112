//! The browser's GPU: whether there is one, and whether it computes what it should.

use wasm_bindgen::prelude::*;

/// What tolerant units run on.
#[cfg(feature = "webgpu")]
pub(crate) type Gpu = shoal_compute::WebGpuBackend;
/// Nothing: this build has no GPU support.
#[cfg(not(feature = "webgpu"))]
pub(crate) type Gpu = shoal_compute::CpuBackend;

/// The GPU adapter, `{name, is_fallback}`, or null where there is none.
#[wasm_bindgen]
pub async fn webgpu_info() -> JsValue {
    #[cfg(feature = "webgpu")]
    if let Ok(gpu) = open().await {
        use shoal_compute::Backend as _;
        let info = gpu.info();
        gpu.destroy();
        let object = js_sys::Object::new();
        for (key, value) in [("name", JsValue::from(info.adapter)), ("is_fallback", info.is_fallback.into())] {
            js_sys::Reflect::set(&object, &key.into(), &value).expect("a plain object takes properties");
        }
        return object.into();
    }
    JsValue::NULL
}

#[cfg(feature = "webgpu")]
#[wasm_bindgen]
extern "C" {
    /// `GPU.requestAdapter` of the WebGPU specification, §4.2.
    #[wasm_bindgen(js_namespace = ["navigator", "gpu"], js_name = requestAdapter, catch)]
    async fn request_adapter(options: &JsValue) -> Result<JsValue, JsValue>;
}

/// The GPU with the name that the browser tells of its adapter: vendor and architecture, all that browsers tell.
#[cfg(feature = "webgpu")]
async fn open() -> Result<Gpu, String> {
    let gpu = Gpu::new().await.map_err(|error| error.to_string())?;
    let get = |object: &JsValue, key: &str| js_sys::Reflect::get(object, &key.into()).unwrap_or(JsValue::UNDEFINED);
    let options = js_sys::Object::new();
    // What wgpu asked for, so that the answer is the same adapter.
    js_sys::Reflect::set(&options, &"powerPreference".into(), &"high-performance".into())
        .expect("a plain object takes properties");
    let adapter = request_adapter(&options).await.unwrap_or(JsValue::UNDEFINED);
    let info = if adapter.is_object() { get(&adapter, "info") } else { JsValue::UNDEFINED };
    if !info.is_object() {
        return Ok(gpu);
    }
    let words = ["vendor", "architecture"].map(|key| get(&info, key).as_string().unwrap_or_default());
    let is_fallback = get(&info, "isFallbackAdapter").is_truthy();
    Ok(gpu.with_adapter(words.join(" ").trim().to_owned(), is_fallback))
}

/// A GPU that has passed the self-test, or why there is none.
#[cfg(feature = "webgpu")]
pub(crate) async fn tested() -> Result<Gpu, String> {
    use shoal_compute::{
        Tensors,
        program::{Budget, run_unit, run_unit_on_cpu},
        tolerance,
        vectors::vector_unit,
    };
    use shoal_wire::proto::{Gradient, unit::Program};

    let mut gpu = open().await?;
    let unit = vector_unit(Program::Gradient(Gradient { batch: 24 }));
    let budget = Budget { reference_ops: u64::MAX, memory_bytes: u64::MAX };
    let (graph, parameters, data) = (&unit.graph, &unit.parameters, &unit.data);
    let got = run_unit(&unit.unit, graph, parameters, data, &mut gpu, &budget).await.map_err(|e| e.to_string())?;
    let right = run_unit_on_cpu(&unit.unit, graph, parameters, data, &budget).map_err(|e| e.to_string())?;
    let tensors = |bytes: &[u8]| Tensors::from_bytes(bytes).map_err(|error| error.to_string());
    let graph = shoal_graph::Graph::decode(graph).map_err(|error| error.to_string())?;
    let compared = tolerance::compare_tolerant(&tensors(&got)?, &tensors(&right)?, tolerance::bound(&graph));
    let compared = compared.map_err(|error| error.to_string())?;
    if compared.is_within() { Ok(gpu) } else { Err(format!("self-test failed: {compared:?}")) }
}

/// There is none in this build.
#[cfg(not(feature = "webgpu"))]
pub(crate) async fn tested() -> Result<Gpu, String> {
    Err("this build has no GPU support".to_owned())
}
