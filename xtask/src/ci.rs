//! `cargo xtask ci`.

use std::process::Command;

use anyhow::{Context, ensure};
use clap::Args;

use crate::exit::Reported;
use crate::workspace;

/// Run every check that a change must pass.
///
/// This is `.ci/run`, started with bash in the root of the workspace; its exit code is passed on.
#[derive(Args)]
pub(crate) struct Ci {}

impl Ci {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let root = workspace::root();
        ensure!(root.join(".ci/run").is_file(), "there is no .ci/run in {}", root.display());
        let status =
            Command::new("bash").arg(".ci/run").current_dir(&root).status().context("cannot start bash")?;
        match status.code() {
            Some(0) => Ok(()),
            Some(code) => Err(Reported(u8::try_from(code).unwrap_or(1)).into()),
            None => anyhow::bail!(".ci/run was stopped: {status}"),
        }
    }
}
