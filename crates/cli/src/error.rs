//! Exit codes: 0 done, 1 the work failed, 2 the user's input is wrong, 130 stopped by Ctrl-C (or the key q),
//! 143 by SIGTERM, 129 by SIGHUP.

use std::fmt;
use std::process::ExitCode;

pub use helmholtz_zoo::error::{excerpt, known, shortened};

use crate::console::print;

/// An error that the user can correct: in a flag, a config or a file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UserError(pub String);

/// A user error with a message.
pub fn user(message: impl fmt::Display) -> anyhow::Error {
    anyhow::Error::new(UserError(message.to_string()))
}

/// Marks an error as one that the user can correct.
pub trait OrUser<T> {
    /// The same result, with its error as a user error.
    fn or_user(self) -> anyhow::Result<T>;
}

impl<T, E: fmt::Display> OrUser<T> for Result<T, E> {
    fn or_user(self) -> anyhow::Result<T> {
        self.map_err(user)
    }
}

/// The most bytes of a message that are printed, whatever a file puts into it.
const LONGEST_MESSAGE: usize = 8000;

/// Prints an error and returns its exit code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    print(&format!("error: {}", shortened(&format!("{error:#}"), LONGEST_MESSAGE)));
    ExitCode::from(if error.is::<UserError>() { 2 } else { 1 })
}

/// What is wrong with a TOML text, with the line if it is short enough to be shown.
pub fn toml_problem(error: &toml::de::Error, text: &str) -> String {
    let whole = error.to_string();
    if whole.lines().all(|line| line.chars().count() <= 200) {
        return whole;
    }
    let message = shortened(error.message(), 300).trim().to_owned();
    match error.span().and_then(|span| text.get(..span.start)) {
        None => message,
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            format!("line {line}, column {column}: {message}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toml_problem_shows_its_line_only_if_the_line_is_short() {
        let problem = |text: &str| toml_problem(&toml::from_str::<toml::Table>(text).unwrap_err(), text);
        assert!(problem("a = 1\nb = = 2\n").contains("2 | b = = 2"));
        let long = problem(&format!("a = 1\nb = \"{}\" x\n", "y".repeat(100_000)));
        assert!(long.starts_with("line 2, column ") && long.len() < 400, "{long}");
    }
}
