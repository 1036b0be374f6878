//! One file per command.

pub(crate) mod chains;
pub mod check;
pub mod compare;
pub mod data;
pub mod devices;
pub mod doctor;
pub mod encode;
mod epoch;
pub mod evaluate;
pub mod export;
pub(crate) mod found;
mod initial;
pub mod inpaint;
pub mod merge;
mod part_file;
pub mod resume;
pub mod sample;
pub(crate) mod score;
pub mod serve;
pub mod shard;
pub(crate) mod test_rows;
pub mod train;
pub mod trained;
mod weights;

use std::error::Error;
use std::process::ExitCode;

use crate::args::{Args, Command, CompareArgs};
use crate::config::count;
use crate::error::user;

/// Runs a command.
///
/// # Errors
/// Whatever the command meets; [`crate::error::report`] turns it into a sentence and an exit code.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        None => compare::run(&CompareArgs::default()),
        Some(Command::Train(args)) => train::run(&args),
        Some(Command::Evaluate(args)) => evaluate::run(&args),
        Some(Command::Merge(args)) => merge::run(&args),
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Sample(args)) => sample::run(&args),
        Some(Command::Inpaint(args)) => inpaint::run(&args),
        Some(Command::Encode(args)) => encode::run(&args),
        Some(Command::Reconstruct(args)) => encode::reconstruct(&args),
        Some(Command::Export(args)) => export::run(&args),
        Some(Command::Data { command }) => data::run(command),
        Some(Command::Devices { json }) => devices::run(json),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Serve(args)) => serve::run(&args),
    }
}

/// No run has more threads; machines have fewer cores, and systems allow few more.
pub(crate) const MOST_THREADS: usize = 4096;

/// Starts the threads that everything on the processor shares: as many as the flag `--threads` says, else one for each
/// core.
///
/// # Errors
/// If the number makes no sense, or the system does not give so many.
pub(crate) fn use_threads(threads: Option<i64>) -> anyhow::Result<()> {
    let mut pool = rayon::ThreadPoolBuilder::new();
    if let Some(threads) = threads {
        let threads = count("--threads", threads)?;
        check_threads("--threads", threads)?;
        pool = pool.num_threads(threads);
    }
    // Rayon would start them at their first use as well, and panic where it cannot.
    pool.build_global().or_else(|error| match (error.source(), threads) {
        (Some(cause), Some(threads)) => Err(user(format!(
            "--threads {threads}: so many threads could not be started ({cause}); ask for fewer, or raise the limit of \
             the system (ulimit -u, ulimit -v)"
        ))),
        (Some(cause), None) => Err(user(format!(
            "threads could not be started ({cause}); ask for fewer by --threads, or raise the limit of the system \
             (ulimit -u, ulimit -v)"
        ))),
        (None, Some(_)) => Err(anyhow::anyhow!("threads could not be started: {error}")),
        // They have been started before.
        (None, None) => Ok(()),
    })
}

/// Refuses a number of threads that no machine has.
///
/// # Errors
/// If it is zero or above [`MOST_THREADS`].
pub(crate) fn check_threads(name: &str, threads: usize) -> anyhow::Result<()> {
    if (1..=MOST_THREADS).contains(&threads) {
        return Ok(());
    }
    Err(user(format!(
        "{name} {threads}: must be from 1 to {MOST_THREADS}; leave it out for one thread on each core"
    )))
}
