//! Which GPU is used, and what is known of it. A browser has one to give and tells little of it; natively there may be
//! several, hardware and software, with their names.

use crate::error::ComputeError;

/// Which adapter to take.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AdapterChoice {
    /// The browser's high-performance adapter; natively a discrete GPU before an integrated one, software last.
    #[default]
    Fastest,
    /// The first whose name contains this, in any case.
    Named(String),
}

/// A device with what it runs on.
pub(super) struct Opened {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) name: String,
    pub(super) is_fallback: bool,
    /// Whether WGSL's `dot4I8Packed` is there; otherwise it is spelled out.
    pub(super) has_packed_dot: bool,
}

/// Names of the adapters that there are, the fastest first. A browser names none before it is asked for one.
pub async fn adapter_names() -> Vec<String> {
    let instance = instance();
    found(&instance).await.iter().map(|adapter| full_name(&adapter.get_info())).collect()
}

pub(super) async fn open(choice: &AdapterChoice) -> Result<Opened, ComputeError> {
    let no_device = |reason: String| ComputeError::NoDevice { reason };
    let instance = instance();
    let adapters = found(&instance).await;
    let adapter = match choice {
        AdapterChoice::Fastest => adapters.into_iter().next(),
        AdapterChoice::Named(part) => {
            let names: Vec<String> = adapters.iter().map(|adapter| full_name(&adapter.get_info())).collect();
            let part = part.to_ascii_lowercase();
            let at = names.iter().position(|name| name.to_ascii_lowercase().contains(&part));
            let Some(at) = at else {
                return Err(no_device(format!("none is named {part:?}; there are: {}", names.join(", "))));
            };
            adapters.into_iter().nth(at)
        }
    };
    let adapter = adapter.ok_or_else(|| no_device("no adapter".to_owned()))?;
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("shoal"),
        required_features: adapter.features() & wgpu::Features::TIMESTAMP_QUERY,
        // The adapter's own limits, for larger buffers than the guaranteed 128 MiB.
        required_limits: adapter.limits(),
        ..Default::default()
    };
    let (device, queue) = adapter.request_device(&descriptor).await.map_err(|error| no_device(error.to_string()))?;
    let info = adapter.get_info();
    let features = instance.wgsl_language_features();
    Ok(Opened {
        device,
        queue,
        is_fallback: info.device_type == wgpu::DeviceType::Cpu || is_software(&info.name),
        name: full_name(&info),
        has_packed_dot: features.contains(wgpu::WgslLanguageFeatures::Packed4x8IntegerDotProduct),
    })
}

fn instance() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Instance::enabled_backend_features(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    })
}

/// The adapter that the browser gives.
#[cfg(target_arch = "wasm32")]
async fn found(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    let options =
        wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
    instance.request_adapter(&options).await.into_iter().collect()
}

/// All adapters, the fastest kind first.
#[cfg(not(target_arch = "wasm32"))]
async fn found(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    let mut adapters = instance.enumerate_adapters(wgpu::Backends::all()).await;
    adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    adapters
}

/// Name and driver, as far as they are told.
fn full_name(info: &wgpu::AdapterInfo) -> String {
    let words = [info.name.as_str(), info.driver.as_str(), info.driver_info.as_str()];
    match words.map(str::trim).into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ") {
        name if name.is_empty() => "unnamed".to_owned(),
        name => name,
    }
}

/// Whether the name is that of a software rasteriser.
pub(super) fn is_software(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["swiftshader", "llvmpipe", "lavapipe", "basic render"].iter().any(|software| name.contains(software))
}
