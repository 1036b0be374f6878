//! Lines on standard output, which are a command's results, and on standard error.

use std::fmt;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::process::exit;

/// Prints to standard output. A reader that has gone away ends the program in peace, any other
/// failure ends it with exit code 1: a result must not be lost in silence.
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

/// `println!` by [`write_out`].
macro_rules! say {
    ($($text:tt)*) => {{
        $crate::console::write_out(format_args!($($text)*));
        $crate::console::write_out(format_args!("\n"));
    }};
}
pub(crate) use say;

/// Prints a line on standard error. One that was closed, or a terminal that went away, must not end the run.
pub(crate) fn print(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
