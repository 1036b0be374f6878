//! One training run.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::tensor::Device;
use burn::train::metric::store::EventStoreClient;
use burn::train::{
    EarlyStoppingStrategy, ExecutionStrategy, Learner, LearningResult, MultiDeviceOptim, SupervisedTraining,
};
use helmholtz_core::erased::Boxed;
use helmholtz_core::{Batch, Key, Scope};
use helmholtz_datasets::{Feed, OrderedRows, Plan};
use thiserror::Error;

use crate::checkpoints::{CheckpointError, Checkpoints, KeepLastAndBest};
use crate::dashboard::Dashboard;
use crate::history::{Extent, History, HistoryError, Journal, OnRecord, wait_for_records};
use crate::learn::Learn;
use crate::metrics::{Quantity, Summary};
use crate::renderer::{Plain, Progress};
use crate::rule::Rule;
use crate::stop::{NonFinite, Reason, Request, Stop};
use crate::trainee::Trainee;

/// One training run through Burn's learner, into a folder.
pub struct Fit {
    /// Holds `metrics.jsonl` and `checkpoint/`; must exist.
    pub folder: PathBuf,
    /// The devices to train on, without autodiff. If there are several, each takes a share of every batch, and the
    /// optimiser and validation run on the first.
    pub devices: Vec<Device>,
    /// The run's root key.
    pub key: Key,
    /// Rows, batch and steps.
    pub plan: Plan,
    /// Epochs between checkpoints; the best epoch and the last are kept as well.
    pub checkpoint_every: usize,
    /// Epochs without a better validation score after which the run stops.
    pub patience: Option<usize>,
    /// The epoch to resume from, if its checkpoint exists.
    pub resume: Option<usize>,
    /// How progress is shown.
    pub progress: Progress,
    /// Called with the record of each epoch and split.
    pub on_record: OnRecord,
    /// Stops the run, from outside or from within.
    pub stop: Stop,
}

/// What a run trains, and on what.
pub struct Training {
    /// The model with its strategy, freshly initialised even if a checkpoint will be loaded into it.
    pub learn: Boxed<dyn Learn>,
    /// What happens to gradients before the optimiser sees them.
    pub rule: Rule,
    /// The optimiser.
    pub optimiser: ModuleOptimizer,
    /// The learning rates.
    pub schedule: ModuleLrScheduler,
    /// The training split.
    pub train: Batch,
    /// True if the training rows are intensities, from which bits are drawn anew in every epoch.
    pub draws_bits: bool,
    /// The validation split.
    pub valid: Batch,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// All steps were taken.
    Finished,
    /// The validation score stopped improving.
    OutOfPatience,
    /// Somebody asked it to stop.
    Stopped(Request),
    /// A number was not finite.
    NonFinite(NonFinite),
}

/// A finished or stopped run.
#[derive(Debug)]
pub struct Outcome {
    /// What was trained, after the last step, on the device without autodiff.
    pub trainee: Trainee,
    /// How the run ended.
    pub end: End,
    /// The records of all epochs.
    pub history: History,
    /// Steps taken in all, including those of earlier sessions.
    pub steps: u64,
}

/// Why a run could not be carried out.
#[derive(Debug, Error)]
pub enum FitError {
    /// On several devices: something that couples the rows of a batch, or remembers from batch to batch.
    #[error("several devices: {0}")]
    Devices(String),
    /// A checkpoint is damaged or cannot be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// `metrics.jsonl` cannot be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Something failed; the message names the file and the cause.
    #[error("training stopped: {0}")]
    Training(String),
    /// The learner stopped although nothing had asked for it.
    #[error("training ended after {taken} of {planned} steps, but the learner gave no reason")]
    Early {
        /// Steps on record.
        taken: u64,
        /// Steps of the plan.
        planned: u64,
    },
}

#[derive(Clone)]
struct Patience {
    history: Arc<Mutex<History>>,
    epochs: Option<usize>,
}

impl EarlyStoppingStrategy for Patience {
    fn should_stop(&mut self, epoch: usize, store: &EventStoreClient) -> bool {
        wait_for_records(store, epoch);
        self.history.lock().expect("no thread panics while it holds the history").exhausted(self.epochs)
    }
}

