//! The limits of what a config or a flag may ask for.

use helmholtz_zoo::limits::LARGEST;

use crate::error::{OrUser, excerpt, known, user};

/// The most threads of a run. Machines have fewer cores, and systems allow few more threads.
const MOST_THREADS: usize = 4096;

/// Refuses an unknown name, with the nearest known one.
pub(super) fn check_name(key: &str, value: &str, names: &[&str]) -> anyhow::Result<()> {
    if names.contains(&value) {
        return Ok(());
    }
    Err(user(format!("{key} = \"{}\": unknown; {}", excerpt(value), known(value, names))))
}

/// A count from a flag. The error for a negative count names the flag instead of a type.
///
/// # Errors
/// If it is below zero or above 2^30.
pub fn count(flag: &str, value: i64) -> anyhow::Result<usize> {
    if value > LARGEST as i64 {
        return Err(user(format!("{flag} {value}: must not be above {LARGEST}")));
    }
    usize::try_from(value).map_err(|_| format!("{flag} {value}: must not be negative")).or_user()
}

/// Refuses a number of threads that no machine has.
///
/// # Errors
/// If it is zero or above [`MOST_THREADS`].
pub(crate) fn check_threads(name: &str, threads: usize) -> anyhow::Result<()> {
    if (1..=MOST_THREADS).contains(&threads) {
        return Ok(());
    }
    Err(user(format!(
        "{name} {threads}: must be from 1 to {MOST_THREADS}; leave it out for one thread on each core"
    )))
}
