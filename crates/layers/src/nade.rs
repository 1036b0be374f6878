//! The layer of the neural autoregressive distribution estimator (NADE), as a conditional layer and as a prior.
//!
//! With the units in their order and H hidden units,
//!
//! ```text
//! p(xⱼ = 1 | x_<j, y) = σ(bⱼ + (y U)ⱼ + σ(c + y R + Σ_{i before j} xᵢ Wᵢ) · Vⱼ)
//! ```
//!
//! and as a prior the same without `y`. The gradient is the backward scan of [`helmholtz_ops::nade`], with the
//! error of each unit given the units before it.
//!
//! # Reference
//! Larochelle, Murray, "The neural autoregressive distribution estimator", AISTATS 2011; Bornschein, Bengio,
//! "Reweighted wake-sleep", ICLR 2015, arXiv:1406.2751 (as a conditional layer).

use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use helmholtz_core::{Conditional, Defence, Drawn, Draws, Gradients, Key, Prior, Scored};
use helmholtz_ops::nade::{self, Scan, ScanGradient};
use helmholtz_ops::{UnitOrder, product, rows};

use crate::InitialWeights;

/// Sizes of a [`Nade`] layer.
#[derive(Config, Debug)]
pub struct NadeConfig {
    /// Number of units in `y`, which the layer is conditioned on.
    pub d_y: usize,
    /// Number of units in `x`, which the layer models.
    pub d_x: usize,
    /// Number of hidden units; the smaller of the two sizes if not set.
    pub hidden: Option<usize>,
    /// Initial value of every bias.
    #[config(default = 0.0)]
    pub bias: f64,
}

/// `p(x | y)` as a NADE whose hidden units and logits both depend on `y`.
#[derive(Module, Debug)]
pub struct Nade {
    /// `U`: `[d_y, d_x]`.
    pub weight: Param<Tensor<2>>,
    /// `b`: `[d_x]`.
    pub bias: Param<Tensor<1>>,
    /// `R`: `[d_y, hidden]`.
    pub hidden_weight: Param<Tensor<2>>,
    /// `c`: `[hidden]`.
    pub hidden_bias: Param<Tensor<1>>,
    /// `W`: row `i` is what unit `i` adds to the hidden units, `[d_x, hidden]`.
    pub encoder: Param<Tensor<2>>,
    /// `V`: row `j` is how unit `j` reads the hidden units, `[d_x, hidden]`.
    pub decoder: Param<Tensor<2>>,
    /// The order of the units.
    #[module(skip)]
    pub order: UnitOrder,
}

/// The recurrent weights of `d` units with `hidden` hidden units, drawn under `key`.
fn recurrent(
    [d, hidden]: [usize; 2],
    weights: InitialWeights,
    key: Key,
    device: &Device,
) -> [Param<Tensor<2>>; 2] {
    let encoder = weights.draw(d, hidden, key.child("W"), device);
    // Row j of V holds the weights from the hidden units to unit j, so the hidden units are the inputs. The transpose
    // is copied, so that V is contiguous row by row.
    let decoder = weights.draw(hidden, d, key.child("V"), device).transpose().into_data();
    [Param::from_tensor(encoder), Param::from_tensor(Tensor::from_data(decoder, device))]
}

impl NadeConfig {
    /// A layer with weights drawn under `key`, which visits its units in the given order.
    pub fn init(&self, weights: InitialWeights, order: UnitOrder, key: Key, device: &Device) -> Nade {
        let hidden = self.hidden.unwrap_or(self.d_x.min(self.d_y));
        let draw = |d_y, d_x, name: &str| Param::from_tensor(weights.draw(d_y, d_x, key.child(name), device));
        let bias = |d: usize| Param::from_tensor(Tensor::full([d], self.bias, device));
        let [encoder, decoder] = recurrent([self.d_x, hidden], weights, key, device);
        Nade {
            weight: draw(self.d_y, self.d_x, "U"),
            bias: bias(self.d_x),
            hidden_weight: draw(self.d_y, hidden, "R"),
            hidden_bias: bias(hidden),
            encoder,
            decoder,
            order,
        }
    }
}

impl Nade {
    fn scan(&self) -> Scan {
        Scan { encoder: self.encoder.val(), decoder: self.decoder.val(), order: self.order.clone() }
    }

    /// `c + y R`: `[n, hidden]`.
    fn start(&self, y: Tensor<2>) -> Tensor<2> {
        product::ab(y, self.hidden_weight.val()) + self.hidden_bias.val().unsqueeze()
    }

    /// `y U`: `[n, d_x]`.
    fn product(&self, y: Tensor<2>) -> Tensor<2> {
        product::ab(y, self.weight.val())
    }
}

impl Conditional for Nade {
    fn log_prob(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        let product = self.product(y.clone()) + self.bias.val().unsqueeze();
        nade::log_prob(x, self.start(y), product, &self.scan())
    }

