//! Project automation: `cargo xtask --help`.

mod bench;
mod ci;
mod exit;
mod figure;
mod gpu;
mod output;
mod reproduce;
mod tidy;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

// The system allocator gives every large buffer back at once, and the page faults of taking it
// again cost a third of a training step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Project automation: benchmarks, the checks, the layout.
///
/// Exit codes: 0 done; 1 the work failed; 2 the command line is wrong.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Bench(bench::Bench),
    Reproduce(reproduce::Reproduce),
    Figure(figure::Figure),
    Gpu(gpu::Gpu),
    Ci(ci::Ci),
    Tidy(tidy::Tidy),
    /// The program itself, so that a row can be run without a second build.
    #[command(hide = true, disable_help_flag = true)]
    Helmholtz {
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    helmholtz_cli::memory::keep();
    let result = match Cli::parse().command {
        Command::Bench(bench) => bench.run(),
        Command::Reproduce(reproduce) => reproduce.run(),
        Command::Figure(figure) => figure.run(),
        Command::Gpu(gpu) => gpu.run(),
        Command::Ci(ci) => ci.run(),
        Command::Tidy(tidy) => tidy.run(),
        Command::Helmholtz { args } => {
            // Who started this holds the other end: when that is gone, so is what this is for.
            std::thread::spawn(|| {
                let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
                std::process::exit(130);
            });
            return helmholtz_cli::run(std::iter::once("helmholtz".into()).chain(args));
        }
    };
    exit::code(result)
}
