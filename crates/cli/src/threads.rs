//! The threads of the processor.

use std::error::Error;

use crate::config::{check_threads, count};
use crate::error::user;
use crate::memory_limit::{Limit, Need};

/// Bytes of a thread's stack.
const STACK: u64 = 2 << 20;

/// Starts the threads that all work on the processor shares: as many as the flag `--threads` says, or one per core by
/// default.
///
/// # Errors
/// If the number is out of range, or the system does not allow so many.
pub(crate) fn use_threads(threads: Option<i64>) -> anyhow::Result<()> {
    let mut pool = rayon::ThreadPoolBuilder::new();
    if let Some(threads) = threads {
        let threads = count("--threads", threads)?;
        check_threads("--threads", threads)?;
        // A thread that gets memory for its stack and for nothing else would panic.
        if let Some(limit) = Limit::of_address_space() {
            Need::default().and(format!("--threads {threads}"), threads as u64 * STACK).check(limit)?;
        }
        pool = pool.num_threads(threads);
    }
    // Rayon would start them at their first use as well, but it would panic if it could not.
    pool.build_global().or_else(|error| match (error.source(), threads) {
        (Some(cause), Some(threads)) => Err(user(format!(
            "--threads {threads}: so many threads could not be started ({cause}); ask for fewer, or raise the system's \
             limit (ulimit -u, ulimit -v)"
        ))),
        (Some(cause), None) => Err(user(format!(
            "threads could not be started ({cause}); ask for fewer with --threads, or raise the system's limit \
             (ulimit -u, ulimit -v)"
        ))),
        (None, Some(_)) => Err(anyhow::anyhow!("threads could not be started: {error}")),
        // The threads were started before.
        (None, None) => Ok(()),
    })
}
