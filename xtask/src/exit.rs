//! How the program ends, and what it prints last.

use std::io::{self, Write};
use std::process::ExitCode;

use helmholtz_cli::error::report;
use thiserror::Error;

/// A failure that has been reported already, with the exit code to pass on.
#[derive(Debug, Error)]
#[error("exit code {0}")]
pub(crate) struct Reported(pub(crate) u8);

/// The exit code of a result. Prints its error on standard error.
pub(crate) fn code(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    if let Some(Reported(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    report(&error)
}

/// Prints `text` on standard output. A closed pipe is not an error: its reader has read enough.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints a line of progress on standard error.
pub(crate) fn progress(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
