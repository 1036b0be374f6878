//! One stochastic layer of a stack.
//!
//! Rows may repeat: if `x` has `k` times as many rows as `y`, row `i` of `y` serves rows
//! `i k .. (i + 1) k` of `x`, and vice versa. A layer thus scores `k` latents proposed for
//! one observation, or one observation under `k` latents, without copying the shorter side.

use burn::tensor::Tensor;
use helmholtz_noise::Draws;

use crate::{Gradients, Model};

/// A log-probability per row, with what the layer keeps for its gradient.
#[derive(Clone, Debug)]
pub struct Scored {
    /// `log p(x | y)` in nats: `[n]`.
    pub log_prob: Tensor<1>,
    /// What the layer's `gradient` needs back. For binary units this is the error
    /// `xⱼ - E[xⱼ | x_<j, y]` of each unit given the units before it.
    pub trace: Tensor<2>,
}

/// A sample with its score.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// The sample: `[n * k, d_x]`, with the `k` samples of one row of `y` in consecutive rows.
    pub x: Tensor<2>,
    /// Its log-probability and trace under the layer.
    pub scored: Scored,
}

/// Matrix rows to draw from the uniform distribution over all states instead of from the layer.
///
/// This is the uniform component of the defensive mixture of Le et al. (2019). Such a row is
/// still scored under the layer.
pub type Defence<'a> = Option<&'a [bool]>;

/// `p(x | y)`, one stochastic layer; log-probabilities are `[n]`, in nats.
pub trait Conditional: Model {
    /// `log p(x | y)`, differentiable by autodiff in the layer's parameters and in `y`.
    fn log_prob(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1>;

    /// `E[xⱼ | x_<j, y]`, the mean of each unit given the units before it: `[n, d_x]`.
    ///
    /// If the units are independent given `y`, this is `E[x | y]` for any `x`.
    fn mean(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2>;

    /// `log p(x | y)` with the trace for [`gradient`](Self::gradient); constants.
    fn score(&self, x: Tensor<2>, y: Tensor<2>) -> Scored;

    /// The `log p(x | y)` of [`score`](Self::score) without a trace; a constant.
    fn constant_log_prob(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        self.score(x, y).log_prob
    }

    /// `x ~ p(x | y)`, [`Draws::k`] samples for each row of `y`, with their score; constants.
    fn draw(&self, y: Tensor<2>, draws: &Draws, defence: Defence<'_>) -> Drawn;

    /// The sample of [`draw`](Self::draw) and its log-probability, without a trace; constants.
    fn sample(&self, y: Tensor<2>, draws: &Draws) -> (Tensor<2>, Tensor<1>) {
        let drawn = self.draw(y, draws, None);
        (drawn.x, drawn.scored.log_prob)
    }

    /// Adds the gradient of the loss `-Σᵢ wᵢ log p(xᵢ | yᵢ)` in the layer's parameters.
    ///
    /// # Shapes
    /// - `weights`: `[n]`, one for each row of `trace`
    fn gradient(
        &self,
        x: Tensor<2>,
        y: Tensor<2>,
        trace: Tensor<2>,
        weights: Tensor<1>,
        into: &mut Gradients,
    );

    /// `log p(xᵢ | yⱼ)` for every pair: `[n_x, n_y]`.
    fn log_prob_table(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        let rows = x.iter_dim(0).map(|x| self.score(x, y.clone()).log_prob.unsqueeze_dim::<2>(0));
        Tensor::cat(rows.collect(), 0)
    }

    /// Whether the units of `x` are independent of each other given `y`.
    fn is_factorial(&self) -> bool {
        false
    }

    /// Sizes of `x` and `y`.
    fn dims(&self) -> (usize, usize);
}

/// `p(x)`, the top layer of a stack: a [`Conditional`] without `y`.
pub trait Prior: Model {
    /// `log p(x)`, differentiable by autodiff in the layer's parameters.
    fn log_prob(&self, x: Tensor<2>) -> Tensor<1>;

    /// `E[xⱼ | x_<j]`, the mean of each unit given the units before it: `[n, d_x]`.
    fn mean(&self, x: Tensor<2>) -> Tensor<2>;

    /// `log p(x)` with the trace for [`gradient`](Self::gradient); constants.
    fn score(&self, x: Tensor<2>) -> Scored;

    /// The `log p(x)` of [`score`](Self::score) without a trace; a constant.
    fn constant_log_prob(&self, x: Tensor<2>) -> Tensor<1> {
        self.score(x).log_prob
    }

    /// `x ~ p(x)`, one for each matrix row of `draws`.
    fn draw(&self, draws: &Draws) -> Tensor<2>;

    /// Adds the gradient of the loss `-Σᵢ wᵢ log p(xᵢ)` in the layer's parameters.
    fn gradient(&self, x: Tensor<2>, trace: Tensor<2>, weights: Tensor<1>, into: &mut Gradients);

    /// Size of `x`.
    fn dim(&self) -> usize;
}
