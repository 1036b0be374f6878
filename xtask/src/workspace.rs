//! The workspace: its folder, this program, its dependencies and its commit.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    // Cargo says where the sources are now. A binary that runs without Cargo uses the path at build time.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let mut root = PathBuf::from(xtask);
    root.pop();
    root
}

/// The path of this program, for starting it again.
pub(crate) fn program() -> anyhow::Result<PathBuf> {
    // This link leads to the file that this process runs, even if a build has replaced the file since.
    let itself = PathBuf::from("/proc/self/exe");
    if itself.exists() {
        Ok(itself)
    } else {
        std::env::current_exe().context("cannot find the file of this program")
    }
}

/// The version of a dependency in `Cargo.lock`, if it can be read.
pub(crate) fn locked_version(package: &str) -> Option<String> {
    let lock: toml::Table = std::fs::read_to_string(root().join("Cargo.lock")).ok()?.parse().ok()?;
    let packages = lock.get("package")?.as_array()?;
    let found = packages.iter().find(|p| p.get("name").and_then(|name| name.as_str()) == Some(package))?;
    Some(found.get("version")?.as_str()?.to_string())
}

/// What follows the commit of a checkout whose files differ from it.
pub(crate) const MODIFIED: &str = "-modified";

/// The commit of the checkout, followed by `-modified` if tracked files other than `results` and the README, which hold
/// results, differ from it;
/// `unknown` outside a checkout.
pub(crate) fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").current_dir(root()).args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    match git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":!results", ":!README.md"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => commit + MODIFIED,
    }
}
