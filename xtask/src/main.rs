//! Project automation: `cargo xtask --help`.

mod bench;
mod ci;
mod exit;
mod tidy;
mod workspace;

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
    Ci(ci::Ci),
    Tidy(tidy::Tidy),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(bench) => bench.run(),
        Command::Ci(ci) => ci.run(),
        Command::Tidy(tidy) => tidy.run(),
    };
    exit::code(result)
}
