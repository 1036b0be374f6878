//! Where the workspace lies.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    // Cargo tells where the sources lie now; the path at build time serves a binary run without it.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let mut root = PathBuf::from(xtask);
    root.pop();
    root
}

/// This program, to be started again.
pub(crate) fn program() -> anyhow::Result<PathBuf> {
    // The file that this process runs, even where a build has put another in its place since.
    let itself = PathBuf::from("/proc/self/exe");
    if itself.exists() { Ok(itself) } else { std::env::current_exe().context("this program cannot be found") }
}

/// The version of a dependency in `Cargo.lock`, if it can be read.
pub(crate) fn locked_version(package: &str) -> Option<String> {
    let lock: toml::Table = std::fs::read_to_string(root().join("Cargo.lock")).ok()?.parse().ok()?;
    let packages = lock.get("package")?.as_array()?;
    let found = packages.iter().find(|p| p.get("name").and_then(|name| name.as_str()) == Some(package))?;
    Some(found.get("version")?.as_str()?.to_string())
}

/// The commit of the checkout, with `-modified` behind it if tracked files other than results differ from it;
/// `unknown` outside of a checkout.
pub(crate) fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").current_dir(root()).args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    match git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":!results"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => commit + "-modified",
    }
}
