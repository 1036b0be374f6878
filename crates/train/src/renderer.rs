//! A renderer that draws nothing: it passes the number of steps on. Lines come from the records of epochs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::MetricDefinition;
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};

use crate::terminal::Terminal;

/// Called with the number of steps taken so far.
pub type OnStep = Box<dyn FnMut(u64) + Send + Sync>;

/// How a run shows its progress.
pub enum Progress {
    /// Not at all, apart from the records of epochs.
    Silent,
    /// By calling back after every batch.
    Steps(OnStep),
    /// By Burn's dashboard, on a terminal whose state was saved before.
    Dashboard(Terminal),
}

/// No dashboard.
pub(crate) struct Plain {
    pub(crate) on_step: Option<OnStep>,
    pub(crate) steps: Arc<AtomicU64>,
}

impl MetricsRendererTraining for Plain {
    fn update_train(&mut self, _state: MetricState) {}
    fn update_valid(&mut self, _state: MetricState) {}
}

impl MetricsRendererEvaluation for Plain {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}
}

impl TrainingProgressLogger for Plain {
    fn start(&mut self, _epochs: usize, _first: usize, _items: Option<usize>, _label: Option<&str>) {}
    fn update_epoch(&mut self, _epoch: usize) {}
    fn start_split(&mut self, _split: &str, _items: usize) {}
    fn update_split(&mut self, _items: usize) {
        if let Some(on_step) = &mut self.on_step {
            on_step(self.steps.load(Ordering::SeqCst));
        }
    }
    fn end_split(&mut self) {}
    fn end(&mut self) {}
    fn log_event_training(&mut self, _event: String) {}
}

impl EvaluationProgressLogger for Plain {
    fn start_global_progress(&mut self, _tests: usize) {}
    fn start_test(&mut self, _name: &str, _items: usize) {}
    fn update_test_progress(&mut self, _items: usize) {}
    fn end_test(&mut self) {}
    fn end_global_progress(&mut self) {}
    fn log_event_evaluation(&mut self, _event: String) {}
}

impl MetricsRenderer for Plain {
    fn manual_close(&mut self) {}
    fn register_metric(&mut self, _definition: MetricDefinition) {}
}
