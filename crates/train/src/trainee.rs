//! What Burn's learner trains.

use std::any::Any;

use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{ExecutionError, Tensor};
use burn::train::{InferenceStep, ItemLazy, TrainOutput, TrainStep};
use helmholtz_core::erased::Boxed;
use helmholtz_core::{
    Estimate, Gradients, Key, Measured, ParameterGroup, Role, module_of_field, visit_params,
};
use helmholtz_datasets::Share;
use helmholtz_ops::on_workers;
use helmholtz_ops::rows::sum_of_squares;

use crate::learn::{Learn, is_of_model};
use crate::rule::{Rule, times};

/// What is trained, as a Burn learner model: the module in the box, with a rule.
#[derive(Clone, Debug)]
pub struct Trainee {
    /// A model with its strategy.
    pub learn: Boxed<dyn Learn>,
    /// What happens to gradients before the optimiser sees them.
    pub rule: Rule,
    /// The run's root key.
    pub key: Key,
}

impl Trainee {
    /// The model that is scored and kept, if it is an `M`: the one with averaged weights, if there are any.
    pub fn judged<M: Any>(&self) -> Option<M> {
        self.learn.judged().downcast().ok().map(|model| *model)
    }
}

module_of_field!(Trainee, learn);

/// What one training step measured; read by the metrics, not by the loop.
#[derive(Clone, Debug)]
pub struct StepOutput {
    /// What the strategy measured.
    pub measured: Vec<Measured>,
    /// Sum of squares of the gradient of each group of parameters: `[1]`.
    pub squares: Vec<(ParameterGroup, Tensor<1>)>,
    /// Model evaluations that the step took.
    pub evaluations: u64,
    /// Rows of the batch.
    pub rows: usize,
    /// The number of the step.
    pub step: u64,
}

/// What one validation batch measured.
#[derive(Clone, Debug)]
pub struct ValidOutput {
    /// The score of each row: `[n]`.
    pub scores: Tensor<1>,
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

impl TrainStep for Trainee {
    type Input = Share;
    type Output = StepOutput;

    fn step(&self, share: Share) -> TrainOutput<StepOutput> {
        let Share { batch, first, whole } = share;
        let (rows, step) = (batch.len(), batch.step);
        // If the rows are a part of a batch, they get the noise that they would get in the whole batch.
        let key = self.key.child(step).from_row(first as u64);
        let (estimate, squares) = on_workers(&self.learn.device(), || {
            let estimate = self.learn.estimate(&batch, key);
            let squares = self.gradient_squares(&estimate.gradients);
            (estimate, squares)
        });
        let Estimate { gradients, measured, evaluations } = estimate;
        let item = StepOutput { measured, squares, evaluations, rows, step };
        let gradients = self.rule.apply(self, self.number(0.0), gradients, whole);
        // The learner adds the gradients of the parts, each a mean over its rows.
        let gradients = if rows == whole {
            gradients
        } else {
            times(self, &gradients, self.number(rows as f64 / whole as f64))
        };
        TrainOutput { grads: gradients.into_params(), item }
    }

    fn optimize(
        self,
        optim: &mut ModuleOptimizer,
        rates: ModuleLearningRate,
        grads: GradientsParams,
    ) -> Self {
        let device = self.learn.device();
        on_workers(&device, move || optim.step(rates, self, grads))
    }
}

impl InferenceStep for Trainee {
    type Input = Share;
    type Output = ValidOutput;

    /// Scores validation rows under noise that is the same in every epoch, so that epochs differ
    /// by their weights alone.
    fn step(&self, share: Share) -> ValidOutput {
        ValidOutput { scores: self.learn.score(&share.batch, self.key.child(Role::Validate)) }
    }
}

impl Trainee {
    /// Sums of squares of the model's gradients, group by group.
    fn gradient_squares(&self, gradients: &Gradients) -> Vec<(ParameterGroup, Tensor<1>)> {
        let groups = self.learn.groups();
        let mut squares: Vec<_> = groups.iter().map(|group| (*group, self.number(0.0))).collect();
        visit_params(self, |path, param| {
            if is_of_model(path)
                && let Some(gradient) = param.gradient(gradients)
                && let Some(group) = ParameterGroup::of(groups, path)
                && let Some((_, square)) = squares.iter_mut().find(|(of, _)| of == group)
            {
                *square = square.clone() + sum_of_squares(gradient);
            }
        });
        squares
    }

    /// A number as a tensor on the device and of the type of the parameters: `[1]`.
    fn number(&self, value: f64) -> Tensor<1> {
        Tensor::full([1], value, (&self.learn.device().inner(), self.learn.dtype()))
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::tensor::Device;
    use helmholtz_core::Batch;
    use helmholtz_directed::{HelmholtzMachine, StackConfig};
    use helmholtz_eval::ImportanceSampling;
    use helmholtz_strategies::ReweightedWakeSleep;

    use super::*;
    use crate::learn::Pair;

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
            let strategy = strategy.clone().into();
            let learn = Pair::of(model.clone(), strategy, None, ImportanceSampling::new(1));
            let trainee = Trainee { learn, rule, key: Key::new(7) }.train();
            let x = Tensor::<2>::from_floats([[1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0]; 7], &device);
            let step = |range: std::ops::Range<usize>| {
                let batch = Batch { step: 4, ..Batch::of(x.clone()).slice(range.clone()) };
                let share = Share { batch, first: range.start, whole: 7 };
                flat(&model, &Gradients::from(TrainStep::step(&trainee, share).grads))
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
