//! Burn's terminal dashboard, whose stop key goes to the run's [`Stop`].

use std::any::Any;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::MetricDefinition;
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};
use burn::train::{Interrupter, LearnerSummary};

use crate::stop::{Request, Stop};
use crate::terminal::{self, Terminal, survive_its_loss};

/// The panic message of every thread that talks to the dashboard after "stop immediately" was chosen.
const KILLED: &str = "Killing training from user input.";

/// The dashboard with an interrupter of its own.
///
/// It resets its interrupter when it closes. If that were the learner's, its stop and its error would be lost.
pub(crate) struct Dashboard {
    /// `None` once it has failed.
    tui: Option<TuiMetricsRendererWrapper>,
    asked: Interrupter,
    stop: Stop,
    /// The only strong reference, so it lives as long as the dashboard.
    _alive: Arc<()>,
}

/// Restores the terminal when it is dropped, also after a panic in a training step.
pub(crate) struct Restored {
    terminal: Terminal,
    dashboard: Weak<()>,
}

impl Drop for Restored {
    fn drop(&mut self) {
        // While a panic unwinds, another thread is about to close the dashboard.
        for _ in 0..100 {
            if self.dashboard.strong_count() == 0 {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.terminal.restore();
    }
}

impl Dashboard {
    /// Takes over the screen; `epoch` is the one that the run resumes from.
    pub(crate) fn open(stop: Stop, epoch: Option<usize>, terminal: Terminal) -> (Self, Restored) {
        survive_its_loss();
        let asked = Interrupter::new();
        let tui = Some(TuiMetricsRendererWrapper::new(asked.clone(), epoch));
        terminal.answer_ctrl_c();
        let alive = Arc::new(());
        let restored = Restored { terminal, dashboard: Arc::downgrade(&alive) };
        (Dashboard { tui, asked, stop, _alive: alive }, restored)
    }

    /// Sends an event to the dashboard, and checks what was typed there.
    fn tell<R>(&mut self, event: impl FnOnce(&mut TuiMetricsRendererWrapper) -> R) -> Option<R> {
        let tui = self.tui.as_mut()?;
        match catch_unwind(AssertUnwindSafe(|| event(tui))) {
            Ok(answer) => {
                self.listen();
                Some(answer)
            }
            Err(panic) => {
                // Dropping it would send it one more event.
                std::mem::forget(self.tui.take());
                self.failed(&*panic);
                None
            }
        }
    }

    fn listen(&self) {
        if self.asked.should_stop() {
            self.stop.ask(Request::Quit);
        }
    }

    fn failed(&self, panic: &(dyn Any + Send)) {
        let text = panic.downcast_ref::<&str>().copied();
        match text.or(panic.downcast_ref::<String>().map(String::as_str)) {
            Some(KILLED) => self.stop.ask(Request::Quit),
            text => self.stop.fail(format!("the dashboard failed ({})", text.unwrap_or("no message"))),
        }
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        let Some(tui) = self.tui.take() else { return };
        if thread::panicking() {
            return drop(tui);
        }
        // The dashboard's thread reads keys, and never returns from that if the terminal has gone away.
        let closing = thread::spawn(move || drop(tui));
        while !closing.is_finished() && !terminal::is_gone() {
            thread::sleep(Duration::from_millis(2));
        }
        if closing.is_finished()
            && let Err(panic) = closing.join()
        {
            self.failed(&*panic);
        }
        self.listen();
    }
}

/// Methods that pass their arguments on to the dashboard.
macro_rules! tell {
    ($($method:ident($($heard:ident: $type:ty),*);)+) => {
        $(fn $method(&mut self $(, $heard: $type)*) {
            self.tell(|tui| tui.$method($($heard),*));
        })+
    };
}

impl MetricsRendererTraining for Dashboard {
    tell! {
        update_train(state: MetricState);
        update_valid(state: MetricState);
    }

    fn on_train_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
        self.listen();
        self.tell(|tui| tui.on_train_end(summary)).unwrap_or(Ok(()))
    }
}

impl MetricsRendererEvaluation for Dashboard {
    tell! {
        update_test(name: EvaluationName, state: MetricState);
    }

    fn on_test_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
        self.tell(|tui| tui.on_test_end(summary)).unwrap_or(Ok(()))
    }
}

impl TrainingProgressLogger for Dashboard {
    tell! {
        start(epochs: usize, first: usize, items: Option<usize>, label: Option<&str>);
        update_epoch(epoch: usize);
        start_split(split: &str, items: usize);
        update_split(items: usize);
        end_split();
        end();
        log_event_training(event: String);
    }
}

impl EvaluationProgressLogger for Dashboard {
    tell! {
        start_global_progress(tests: usize);
        start_test(name: &str, items: usize);
        update_test_progress(items: usize);
        end_test();
        end_global_progress();
        log_event_evaluation(event: String);
    }
}

impl MetricsRenderer for Dashboard {
    tell! {
        manual_close();
        register_metric(definition: MetricDefinition);
    }
}