    fn mean(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        let error = self.score(x.clone(), y).trace;
        let k = error.dims()[0] / x.dims()[0];
        rows::repeat_rows(x, k) - error
    }

    fn score(&self, x: Tensor<2>, y: Tensor<2>) -> Scored {
        nade::score(x, self.start(y.clone()), self.product(y), self.bias.val(), &self.scan())
    }

    fn draw(&self, y: Tensor<2>, draws: &Draws, defence: Defence<'_>) -> Drawn {
        nade::draw(self.start(y.clone()), self.product(y), self.bias.val(), &self.scan(), draws, defence)
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
        into.add(&self.weight, product::atb(y.clone(), rows::sum_groups(errors.clone(), n / n_y)));
        let ScanGradient { encoder, decoder, start } =
            nade::gradient(x, self.start(y.clone()), errors, &self.scan());
        into.add(&self.encoder, encoder);
        into.add(&self.decoder, decoder);
        into.add(&self.hidden_weight, product::atb(y, start.clone()));
        into.add(&self.hidden_bias, start.sum_dim(0).squeeze_dim(0));
    }

    fn dims(&self) -> (usize, usize) {
        let [d_y, d_x] = self.weight.val().dims();
        (d_x, d_y)
    }
}

/// Size of a [`NadePrior`].
#[derive(Config, Debug)]
pub struct NadePriorConfig {
    /// Number of units.
    pub d_x: usize,
    /// Number of hidden units; as many as units if not set.
    pub hidden: Option<usize>,
    /// Initial value of every bias.
    #[config(default = 0.0)]
    pub bias: f64,
}

/// `p(x)` as a NADE: over the data, the estimator of the paper.
#[derive(Module, Debug)]
pub struct NadePrior {
    /// `b`: `[d_x]`.
    pub bias: Param<Tensor<1>>,
    /// `c`: `[hidden]`.
    pub hidden_bias: Param<Tensor<1>>,
    /// `W`: row `i` is what unit `i` adds to the hidden units, `[d_x, hidden]`.
    pub encoder: Param<Tensor<2>>,
    /// `V`: row `j` is how unit `j` reads the hidden units, `[d_x, hidden]`.
    pub decoder: Param<Tensor<2>>,
    /// The order of the units.
    #[module(skip)]
    pub order: UnitOrder,
}

impl NadePriorConfig {
    /// The prior with weights drawn under `key`, which visits its units in the given order.
    pub fn init(&self, weights: InitialWeights, order: UnitOrder, key: Key, device: &Device) -> NadePrior {
        let hidden = self.hidden.unwrap_or(self.d_x);
        let bias = |d: usize| Param::from_tensor(Tensor::full([d], self.bias, device));
        let [encoder, decoder] = recurrent([self.d_x, hidden], weights, key, device);
        NadePrior { bias: bias(self.d_x), hidden_bias: bias(hidden), encoder, decoder, order }
    }
}

impl NadePrior {
    fn scan(&self) -> Scan {
        Scan { encoder: self.encoder.val(), decoder: self.decoder.val(), order: self.order.clone() }
    }

    /// `c` as a single row.
    fn start(&self) -> Tensor<2> {
        self.hidden_bias.val().unsqueeze()
    }

    /// The logits without the bias, which are zero, in a single row.
    fn product(&self) -> Tensor<2> {
        let bias = self.bias.val();
        Tensor::zeros([1, bias.dims()[0]], (&bias.device(), bias.dtype()))
    }
}

impl Prior for NadePrior {
    fn log_prob(&self, x: Tensor<2>) -> Tensor<1> {
        nade::log_prob(x, self.start(), self.bias.val().unsqueeze(), &self.scan())
    }

    fn mean(&self, x: Tensor<2>) -> Tensor<2> {
        x.clone() - self.score(x).trace
    }

    fn score(&self, x: Tensor<2>) -> Scored {
        nade::score(x, self.start(), self.product(), self.bias.val(), &self.scan())
    }

    fn draw(&self, draws: &Draws) -> Tensor<2> {
        nade::draw(self.start(), self.product(), self.bias.val(), &self.scan(), draws, None).x
    }

    fn gradient(&self, x: Tensor<2>, trace: Tensor<2>, weights: Tensor<1>, into: &mut Gradients) {
        let (errors, sums) = rows::weigh(trace, weights.neg(), 1);
        into.add(&self.bias, sums);
        let ScanGradient { encoder, decoder, start } = nade::gradient(x, self.start(), errors, &self.scan());
        into.add(&self.encoder, encoder);
        into.add(&self.decoder, decoder);
        into.add(&self.hidden_bias, start.squeeze_dim(0));
    }

    fn dim(&self) -> usize {
        self.bias.val().dims()[0]
    }
}
