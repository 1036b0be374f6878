//! Signals during a training run.
//!
//! The first signal stops the training after the current step, and a second one ends the program at once. That may cut
//! the last line of a log, which `--resume` expects. It cuts no other file, because those are renamed once they are
//! complete. While a trained run is scored nothing can be lost, so the first signal ends the program.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use helmholtz_train::{Reason, Request, Stop};

use crate::console::print;
use crate::screen::Screen;

/// How long restoring the terminal may take before the program ends anyway.
const PATIENCE: Duration = Duration::from_millis(500);

/// Handles signals until the program ends.
#[derive(Clone)]
pub(crate) struct Signals(Arc<Mutex<State>>);

struct State {
    stop: Stop,
    screen: Screen,
    phase: Phase,
    signalled: bool,
}

enum Phase {
    Training,
    /// Holds what to print after a signal.
    Scoring(Box<dyn Fn(Request) -> String + Send>),
    /// The last files are being written, which takes an instant.
    Writing,
}

impl Signals {
    /// Starts to listen for signals, which stop the run through `stop`.
    ///
    /// # Errors
    /// If the system allows no handler.
    pub(crate) fn listen(stop: Stop, screen: Screen) -> io::Result<Self> {
        let signals =
            Signals(Arc::new(Mutex::new(State { stop, screen, phase: Phase::Training, signalled: false })));
        let answering = signals.clone();
        system::listen(move |request| answering.answer(request))?;
        Ok(signals)
    }

    /// The training is over: from now on a signal prints `hint` and ends the program at once. If a signal asked for a
    /// stop before that, it is returned, and the caller must act on it.
    pub(crate) fn scoring(&self, hint: impl Fn(Request) -> String + Send + 'static) -> Option<Request> {
        let mut state = self.lock();
        state.phase = Phase::Scoring(Box::new(hint));
        match state.stop.reason() {
            Some(Reason::Asked(request)) => Some(request),
            _ => None,
        }
    }

    /// The work is done: from now on only a second signal ends the program.
    pub(crate) fn writing(&self) {
        self.lock().phase = Phase::Writing;
    }

    fn answer(&self, request: Request) {
        // The lock is held while the program ends, so that the program does not go on in between.
        let mut state = self.lock();
        let again = std::mem::replace(&mut state.signalled, true);
        match &state.phase {
            Phase::Scoring(hint) => end(&state.screen, request, Some(hint(request))),
            _ if again => end(&state.screen, request, None),
            Phase::Writing => {}
            Phase::Training => {
                state.stop.ask(request);
                // In its own thread, because a terminal that blocks must not keep the next signal waiting.
                let screen = state.screen.clone();
                thread::spawn(move || {
                    screen.line("stopping after this step; interrupt again to stop at once");
                });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Restores the terminal and ends the program.
fn end(screen: &Screen, request: Request, words: Option<String>) -> ! {
    let code = request.exit_code();
    let screen = screen.clone();
    thread::spawn(move || {
        // A dashboard draws through this lock, and must not draw on the restored terminal.
        let _out = io::stdout().lock();
        screen.close();
        if let Some(words) = words {
            print(&words);
        }
        system::exit(code)
    });
    thread::sleep(PATIENCE);
    system::exit(code)
}

#[cfg(unix)]
mod system {
    use std::{io, ptr, thread};

    use helmholtz_train::Request;
    use nix::libc;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    pub(super) fn listen(mut answer: impl FnMut(Request) + Send + 'static) -> io::Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        // Under nohup a run outlives its terminal.
        if !is_ignored(SIGHUP) {
            signals.add_signal(SIGHUP)?;
        }
        thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                answer(match signal {
                    SIGTERM => Request::Terminate,
                    SIGHUP => Request::Hangup,
                    _ => Request::Interrupt,
                });
            }
        })?;
        Ok(())
    }

    fn is_ignored(signal: libc::c_int) -> bool {
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: without a new action the call changes nothing; it fills in `action`, for which any bytes are valid.
        unsafe {
            libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
                && action.assume_init().sa_sigaction == libc::SIG_IGN
        }
    }

    /// Ends the program without the exit handlers of libraries, which wait for running threads.
    pub(super) fn exit(code: u8) -> ! {
        signal_hook::low_level::exit(code.into())
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;

    use helmholtz_train::Request;

    pub(super) fn listen(mut answer: impl FnMut(Request) + Send + 'static) -> io::Result<()> {
        ctrlc::set_handler(move || answer(Request::Interrupt)).map_err(io::Error::other)
    }

    pub(super) fn exit(code: u8) -> ! {
        std::process::exit(code.into())
    }
}
