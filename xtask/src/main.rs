//! Project automation: `cargo xtask --help`.

mod bench;
mod book;
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

// The system allocator returns every large buffer to the system at once. The page faults of taking
// it back cost a third of a training step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Project automation: benchmarks, published results, figures and checks.
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
    Book(book::Book),
    Gpu(gpu::Gpu),
    Ci(ci::Ci),
    Tidy(tidy::Tidy),
    /// The `helmholtz` program itself, so that a row runs without a second build.
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
        Command::Book(book) => book.run(),
        Command::Gpu(gpu) => gpu.run(),
        Command::Ci(ci) => ci.run(),
        Command::Tidy(tidy) => tidy.run(),
        Command::Helmholtz { args } => {
            // The parent process holds the other end of standard input. When the parent is gone, nobody
            // needs this process.
            std::thread::spawn(|| {
                let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
                std::process::exit(130);
            });
            return helmholtz_cli::run(std::iter::once("helmholtz".into()).chain(args));
        }
    };
    exit::code(result)
}
