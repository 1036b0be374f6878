//! `cargo xtask ci`.

use std::process::Command;

use anyhow::{Context, ensure};
use clap::Args;

use crate::exit::Reported;
use crate::workspace;

/// Run every check that a change must pass.
///
/// Starts `.ci/run` with bash in the root of the workspace and passes its exit code on.
#[derive(Args)]
pub(crate) struct Ci {
    /// Run `.ci/gpu` instead: the doctor, and runs that change their backend, with wgpu and ndarray built in. It takes
    /// half an hour on two cores. It needs no GPU: without a Vulkan driver, it installs Mesa's software driver.
    #[arg(long)]
    gpu: bool,
}

impl Ci {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let root = workspace::root();
        let script = if self.gpu { ".ci/gpu" } else { ".ci/run" };
        ensure!(
            root.join(script).is_file(),
            "{script} is missing in {}; run this in a checkout",
            root.display()
        );
        let status =
            Command::new("bash").arg(script).current_dir(&root).status().context("cannot start bash")?;
        match status.code() {
            Some(0) => Ok(()),
            Some(code) => Err(Reported(u8::try_from(code).unwrap_or(1)).into()),
            None => anyhow::bail!("{script} was stopped: {status}"),
        }
    }
}
