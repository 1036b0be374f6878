//! Prints the results of a command to standard output, and other lines to standard error.

use std::fmt;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::process::exit;

/// Prints to standard output. If the reader has closed the pipe, the program ends with exit code 0. Any other failure
/// ends it with exit code 1, so that no result is lost silently.
pub(crate) fn write_out(text: fmt::Arguments<'_>) {
    match stdout().write_fmt(text) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(0),
        Err(error) => {
            let _ = writeln!(stderr(), "error: standard output: {error}");
            exit(1);
        }
    }
}

/// `println!` through [`write_out`].
macro_rules! say {
    ($($text:tt)*) => {{
        $crate::console::write_out(format_args!($($text)*));
        $crate::console::write_out(format_args!("\n"));
    }};
}
pub(crate) use say;

/// Prints a line on standard error. Failures are ignored: a closed stream or a lost terminal must not end the run.
pub(crate) fn print(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
