//! The state of the terminal, to be restored after a run.

/// The modes of the terminal at some moment.
#[derive(Clone, Debug)]
pub struct Terminal {
    #[cfg(unix)]
    modes: Option<nix::sys::termios::Termios>,
}

/// Undoes what a full-screen program has switched on: mouse reports, the alternate screen, a hidden cursor.
const LEAVE: &[u8] = b"\x1b[?1006l\x1b[?1015l\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b[?1049l\x1b[?25h";

/// Keeps a panic of the dashboard from becoming an abort.
///
/// If the terminal goes away, the dashboard panics because it cannot restore it, and then prints on standard error
/// while that panic unwinds. Printing there would be a second panic.
pub(crate) fn survive_its_loss() {
    #[cfg(unix)]
    {
        let next = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            unix::silence_the_dead();
            next(info);
        }));
    }
}

/// True if the terminal that a dashboard reads keys from has gone away.
pub(crate) fn is_gone() -> bool {
    #[cfg(unix)]
    return unix::is_gone();
    #[cfg(not(unix))]
    return false;
}

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::{self, IsTerminal, Write};
    use std::thread;
    use std::time::{Duration, Instant};

    use nix::errno::Errno;
    use nix::libc;
    use nix::sys::termios::{
        LocalFlags, SetArg, SpecialCharacterIndices::VQUIT, SpecialCharacterIndices::VSUSP, Termios,
        tcgetattr, tcsetattr,
    };
    use nix::unistd::dup2_stderr;

    use super::{LEAVE, Terminal};

    /// How long to wait for raw mode. It takes milliseconds.
    const PATIENCE: Duration = Duration::from_secs(2);

    /// The modes of the terminal that the dashboard reads keys from: standard input, or else `/dev/tty`.
    fn modes() -> Option<Termios> {
        if io::stdin().is_terminal() {
            return tcgetattr(io::stdin()).ok();
        }
        tcgetattr(File::open("/dev/tty").ok()?).ok()
    }

    /// Sets the modes. Errors are ignored, because a terminal that has gone away needs no modes.
    fn set(modes: &Termios) {
        if io::stdin().is_terminal() {
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, modes);
        } else if let Ok(tty) = File::open("/dev/tty") {
            let _ = tcsetattr(tty, SetArg::TCSANOW, modes);
        }
    }

    fn same(a: &Termios, b: &Termios) -> bool {
        let flags = |t: &Termios| (t.input_flags, t.output_flags, t.control_flags, t.local_flags);
        flags(a) == flags(b)
    }

    /// Discards what is printed on standard error, if that is a terminal that has gone away.
    pub(super) fn silence_the_dead() {
        if tcgetattr(io::stderr()) == Err(Errno::EIO)
            && let Ok(nowhere) = File::options().write(true).open("/dev/null")
        {
            let _ = dup2_stderr(nowhere);
        }
    }

    /// True if there is no terminal to read keys from.
    pub(super) fn is_gone() -> bool {
        modes().is_none()
    }

    impl Terminal {
        /// The terminal as it is now.
        pub fn now() -> Self {
            Terminal { modes: modes() }
        }

        /// Waits until the dashboard has switched to raw mode, in which Ctrl-C is a byte like any other, and makes it
        /// send SIGINT again. The keys that suspend or quit stay switched off, because they would leave the terminal
        /// raw.
        pub(crate) fn answer_ctrl_c(&self) {
            let start = Instant::now();
            while let Some(mut now) = modes() {
                if !now.local_flags.contains(LocalFlags::ISIG) {
                    now.local_flags |= LocalFlags::ISIG;
                    for key in [VSUSP, VQUIT] {
                        now.control_chars[key as usize] = libc::_POSIX_VDISABLE;
                    }
                    set(&now);
                    return;
                }
                if start.elapsed() > PATIENCE {
                    return;
                }
                thread::sleep(Duration::from_millis(1));
            }
        }

        /// Restores the terminal as it was, if it has changed.
        pub fn restore(&self) {
            let (Some(then), Some(now)) = (&self.modes, modes()) else { return };
            if same(then, &now) {
                return;
            }
            // Other threads that draw write through this lock.
            let mut out = io::stdout().lock();
            let _ = out.write_all(LEAVE).and_then(|()| out.flush());
            set(then);
        }
    }
}

#[cfg(not(unix))]
impl Terminal {
    /// The terminal as it is now.
    pub fn now() -> Self {
        Terminal {}
    }

    pub(crate) fn answer_ctrl_c(&self) {}

    /// Restores the terminal as it was.
    pub fn restore(&self) {
        use std::io::Write;
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(LEAVE).and_then(|()| out.flush());
    }
}
