//! The layer of a sigmoid belief network with deterministic hidden units inside.
//!
//! `d = σ(y U + a)`, or with tanh instead of σ, and `p(x | y) = Πⱼ Bernoulli(xⱼ; σ((d W + b)ⱼ))`.
//! With the error `e = x - σ(d W + b)`, the score is `∇_W log p = dᵀ e`, `∇_b log p = e`. For the hidden units it is
//! `∇_U log p = yᵀ s`, `∇_a log p = s` with `s = (e Wᵀ) ⊙ d (1 - d)`; for tanh, `1 - d²` replaces `d (1 - d)`.
//!
//! # Reference
//! Bornschein, Bengio, "Reweighted wake-sleep", ICLR 2015, arXiv:1406.2751 (DSBN).

use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use helmholtz_core::{Conditional, Defence, Drawn, Draws, Gradients, Key, Scored};
use helmholtz_ops::{bernoulli, product, rows, sigmoid};

use crate::InitialWeights;

/// Sizes of a [`Deterministic`] layer.
#[derive(Config, Debug)]
pub struct DeterministicConfig {
    /// Number of units in `y`, which the layer is conditioned on.
    pub d_y: usize,
    /// Number of units in `x`, which the layer models.
    pub d_x: usize,
    /// Number of deterministic units; `(d_x + d_y) / 2` if not set.
    pub hidden: Option<usize>,
    /// Whether the deterministic units are tanh instead of logistic.
    #[config(default = false)]
    pub tanh: bool,
    /// Initial value of every bias.
    #[config(default = 0.0)]
    pub bias: f64,
}

/// `p(x | y)` with independent Bernoulli units given a hidden layer that `y` determines.
#[derive(Module, Debug)]
pub struct Deterministic {
    /// `U`: `[d_y, hidden]`.
    pub hidden_weight: Param<Tensor<2>>,
    /// `a`: `[hidden]`.
    pub hidden_bias: Param<Tensor<1>>,
    /// `W`: `[hidden, d_x]`.
    pub weight: Param<Tensor<2>>,
    /// `b`: `[d_x]`.
    pub bias: Param<Tensor<1>>,
    /// Whether the hidden units are tanh instead of logistic.
    pub tanh: bool,
}

impl DeterministicConfig {
    /// A layer with weights drawn under `key`.
    pub fn init(&self, weights: InitialWeights, key: Key, device: &Device) -> Deterministic {
        let hidden = self.hidden.unwrap_or((self.d_x + self.d_y).div_ceil(2));
        let draw = |d_y, d_x, name: &str| Param::from_tensor(weights.draw(d_y, d_x, key.child(name), device));
        let bias = |d: usize| Param::from_tensor(Tensor::full([d], self.bias, device));
        Deterministic {
            hidden_weight: draw(self.d_y, hidden, "U"),
            hidden_bias: bias(hidden),
            weight: draw(hidden, self.d_x, "W"),
            bias: bias(self.d_x),
            tanh: self.tanh,
        }
    }
}

impl Deterministic {
    /// `d`: `[n, hidden]`.
    fn hidden(&self, y: Tensor<2>) -> Tensor<2> {
        let sums = product::ab(y, self.hidden_weight.val()) + self.hidden_bias.val().unsqueeze();
        if self.tanh { sums.tanh() } else { sigmoid(sums) }
    }

    fn product(&self, y: Tensor<2>) -> Tensor<2> {
        product::ab(self.hidden(y), self.weight.val())
    }
}

impl Conditional for Deterministic {
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
        let ([n, _], [n_y, _]) = (trace.dims(), y.dims());
        let hidden = self.hidden(y.clone());
        // If one row of y serves k errors, the errors are summed first, which leaves n / k rows to multiply.
        let (errors, sums) = rows::weigh(trace, weights.neg(), n / n_y);
        into.add(&self.weight, product::atb(hidden.clone(), errors.clone()));
        into.add(&self.bias, sums);
        let slope = match self.tanh {
            true => hidden.square().neg() + 1.0,
            false => hidden.clone() * (hidden.neg() + 1.0),
        };
        let through = product::abt(errors, self.weight.val()) * slope;
        into.add(&self.hidden_bias, through.clone().sum_dim(0).squeeze_dim(0));
        into.add(&self.hidden_weight, product::atb(y, through));
    }

    fn log_prob_table(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        bernoulli::log_prob_table(x, self.product(y), self.bias.val())
    }

    fn is_factorial(&self) -> bool {
        true
    }

    fn dims(&self) -> (usize, usize) {
        (self.weight.val().dims()[1], self.hidden_weight.val().dims()[0])
    }
}
