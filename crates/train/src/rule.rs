//! What happens to the gradient of a strategy before the optimiser takes it.

use burn::module::Module;
use burn::tensor::Tensor;
use helmholtz_core::{Gradients, visit_params};

use crate::learn::is_of_model;

/// Changes to a gradient before the optimiser takes it, in this order. By default there are no changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// The loss is the sum over the batch and not the mean: gradients are multiplied by the number of rows.
    ///
    /// The published code of reweighted wake-sleep sums. For plain SGD a rate of 1e-3 on the sum over
    /// 100 rows is a rate of 0.1 on the mean; for Adam it makes no difference.
    pub sum: bool,
    /// λ of the penalty λ/2 Σ w² on the weight matrices (not on biases): λ w is added.
    pub weight_decay: f64,
    /// λ of the penalty λ Σ |w| on the weight matrices: λ sign(w) is added.
    pub l1: f64,
    /// The largest norm of the whole gradient; a larger gradient is scaled down to it.
    pub clip_norm: Option<f64>,
}

impl Default for Rule {
    fn default() -> Self {
        Rule { sum: false, weight_decay: 0.0, l1: 0.0, clip_norm: None }
    }
}

impl Rule {
    /// Applies the rule to the gradients of a batch of `rows` rows.
    ///
    /// Gradients are means over the batch. Those of its parts, multiplied by the part's share of the rows, add up to
    /// those of the whole, penalties included. This does not hold if they are [clipped](Rule::clip_norm).
    ///
    /// The rule applies to the parameters of the model in `trainee`, whose fields are those of a [`Pair`](crate::Pair).
    /// Gradients of what the strategy learns for itself stay as they are. `zero` is a number on the device of the
    /// parameters: `[1]`.
    pub fn apply<M: Module>(
        &self,
        trainee: &M,
        zero: Tensor<1>,
        gradients: Gradients,
        rows: usize,
    ) -> Gradients {
        if *self == Rule::default() {
            return gradients;
        }
        let trainee = &trainee.valid();
        let scale = if self.sum { rows as f64 } else { 1.0 };
        let mut adjusted = Gradients::new();
        let mut square = zero;
        visit_params(trainee, |path, param| {
            let Some(gradient) = param.gradient(&gradients).filter(|_| is_of_model(path)) else { return };
            let mut gradient = gradient * scale;
            let is_matrix = param.shape().rank() > 1;
            if is_matrix && self.weight_decay != 0.0 {
                gradient = gradient + param.values() * self.weight_decay;
            }
            if is_matrix && self.l1 != 0.0 {
                gradient = gradient + param.values().sign() * self.l1;
            }
            if self.clip_norm.is_some() {
                square = square.clone() + gradient.clone().square().sum();
            }
            param.add_gradient(gradient, &mut adjusted);
        });
        if let Some(clip) = self.clip_norm {
            // min(1, clip / norm); a norm of zero has nothing to scale.
            let factor = (square.sqrt() + f64::MIN_POSITIVE).recip().mul_scalar(clip).clamp_max(1.0);
            adjusted = times(trainee, &adjusted, factor);
        }
        // What the strategy learns for itself.
        visit_params(trainee, |path, param| {
            if let Some(gradient) = param.gradient(&gradients).filter(|_| !is_of_model(path)) {
                param.add_gradient(gradient, &mut adjusted);
            }
        });
        adjusted
    }
}