impl Fit {
    /// Trains.
    ///
    /// # Errors
    /// If checkpoints or records cannot be read or written.
    pub fn run(self, parts: Training) -> Result<Outcome, FitError> {
        let Training { learn, rule, optimiser, schedule, train, draws_bits, valid } = parts;
        check_devices(self.devices.len(), &self.plan, &*learn, &rule)?;
        let parts = self.devices.len() as u64;
        let journal_path = self.folder.join("metrics.jsonl");
        let checkpoints = Checkpoints::new(self.folder.join("checkpoint"));
        let mut saved = std::collections::BTreeSet::new();
        let history = match self.resume {
            Some(epoch) => {
                let history = History::read(&journal_path, epoch)?;
                if history.last().is_none_or(|(last, _)| last != epoch) {
                    return Err(HistoryError::Short { path: journal_path, epoch }.into());
                }
                checkpoints.forget_after(epoch)?;
                saved = checkpoints.examine()?.whole;
                history
            }
            None => {
                // Remove what a run left that died while it wrote its first checkpoint.
                checkpoints.forget_after(0)?;
                History::default()
            }
        };
        history.write(&journal_path)?;
        let (first_epoch, first_step) = history.last().unwrap_or((0, 0));
        let last_epoch = first_epoch + self.plan.epochs_left(first_step);
        let done = first_step >= self.plan.steps || history.exhausted(self.patience);
        let history = Arc::new(Mutex::new(history));

        let feed = Feed::new(train, self.plan, self.key, first_step);
        let feed = if draws_bits { feed.drawing_bits(self.key) } else { feed };
        let steps = feed.steps_taken();
        let rows = OrderedRows::new(valid, VALIDATION_BATCH);
        let extent = Extent {
            plan: self.plan,
            first: (first_epoch, first_step),
            valid_batches: rows.batches(),
            parts,
        };
        let score = learn.scored_by();
        let journal =
            Journal::new(journal_path, history.clone(), extent, score, self.stop.clone(), self.on_record);
        let keep = KeepLastAndBest {
            history: history.clone(),
            every: self.checkpoint_every.max(1),
            last_epoch,
            patience: self.patience,
            saved,
        };
        // The learner optimises parameters that autodiff tracks, though no step here records a tape.
        let quantities = Quantity::of_step(&*learn);
        let stage = learn.stage(first_step.saturating_sub(1));
        let trainee = Trainee { learn, rule, key: self.key }.train();
        // A run that has nothing left to do is loaded and ends at once.
        let num_epochs = if done { first_epoch } else { last_epoch };
        let [model_files, optim_files, schedule_files] = checkpoints.checkpointers(&self.stop, stage);
        let mut training = SupervisedTraining::new(&self.folder, Arc::new(feed), Arc::new(rows))
            .with_training_strategy(execution(self.devices).into())
            .with_application_logger(None)
            .with_interrupter(self.stop.interrupter())
            .with_custom_checkpointers(model_files, optim_files, schedule_files)
            .with_checkpointing_strategy(keep)
            .early_stopping(Patience { history: history.clone(), epochs: self.patience })
            .with_metric_logger(journal)
            .metric_valid_numeric(Summary::new(Quantity::Score(score), self.stop.clone()))
            .num_epochs(num_epochs);
        for quantity in quantities {
            training = training.metric_train_numeric(Summary::new(quantity, self.stop.clone()));
        }
        let epoch = (first_epoch > 0).then_some(first_epoch);
        if let Some(epoch) = epoch {
            training = training.checkpoint(epoch);
        }
        let plain = |on_step| Plain { on_step, steps: steps.clone() };
        let mut terminal = None;
        training = match self.progress {
            Progress::Silent => training.renderer(Box::new(plain(None))),
            Progress::Steps(on_step) => training.renderer(Box::new(plain(Some(on_step)))),
            Progress::Dashboard(found) => {
                let (dashboard, restored) = Dashboard::open(self.stop.clone(), epoch, found);
                terminal = Some(restored);
                training.renderer(Box::new(dashboard))
            }
        };
        let result = training.launch(Learner::new(trainee, optimiser, schedule));
        let LearningResult { model, renderer, error, .. } = result;
        // A dashboard closes here.
        drop(renderer);
        drop(terminal);
        // An error that Burn noticed by itself.
        if let Some(error) = error {
            self.stop.fail(error.to_string());
        }
        let history = history.lock().expect("no thread panics while it holds the history").clone();
        let taken = history.last().map_or(0, |(_, step)| step);
        let end = match self.stop.reason() {
            Some(Reason::Failed(message)) => return Err(FitError::Training(message)),
            Some(Reason::NonFinite(found)) => End::NonFinite(found),
            Some(Reason::Asked(request)) => End::Stopped(request),
            None if taken >= self.plan.steps => End::Finished,
            None if history.exhausted(self.patience) => End::OutOfPatience,
            None => return Err(FitError::Early { taken, planned: self.plan.steps }),
        };
        let steps = steps.load(std::sync::atomic::Ordering::SeqCst);
        Ok(Outcome { trainee: model, end, history, steps })
    }
}

/// Checks that several devices can share the work.
///
/// # Errors
/// If there is no device, if a batch has fewer rows than there are devices, or if something couples the rows of a batch
/// or the steps of a run.
pub fn check_devices(n: usize, plan: &Plan, learn: &dyn Learn, rule: &Rule) -> Result<(), FitError> {
    let refuse = |what: String| Err(FitError::Devices(what));
    match n {
        0 => return refuse("no device was given".to_string()),
        1 => return Ok(()),
        n if plan.fewest() < n => {
            let fewest = plan.fewest();
            return refuse(format!(
                "the last batch of an epoch has {fewest} rows for {n} devices; choose another batch size"
            ));
        }
        _ => {}
    }
    if learn.scope() == Scope::AcrossBatches {
        return refuse(
            "the strategy remembers from batch to batch, and each device would remember for itself; train on one device"
                .into(),
        );
    }
    if learn.averages() {
        return refuse(
            "each device would have its own average of the weights; train without it, or on one device"
                .into(),
        );
    }
    if rule.clip_norm.is_some() {
        return refuse(
            "no device knows the norm of the whole gradient; train without clipping, or on one device".into(),
        );
    }
    Ok(())
}

/// How the learner uses the devices.
///
/// Burn's distributed data parallelism reduces gradients while a tape is walked back, but no step here records a tape.
/// So the main device adds up the gradients that the others have computed.
fn execution(mut devices: Vec<Device>) -> ExecutionStrategy {
    match devices.len() {
        1 => ExecutionStrategy::single(devices.remove(0)),
        _ => ExecutionStrategy::multi(devices, MultiDeviceOptim::OptimMainDevice),
    }
}

/// Rows that are scored at a time in validation.
const VALIDATION_BATCH: usize = 500;

#[cfg(test)]
mod tests;
