//! `cargo xtask tidy`.

mod circles;
mod links;
mod modules;
mod names;
mod tree;

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use clap::Args;

use crate::exit::progress;
use crate::workspace;
use tree::Tree;

/// Check the documents and the layout, as far as a script can.
///
/// - every crate has a README.md, and its lib.rs opens with module docs (tests and xtask need no README);
/// - every strategy names its reference;
/// - CHANGELOG.md has a heading for a version or for unreleased changes, and both licences exist;
/// - the files that Markdown files link to exist;
/// - the experiments in configs/ are valid TOML;
/// - no files of a crate import each other in a circle;
/// - the code of the command line and of `reproduce` names no model and no strategy, and the README mentions them all;
/// - no source file has more than 500 lines, and no file more than 512 KiB.
///
/// Lists all failures on standard error. If there are any, the exit code is 1.
#[derive(Args)]
pub(crate) struct Tidy {}

impl Tidy {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let failures = failures(&workspace::root())?;
        failures.iter().for_each(|failure| progress(failure));
        match failures.len() {
            0 => Ok(()),
            1 => bail!("1 check failed: see above"),
            n => bail!("{n} checks failed: see above"),
        }
    }
}

/// A file past this length usually contains two ideas.
const MAX_LINES: usize = 500;
const MAX_BYTES: u64 = 512 * 1024;

/// The failed checks of the workspace at `root`, one sentence each.
pub(crate) fn failures(root: &Path) -> anyhow::Result<Vec<String>> {
    let tree = Tree::of(root)?;
    let members = members(&tree)?;
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let mut failures = crates(&tree, &members);
    failures.extend(strategies(&tree));
    failures.extend(root_documents(&tree));
    failures.extend(links::failures(&tree));
    failures.extend(configs(&tree));
    failures.extend(circles::failures(root, &members)?);
    let registry = helmholtz_zoo::registry();
    let names = [registry.model_names(), registry.strategy_names()].concat();
    failures.extend(names::failures(root, tree.files.iter(), &names)?);
    failures.extend(names::unlisted(&tree.text("README.md"), &names));
    failures.extend(sizes(&tree));
    Ok(failures)
}

/// The folders of the workspace's crates.
fn members(tree: &Tree) -> anyhow::Result<Vec<String>> {
    let manifest: toml::Table = tree.text("Cargo.toml").parse().context("Cargo.toml")?;
    let members = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("members")?.as_array())
        .context("Cargo.toml lists no workspace members")?;
    Ok(members.iter().filter_map(|member| member.as_str()).map(str::to_string).collect())
}

fn crates(tree: &Tree, members: &[&str]) -> Vec<String> {
    let mut failures = Vec::new();
    for member in members {
        if !["tests", "xtask"].contains(member) && !tree.has(&format!("{member}/README.md")) {
            failures.push(format!("{member}: README.md is missing; every crate has one"));
        }
        let lib = format!("{member}/src/lib.rs");
        if tree.has(&lib) && !tree.text(&lib).starts_with("//!") {
            failures.push(format!("{lib}: must open with module docs (`//!`) that say what the crate is"));
        }
    }
    failures
}

fn strategies(tree: &Tree) -> Vec<String> {
    let defines = |text: &str| {
        text.lines().any(|line| line.contains("Strategy<M> for") && !line.trim_start().starts_with("//"))
    };
    let cites = |text: &str| text.lines().any(|line| line.starts_with("//! # Reference"));
    tree.ending(&["rs"])
        .filter(|file| file.starts_with("crates/strategies/src/"))
        .filter(|file| {
            let text = tree.text(file);
            defines(&text) && !cites(&text)
        })
        .map(|file| format!("{file}: a strategy must name its paper under `//! # Reference`"))
        .collect()
}

fn root_documents(tree: &Tree) -> Vec<String> {
    let mut failures: Vec<String> = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"]
        .into_iter()
        .filter(|file| !tree.has(file))
        .map(|file| format!("{file}: is missing"))
        .collect();
    let heading = |line: &str| {
        line.strip_prefix("## ").map(|title| title.trim_start_matches('[')).is_some_and(|title| {
            title.starts_with("Unreleased") || title.starts_with(|c: char| c.is_ascii_digit())
        })
    };
    if tree.has("CHANGELOG.md") && !tree.text("CHANGELOG.md").lines().any(heading) {
        failures
            .push("CHANGELOG.md: has neither a heading `## [Unreleased]` nor one `## [x.y.z]`".to_string());
    }
    failures
}

fn configs(tree: &Tree) -> Vec<String> {
    tree.ending(&["toml"])
        .filter(|file| file.starts_with("configs/"))
        .filter_map(|file| {
            let error = tree.text(file).parse::<toml::Table>().err()?;
            Some(format!("{file}: {}", error.to_string().trim()))
        })
        .collect()
}

fn sizes(tree: &Tree) -> Vec<String> {
    let long = tree.ending(&["rs", "py", "sh"]).filter_map(|file| {
        let lines = tree.text(file).lines().count();
        (lines > MAX_LINES).then(|| format!("{file}: {lines} lines, more than {MAX_LINES}"))
    });
    let large = tree.files.iter().filter_map(|file| {
        let bytes = fs::metadata(tree.root.join(file)).ok()?.len();
        (bytes > MAX_BYTES).then(|| format!("{file}: {} KiB, more than {}", bytes / 1024, MAX_BYTES / 1024))
    });
    long.chain(large).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        let failures = failures(&workspace::root()).unwrap();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}
