//! Training through Burn's learner.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`learn`] | [`Learn`]: a model with its strategy and its evaluator, without their types |
//! | [`trainee`] | [`Trainee`]: what is trained, as a Burn learner model |
//! | [`schedule`] | stages: learning rates and settings of the strategy as functions of the step |
//! | [`rule`] | sums or means, penalties on weights, clipping |
//! | [`adam`], [`rmsprop`] | [`Adam`] and [`RmsProp`]: Burn's, in one pass over each parameter |
//! | [`average`] | averages of the weights |
//! | [`metrics`] | what is measured at every step, and what stops a run |
//! | [`history`] | [`History`]: `metrics.jsonl`, the best epoch, the patience |
//! | `chain` | the seals of the lines of `metrics.jsonl` |
//! | [`checkpoints`] | Burn's checkpoint files, sealed by a hash; which to keep; which to resume from |
//! | `earlier` | names that tensors had in checkpoints of earlier versions |
//! | [`examine`] | the parts of a checkpoint, checked before Burn's learner loads them |
//! | [`renderer`] | how a run shows its progress |
//! | [`terminal`] | the state of the terminal, to be restored |
//! | [`stop`] | [`Stop`]: what ends a run before its last step |
//! | [`fit`] | [`Fit`]: one training run |
//!
//! # How a run resumes to the bit
//!
//! Whatever decides the next step is either in Burn's checkpoint (weights, moments of the
//! optimiser, learning-rate schedule), or a pure function of the seed and the step (data order,
//! noise), or a function of `metrics.jsonl` up to the checkpoint (best epoch, patience).

pub mod adam;
pub mod average;
mod chain;
pub mod checkpoints;
mod dashboard;
mod earlier;
pub mod examine;
pub mod fit;
pub mod history;
pub mod learn;
pub mod metrics;
pub mod renderer;
pub mod rmsprop;
pub mod rule;
pub mod schedule;
pub mod stop;
pub mod terminal;
#[cfg(test)]
mod trained;
pub mod trainee;

pub use adam::Adam;
pub use average::Average;
pub use checkpoints::{CheckpointError, Checkpoints, Examined, Newest};
pub use examine::{Layout, difference, examine_parts, layout, model_record};
pub use fit::{End, Fit, FitError, Outcome, Training, check_devices};
pub use history::{BetterWord, History, HistoryError, OnRecord, Record};
pub use learn::{Learn, Pair};
pub use renderer::{OnStep, Progress};
pub use rmsprop::RmsProp;
pub use rule::Rule;
pub use schedule::{Rate, Schedule, Shape, Stages};
pub use stop::{NonFinite, Reason, Request, Stop};
pub use terminal::Terminal;
pub use trainee::{StepOutput, Trainee};
