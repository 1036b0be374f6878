//! This program as a child process with a time limit.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::workspace;

/// `helmholtz` with these arguments, as a separate process.
pub(super) struct Child<'a> {
    pub(super) words: &'a [&'a str],
    /// Where standard error goes.
    pub(super) log: &'a Path,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself, with what it printed on standard output.
    Itself { code: i32, printed: String },
    /// By its time limit.
    Stopped,
}

/// How often to check whether it has ended.
const TICK: Duration = Duration::from_millis(50);

impl Child<'_> {
    /// Waits for it to end, but no longer than the limit.
    pub(super) fn wait(&self, limit: Duration) -> anyhow::Result<Ended> {
        let log = File::create(self.log).with_context(|| self.log.display().to_string())?;
        let mut process = Command::new(workspace::program()?)
            .arg("helmholtz")
            .args(self.words)
            // This pipe stays open while this process waits. When it closes, the child ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("cannot start this program again")?;
        let mut stdout = process.stdout.take().context("the process has no standard output")?;
        // Another thread reads: a full pipe would block the child.
        let reader = thread::spawn(move || {
            let mut printed = String::new();
            stdout.read_to_string(&mut printed).map(|_| printed)
        });
        let end = Instant::now() + limit;
        let status = loop {
            if let Some(status) = process.try_wait()? {
                break Some(status);
            }
            if Instant::now() >= end {
                break None;
            }
            thread::sleep(TICK);
        };
        let Some(status) = status else {
            process.kill()?;
            process.wait()?;
            return Ok(Ended::Stopped);
        };
        let printed = reader.join().map_err(|_| anyhow::anyhow!("cannot read what it printed"))??;
        // A child without an exit code was ended by a signal.
        Ok(Ended::Itself { code: status.code().unwrap_or(-1), printed })
    }
}
