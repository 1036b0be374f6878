//! The pictures of the README, made by the program as a user would.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::exit::{print, progress};
use crate::workspace;

/// Training of the machine that fills in digits.
const MACHINE: [&str; 12] = [
    "--model",
    "bihm",
    "--layers",
    "300,200,100",
    "--dataset",
    "mnist/binarized",
    "--epochs",
    "10",
    "--set",
    "optimizer.l1=1e-5",
    "--set",
    "train.final_samples=10",
];

/// Races by the built-in plan, trains a bidirectional machine and lets it fill in digits; keeps the two pictures.
pub(super) fn draw(data_dir: Option<&Path>) -> anyhow::Result<()> {
    let images = workspace::root().join("docs/images");
    std::fs::create_dir_all(&images).with_context(|| images.display().to_string())?;
    let folder = tempfile::tempdir()?;
    let data: Vec<PathBuf> =
        data_dir.into_iter().flat_map(|dir| ["--data-dir".into(), dir.to_owned()]).collect();
    run(folder.path(), &["compare", "--out", "race"], &[])?;
    keep(&folder.path().join("race/figures/race-1.svg"), &images.join("race.svg"))?;
    run(folder.path(), &[&["train"], &MACHINE[..], &["--quiet", "--out", "machine"]].concat(), &data)?;
    let inpaint =
        ["inpaint", "machine", "--mask", "bottom", "--n", "8", "--frames", "24", "--out", "inpaint.gif"];
    run(folder.path(), &inpaint, &data)?;
    keep(&folder.path().join("inpaint.gif"), &images.join("inpaint.gif"))?;
    print("docs/images/race.svg, docs/images/inpaint.gif\n")
}

fn run(folder: &Path, words: &[&str], more: &[PathBuf]) -> anyhow::Result<()> {
    progress(&format!("helmholtz {}", words.join(" ")));
    let mut command = Command::new(std::env::current_exe()?);
    // The program ends when its standard input does.
    let (stdin, open) = std::io::pipe()?;
    command.arg("helmholtz").args(words).args(more).current_dir(folder).stdin(stdin);
    let status = command.status()?;
    drop(open);
    if !status.success() {
        bail!("helmholtz {} ended with {status}", words.join(" "));
    }
    Ok(())
}

fn keep(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::copy(from, to).with_context(|| format!("{} to {}", from.display(), to.display()))?;
    Ok(())
}
