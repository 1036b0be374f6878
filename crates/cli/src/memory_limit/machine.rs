//! How much memory a process can have.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use helmholtz_ops::in_host_memory;

/// The most memory that can be used, and what limits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Bytes.
    pub bytes: u64,
    /// The start of a sentence that ends with the bytes: its subject and verb.
    pub of: &'static str,
}

/// The limit if that of the machine is not known, and for devices that are not processors: 1 TiB.
const UNKNOWN: Limit = Limit { bytes: 1 << 40, of: "no device is known to have more than" };

impl Limit {
    /// What a device can hold.
    ///
    /// On the processor this is the smallest of three limits: the memory of the machine plus swap, the memory of the
    /// process's control group plus swap, and the address space that `ulimit -v` allows. If none of them can be read,
    /// and for other devices, it is 1 TiB.
    pub fn of(device: &Device) -> Limit {
        if in_host_memory(device) { Limit::of_processor() } else { UNKNOWN }
    }

    /// The memory that this process may use.
    pub fn of_processor() -> Limit {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let meminfo = read("/proc/meminfo");
        let swap = kibibytes(&meminfo, "SwapTotal:").unwrap_or(0);
        let with_swap = |bytes: u64, of| Limit { bytes: bytes.saturating_add(swap), of };
        let machine = kibibytes(&meminfo, "MemTotal:").map(|bytes| with_swap(bytes, "this machine has"));
        let groups = control_groups(&read("/proc/self/cgroup"));
        let group = groups.iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).min();
        let group = group.map(|bytes| with_swap(bytes, "the control group of this process allows"));
        let space = Limit::of_address_space();
        // Of equal limits, the first.
        [machine, group, space].into_iter().flatten().min_by_key(|limit| limit.bytes).unwrap_or(UNKNOWN)
    }

    /// What `ulimit -v` allows, if it is set.
    pub fn of_address_space() -> Option<Limit> {
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let of = "the address space of this process (ulimit -v) is";
        address_space(&limits).map(|bytes| Limit { bytes, of })
    }
}

/// A line such as `MemTotal:  24000000 kB`, in bytes.
fn kibibytes(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The soft limit of a line such as `Max address space  4096000000  unlimited  bytes`.
fn address_space(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The files that may hold a limit of the process's control group, or of a group above it.
fn control_groups(cgroup: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in cgroup.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (base, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let below = Path::new(path.trim_start_matches('/'));
        files.extend(below.ancestors().map(|group| Path::new(base).join(group).join(file)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_system_are_read() {
        let meminfo = "MemTotal:       24512340 kB\nMemFree:  1 kB\nSwapTotal:             0 kB\n";
        assert_eq!(kibibytes(meminfo, "MemTotal:"), Some(24_512_340 * 1024));
        assert_eq!(kibibytes(meminfo, "SwapTotal:"), Some(0));
        assert_eq!(kibibytes("", "MemTotal:"), None);
        let limits =
            "Limit   Soft Limit  Hard Limit  Units\nMax address space   4096000000    unlimited   bytes\n";
        assert_eq!(address_space(limits), Some(4_096_000_000));
        assert_eq!(address_space(&limits.replace("4096000000", "unlimited")), None);
        let found = control_groups("5:cpu:/x\n4:memory:/a/b\n0::/user.slice\n");
        let found: Vec<_> = found.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            found,
            [
                "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/user.slice/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
    }

    #[test]
    #[cfg(feature = "flex")]
    fn a_processor_has_the_memory_of_the_machine() {
        assert_eq!(Limit::of(&Device::flex()), Limit::of_processor());
        assert!(Limit::of_processor().bytes > 1 << 26);
    }
}
