//! Any layer and any prior, so that one stack can mix them.

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
        /// Units whose logits depend linearly on the units before them.
        Darn(Darn),
        /// Units that depend on the units before them through hidden units.
        Nade(Nade),
    }
}

one_of! {
    /// `p(x)` of any kind.
    Top {
        /// Independent units.
        Bernoulli(BernoulliPrior),
        /// Units whose logits depend linearly on the units before them.
        Darn(DarnPrior),
        /// Units that depend on the units before them through hidden units.
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

/// Methods that call the same method of the variant's layer.
macro_rules! forward {
    ($each:ident: $(fn $method:ident(&$self:ident $(, $arg:ident: $type:ty)*) $(-> $out:ty)?;)+) => {
        $(fn $method(&$self $(, $arg: $type)*) $(-> $out)? {
            $each!($self, one => one.$method($($arg),*))
        })+
    };
}

impl Layer {
    /// The layer with the biases of its units replaced by the given ones.
    ///
    /// # Panics
    /// If there is not exactly one bias for each unit.
    pub fn with_bias(mut self, bias: Tensor<1>) -> Self {
        each_layer!(&mut self, layer => replace(&mut layer.bias, bias));
        self
    }
}

impl Top {
    /// The prior with the biases of its units replaced by the given ones.
    ///
    /// # Panics
    /// If there is not exactly one bias for each unit.
    pub fn with_bias(mut self, bias: Tensor<1>) -> Self {
        each_top!(&mut self, prior => replace(&mut prior.bias, bias));
        self
    }
}

fn replace(param: &mut Param<Tensor<1>>, bias: Tensor<1>) {
    assert_eq!(bias.dims(), param.val().dims(), "a layer needs one bias for each unit");
    *param = Param::from_tensor(bias);
}

impl Conditional for Layer {
    forward! { each_layer:
        fn log_prob(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1>;
        fn mean(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2>;
        fn score(&self, x: Tensor<2>, y: Tensor<2>) -> Scored;
        fn constant_log_prob(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1>;
        fn draw(&self, y: Tensor<2>, draws: &Draws, defence: Defence<'_>) -> Drawn;
        fn sample(&self, y: Tensor<2>, draws: &Draws) -> (Tensor<2>, Tensor<1>);
        fn gradient(&self, x: Tensor<2>, y: Tensor<2>, trace: Tensor<2>, weights: Tensor<1>, into: &mut Gradients);
        fn log_prob_table(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2>;
        fn is_factorial(&self) -> bool;
        fn dims(&self) -> (usize, usize);
    }
}

impl Prior for Top {
    forward! { each_top:
        fn log_prob(&self, x: Tensor<2>) -> Tensor<1>;
        fn mean(&self, x: Tensor<2>) -> Tensor<2>;
        fn score(&self, x: Tensor<2>) -> Scored;
        fn constant_log_prob(&self, x: Tensor<2>) -> Tensor<1>;
        fn draw(&self, draws: &Draws) -> Tensor<2>;
        fn gradient(&self, x: Tensor<2>, trace: Tensor<2>, weights: Tensor<1>, into: &mut Gradients);
        fn dim(&self) -> usize;
    }
}
