//! The layer of a sigmoid belief network.
//!
//! `p(x | y) = Πⱼ Bernoulli(xⱼ; σ((y W + b)ⱼ))`, and as a prior `p(x) = Πⱼ Bernoulli(xⱼ; σ(aⱼ))`.
//! With the error `e = x - σ(y W + b)`, the score is local: `∇_W log p = yᵀ e`, `∇_b log p = e`.
//!
//! # Reference
//! Neal, "Connectionist learning of belief networks", Artificial Intelligence 56, 1992.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use helmholtz_core::{Conditional, Defence, Drawn, Draws, Gradients, Key, Prior, Scored};
use helmholtz_ops::{bernoulli, product, rows, sigmoid};

use crate::InitialWeights;

/// Sizes of a [`Bernoulli`] layer.
#[derive(Config, Debug)]
pub struct BernoulliConfig {
    /// Number of units in `y`, which the layer is conditioned on.
    pub d_y: usize,
    /// Number of units in `x`, which the layer models.
    pub d_x: usize,
    /// Initial value of every bias.
    #[config(default = 0.0)]
    pub bias: f64,
}

/// `p(x | y)` with independent Bernoulli units given a linear map of `y`.
#[derive(Module, Debug)]
pub struct Bernoulli {
    /// `W`: `[d_y, d_x]`.
    pub weight: Param<Tensor<2>>,
    /// `b`: `[d_x]`.
    pub bias: Param<Tensor<1>>,
}

impl BernoulliConfig {
    /// A layer with weights drawn under `key`.
    pub fn init(&self, weights: InitialWeights, key: Key, device: &Device) -> Bernoulli {
        Bernoulli {
            weight: Param::from_tensor(weights.draw(self.d_y, self.d_x, key, device)),
            bias: Param::from_tensor(Tensor::full([self.d_x], self.bias, device)),
        }
    }
}

impl Bernoulli {
    fn product(&self, y: Tensor<2>) -> Tensor<2> {
        product::ab(y, self.weight.val())
    }
}

impl Conditional for Bernoulli {
    fn log_prob(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        bernoulli::log_prob(x, self.product(y) + self.bias.val().unsqueeze())
    }

    fn mean(&self, _x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        sigmoid(self.product(y) + self.bias.val().unsqueeze())
    }

    fn score(&self, x: Tensor<2>, y: Tensor<2>) -> Scored {
        bernoulli::score(x, self.product(y), self.bias.val())
    }

    fn constant_log_prob(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        bernoulli::constant_log_prob(x, self.product(y), self.bias.val())
    }

    fn draw(&self, y: Tensor<2>, draws: &Draws, defence: Defence<'_>) -> Drawn {
        bernoulli::draw(self.product(y), self.bias.val(), draws, defence)
    }

    fn sample(&self, y: Tensor<2>, draws: &Draws) -> (Tensor<2>, Tensor<1>) {
        bernoulli::sample(self.product(y), self.bias.val(), draws)
    }

    fn gradient(
        &self,
        _x: Tensor<2>,
        y: Tensor<2>,
        trace: Tensor<2>,
        weights: Tensor<1>,
        into: &mut Gradients,
    ) {
        let ([n, _], [n_y, _], weights) = (trace.dims(), y.dims(), weights.neg());
        let (gradient, sums) = if n == n_y {
            product::weighed_atb(y, weights, trace)
        } else {
            // If one row of y serves k errors, the errors are summed first, which leaves n / k rows to multiply.
            let (errors, sums) = rows::weigh(trace, weights, n / n_y);
            (product::atb(y, errors), sums)
        };
        into.add(&self.weight, gradient);
        into.add(&self.bias, sums);
    }

    fn log_prob_table(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        bernoulli::log_prob_table(x, self.product(y), self.bias.val())
    }

    fn is_factorial(&self) -> bool {
        true
    }

    fn dims(&self) -> (usize, usize) {
        let [d_y, d_x] = self.weight.val().dims();
        (d_x, d_y)
    }
}

/// Size of a [`BernoulliPrior`].
#[derive(Config, Debug)]
pub struct BernoulliPriorConfig {
    /// Number of units.
    pub d_x: usize,
    /// Initial value of every bias.
    #[config(default = 0.0)]
    pub bias: f64,
}

/// `p(x)` with independent Bernoulli units.
#[derive(Module, Debug)]
pub struct BernoulliPrior {
    /// `a`, the logits: `[d_x]`.
    pub bias: Param<Tensor<1>>,
}

impl BernoulliPriorConfig {
    /// The prior.
    pub fn init(&self, device: &Device) -> BernoulliPrior {
        BernoulliPrior { bias: Param::from_tensor(Tensor::full([self.d_x], self.bias, device)) }
    }
}

impl BernoulliPrior {
    /// The logits without the bias, which are zero, for `n` rows.
    fn product(&self, n: usize) -> Tensor<2> {
        let bias = self.bias.val();
        Tensor::zeros([n, bias.dims()[0]], (&bias.device(), bias.dtype()))
    }
}

impl Prior for BernoulliPrior {
    fn log_prob(&self, x: Tensor<2>) -> Tensor<1> {
        bernoulli::log_prob(x, self.bias.val().unsqueeze())
    }

    fn mean(&self, x: Tensor<2>) -> Tensor<2> {
        let [n, _] = x.dims();
        sigmoid(self.product(n) + self.bias.val().unsqueeze())
    }

    fn score(&self, x: Tensor<2>) -> Scored {
        bernoulli::score(x, self.product(1), self.bias.val())
    }

    fn constant_log_prob(&self, x: Tensor<2>) -> Tensor<1> {
        bernoulli::constant_log_prob(x, self.product(1), self.bias.val())
    }

    fn draw(&self, draws: &Draws) -> Tensor<2> {
        bernoulli::draw(self.product(1), self.bias.val(), draws, None).x
    }

    fn gradient(&self, _x: Tensor<2>, trace: Tensor<2>, weights: Tensor<1>, into: &mut Gradients) {
        let (_, sums) = rows::weigh(trace, weights.neg(), 1);
        into.add(&self.bias, sums);
    }

    fn dim(&self) -> usize {
        self.bias.val().dims()[0]
    }
}
