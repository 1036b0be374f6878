//! The autoregressive layer of DARN and of fully visible sigmoid belief networks.
//!
//! `p(x | y) = Πⱼ Bernoulli(xⱼ; σ(bⱼ + (y U)ⱼ + Σ_{i before j} xᵢ W_ij))`; as a prior, the same without `y U`.
//! With the error `e` of each unit given the units before it, `∇_U log p = yᵀ e` and `∇_b log p = e`.
//! `∇_W log p` is `xᵀ e` where the unit of the row comes before the unit of the column, and zero elsewhere.
//!
//! # Reference
//! Gregor, Danihelka, Mnih, Blundell, Wierstra, "Deep autoregressive networks", ICML 2014, arXiv:1310.8499;
//! Frey, Hinton, Dayan, "Does the wake-sleep algorithm produce good density estimators?", NIPS 1995 (the model
//! without latents).

use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use helmholtz_core::{Conditional, Defence, Drawn, Draws, Gradients, Key, Prior, Scored};
use helmholtz_ops::{UnitOrder, bernoulli, darn, product, rows};

use crate::InitialWeights;

/// Sizes of a [`Darn`] layer.
#[derive(Config, Debug)]
pub struct DarnConfig {
    /// Number of units in `y`, which the layer is conditioned on.
    pub d_y: usize,
    /// Number of units in `x`, which the layer models.
    pub d_x: usize,
    /// Initial value of every bias.
    #[config(default = 0.0)]
    pub bias: f64,
}

/// `p(x | y)`; the logit of each unit depends linearly on `y` and on the units before it.
#[derive(Module, Debug)]
pub struct Darn {
    /// `U`: `[d_y, d_x]`.
    pub weight: Param<Tensor<2>>,
    /// `W`, used only where the unit of the row comes before the unit of the column: `[d_x, d_x]`.
    pub recurrent: Param<Tensor<2>>,
    /// `b`: `[d_x]`.
    pub bias: Param<Tensor<1>>,
    /// The order of the units.
    #[module(skip)]
    pub order: UnitOrder,
}

impl DarnConfig {
    /// A layer with weights drawn under `key`, which visits its units in the given order.
    pub fn init(&self, weights: InitialWeights, order: UnitOrder, key: Key, device: &Device) -> Darn {
        Darn {
            weight: Param::from_tensor(weights.draw(self.d_y, self.d_x, key.child("U"), device)),
            recurrent: recurrent(self.d_x, weights, &order, key, device),
            bias: Param::from_tensor(Tensor::full([self.d_x], self.bias, device)),
            order,
        }
    }
}

fn recurrent(
    d: usize,
    weights: InitialWeights,
    order: &UnitOrder,
    key: Key,
    device: &Device,
) -> Param<Tensor<2>> {
    Param::from_tensor(darn::masked(weights.draw(d, d, key.child("W"), device), order))
}

/// `x W` with the masked weights.
fn within(x: &Tensor<2>, recurrent: &Param<Tensor<2>>, order: &UnitOrder) -> Tensor<2> {
    darn::product(x.clone(), recurrent.val(), order)
}

/// The gradient in the recurrent weights, from one error or k consecutive errors for each row of x.
fn recurrent_gradient(x: Tensor<2>, errors: Tensor<2>, order: &UnitOrder) -> Tensor<2> {
    let k = errors.dims()[0] / x.dims()[0];
    darn::masked(product::atb(x, rows::sum_groups(errors, k)), order)
}

impl Darn {
    /// The logits without the bias: `[n, d_x]`.
    fn product(&self, x: &Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        let (given, within) = (product::ab(y, self.weight.val()), within(x, &self.recurrent, &self.order));
        let (given, within) = rows::repeat_shorter(given, within);
        given + within
    }
}

impl Conditional for Darn {
    fn log_prob(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        let logits = self.product(&x, y) + self.bias.val().unsqueeze();
        bernoulli::log_prob(x, logits)
    }