/// Gradients times a number: `[1]`.
pub(crate) fn times<M: Module>(trainee: &M, gradients: &Gradients, factor: Tensor<1>) -> Gradients {
    let mut scaled = Gradients::new();
    visit_params(trainee, |_, param| {
        if let Some(gradient) = param.gradient(gradients) {
            param.add_gradient(gradient * factor.clone(), &mut scaled);
        }
    });
    scaled
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use helmholtz_core::Key;
    use helmholtz_directed::{HelmholtzMachine, StackConfig};
    use helmholtz_eval::ImportanceSampling;
    use helmholtz_strategies::Nvil;

    use super::*;
    use crate::learn::Pair;

    fn model() -> HelmholtzMachine {
        StackConfig::new(3, vec![2]).init(None, Key::new(1), &Device::flex()).unwrap()
    }

    /// For each weight the number of axes of its parameter, its value, and what a gradient of 0.5 becomes.
    fn ruled(rule: Rule) -> Vec<(usize, f64, f64)> {
        let model = model();
        // A strategy that learns.
        let strategy = Nvil::new(1, &[3, 2], Key::new(2), &Device::flex());
        let evaluator = ImportanceSampling::new(1);
        let trainee = Pair::of(model.clone(), strategy.clone().into(), None, evaluator);
        let mut halves = Gradients::new();
        visit_params(&trainee, |_, param| param.add_gradient(param.values().full_like(0.5), &mut halves));
        let gradients = rule.apply(&trainee, Tensor::zeros([1], &Device::flex()), halves, 7);
        let pairs = |is_of_model: bool| {
            let values = |tensor: Tensor<1>| tensor.into_data().convert::<f64>().try_to_vec::<f64>().unwrap();
            let mut pairs = Vec::new();
            visit_params(&trainee, |path, param| {
                if self::is_of_model(path) != is_of_model {
                    return;
                }
                let gradient = param.gradient(&gradients).expect("every weight has a gradient");
                let rank = param.shape().rank();
                let both = values(param.values()).into_iter().zip(values(gradient));
                pairs.extend(both.map(|(w, g)| (rank, w, g)));
            });
            pairs
        };
        let own = pairs(false);
        assert!(
            !own.is_empty() && own.iter().all(|(_, _, gradient)| *gradient == 0.5),
            "a rule applies to the model alone"
        );
        pairs(true)
    }

    #[test]
    fn without_a_rule_gradients_stay_and_sums_are_means_times_the_rows() {
        assert!(ruled(Rule::default()).iter().all(|(_, _, g)| *g == 0.5));
        assert!(ruled(Rule { sum: true, ..Rule::default() }).iter().all(|(_, _, g)| *g == 3.5));
    }

    #[test]
    fn penalties_are_on_weight_matrices_and_not_on_biases() {
        let rule = Rule { weight_decay: 0.1, l1: 0.01, ..Rule::default() };
        for (axes, w, g) in ruled(rule) {
            let expected = if axes > 1 { 0.5 + 0.1 * w + 0.01 * w.signum() } else { 0.5 };
            assert!((g - expected).abs() < 1e-6, "{axes} axes, weight {w}: {g}");
        }
    }

    #[test]
    fn a_penalty_beside_a_sum_is_that_much_smaller_beside_the_mean() {
        // A paper's penalty of 1e-3 on the sum over 100 rows is one of 1e-5 on their mean; here there are 7 rows.
        let of_sum = ruled(Rule { sum: true, l1: 7e-3, ..Rule::default() });
        let of_mean = ruled(Rule { l1: 1e-3, ..Rule::default() });
        for ((_, _, sum), (_, _, mean)) in of_sum.into_iter().zip(of_mean) {
            assert!((sum - 7.0 * mean).abs() < 1e-6, "{sum} for 7 x {mean}");
        }
    }

    #[test]
    fn a_gradient_beyond_the_clip_is_scaled_down_to_it_and_a_smaller_one_stays() {
        let norm = |pairs: &[(usize, f64, f64)]| pairs.iter().map(|(_, _, g)| g * g).sum::<f64>().sqrt();
        let free = ruled(Rule::default());
        let clipped = ruled(Rule { clip_norm: Some(1.0), ..Rule::default() });
        assert!(norm(&free) > 1.5 && (norm(&clipped) - 1.0).abs() < 1e-6);
        let factor = clipped[0].2 / free[0].2;
        assert!(clipped.iter().zip(&free).all(|(a, b)| (a.2 - factor * b.2).abs() < 1e-7));
        assert_eq!(ruled(Rule { clip_norm: Some(100.0), ..Rule::default() }), free);
    }
}
