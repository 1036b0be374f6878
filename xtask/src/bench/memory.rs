//! The memory of this process, if the system reports it, and processes that are started to measure it.

use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::de::DeserializeOwned;

use crate::workspace;

/// Runs `bench` with these arguments in a separate process, in which nothing else has used memory, and returns what it
/// prints.
///
/// # Errors
/// If it cannot be started, fails, or prints something else.
pub(crate) fn in_own_process<T: DeserializeOwned>(words: &[&str]) -> anyhow::Result<T> {
    let output = Command::new(workspace::program()?)
        .arg("bench")
        .args(words)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start this program again")?;
    ensure!(output.status.success(), "bench {} failed: {}", words.join(" "), output.status);
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("cannot read what bench {} printed", words.join(" ")))
}

/// The memory that is resident now.
pub(crate) fn resident_mib() -> Option<f64> {
    status_mib("VmRSS:")
}

/// The most memory that has been resident so far.
pub(crate) fn peak_resident_mib() -> Option<f64> {
    status_mib("VmHWM:")
}

fn status_mib(field: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}
