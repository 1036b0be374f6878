//! A training loop that can be paused, timed and judged at any step.

use burn::data::dataloader::DataLoader;
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::tensor::Device;
use burn::train::TrainStep;
use helmholtz_core::{Key, Measure};
use helmholtz_datasets::{Binarization, DataSet, Feed, Plan, Share, SplitName};
use helmholtz_train::{NonFinite, StepOutput, Trainee};
use helmholtz_zoo::{BoxedModel, TrainingRows};

use crate::assemble;
use crate::config::Config;

/// The first measured value of a step that is not finite, if there is one.
pub(super) fn no_number(output: &StepOutput) -> Option<(Measure, f64)> {
    let values = output.measured.iter().flat_map(|found| {
        let values = found.value.clone().into_data().convert::<f64>();
        values.iter::<f64>().map(|value| (found.measure, value)).collect::<Vec<_>>()
    });
    values.into_iter().find(|(_, value)| !value.is_finite())
}

/// Runs the learner's own steps one at a time, with the same resulting weights as `helmholtz train`.
pub(crate) struct Descent {
    trainee: Trainee,
    optimiser: ModuleOptimizer,
    schedule: ModuleLrScheduler,
    device: Device,
    pub(super) feed: Feed,
}

impl Descent {
    /// The run of a config.
    ///
    /// # Errors
    /// If the model or the strategy cannot be built.
    pub(crate) fn new(config: &Config, data: &DataSet, plan: Plan) -> anyhow::Result<Self> {
        let device = crate::device::select(&config.run.device)?;
        let model = assemble::model(config, data, &device)?;
        let key = Key::new(config.seed);
        let feed = Feed::new(assemble::batch(config, data, SplitName::Train, &device)?, plan, key, 0);
        let dynamic = data.binarization == Binarization::Dynamic;
        let learn = assemble::learn(config, model, &plan, &TrainingRows::of(&data.train))?;
        let trainee = Trainee { learn, rule: assemble::rule(config), key };
        Ok(Descent {
            trainee: trainee.train(),
            optimiser: assemble::optimiser(config),
            schedule: assemble::schedule(config, &plan),
            feed: if dynamic { feed.drawing_bits(key) } else { feed },
            device,
        })
    }

    /// One step on a batch.
    pub(super) fn step(&mut self, share: Share) -> anyhow::Result<StepOutput> {
        let output = TrainStep::step(&self.trainee, share);
        let rate = self.schedule.step();
        self.trainee = self.optimiser.step(rate, self.trainee.clone(), output.grads);
        self.device.sync()?;
        Ok(output.item)
    }

    /// Takes steps until `stop` is true for the number taken, or the plan ends. Returns that number.
    pub(crate) fn run(&mut self, stop: impl Fn(u64) -> bool) -> anyhow::Result<u64> {
        loop {
            let feed = self.feed.clone();
            let mut taken = None;
            for share in DataLoader::iter(&feed) {
                let share = share.map_err(|error| anyhow::anyhow!("{error}"))?;
                let done = share.batch.step + 1;
                let output = self.step(share)?;
                if let Some((measure, value)) = no_number(&output) {
                    let found = NonFinite { quantity: measure.name.to_owned(), value, step: Some(done - 1) };
                    anyhow::bail!("training of the weights: {found}; use a lower learning rate");
                }
                taken = Some(done);
                if stop(done) {
                    return Ok(done);
                }
            }
            if taken.is_none() {
                anyhow::bail!("the plan has no more steps");
            }
        }
    }

    /// The model as the last step left it, or the average of its weights, without autodiff.
    pub(crate) fn model(&self) -> BoxedModel {
        self.trainee.valid().judged().expect("it was made of such a model")
    }
}
