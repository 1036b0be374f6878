//! `helmholtz regimes`: what energies do while they are trained, and how their chains behave, as figures with numbers.

mod connectivity;
mod equilibrium;
mod figure;
mod shared;
mod stages;

use std::process::ExitCode;

use crate::args::RegimesCommand;

/// Runs one of the commands.
///
/// # Errors
/// If the model is not given by an energy, the flags make no sense, or a file cannot be written.
pub fn run(command: &RegimesCommand) -> anyhow::Result<ExitCode> {
    match command {
        RegimesCommand::Equilibrium(args) => equilibrium::run(args),
        RegimesCommand::Stages(args) => stages::run(args),
        RegimesCommand::Connectivity(args) => connectivity::run(args),
    }
}
