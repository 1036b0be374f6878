//! Exit codes: 0 done, 1 the work failed, 2 the user's input is wrong, 130 stopped by Ctrl-C (or the key q),
//! 143 by SIGTERM, 129 by SIGHUP.

use std::fmt;
use std::process::ExitCode;

/// Something that the user can set right: a flag, a config, a file.
#[derive(Debug)]
pub struct UserError(pub String);

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UserError {}

/// A user error from a sentence.
pub fn user(message: impl fmt::Display) -> anyhow::Error {
    anyhow::Error::new(UserError(message.to_string()))
}

/// Marks an error as one that the user can set right.
pub trait OrUser<T> {
    /// The same result, its error being the user's.
    fn or_user(self) -> anyhow::Result<T>;
}

impl<T, E: fmt::Display> OrUser<T> for Result<T, E> {
    fn or_user(self) -> anyhow::Result<T> {
        self.map_err(user)
    }
}

/// Prints an error and gives its exit code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    crate::screen::print(&format!("error: {error:#}"));
    ExitCode::from(if error.is::<UserError>() { 2 } else { 1 })
}

/// Prints to standard output. A reader that has gone away ends the program in peace, any other
/// failure ends it with exit code 1: a result must not be lost in silence.
pub fn write_out(text: fmt::Arguments<'_>) {
    use std::io::Write;
    match std::io::stdout().write_fmt(text) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: standard output: {error}");
            std::process::exit(1);
        }
    }
}

/// `println!` by [`write_out`].
macro_rules! say {
    ($($text:tt)*) => {{
        $crate::error::write_out(format_args!($($text)*));
        $crate::error::write_out(format_args!("\n"));
    }};
}
pub(crate) use say;

/// The known names, and the nearest of them to `name`: the end of a sentence about an unknown name.
pub fn known(name: &str, names: &[&str]) -> String {
    let nearest = names
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&name.to_lowercase(), known), known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 3)
        .min();
    let hint = nearest.map(|(_, known)| format!("; did you mean `{known}`?")).unwrap_or_default();
    format!("known: {}{hint}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        assert!(known("rsw", &["ws", "rws"]).ends_with("did you mean `rws`?"));
        assert_eq!(known("transformer", &["ws", "rws"]), "known: ws, rws");
    }
}
