//! The `helmholtz` command line.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`args`] | the commands and their flags |
//! | [`config`] | the config file, its defaults and its checks |
//! | [`data_facts`] | what a model needs to know about its data |
//! | [`device`] | the one list of backends |
//! | [`registry`] | the families that the program knows |
//! | [`assemble`] | makes the data, model, strategy and optimiser of a config |
//! | [`run_folder`] | the files of a run |
//! | [`output`] | files that the user names for results |
//! | `provenance` | what a run was started with, and whether that has changed |
//! | `tensors` | safetensors files: sealed by a hash, with the same bytes for the same content |
//! | [`commands`] | one file per command |
//! | [`memory_limit`] | estimates of the memory of a command, before it is allocated |
//! | [`picture`], [`npy`], [`report`], [`chart`] | output other than text |
//! | [`error`] | exit codes |
//! | `console` | lines on standard output and standard error |
//! | `screen`, `signals` | what a training run shows while it runs, and how signals stop it |
//! | `threads` | how many of the processor's cores a command uses |
//! | `shell` | quoted paths in commands that a message offers |
//!
//! ```
//! use helmholtz_cli::config::{Config, Overlay};
//!
//! let config = Config::resolve(None, &Overlay::default().set("train.batch", 50)).unwrap();
//! assert_eq!((config.spec.model.kind(), config.spec.strategy.samples(), config.train.batch), ("sbn", 10, 50));
//! ```

pub mod args;
pub mod assemble;
pub mod chart;
pub mod commands;
pub mod config;
mod console;
pub mod data_facts;
pub mod device;
pub mod error;
mod log;
pub mod memory;
pub mod memory_limit;
pub mod npy;
pub mod output;
pub mod picture;
mod provenance;
pub mod registry;
pub mod report;
pub mod run_folder;
mod screen;
mod shell;
mod signals;
mod tensors;
mod threads;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// The same in a program that knows other families. It can be called only once.
pub fn main_with(registry: helmholtz_zoo::Registry) -> ExitCode {
    registry::install(registry);
    main()
}

/// Runs a command line; its first word is the program's name.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = args::Args::of_words(words);
    log::start();
    match catch_unwind(AssertUnwindSafe(|| commands::run(args))) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => error::report(&device::lost::error(Some(&error)).unwrap_or(error)),
        Err(panic) => match device::lost::error(None) {
            Some(error) => error::report(&error),
            None => resume_unwind(panic),
        },
    }
}