    fn mean(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        helmholtz_ops::sigmoid(self.product(&x, y) + self.bias.val().unsqueeze())
    }

    fn score(&self, x: Tensor<2>, y: Tensor<2>) -> Scored {
        let product = self.product(&x, y);
        bernoulli::score(x, product, self.bias.val())
    }

    fn draw(&self, y: Tensor<2>, draws: &Draws, defence: Defence<'_>) -> Drawn {
        let recurrent = darn::masked(self.recurrent.val(), &self.order);
        darn::draw(product::ab(y, self.weight.val()), self.bias.val(), recurrent, &self.order, draws, defence)
    }

    fn gradient(
        &self,
        x: Tensor<2>,
        y: Tensor<2>,
        trace: Tensor<2>,
        weights: Tensor<1>,
        into: &mut Gradients,
    ) {
        let ([n, _], [n_y, _]) = (trace.dims(), y.dims());
        let (errors, sums) = rows::weigh(trace, weights.neg(), 1);
        into.add(&self.bias, sums);
        into.add(&self.weight, product::atb(y, rows::sum_groups(errors.clone(), n / n_y)));
        into.add(&self.recurrent, recurrent_gradient(x, errors, &self.order));
    }

    fn dims(&self) -> (usize, usize) {
        let [d_y, d_x] = self.weight.val().dims();
        (d_x, d_y)
    }
}

/// Size of a [`DarnPrior`].
#[derive(Config, Debug)]
pub struct DarnPriorConfig {
    /// Number of units.
    pub d_x: usize,
    /// Initial value of every bias.
    #[config(default = 0.0)]
    pub bias: f64,
}

/// `p(x)`; the logit of each unit depends linearly on the units before it. Over the data, this is a fully visible
/// sigmoid belief network.
#[derive(Module, Debug)]
pub struct DarnPrior {
    /// `W`, used only where the unit of the row comes before the unit of the column: `[d_x, d_x]`.
    pub recurrent: Param<Tensor<2>>,
    /// `b`: `[d_x]`.
    pub bias: Param<Tensor<1>>,
    /// The order of the units.
    #[module(skip)]
    pub order: UnitOrder,
}

impl DarnPriorConfig {
    /// The prior with weights drawn under `key`, which visits its units in the given order.
    pub fn init(&self, weights: InitialWeights, order: UnitOrder, key: Key, device: &Device) -> DarnPrior {
        DarnPrior {
            recurrent: recurrent(self.d_x, weights, &order, key, device),
            bias: Param::from_tensor(Tensor::full([self.d_x], self.bias, device)),
            order,
        }
    }
}

impl Prior for DarnPrior {
    fn log_prob(&self, x: Tensor<2>) -> Tensor<1> {
        let logits = within(&x, &self.recurrent, &self.order) + self.bias.val().unsqueeze();
        bernoulli::log_prob(x, logits)
    }

    fn mean(&self, x: Tensor<2>) -> Tensor<2> {
        helmholtz_ops::sigmoid(within(&x, &self.recurrent, &self.order) + self.bias.val().unsqueeze())
    }

    fn score(&self, x: Tensor<2>) -> Scored {
        let product = within(&x, &self.recurrent, &self.order);
        bernoulli::score(x, product, self.bias.val())
    }

    fn draw(&self, draws: &Draws) -> Tensor<2> {
        let bias = self.bias.val();
        let product = Tensor::zeros([1, bias.dims()[0]], (&bias.device(), bias.dtype()));
        let recurrent = darn::masked(self.recurrent.val(), &self.order);
        darn::draw(product, bias, recurrent, &self.order, draws, None).x
    }

    fn gradient(&self, x: Tensor<2>, trace: Tensor<2>, weights: Tensor<1>, into: &mut Gradients) {
        let (errors, sums) = rows::weigh(trace, weights.neg(), 1);
        into.add(&self.bias, sums);
        into.add(&self.recurrent, recurrent_gradient(x, errors, &self.order));
    }

    fn dim(&self) -> usize {
        self.bias.val().dims()[0]
    }
}
