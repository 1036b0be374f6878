//! The likelihood of rows given their classes, for validation.

use burn::tensor::Tensor;
use helmholtz_core::{Batch, Better, EnergyModel, Evaluator, Key, Score};
use helmholtz_energy::ConditionalRbm;

/// A setting keeps the hidden layer so small that sums over its states are always possible.
pub(super) const FEW: &str = "the hidden units are few enough for sums over their states";

/// `-log p(x | y)` of a row x given its class y, with log Z of each class by a sum over the states of the hidden units.
#[derive(Clone, Copy, Debug)]
pub struct ConditionalLikelihood;

impl ConditionalLikelihood {
    /// What it measures.
    pub const SCORE: Score =
        Score { name: "conditional_nll", title: "NLL given the label", unit: "nats", better: Better::Lower };
}

impl Evaluator<ConditionalRbm> for ConditionalLikelihood {
    /// log Z of each class: `[K]`.
    type Prepared = Tensor<1>;

    fn measures(&self) -> Score {
        ConditionalLikelihood::SCORE
    }

    fn prepare(&self, model: &ConditionalRbm, _: Key) -> Tensor<1> {
        model.log_partitions(model.classes()).expect(FEW)
    }

    fn score(&self, model: &ConditionalRbm, log_z: &Tensor<1>, batch: &Batch, _: Key) -> Tensor<1> {
        let classes = batch.classes().expect("rows have classes");
        model.free_energy(model.rows(batch)) + log_z.clone().select(0, classes)
    }
}
