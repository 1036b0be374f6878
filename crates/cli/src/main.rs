//! The `helmholtz` binary.

use std::process::ExitCode;

/// Large buffers come and go at every step. The system's allocator hands them back to the kernel
/// and pays for the page faults again, which costs a third of a training step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    helmholtz_cli::memory::keep();
    helmholtz_cli::main()
}
