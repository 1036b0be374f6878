//! Scores of models whose likelihood has a closed form.

use burn::tensor::Tensor;
use helmholtz_core::{Batch, Better, Evaluator, Key, Score, Tractable};

/// The likelihood of a [`Tractable`] model: `-log p(x)` of the observed values of a row, or `-log p(x, y)` with its
/// target y.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LikelihoodFormula {
    /// Whether the target is included.
    pub with_target: bool,
}

impl LikelihoodFormula {
    /// `-log p(x, y)` of a row and its target.
    pub const JOINT_NLL: Score =
        Score { name: "joint_nll", title: "NLL with the label", unit: "nats", better: Better::Lower };
}

impl<M: Tractable> Evaluator<M> for LikelihoodFormula {
    type Prepared = ();

    fn measures(&self) -> Score {
        if self.with_target { LikelihoodFormula::JOINT_NLL } else { Score::NLL }
    }

    fn prepare(&self, _: &M, _: Key) {}

    fn score(&self, model: &M, (): &(), batch: &Batch, _: Key) -> Tensor<1> {
        let target = batch.target.clone().filter(|_| self.with_target);
        model.log_prob(&Batch { target, ..batch.clone() }).neg()
    }
}
