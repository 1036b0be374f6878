//! What ends a run before its last step.
//!
//! Burn's [`Interrupter`] also carries a stop, but everyone who holds one may reset it. The dashboard does so when it
//! closes, and then the reason and the error are lost. A [`Stop`] keeps them, and a run decides from it how it ended.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::train::Interrupter;
use thiserror::Error;

/// Who asked a run to stop.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Request {
    /// SIGINT: Ctrl-C.
    #[error("Ctrl-C")]
    Interrupt,
    /// SIGTERM: a scheduler, or `kill`.
    #[error("SIGTERM")]
    Terminate,
    /// SIGHUP: the terminal went away.
    #[error("SIGHUP")]
    Hangup,
    /// The key q of the dashboard.
    #[error("q")]
    Quit,
}

impl Request {
    /// The exit code of a program that stops on this request: 128 and the number of the signal.
    pub fn exit_code(self) -> u8 {
        match self {
            Request::Interrupt | Request::Quit => 130,
            Request::Terminate => 143,
            Request::Hangup => 129,
        }
    }
}

/// A number that is not finite.
#[derive(Clone, Debug, PartialEq)]
pub struct NonFinite {
    /// The name of the quantity.
    pub quantity: String,
    /// The value: NaN or an infinity.
    pub value: f64,
    /// The training step, from zero, or `None` in validation.
    pub step: Option<u64>,
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(step) => write!(f, "{} is {} at step {step}", self.quantity, self.value),
            None => write!(f, "the validation {} is {}", self.quantity, self.value),
        }
    }
}

/// Why a run stops.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("{0}")]
pub enum Reason {
    /// Somebody asked for it.
    Asked(Request),
    /// A number was not finite.
    NonFinite(NonFinite),
    /// Something failed; the message names the file and the cause.
    Failed(String),
}

/// Stops a run, and keeps the reason. Clones share it.
#[derive(Clone, Default)]
pub struct Stop {
    reason: Arc<Mutex<Option<Reason>>>,
    interrupter: Interrupter,
}

impl Stop {
    /// A stop that nothing has asked for yet.
    pub fn new() -> Self {
        Stop::default()
    }

    /// Stops the run. The first reason is kept, except that an error replaces a request.
    pub fn record(&self, reason: Reason) {
        let mut kept = self.lock();
        let replaces = match &*kept {
            None => true,
            Some(Reason::Asked(_)) => !matches!(reason, Reason::Asked(_)),
            Some(_) => false,
        };
        self.interrupter.stop(Some(&reason.to_string()));
        if replaces {
            *kept = Some(reason);
        }
    }

    /// Stops the run on a request.
    pub fn ask(&self, request: Request) {
        self.record(Reason::Asked(request));
    }

    /// Stops the run on an error.
    pub fn fail(&self, message: impl Into<String>) {
        self.record(Reason::Failed(message.into()));
    }

    /// Why the run stops, if it does.
    pub fn reason(&self) -> Option<Reason> {
        self.lock().clone()
    }

    /// The interrupter of Burn's learner.
    pub(crate) fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Reason>> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stands_when_burn_resets_its_interrupter() {
        let stop = Stop::new();
        stop.ask(Request::Terminate);
        stop.ask(Request::Interrupt);
        stop.interrupter().reset();
        assert_eq!(stop.reason(), Some(Reason::Asked(Request::Terminate)));
    }

    #[test]
    fn an_error_replaces_a_request_and_is_not_replaced() {
        let stop = Stop::new();
        stop.ask(Request::Quit);
        stop.fail("the disk is full");
        stop.ask(Request::Interrupt);
        stop.fail("the disk is still full");
        assert_eq!(stop.reason(), Some(Reason::Failed("the disk is full".into())));
        assert!(stop.interrupter().should_stop());
    }
}
