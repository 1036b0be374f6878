//! Averages of the weights over the steps of a run.
//!
//! # Reference
//! Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992; the
//! exponential form is the usual one of the deep-learning literature.

use burn::tensor::{Tensor, s};
use helmholtz_core::{Memory, Model, map_params, visit_params};

/// An exponential average of all weights of a model, which travels in the checkpoint.
///
/// Before step t = 0, 1, ... the weights w enter as `a ← d a + (1 - d) w` with
/// d = min(decay, (1 + t) / (10 + t)), so that the first weights are soon forgotten. The result of a
/// step enters before the next one.
#[derive(burn::module::Module, Debug)]
pub struct Average {
    /// All weights, one after the other: `[n]`.
    weights: Memory<Tensor<1>>,
    #[module(skip)]
    decay: f64,
}

impl Average {
    /// Starts from the weights of `model`.
    ///
    /// # Panics
    /// If the decay is not in [0, 1).
    pub fn new<M: Model>(model: &M, decay: f64) -> Self {
        assert!((0.0..1.0).contains(&decay), "the decay must be in [0, 1), not {decay}");
        Average { weights: Memory::new(flat(model)), decay }
    }

    /// Adds the weights that `model`, without autodiff, has before a step.
    pub fn take_in<M: Model>(&self, model: &M, step: u64) {
        let decay = self.decay.min((1.0 + step as f64) / (10.0 + step as f64));
        let average = self.weights.get();
        // Not as a sum of two products: d and 1 - d are rounded separately, and the errors add up.
        let average = average.clone() + (flat(model) - average) * (1.0 - decay);
        self.weights.set(average);
    }

    /// The model with the averaged weights.
    pub fn of<M: Model>(&self, model: &M) -> M {
        let weights = self.weights.get();
        let mut next = 0;
        map_params(model.clone(), |_, param| {
            let start = next;
            next += param.shape().num_elements();
            weights.clone().slice(s![start..next])
        })
    }
}

fn flat<M: Model>(model: &M) -> Tensor<1> {
    let mut all = Vec::new();
    visit_params(model, |_, param| all.push(param.values().detach()));
    Tensor::cat(all, 0)
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::tensor::Device;
    use helmholtz_core::Key;
    use helmholtz_directed::{HelmholtzMachine, StackConfig};

    use super::*;

    fn model(seed: u64) -> HelmholtzMachine {
        StackConfig::new(3, vec![2]).init(None, Key::new(seed), &Device::flex()).unwrap()
    }

    fn weights(model: &HelmholtzMachine) -> Vec<f32> {
        flat(model).into_data().try_to_vec().unwrap()
    }

    #[test]
    fn the_average_is_the_exponential_one_with_a_short_memory_at_first() {
        let [start, a, b] = [0, 1, 2].map(model);
        let average = Average::new(&start, 0.15);
        average.take_in(&a, 0); // d = 1 / 10
        average.take_in(&b, 1); // d = min(0.15, 2 / 11)
        let found = weights(&average.of(&start));
        let [start, a, b] = [&start, &a, &b].map(weights);
        for (i, found) in found.into_iter().enumerate() {
            let first = 0.1 * start[i] + 0.9 * a[i];
            let expected = 0.15 * first + 0.85 * b[i];
            assert!((found - expected).abs() < 1e-6, "weight {i}: {found} for {expected}");
        }
    }

    #[test]
    fn a_long_memory_of_the_same_weights_loses_nothing() {
        let [start, end] = [0, 1].map(model);
        let average = Average::new(&start, 0.99);
        (0..5000).for_each(|step| average.take_in(&end, step));
        let (found, expected) = (weights(&average.of(&start)), weights(&end));
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    }

    #[test]
    fn a_model_of_the_average_keeps_the_identity_of_its_parameters() {
        let model = model(0);
        let average = Average::new(&model, 0.9);
        assert_eq!(weights(&average.of(&model)), weights(&model));
        assert_eq!(average.of(&model).num_params(), model.num_params());
    }
}
