//! What a strategy passes to an optimiser.

use burn::module::{Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Gradients of a loss, by parameter; contributions to the same parameter add up.
#[derive(Default, Debug)]
pub struct Gradients {
    params: GradientsParams,
}

impl Gradients {
    /// No gradients yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `gradient` to what `param` has received so far.
    pub fn add<const D: usize>(&mut self, param: &Param<Tensor<D>>, gradient: Tensor<D>) {
        let total = match self.params.remove::<D>(param.id) {
            Some(sum) => sum + gradient,
            None => gradient,
        };
        self.params.register(param.id, total);
    }

    /// The gradient of a parameter, if it has received one.
    pub fn get<const D: usize>(&self, id: ParamId) -> Option<Tensor<D>> {
        self.params.get(id)
    }

    /// The form that Burn's optimisers take.
    pub fn into_params(self) -> GradientsParams {
        self.params
    }
}

impl From<GradientsParams> for Gradients {
    fn from(params: GradientsParams) -> Self {
        Gradients { params }
    }
}
