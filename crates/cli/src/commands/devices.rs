//! `helmholtz devices`.

use std::process::ExitCode;

use burn::tensor::{Device, DeviceType};
use serde_json::json;

use crate::console::say;
use crate::device;

/// Lists the backends of this binary and the devices they find.
///
/// # Errors
/// No error that a user can cause.
pub fn run(as_json: bool) -> anyhow::Result<ExitCode> {
    let mut found: Vec<(&str, String)> = Vec::new();
    for backend in device::built_with() {
        let devices: Vec<String> = kind(backend)
            .into_iter()
            .flat_map(|kind| Device::enumerate(kind).into_vec())
            .map(|d| format!("{d:?}"))
            .collect();
        found.extend(devices.into_iter().map(|device| (backend, device)));
    }
    let threads = rayon::current_num_threads();
    if as_json {
        let devices: Vec<_> =
            found.iter().map(|(backend, name)| json!({"backend": backend, "name": name})).collect();
        say!("{}", json!({"built_with": device::built_with(), "threads": threads, "devices": devices}));
        return Ok(ExitCode::SUCCESS);
    }
    say!("built with: {} (of {})", device::built_with().join(", "), device::NAMES.join(", "));
    for (backend, name) in found {
        say!("  --device {backend:<8} {name}");
    }
    if cfg!(feature = "remote") {
        say!("  --device remote:HOST:PORT  a device that `helmholtz serve` lends there");
    }
    say!("CPU threads: {threads}");
    Ok(ExitCode::SUCCESS)
}

fn kind(backend: &str) -> Option<DeviceType> {
    match backend {
        #[cfg(feature = "flex")]
        "flex" => Some(DeviceType::Flex),
        #[cfg(feature = "ndarray")]
        "ndarray" => Some(DeviceType::NdArray),
        #[cfg(feature = "vulkan")]
        "vulkan" => Some(DeviceType::Vulkan),
        #[cfg(feature = "wgpu")]
        "wgpu" => Some(DeviceType::Wgpu),
        #[cfg(feature = "cuda")]
        "cuda" => Some(DeviceType::Cuda),
        _ => None,
    }
}
