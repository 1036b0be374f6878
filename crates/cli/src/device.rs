//! The one list of backends.

use burn::tensor::Device;

use crate::error::{excerpt, known, user};

/// The names that `--device` knows, whether or not this binary has them.
pub const NAMES: [&str; 6] = ["flex", "ndarray", "wgpu", "vulkan", "cuda", "remote"];

/// The backends that this binary was built with.
pub fn built_with() -> Vec<&'static str> {
    let built = [
        cfg!(feature = "flex"),
        cfg!(feature = "ndarray"),
        cfg!(feature = "wgpu"),
        cfg!(feature = "vulkan"),
        cfg!(feature = "cuda"),
        cfg!(feature = "remote"),
    ];
    NAMES.into_iter().zip(built).filter_map(|(name, built)| built.then_some(name)).collect()
}

/// The name that stands for the processor, on the first backend of the binary that runs there.
const PROCESSOR: &str = "cpu";
/// The backends that run on the processor.
const ON_PROCESSOR: [&str; 2] = ["flex", "ndarray"];

/// The devices of a list such as `cuda:0,cuda:1`.
///
/// # Errors
/// If one of the names is unknown or its device is not available.
pub fn select_all(names: &str) -> anyhow::Result<Vec<Device>> {
    names.split(',').map(|name| select(name.trim())).collect()
}

/// Refuses a device on another machine that a file names, unless the command line asks for it: a run folder or a plan
/// that came from elsewhere must not choose where data and the token of `HELMHOLTZ_TOKEN` are sent.
///
/// `names` is the list under `run.device` in the file at `place`, and `asked` is whether the command line names devices
/// itself. The check comes before any connection, and also runs in binaries without `remote`.
///
/// # Errors
/// If a device is on another machine and was not asked for, or if a name is not that of a device.
pub fn check_asked(names: &str, asked: bool, place: &dyn std::fmt::Display) -> anyhow::Result<()> {
    for name in names.split(',').map(str::trim) {
        if matches!(parse(name)?, Place::Lent(..)) && !asked {
            return Err(user(format!(
                "{place}: run.device = \"{names}\" names a device on another machine, which is used only if the \
                 command line asks for it; add --device {names} to use it, or --device flex to compute here"
            )));
        }
    }
    Ok(())
}

/// The first of a list of devices.
pub(crate) fn first(names: &str) -> &str {
    names.split(',').next().unwrap_or(names).trim()
}

/// A parsed name.
enum Place<'a> {
    /// A device on this machine: its backend and its number.
    Here(&'a str, Option<usize>),
    /// A device on another machine: the address of its server, and its number there.
    Lent(&'a str, usize),
}

/// Refuses unknown names in a list such as `cuda:0,cuda:1`, whether or not their devices are available here.
///
/// # Errors
/// If a name is unknown, or its index or address is invalid.
pub fn check(names: &str) -> anyhow::Result<()> {
    names.split(',').try_for_each(|name| parse(name.trim()).map(drop))
}

fn parse(name: &str) -> anyhow::Result<Place<'_>> {
    let (backend, rest) = match name.split_once(':') {
        Some((backend, rest)) => (backend, Some(rest)),
        None => (name, None),
    };
    if name == PROCESSOR {
        let built = built_with();
        let backend = ON_PROCESSOR.into_iter().find(|backend| built.contains(backend));
        return Ok(Place::Here(backend.unwrap_or(ON_PROCESSOR[0]), None));
    }
    if !NAMES.contains(&backend) {
        let names: Vec<&str> = std::iter::once(PROCESSOR).chain(NAMES).collect();
        return Err(user(format!("unknown device `{}`; {}", excerpt(name), known(backend, &names))));
    }
    match (backend, rest) {
        ("remote", Some(place)) => parse_lent(name, place),
        ("remote", None) => Err(user(
            "device `remote`: name the server that lends it, as in `remote:gpu.example.org:3000`, or \
             `remote:gpu.example.org:3000/1` for its second device; `helmholtz serve` starts such a server",
        )),
        (_, None) => Ok(Place::Here(backend, None)),
        (_, Some(index)) => {
            let index: usize = index.parse().map_err(|_| {
                let (name, index) = (excerpt(name), excerpt(index));
                user(format!("device `{name}`: `{index}` is not the number of a device, as in `cuda:1`"))
            })?;
            if ON_PROCESSOR.contains(&backend) {
                return Err(user(format!(
                    "device `{name}`: {backend} runs on the processor and has no numbered devices"
                )));
            }
            Ok(Place::Here(backend, Some(index)))
        }
    }
}

/// Parses `HOST:PORT` or `HOST:PORT/INDEX`.
fn parse_lent<'a>(name: &str, place: &'a str) -> anyhow::Result<Place<'a>> {
    let (address, index) = match place.split_once('/') {
        Some((address, index)) => {
            let index: u32 = index.parse().map_err(|_| {
                let (name, index) = (excerpt(name), excerpt(index));
                user(format!("device `{name}`: `{index}` is not the number of a device of the server"))
            })?;
            (address, index)
        }
        None => (place, 0),
    };
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
    if !port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0)) {
        let (name, address) = (excerpt(name), excerpt(address));
        return Err(user(format!(
            "device `{name}`: `{address}` is not the address of a server, as in `remote:gpu.example.org:3000`"
        )));
    }
    Ok(Place::Lent(address, index as usize))
}

/// The device of a name such as `flex`, `cuda:1` or `remote:gpu.example.org:3000`.
///
/// # Errors
/// If the name is unknown, the binary was built without the backend, or no server lends the device.
pub fn select(name: &str) -> anyhow::Result<Device> {
    if name.contains(',') {
        return Err(user(format!("device `{name}`: only training takes several devices; name one")));
    }
    match parse(name)? {
        Place::Here(backend, index) => here(backend, index),
        Place::Lent(address, index) => lent(name, address, index),
    }
}

