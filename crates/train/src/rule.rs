//! From the gradient of a strategy to the one that the optimiser takes.

use burn::module::{ModuleVisitor, Param};
use burn::tensor::Tensor;
use helmholtz_core::{Gradients, LatentVariableModel, Model};

/// What happens to a gradient before the optimiser sees it, in this order. By default nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// The loss is the sum over the batch and not its mean: gradients are multiplied by the rows.
    ///
    /// The published code of reweighted wake-sleep sums. Plain SGD at a rate of 1e-3 on the sum over
    /// 100 rows is one of 0.1 on the mean; to Adam it makes no difference.
    pub sum: bool,
    /// λ of the penalty λ/2 Σ w² on the weight matrices (not on biases): λ w is added.
    pub weight_decay: f64,
    /// λ of the penalty λ Σ |w| on the weight matrices: λ sign(w) is added.
    pub l1: f64,
    /// The greatest norm of the whole gradient, which is scaled down to it where it is greater.
    pub clip_norm: Option<f64>,
}

impl Default for Rule {
    fn default() -> Self {
        Rule { sum: false, weight_decay: 0.0, l1: 0.0, clip_norm: None }
    }
}

impl Rule {
    /// The gradients of a batch of `rows` rows, as the rule has them.
    ///
    /// Gradients are means over the batch. Those of a part of it become those of the whole when they are multiplied
    /// by the part's share of the rows and added up, penalties included; but not where they are
    /// [clipped](Rule::clip_norm).
    ///
    /// It is about the parameters of the model; what `strategy` learns for itself is left as it is.
    pub fn apply<M: LatentVariableModel, S: Model>(
        &self,
        model: &M,
        strategy: &S,
        gradients: Gradients,
        rows: usize,
    ) -> Gradients {
        if *self == Rule::default() {
            return gradients;
        }
        let zero = || Tensor::zeros([1], (&model.device(), model.dtype()));
        let scale = if self.sum { rows as f64 } else { 1.0 };
        let mut pass =
            Pass { rule: self, scale, gradients: &gradients, adjusted: Gradients::new(), square: zero() };
        model.visit(&mut pass);
        let Pass { mut adjusted, square, .. } = pass;
        let keep = |into: &mut Gradients| strategy.visit(&mut Keep { gradients: &gradients, into });
        let Some(clip) = self.clip_norm else {
            keep(&mut adjusted);
            return adjusted;
        };
        // min(1, clip / norm); a norm of zero has nothing to scale.
        let factor = (square.sqrt() + f64::MIN_POSITIVE).recip().mul_scalar(clip).clamp_max(1.0);
        let mut pass = Scale { factor, gradients: &adjusted, scaled: Gradients::new() };
        model.visit(&mut pass);
        let mut scaled = pass.scaled;
        keep(&mut scaled);
        scaled
    }
}

struct Pass<'a> {
    rule: &'a Rule,
    scale: f64,
    gradients: &'a Gradients,
    adjusted: Gradients,
    /// Sum of squares so far: `[1]`.
    square: Tensor<1>,
}

impl ModuleVisitor for Pass<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return };
        let Rule { weight_decay, l1, .. } = *self.rule;
        let mut gradient = gradient * self.scale;
        if D > 1 && weight_decay != 0.0 {
            gradient = gradient + param.val() * weight_decay;
        }
        if D > 1 && l1 != 0.0 {
            gradient = gradient + param.val().sign() * l1;
        }
        if self.rule.clip_norm.is_some() {
            self.square = self.square.clone() + gradient.clone().square().sum();
        }
        self.adjusted.add(param, gradient);
    }
}

struct Scale<'a> {
    /// `[1]`.
    factor: Tensor<1>,
    gradients: &'a Gradients,
    scaled: Gradients,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return };
        let factor = self.factor.clone().reshape([1; D]);
        self.scaled.add(param, gradient * factor);
    }
}

/// The gradients of a model times a number.
pub(crate) fn scaled<M: LatentVariableModel>(model: &M, gradients: Gradients, factor: f64) -> Gradients {
    let factor = Tensor::full([1], factor, (&model.device(), model.dtype()));
    let mut pass = Scale { factor, gradients: &gradients, scaled: Gradients::new() };
    model.visit(&mut pass);
    pass.scaled
}

/// Gradients that are none of the model's.
struct Keep<'a> {
    gradients: &'a Gradients,
    into: &'a mut Gradients,
}

impl ModuleVisitor for Keep<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.into.add(param, gradient);
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::tensor::Device;
    use helmholtz_core::Key;
    use helmholtz_directed::{HelmholtzMachine, StackConfig};

    use super::*;

    fn model() -> HelmholtzMachine {
        StackConfig::new(3, vec![2]).init(None, Key::new(1), &Device::flex()).unwrap()
    }

    /// A gradient of 0.5 for every weight.
    struct Halves(Gradients);

    impl ModuleVisitor for Halves {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.add(param, param.val().zeros_like() + 0.5);
        }
    }

    /// Weights and what became of their gradients, with the number of axes.
    #[derive(Default)]
    struct Pairs {
        gradients: Gradients,
        pairs: Vec<(usize, f64, f64)>,
    }

    impl ModuleVisitor for Pairs {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let values = |tensor: Tensor<D>| tensor.into_data().convert::<f64>().try_to_vec::<f64>().unwrap();
            let gradient = self.gradients.get::<D>(param.id).expect("every weight has a gradient");
            self.pairs.extend(values(param.val()).into_iter().zip(values(gradient)).map(|(w, g)| (D, w, g)));
        }
    }

    fn ruled(rule: Rule) -> Vec<(usize, f64, f64)> {
        let model = model();
        let mut halves = Halves(Gradients::new());
        model.visit(&mut halves);
        // Anything with parameters will do for a strategy that learns.
        let strategy = StackConfig::new(1, vec![1]).init(None, Key::new(2), &Device::flex()).unwrap();
        strategy.visit(&mut halves);
        let mut own = Pairs { gradients: rule.apply(&model, &strategy, halves.0, 7), pairs: Vec::new() };
        strategy.visit(&mut own);
        assert!(own.pairs.iter().all(|(_, _, gradient)| *gradient == 0.5), "a rule is about the model");
        let mut pairs = Pairs { gradients: own.gradients, pairs: Vec::new() };
        model.visit(&mut pairs);
        pairs.pairs
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
        // As a paper's 1e-3 beside the sum over 100 rows is 1e-5 beside their mean; here over 7 rows.
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
