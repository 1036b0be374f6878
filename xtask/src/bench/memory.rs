//! The memory of this process, where the system tells.

/// What is resident now.
pub(crate) fn resident_mib() -> Option<f64> {
    status_mib("VmRSS:")
}

/// The most that has been resident so far.
pub(crate) fn peak_resident_mib() -> Option<f64> {
    status_mib("VmHWM:")
}

fn status_mib(field: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}
