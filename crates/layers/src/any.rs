//! Any layer and any prior, so that one stack may mix them.

use burn::module::Param;
use burn::tensor::Tensor;
use helmholtz_core::{Conditional, Defence, Drawn, Draws, Gradients, Prior, Scored, one_of};

use crate::{Bernoulli, BernoulliPrior, Darn, DarnPrior, Deterministic, Nade, NadePrior};

one_of! {
    /// `p(x | y)` of any kind.
    Layer {
        /// Independent units given a linear map of `y`.
        Bernoulli(Bernoulli),
        /// Independent units given a deterministic hidden layer.
        Deterministic(Deterministic),
        /// Units that depend linearly on those before them.
        Darn(Darn),
        /// Units that depend on those before them through hidden units.
        Nade(Nade),
    }
}

one_of! {
    /// `p(x)` of any kind.
    Top {
        /// Independent units.
        Bernoulli(BernoulliPrior),
        /// Units that depend linearly on those before them.
        Darn(DarnPrior),
        /// Units that depend on those before them through hidden units.
        Nade(NadePrior),
    }
}

macro_rules! each_layer {
    ($layer:expr, $one:ident => $body:expr) => {
        match $layer {
            Layer::Bernoulli($one) => $body,
            Layer::Deterministic($one) => $body,
            Layer::Darn($one) => $body,
            Layer::Nade($one) => $body,
        }
    };
}

macro_rules! each_top {
    ($top:expr, $one:ident => $body:expr) => {
        match $top {
            Top::Bernoulli($one) => $body,
            Top::Darn($one) => $body,
            Top::Nade($one) => $body,
        }
    };
}

impl Layer {
    /// The layer with the given biases of its units instead of its own.
    ///
    /// # Panics
    /// If there is not one bias for each unit.
    pub fn with_bias(mut self, bias: Tensor<1>) -> Self {
        each_layer!(&mut self, layer => replace(&mut layer.bias, bias));
        self
    }
}

impl Top {
    /// The prior with the given biases of its units instead of its own.
    ///
    /// # Panics
    /// If there is not one bias for each unit.
    pub fn with_bias(mut self, bias: Tensor<1>) -> Self {
        each_top!(&mut self, prior => replace(&mut prior.bias, bias));
        self
    }
}

fn replace(param: &mut Param<Tensor<1>>, bias: Tensor<1>) {
    assert_eq!(bias.dims(), param.val().dims(), "one bias for each unit");
    *param = Param::from_tensor(bias);
}

impl Conditional for Layer {
    fn log_prob(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        each_layer!(self, layer => layer.log_prob(x, y))
    }

    fn mean(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        each_layer!(self, layer => layer.mean(x, y))
    }

    fn score(&self, x: Tensor<2>, y: Tensor<2>) -> Scored {
        each_layer!(self, layer => layer.score(x, y))
    }

    fn draw(&self, y: Tensor<2>, draws: &Draws, defence: Defence<'_>) -> Drawn {
        each_layer!(self, layer => layer.draw(y, draws, defence))
    }

    fn gradient(
        &self,
        x: Tensor<2>,
        y: Tensor<2>,
        trace: Tensor<2>,
        weights: Tensor<1>,
        into: &mut Gradients,
    ) {
        each_layer!(self, layer => layer.gradient(x, y, trace, weights, into));
    }

    fn log_prob_table(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        each_layer!(self, layer => layer.log_prob_table(x, y))
    }

    fn is_factorial(&self) -> bool {
        each_layer!(self, layer => layer.is_factorial())
    }

    fn dims(&self) -> (usize, usize) {
        each_layer!(self, layer => layer.dims())
    }
}

impl Prior for Top {
    fn log_prob(&self, x: Tensor<2>) -> Tensor<1> {
        each_top!(self, prior => prior.log_prob(x))
    }

    fn mean(&self, x: Tensor<2>) -> Tensor<2> {
        each_top!(self, prior => prior.mean(x))
    }

    fn score(&self, x: Tensor<2>) -> Scored {
        each_top!(self, prior => prior.score(x))
    }

    fn draw(&self, draws: &Draws) -> Tensor<2> {
        each_top!(self, prior => prior.draw(draws))
    }

    fn gradient(&self, x: Tensor<2>, trace: Tensor<2>, weights: Tensor<1>, into: &mut Gradients) {
        each_top!(self, prior => prior.gradient(x, trace, weights, into));
    }

    fn dim(&self) -> usize {
        each_top!(self, prior => prior.dim())
    }
}
