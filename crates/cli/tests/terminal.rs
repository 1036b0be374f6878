//! How a training run on a terminal stops: the exit code, what is left of the run, and the terminal itself.

#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::common::{fail, helmholtz, succeed};
use nix::fcntl::OFlag;
use nix::libc;
use nix::pty::{Winsize, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::{Pid, setsid};
use tempfile::{TempDir, tempdir};

nix::ioctl_write_int_bad!(
    /// Makes the terminal the one that governs the session.
    make_controlling_terminal,
    libc::TIOCSCTTY
);
nix::ioctl_write_ptr_bad!(
    /// Sets the rows and columns of a terminal.
    set_size,
    libc::TIOCSWINSZ,
    Winsize
);

/// Both sides of a terminal. Programs that other tests start do not inherit it: they would keep it from hanging up.
fn open_terminal() -> std::io::Result<[File; 2]> {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname_r(&master)?;
    let terminal = File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open(name)?;
    let size = Winsize { ws_row: 30, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open, and the call reads a `Winsize`.
    unsafe { set_size(terminal.as_raw_fd(), &size) }?;
    Ok([OwnedFd::from(master).into(), terminal])
}

/// A run of a second or two, into `run`.
const TRAIN: &str = "train --strategy ws --dataset lines/3x3 --batch 1000 --layers 3 --epochs 30 --out run \
                     --set train.valid_samples=5 --set train.final_samples=5";

/// A program on a terminal of its own.
struct Session {
    child: Child,
    keyboard: File,
    terminal: File,
    before: Termios,
    output: JoinHandle<Vec<u8>>,
    /// Whether nobody reads the output any more.
    gone: Arc<AtomicBool>,
}

/// How a program ended, and what it had written by then.
struct Ended {
    code: Option<i32>,
    output: String,
}

impl Session {
    fn start(folder: &Path, mut command: Command) -> Self {
        let [keyboard, terminal] = open_terminal().unwrap();
        let before = tcgetattr(&terminal).unwrap();
        let end = || terminal.try_clone().unwrap();
        command.current_dir(folder).stdin(end()).stdout(end()).stderr(end());
        // SAFETY: all are system calls that may be made between fork and exec.
        unsafe {
            command.pre_exec(|| {
                // The process that runs the tests may ignore this signal, and a child inherits that.
                signal(Signal::SIGHUP, SigHandler::SigDfl)?;
                setsid()?;
                make_controlling_terminal(0, 0)?;
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        let mut screen = keyboard.try_clone().unwrap();
        let gone = Arc::new(AtomicBool::new(false));
        let leaves = gone.clone();
        let output = thread::spawn(move || {
            let (mut all, mut some) = (Vec::new(), [0; 4096]);
            // Reading fails once the other end is closed.
            while let Ok(n @ 1..) = screen.read(&mut some) {
                all.extend(&some[..n]);
                if leaves.load(Ordering::SeqCst) {
                    break;
                }
            }
            all
        });
        Session { child, keyboard, terminal, before, output, gone }
    }

    fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Waits until the program has ended, and checks that the terminal is as it was.
    fn end(mut self) -> Ended {
        let code = wait(&mut self.child, Duration::from_secs(60));
        assert_eq!(tcgetattr(&self.terminal).unwrap(), self.before, "the modes of the terminal");
        drop(self.terminal);
        let output = String::from_utf8_lossy(&self.output.join().unwrap()).into_owned();
        // The alternate screen, and a hidden cursor.
        for (on, off) in [("\x1b[?1049h", "\x1b[?1049l"), ("\x1b[?25l", "\x1b[?25h")] {
            assert!(output.rfind(on) <= output.rfind(off), "{on:?} is never undone:\n{output:?}");
        }
        Ended { code, output }
    }
}

fn wait(child: &mut Child, limit: Duration) -> Option<i32> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if start.elapsed() > limit {
            child.kill().unwrap();
            panic!("still running after {limit:?}");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until the run has `n` records: two for every epoch.
fn wait_for_records(folder: &Path, n: usize) {
    let start = Instant::now();
    while fs::read_to_string(folder.join("run/metrics.jsonl")).unwrap_or_default().lines().count() < n {
        assert!(start.elapsed() < Duration::from_secs(60), "no record {n}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn train(more: &str) -> Command {
    let mut command = helmholtz();
    command.args(TRAIN.split_whitespace()).args(more.split_whitespace());
    command
}

/// The same, in a shell that has run `first`.
fn train_after(first: &str, more: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{first}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_helmholtz")]);
    command.args(TRAIN.split_whitespace()).args(more.split_whitespace());
    command
}

/// The records of an undisturbed run.
fn undisturbed() -> &'static [u8] {
    static RECORDS: OnceLock<Vec<u8>> = OnceLock::new();
    RECORDS.get_or_init(|| {
        let folder = tempdir().unwrap();
        succeed(folder.path(), &format!("{TRAIN} --quiet").split_whitespace().collect::<Vec<_>>());
        fs::read(folder.path().join("run/metrics.jsonl")).unwrap()
    })
}

/// Resumes the run in `folder` and checks that it ends as if it had never been stopped.
fn goes_on(folder: &Path) {
    let records = || fs::read(folder.join("run/metrics.jsonl")).unwrap();
    assert!(records().len() < undisturbed().len(), "the run was stopped before its end");
    succeed(folder, &["train", "--resume", "--out", "run", "--quiet"]);
    assert!(records() == undisturbed(), "the records differ from those of a run that was never stopped");
}

/// Runs to the second epoch, then `stop`s, without the dashboard and with it.
fn check(stop: impl Fn(&mut Session, &str), code: i32, reason: &str) {
    for tui in ["", "--tui"] {
        let folder = tempdir().unwrap();
        let folder = folder.path();
        let mut session = Session::start(folder, train(tui));
        wait_for_records(folder, 4);
        stop(&mut session, tui);
        let Ended { code: found, output } = session.end();
        assert_eq!(found, Some(code), "{tui}: {output}");
        assert_eq!(output.contains("\x1b[?1049h"), !tui.is_empty(), "only --tui takes the screen");
        let hint = format!("({reason}); go on with `helmholtz train --resume --out run`");
        assert!(output.contains(&hint), "{tui}: {output}");
        goes_on(folder);
    }
}

#[test]
fn the_key_ctrl_c_stops_a_run_that_goes_on() {
    check(|session, _| session.press(b"\x03"), 130, "Ctrl-C");
}

#[test]
fn sigterm_stops_a_run_that_goes_on() {
    check(|session, _| session.signal(Signal::SIGTERM), 143, "SIGTERM");
}

#[test]
fn sighup_stops_a_run_that_goes_on() {
    check(|session, _| session.signal(Signal::SIGHUP), 129, "SIGHUP");
}

#[test]
fn the_key_q_of_the_dashboard_stops_a_run_that_goes_on() {
    // The dashboard asks what to do: s stops the run, and k stops the dashboard and everything that talks to it.
    for keys in ["qs", "qk"] {
        let folder = tempdir().unwrap();
        let folder = folder.path();
        let mut session = Session::start(folder, train("--tui"));
        wait_for_records(folder, 4);
        session.press(keys.as_bytes());
        let Ended { code, output } = session.end();
        assert_eq!(code, Some(130), "{keys}: {output}");
        assert!(output.contains("(q); go on with `helmholtz train --resume --out run`"), "{keys}: {output}");
        goes_on(folder);
    }
}

#[test]
fn a_full_disk_is_an_error_that_names_the_file_and_the_run_goes_on_later() {
    for tui in ["", "--tui"] {
        let folder = tempdir().unwrap();
        let folder = folder.path();
        // No file may pass 8 KiB: the records do, after 28 epochs. The checkpoints do not.
        let session = Session::start(folder, train_after("trap '' XFSZ; ulimit -f 16", tui));
        let Ended { code, output } = session.end();
        assert_eq!(code, Some(1), "{tui}: {output}");
        for words in ["error: training stopped: ", "metrics.jsonl: File too large", "--resume --out run`"] {
            assert!(output.contains(words), "{tui}: no `{words}`: {output}");
        }
        assert!(!output.contains("best epoch"), "{tui}: a result of a run that failed: {output}");
        goes_on(folder);
    }
}

#[test]
fn a_checkpoint_that_cannot_be_written_is_named_with_the_cause() {
    let folder = tempdir().unwrap();
    let session = Session::start(folder.path(), train_after("trap '' XFSZ; ulimit -f 4", "--tui"));
    let Ended { code, output } = session.end();
    assert_eq!(code, Some(1), "{output}");
    // One file of the three, whichever was first.
    assert!(output.contains("training stopped: run/checkpoint/"), "{output}");
    assert!(output.contains("-1.bpk: File too large (os error "), "{output}");
    assert!(!output.contains("Checkpoint error"), "{output}");
}

#[test]
fn a_terminal_that_goes_away_leaves_a_run_that_goes_on() {
    for tui in ["", "--tui"] {
        let folder = tempdir().unwrap();
        let folder = folder.path();
        let Session { mut child, keyboard, terminal, output, gone, .. } = Session::start(folder, train(tui));
        wait_for_records(folder, 4);
        // The next output is the last that is read.
        gone.store(true, Ordering::SeqCst);
        drop((keyboard, terminal));
        assert_eq!(wait(&mut child, Duration::from_secs(60)), Some(129), "{tui}");
        output.join().unwrap();
        goes_on(folder);
    }
}

#[test]
fn under_nohup_a_run_outlives_its_terminal() {
    let folder = tempdir().unwrap();
    let session = Session::start(folder.path(), train_after("trap '' HUP", ""));
    wait_for_records(folder.path(), 4);
    session.signal(Signal::SIGHUP);
    assert_eq!(session.end().code, Some(0));
    assert!(fs::read(folder.path().join("run/metrics.jsonl")).unwrap() == undisturbed());
}

/// A run that has just begun with work that takes minutes, after `records` records.
fn busy(more: &str, records: usize) -> (TempDir, Session) {
    let folder = tempdir().unwrap();
    let mut command = helmholtz();
    command.args(TRAIN.replace("--epochs 30", "--epochs 1").split_whitespace()).args(more.split_whitespace());
    let session = Session::start(folder.path(), command);
    wait_for_records(folder.path(), records);
    thread::sleep(Duration::from_millis(400));
    (folder, session)
}

#[test]
fn a_second_signal_ends_the_program_at_once_and_gives_the_terminal_back() {
    let (_folder, mut session) = busy("--tui --set train.valid_samples=1000000", 1);
    session.signal(Signal::SIGTERM);
    thread::sleep(Duration::from_millis(200));
    assert!(session.child.try_wait().unwrap().is_none(), "a validation step takes longer");
    let start = Instant::now();
    session.press(b"\x03");
    let Ended { code, output } = session.end();
    assert_eq!(code, Some(130), "{output}");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn ctrl_c_ends_the_scoring_of_a_run_that_is_trained() {
    let (folder, mut session) = busy("--set train.final_samples=1000000", 2);
    let start = Instant::now();
    session.press(b"\x03");
    let Ended { code, output } = session.end();
    assert_eq!(code, Some(130), "{output}");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(output.contains("stopped while scoring (Ctrl-C); the run is trained"), "{output}");
    assert!(!folder.path().join("run/report.html").exists());
    succeed(folder.path(), &["evaluate", "run", "--samples", "5", "--quiet"]);
}

#[test]
fn the_dashboard_needs_a_terminal() {
    let folder = tempdir().unwrap();
    let words: Vec<&str> = TRAIN.split_whitespace().chain(["--tui"]).collect();
    fail(folder.path(), &words, 2, &["--tui: standard output is not a terminal"]);
    assert!(!folder.path().join("run").exists());
    for other in ["--quiet", "--json", "--no-tui"] {
        fail(folder.path(), &["train", "--tui", other], 2, &["--tui", other, "cannot be used with"]);
    }
}
