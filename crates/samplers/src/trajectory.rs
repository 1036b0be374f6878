//! Parallel tempering between the models of one training.
//!
//! The levels of the ladder are models of the same shape: level 0 the one to sample, and behind it ever earlier ones of
//! its training, down to one that mixes fast. Chains of level i are swept under model i, and states of neighbours are
//! swapped with probability `min(1, exp r)`,
//!
//! ```text
//! r = F_i(x_i) + F_{i+1}(x_{i+1}) - F_i(x_{i+1}) - F_{i+1}(x_i)
//! ```
//!
//! which leaves the product of the laws of all models invariant. Partition functions cancel. A machine that is heated may
//! pass a transition of the first order, across which hardly a swap is accepted. In its training the modes appeared
//! gradually, one splitting from another, so that models that are neighbours there overlap.
//!
//! # Which models
//! [`choose`] goes back from the last model and keeps one where the acceptance with an earlier one would fall below a
//! bound: 0.25 to sample, about 0.7 for the likelihood. A training must have kept its models for that. A run folder keeps
//! the last two checkpoints and the best one, which is no ladder, so the command line does not offer this sampler.
//!
//! # Reference
//! Béreux, Decelle, Furtlehner, Rosset, Seoane, "Fast training and sampling of restricted Boltzmann machines", ICLR 2025,
//! arXiv:2405.15376 (parallel trajectory tempering); both bounds are those of its code, github.com/DsysDML/fastrbm.

use burn::tensor::{Int, Tensor};
use helmholtz_core::{Draws, EnergyModel, Harmonium};
use helmholtz_ops::into_f64;

use crate::tempering::Ladder;

/// The acceptance of swaps that is enough to sample.
pub const LOWEST_ACCEPTANCE: f64 = 0.25;

/// Models of one training, the one to sample first.
#[derive(Clone, Debug)]
pub struct Trajectory<'a, M> {
    models: Vec<&'a M>,
}

impl<'a, M: Harmonium> Trajectory<'a, M> {
    /// The ladder of these models.
    ///
    /// # Panics
    /// If there are fewer than two models, or they have different numbers of units in x.
    pub fn new(models: Vec<&'a M>) -> Self {
        assert!(models.len() >= 2, "a ladder needs at least two models");
        let sizes: Vec<usize> = models.iter().map(|model| model.observed()).collect();
        assert!(sizes.iter().all(|size| *size == sizes[0]), "the models have different units: {sizes:?}");
        Trajectory { models }
    }

    /// The rows of a level, and where they begin.
    fn rows(&self, x: &Tensor<2>, level: usize) -> (Tensor<2>, usize) {
        let chains = x.dims()[0] / self.models.len();
        (x.clone().narrow(0, level * chains, chains), level * chains)
    }
}

impl<M: Harmonium> Ladder for Trajectory<'_, M> {
    type State = Tensor<2>;

    fn levels(&self) -> usize {
        self.models.len()
    }

    fn step(&self, x: Tensor<2>, draws: &Draws) -> Tensor<2> {
        let swept = self.models.iter().enumerate().map(|(level, model)| {
            let (rows, first) = self.rows(&x, level);
            let numbers: Vec<u64> = (first..first + rows.dims()[0]).map(|row| draws.cell(row).0).collect();
            model.sweep(rows, None, &Draws::of_rows(draws.key(), numbers, 1))
        });
        Tensor::cat(swept.collect(), 0)
    }

    fn log_densities(&self, x: &Tensor<2>) -> Tensor<2> {
        let last = self.models.len() - 1;
        let of_level = |level: usize| {
            let (rows, _) = self.rows(x, level);
            let log_f = [level.saturating_sub(1), level, (level + 1).min(last)]
                .map(|other| -self.models[other].free_energy(rows.clone()));
            Tensor::stack::<2>(log_f.to_vec(), 1)
        };
        Tensor::cat((0..=last).map(of_level).collect(), 0)
    }

    fn select(&self, x: Tensor<2>, from: Tensor<1, Int>) -> Tensor<2> {
        x.select(0, from)
    }
}

/// A model with samples of it: `[n, d]`.
pub type Sampled<'a, M> = (&'a M, Tensor<2>);

/// The mean acceptance `E min(1, exp r)` of swaps between two models, from n samples of each.
///
/// The i-th sample of one is paired with the i-th of the other. The standard error is at most `0.5 / √n`.
///
/// # Panics
/// If there is no sample, or one model has more than the other.
pub fn swap_acceptance<M: EnergyModel>((a, x): &Sampled<'_, M>, (b, y): &Sampled<'_, M>) -> f64 {
    let n = x.dims()[0];
    assert!(n > 0 && n == y.dims()[0], "swaps need as many samples of one model as of the other");
    let under = |model: &M, x: &Tensor<2>| into_f64(model.free_energy(x.clone()));
    let (a_x, a_y, b_x, b_y) = (under(a, x), under(a, y), under(b, x), under(b, y));
    (0..n).map(|i| (a_x[i] + b_y[i] - a_y[i] - b_x[i]).exp().min(1.0)).sum::<f64>() / n as f64
}

/// A level of a ladder that [`choose`] made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rung {
    /// The place of the model among those given.
    pub model: usize,
    /// The acceptance of swaps with the next level; `None` for the last.
    pub acceptance: Option<f64>,
}

/// The levels of a ladder: of `models` in the order of training the last one, and back from there always the earliest
/// one before the first whose acceptance of swaps with the level before falls below `lowest`. The first model is always
/// the last level.
///
/// If even two neighbours among the models are below `lowest`, both become levels, and the acceptance says so: then
/// the training kept too few models.
///
/// # Panics
/// If there are no models, or they have different numbers of samples.
pub fn choose<M: EnergyModel>(models: &[Sampled<'_, M>], lowest: f64) -> Vec<Rung> {
    assert!(!models.is_empty(), "a ladder needs models to choose from");
    let mut rungs = Vec::new();
    let mut at = models.len() - 1;
    while at > 0 {
        let mut next = (at - 1, swap_acceptance(&models[at], &models[at - 1]));
        for earlier in (0..next.0).rev() {
            let acceptance = swap_acceptance(&models[at], &models[earlier]);
            if next.1 < lowest || acceptance < lowest {
                break;
            }
            next = (earlier, acceptance);
        }
        rungs.push(Rung { model: at, acceptance: Some(next.1) });
        at = next.0;
    }
    rungs.push(Rung { model: 0, acceptance: None });
    rungs
}