/// The device of a backend with a number, or its default one.
fn here(backend: &str, index: Option<usize>) -> anyhow::Result<Device> {
    match (backend, index) {
        #[cfg(feature = "flex")]
        ("flex", _) => Ok(Device::flex()),
        #[cfg(feature = "ndarray")]
        #[allow(deprecated)] // offered as long as Burn has it
        ("ndarray", _) => Ok(Device::ndarray()),
        #[cfg(feature = "wgpu")]
        ("wgpu", index) => Ok(Device::wgpu(kind(index))),
        #[cfg(feature = "vulkan")]
        ("vulkan", index) => Ok(Device::vulkan(kind(index))),
        #[cfg(feature = "cuda")]
        ("cuda", index) => Ok(Device::cuda(index.unwrap_or(0))),
        (backend, _) => Err(without(backend)),
    }
}

/// The error for a backend that this binary does not have.
pub(crate) fn without(backend: &str) -> anyhow::Error {
    user(format!(
        "this binary was built without `{backend}` (it has: {}); build it with \
         `cargo build --release --features {backend}`",
        built_with().join(", ")
    ))
}

/// The device with a number, of the server at an address.
#[cfg(feature = "remote")]
fn lent(name: &str, address: &str, index: usize) -> anyhow::Result<Device> {
    use burn::remote::{ConnectError, RemoteHost};

    let host = RemoteHost::websocket(&format!("ws://{address}"));
    let host = match token()? {
        Some(token) => host.with_credential(token),
        None => host,
    };
    let device = Device::remote_options(&host).device_index(index).init().map_err(|error| {
        let hint = match error {
            ConnectError::Unreachable { .. } => "; `helmholtz serve` starts a server".to_string(),
            ConnectError::Unauthorized => format!("; set {TOKEN} to the token of the server"),
            _ => String::new(),
        };
        user(format!("device `{name}`: {error}{hint}"))
    })?;
    lost::expect(name, &device);
    Ok(device)
}

#[cfg(not(feature = "remote"))]
fn lent(_name: &str, _address: &str, _index: usize) -> anyhow::Result<Device> {
    Err(without("remote"))
}

/// The environment variable with the token that a server and its clients share. A flag would show the token to every
/// user of the machine.
pub const TOKEN: &str = "HELMHOLTZ_TOKEN";

/// The token that a client sends to a device server, or that a server requires of its clients, if one is set.
#[cfg(feature = "remote")]
pub(crate) fn token() -> anyhow::Result<Option<String>> {
    match std::env::var(TOKEN) {
        Ok(token) if token.is_empty() => {
            Err(user(format!("{TOKEN} is set but empty; unset it, or set it to a token")))
        }
        Ok(token) => Ok(Some(token)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(user(format!("{TOKEN}: the token is not UTF-8"))),
    }
}

#[cfg(any(feature = "wgpu", feature = "vulkan"))]
fn kind(index: Option<usize>) -> burn::tensor::DeviceKind {
    match index {
        Some(index) => burn::tensor::DeviceKind::DiscreteGpu(index),
        None => burn::tensor::DeviceKind::DefaultDevice,
    }
}

/// A device on another machine may be lost at any moment. Burn then panics or fails when it next waits for a number.
pub(crate) mod lost {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::OnceLock;

    use burn::tensor::Device;

    /// The device in use.
    static DEVICE: OnceLock<(String, Device)> = OnceLock::new();

    /// The message of the first panic.
    static WORDS: OnceLock<String> = OnceLock::new();

    /// From now on a panic means that the device `name` was lost: its message is kept for [`error`], not printed.
    #[cfg(feature = "remote")]
    pub(super) fn expect(name: &str, device: &Device) {
        if DEVICE.set((name.to_string(), device.clone())).is_ok() {
            std::panic::set_hook(Box::new(|info| {
                let words = info.payload_as_str().and_then(|words| words.lines().next());
                let _ = WORDS.set(words.unwrap_or("it panicked without a message").to_string());
            }));
        }
    }

    /// The error for work that ended in `error`, or in a panic, if the reason is that a device was lost.
    pub(crate) fn error(error: Option<&anyhow::Error>) -> Option<anyhow::Error> {
        let (name, device) = DEVICE.get()?;
        let answers = || catch_unwind(AssertUnwindSafe(|| device.sync())).is_ok_and(|answer| answer.is_ok());
        let words = match (WORDS.get(), error) {
            (Some(words), _) => words.clone(),
            (None, Some(error)) if !answers() => format!("{error:#}").lines().collect::<Vec<_>>().join(" "),
            _ => return None,
        };
        Some(anyhow::anyhow!(
            "the work on device `{name}` was interrupted: {words}. Is its server still running? To continue a training \
             run from its newest checkpoint, use `helmholtz train --resume --out RUN` with the same --device, or with \
             --device flex on this machine"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_of_another_machine_has_to_be_asked_for() {
        let refused = |names: &str| check_asked(names, false, &"run.toml").unwrap_err().to_string();
        for names in ["remote:10.0.0.1:3000", "flex, remote:10.0.0.1:3000/1"] {
            let message = refused(names);
            assert!(
                message.contains("run.toml") && message.contains(&format!("--device {names}")),
                "{message}"
            );
            check_asked(names, true, &"run.toml").unwrap();
        }
        for names in ["flex", "cuda:0,cuda:1"] {
            check_asked(names, false, &"run.toml").unwrap();
        }
        assert!(refused("remote:nowhere").contains("is not the address of a server"));
    }
}
