//! One file per command.

pub(crate) mod advice;
pub(crate) mod chains;
pub mod check;
pub mod classify;
pub mod compare;
pub mod data;
pub mod devices;
pub mod doctor;
pub mod encode;
mod energy;
mod energy_annealing;
mod energy_chains;
mod epoch;
pub mod evaluate;
pub(crate) mod evaluation;
pub mod export;
pub mod filters;
mod finished;
mod initial;
pub mod inpaint;
mod log_z;
pub mod merge;
pub mod models;
mod part_file;
mod progress;
pub mod regimes;
pub mod report;
pub mod resume;
pub mod sample;
pub(crate) mod score;
pub mod serve;
pub mod shard;
pub(crate) mod test_rows;
pub mod train;
pub mod trained;
pub mod tune;
mod weights;

use std::process::ExitCode;

use crate::args::{Args, Command, CompareArgs};

/// Runs a command.
///
/// # Errors
/// Any error of the command; [`crate::error::report`] turns it into a message and an exit code.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        None => compare::run(&CompareArgs::default()),
        Some(Command::Train(args)) => train::run(&args),
        Some(Command::Evaluate(args)) => evaluate::run(&args),
        Some(Command::Merge(args)) => merge::run(&args),
        Some(Command::Tune(args)) => tune::run(&args),
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Sample(args)) => sample::run(&args),
        Some(Command::Inpaint(args)) => inpaint::run(&args),
        Some(Command::Encode(args)) => encode::run(&args),
        Some(Command::Classify(args)) => classify::run(&args),
        Some(Command::Reconstruct(args)) => encode::reconstruct(&args),
        Some(Command::Filters(args)) => filters::run(&args),
        Some(Command::Regimes { command }) => regimes::run(&command),
        Some(Command::Export(args)) => export::run(&args),
        Some(Command::Data { command }) => data::run(command),
        Some(Command::Models(args)) => models::run(&args),
        Some(Command::Devices { json }) => devices::run(json),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Serve(args)) => serve::run(&args),
    }
}
