//! Model, strategy and evaluator as a Burn learner model.

use burn::module::Module;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{ExecutionError, Tensor};
use burn::train::{InferenceStep, ItemLazy, TrainOutput, TrainStep};
use helmholtz_core::{
    Evaluator, Gradients, Key, LatentVariableModel, Measured, Model, Role, Strategy, visit_params,
};
use helmholtz_datasets::Batch;
use helmholtz_ops::on_workers;
use helmholtz_ops::rows::sum_of_squares;

use crate::average::Average;
use crate::rule::{Rule, scaled};
use crate::schedule::Stages;

/// What Burn's learner trains: a model with the strategy that estimates its gradients and the
/// evaluator that scores validation rows.
///
/// The strategy is part of the module, so that whatever it remembers travels in the checkpoint.
#[derive(Module, Debug)]
pub struct Trainee<M: Model, S: Model, E: std::fmt::Debug + Clone + Send> {
    /// The model.
    pub model: M,
    /// The strategy of each stage.
    pub strategy: Stages<S>,
    /// The average of the weights, if it is what is judged and kept.
    pub average: Option<Average>,
    /// What happens to gradients before the optimiser sees them.
    #[module(skip)]
    pub rule: Rule,
    /// The evaluator of the validation split.
    #[module(skip)]
    pub evaluator: E,
    /// The run's root key.
    #[module(skip)]
    pub key: Key,
}

/// What one training step measured; read by the metrics, not by the loop.
#[derive(Clone, Debug)]
pub struct StepOutput {
    /// Mean of `log 1/K Σ w` over the batch, in nats: `[1]`.
    pub bound: Tensor<1>,
    /// Mean effective sample size as a share of K: `[1]`.
    pub ess: Tensor<1>,
    /// Sum of squares of the gradient of the generative net: `[1]`.
    pub square_p: Tensor<1>,
    /// Sum of squares of the gradient of the recognition net: `[1]`.
    pub square_q: Tensor<1>,
    /// Model evaluations that the step took.
    pub evaluations: u64,
    /// What else the strategy measured.
    pub more: Vec<Measured>,
    /// Rows of the batch.
    pub rows: usize,
    /// The number of the step.
    pub step: u64,
}

/// What one validation batch measured.
#[derive(Clone, Debug)]
pub struct ValidOutput {
    /// `log p̂(x)` of each row, in nats.
    pub log_prob: Tensor<1>,
}

impl ItemLazy for StepOutput {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}

impl ItemLazy for ValidOutput {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}

impl<M, S, E> TrainStep for Trainee<M, S, E>
where
    M: LatentVariableModel,
    S: Strategy<M>,
    E: Evaluator<M> + Sync + 'static,
{
    type Input = Batch;
    type Output = StepOutput;

    fn step(&self, batch: Batch) -> TrainOutput<StepOutput> {
        // Gradients are local and in closed form, so the step runs without a tape.
        let model = self.model.valid();
        let rows = batch.rows.len();
        if let Some(average) = &self.average {
            average.take_in(&model, batch.step);
        }
        let strategy = self.strategy.at(batch.step);
        // Where the rows are a part of a batch, they see the noise that the whole batch would give them.
        let key = self.key.child(batch.step).from_row(batch.first as u64);
        let x = batch.x;
        let (model, estimate, [square_p, square_q]) = {
            let strategy = strategy.clone();
            on_workers(&model.device(), move || {
                let estimate = strategy.estimate(&model, x, key);
                let squares = gradient_squares(&model, &estimate.gradients);
                (model, estimate, squares)
            })
        };
        let item = StepOutput {
            bound: estimate.diagnostics.bound,
            ess: estimate.diagnostics.ess,
            square_p,
            square_q,
            evaluations: estimate.evaluations,
            more: estimate.diagnostics.more,
            rows,
            step: batch.step,
        };
        let gradients = self.rule.apply(&model, strategy, estimate.gradients, batch.whole);
        // The learner adds the gradients of the parts, each a mean over its rows.
        let gradients = if rows == batch.whole {
            gradients
        } else {
            scaled(&model, gradients, rows as f64 / batch.whole as f64)
        };
        TrainOutput { grads: gradients.into_params(), item }
    }

    fn optimize(
        self,
        optim: &mut ModuleOptimizer,
        rates: ModuleLearningRate,
        grads: GradientsParams,
    ) -> Self {
        let device = self.model.device();
        on_workers(&device, move || optim.step(rates, self, grads))
    }
}

