//! The files of the workspace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// The files that git tracks or would track, by their paths relative to the root.
pub(super) struct Tree {
    pub(super) root: PathBuf,
    pub(super) files: Vec<String>,
}

impl Tree {
    /// The files of the workspace at `root`.
    ///
    /// # Errors
    /// If git does not list them.
    pub(super) fn of(root: &Path) -> anyhow::Result<Self> {
        Ok(Tree { root: root.to_path_buf(), files: files(root)? })
    }

    pub(super) fn text(&self, file: &str) -> String {
        fs::read(self.root.join(file))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    pub(super) fn ending<'a>(&'a self, extensions: &'a [&str]) -> impl Iterator<Item = &'a String> {
        self.files.iter().filter(|file| {
            Path::new(file).extension().is_some_and(|found| extensions.iter().any(|e| found == *e))
        })
    }

    pub(super) fn has(&self, file: &str) -> bool {
        self.files.iter().any(|found| found == file)
    }
}

fn files(root: &Path) -> anyhow::Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("cannot start git")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8_lossy(&output.stdout);
    // A file that was deleted but not yet staged is still listed.
    let exists = |name: &&str| root.join(name).is_file();
    let mut files: Vec<String> =
        names.split('\0').filter(|name| !name.is_empty()).filter(exists).map(str::to_string).collect();
    files.sort();
    files.dedup();
    Ok(files)
}
