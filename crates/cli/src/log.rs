//! What the program reports besides its results: warnings on standard error, and everything from info level up in a
//! run's `experiment.log`.
//!
//! `HELMHOLTZ_LOG` (`off`, `error`, `warn`, `info`, `debug`, `trace`) sets what standard error shows.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// Until there is a run folder, up to this many bytes of reports are held in memory.
const MAX_HELD: usize = 1 << 20;

static JOURNAL: Mutex<Journal> = Mutex::new(Journal::Held(Vec::new()));

/// Where the reports for the log file go.
enum Journal {
    Held(Vec<u8>),
    File(File),
}

/// Starts reporting; called once per process.
pub(crate) fn start() {
    let level = std::env::var("HELMHOLTZ_LOG").ok().and_then(|level| {
        let known = level.parse().ok();
        if known.is_none() {
            eprintln!("warning: HELMHOLTZ_LOG={level}: unknown; use off, error, warn, info, debug or trace");
        }
        known
    });
    let own = |level| {
        let crates = ["helmholtz_cli", "helmholtz_datasets", "helmholtz_train"];
        crates.into_iter().fold(Targets::new(), |targets, name| targets.with_target(name, level))
    };
    let shown = tracing_subscriber::fmt::layer()
        .without_time()
        // If standard error is closed, the layer would report the failure on standard error, and panic.
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .with_filter(own(level.unwrap_or(LevelFilter::WARN)));
    // Burn's learner reports every iteration at info level.
    let kept = Targets::new().with_default(LevelFilter::INFO).with_target("burn_train", LevelFilter::WARN);
    let kept = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(|| ToJournal).with_filter(kept);
    let _ = tracing_subscriber::registry().with(shown).with(kept).try_init();
}

/// Writes the reports held so far to a file, and all later ones after them.
pub(crate) fn keep_in(mut file: File) -> io::Result<()> {
    let mut journal = journal();
    if let Journal::Held(held) = &mut *journal {
        file.write_all(&mem::take(held))?;
    }
    *journal = Journal::File(file);
    Ok(())
}

fn journal() -> MutexGuard<'static, Journal> {
    JOURNAL.lock().unwrap_or_else(PoisonError::into_inner)
}

struct ToJournal;

impl Write for ToJournal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *journal() {
            Journal::File(file) => return file.write(bytes),
            Journal::Held(held) if held.len() + bytes.len() <= MAX_HELD => held.extend_from_slice(bytes),
            Journal::Held(_) => {}
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