impl<M, S, E> InferenceStep for Trainee<M, S, E>
where
    M: LatentVariableModel,
    S: Strategy<M>,
    E: Evaluator<M> + Sync + 'static,
{
    type Input = Batch;
    type Output = ValidOutput;

    /// Scores validation rows under noise that is the same in every epoch, so that epochs differ
    /// by their weights alone.
    fn step(&self, batch: Batch) -> ValidOutput {
        let key = self.key.child(Role::Validate);
        let log_prob = match &self.average {
            Some(average) => self.evaluator.score(&average.of(&self.model), batch.x, batch.rows, key),
            None => self.evaluator.score(&self.model, batch.x, batch.rows, key),
        };
        ValidOutput { log_prob }
    }
}

impl<M: Model, S: Model, E: std::fmt::Debug + Clone + Send> Trainee<M, S, E> {
    /// The model that is judged and kept: the one with averaged weights, where there are any.
    pub fn judged(&self) -> M {
        self.average.as_ref().map_or_else(|| self.model.clone(), |average| average.of(&self.model))
    }
}

/// Sums of squares of the gradients outside and inside the recognition net.
fn gradient_squares<M: LatentVariableModel>(model: &M, gradients: &Gradients) -> [Tensor<1>; 2] {
    let zero = Tensor::zeros([1], (&model.device(), model.dtype()));
    let [mut p, mut q] = [zero.clone(), zero];
    visit_params(model, |path, param| {
        if let Some(gradient) = param.gradient(gradients) {
            let part = if path.iter().any(|name| name == "recognition") { &mut q } else { &mut p };
            *part = part.clone() + sum_of_squares(gradient);
        }
    });
    [p, q]
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use helmholtz_directed::{HelmholtzMachine, StackConfig};
    use helmholtz_eval::ImportanceSampling;
    use helmholtz_strategies::ReweightedWakeSleep;

    use super::*;

    /// All gradients, one after the other.
    fn flat(model: &HelmholtzMachine, gradients: &Gradients) -> Vec<f64> {
        let mut all = Vec::new();
        visit_params(model, |_, param| {
            let values =
                param.gradient(gradients).map(|g| g.into_data_as::<f64>().try_to_vec::<f64>().unwrap());
            all.extend(values.unwrap_or_default());
        });
        all
    }

    #[test]
    fn the_gradients_of_the_parts_of_a_batch_add_up_to_that_of_the_batch() {
        let device = Device::flex();
        let model = StackConfig::new(9, vec![5, 3]).init(None, Key::new(0), &device).unwrap();
        // A strategy with noise of both phases, and penalties that must not be counted twice.
        let strategy = ReweightedWakeSleep {
            samples: 3,
            wake_phi: 0.5,
            sleep_phi: 0.5,
            control_variate: false,
            defence: 0.1,
        };
        for sum in [false, true] {
            let rule = Rule { sum, weight_decay: 0.3, l1: 0.1, clip_norm: None };
            let trainee = Trainee {
                model: model.clone(),
                strategy: Stages::from(strategy.clone()),
                average: None,
                rule,
                evaluator: ImportanceSampling::new(1),
                key: Key::new(7),
            }
            .train();
            let x = Tensor::<2>::from_floats([[1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0]; 7], &device);
            let step = |range: std::ops::Range<usize>| {
                let batch = Batch {
                    x: x.clone().slice([range.clone(), 0..9]),
                    rows: range.clone().map(|row| row as u64).collect(),
                    step: 4,
                    first: range.start,
                    whole: 7,
                };
                flat(&model, &Gradients::from(TrainStep::step(&trainee, batch).grads))
            };
            let whole = step(0..7);
            let parts = [step(0..2), step(2..3), step(3..7)];
            assert_eq!(whole.len(), 9 * 5 * 2 + 5 * 3 * 2 + 9 + 5 * 2 + 3 * 2);
            let scale = whole.iter().fold(0.0f64, |max, g| max.max(g.abs()));
            for (i, whole) in whole.iter().enumerate() {
                let added: f64 = parts.iter().map(|part| part[i]).sum();
                // Single precision: seven rows, added in another order.
                assert!((added - whole).abs() < 1e-6 * scale, "{added} for {whole}");
            }
        }
    }
}
