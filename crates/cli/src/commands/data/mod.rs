//! `helmholtz data`.

mod check;
mod fetch;
mod list;
mod show;

use std::process::ExitCode;

use crate::args::DataCommand;
use crate::threads::use_threads;

/// Runs one of the commands.
///
/// # Errors
/// If a data set is unknown, missing or wrong, or a file cannot be written.
pub fn run(command: DataCommand) -> anyhow::Result<ExitCode> {
    use_threads(None)?;
    match command {
        DataCommand::List { data_dir, json } => list::run(data_dir.as_deref(), json),
        DataCommand::Check { ids, data_dir, json } => check::run(&ids, data_dir.as_deref(), json),
        DataCommand::Fetch(args) => fetch::run(&args),
        DataCommand::Show(args) => show::run(&args),
    }
}
