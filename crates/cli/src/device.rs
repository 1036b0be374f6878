//! The one list of backends.

use burn::tensor::Device;

use crate::error::{known, user};

/// The names that `--device` knows, whether or not this binary has them.
pub const NAMES: [&str; 5] = ["flex", "ndarray", "wgpu", "vulkan", "cuda"];

/// The backends that this binary was built with.
pub fn built_with() -> Vec<&'static str> {
    let built = [
        cfg!(feature = "flex"),
        cfg!(feature = "ndarray"),
        cfg!(feature = "wgpu"),
        cfg!(feature = "vulkan"),
        cfg!(feature = "cuda"),
    ];
    NAMES.into_iter().zip(built).filter_map(|(name, built)| built.then_some(name)).collect()
}

/// The devices of a list such as `cuda:0,cuda:1`.
///
/// # Errors
/// If one of them is none.
pub fn select_all(names: &str) -> anyhow::Result<Vec<Device>> {
    names.split(',').map(|name| select(name.trim())).collect()
}

/// The first of a list of devices.
pub(crate) fn first(names: &str) -> &str {
    names.split(',').next().unwrap_or(names).trim()
}

/// The device of a name such as `flex` or `cuda:1`.
///
/// # Errors
/// If the name is unknown, the index is no number, or the binary was built without the backend.
pub fn select(name: &str) -> anyhow::Result<Device> {
    if name.contains(',') {
        return Err(user(format!("device `{name}`: only training takes several; name one")));
    }
    let (backend, index) = match name.split_once(':') {
        Some((backend, index)) => {
            let index: usize = index.parse().map_err(|_| {
                user(format!("device `{name}`: `{index}` is not the number of a device, as in `cuda:1`"))
            })?;
            (backend, Some(index))
        }
        None => (name, None),
    };
    if !NAMES.contains(&backend) {
        return Err(user(format!("unknown device `{name}`; {}", known(backend, &NAMES))));
    }
    if index.is_some() && matches!(backend, "flex" | "ndarray") {
        return Err(user(format!(
            "device `{name}`: {backend} runs on the processor and has no numbered devices"
        )));
    }
    match backend {
        #[cfg(feature = "flex")]
        "flex" => Ok(Device::flex()),
        #[cfg(feature = "ndarray")]
        #[allow(deprecated)] // offered as long as Burn has it
        "ndarray" => Ok(Device::ndarray()),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::wgpu(kind(index))),
        #[cfg(feature = "vulkan")]
        "vulkan" => Ok(Device::vulkan(kind(index))),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(index.unwrap_or(0))),
        _ => Err(user(format!(
            "this binary was built without `{backend}` (it has: {}); build it with `cargo build --release --features {backend}`",
            built_with().join(", ")
        ))),
    }
}

#[cfg(any(feature = "wgpu", feature = "vulkan"))]
fn kind(index: Option<usize>) -> burn::tensor::DeviceKind {
    match index {
        Some(index) => burn::tensor::DeviceKind::DiscreteGpu(index),
        None => burn::tensor::DeviceKind::DefaultDevice,
    }
}
