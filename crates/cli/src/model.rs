//! Any model that a config can name.

use burn::tensor::{DType, Device, Tensor};
use helmholtz_core::{
    Conditional, Draws, Enumerable, Gradients, LatentVariableModel, Proposals, Reparameterized, Traced,
    one_of,
};
use helmholtz_directed::HelmholtzMachine;
use helmholtz_vae::Vae;

use crate::error::user;

one_of! {
    /// A model of any family; its parameters have the paths that they have in the model itself.
    AnyModel {
        /// A stack of layers of bits, read as a directed or as a bidirectional machine.
        Stack(HelmholtzMachine),
        /// Gaussian latents.
        Vae(Vae),
    }
}

macro_rules! each {
    ($model:expr, $one:ident => $body:expr) => {
        match $model {
            AnyModel::Stack($one) => $body,
            AnyModel::Vae($one) => $body,
        }
    };
}

impl AnyModel {
    /// The stack of layers of bits, for what no other model can do.
    ///
    /// # Errors
    /// If the model is another; `what` ends the sentence: who asks, and what would fit.
    pub fn stack(&self, what: &str) -> anyhow::Result<&HelmholtzMachine> {
        match self {
            AnyModel::Stack(stack) => Ok(stack),
            AnyModel::Vae(_) => {
                Err(user(format!("the model is a vae, whose latents are real numbers: {what}")))
            }
        }
    }

    /// The model of real latents, for what no other can do.
    ///
    /// # Errors
    /// If the model is another; `what` ends the sentence: who asks, and what would fit.
    pub fn vae(&self, what: &str) -> anyhow::Result<&Vae> {
        match self {
            AnyModel::Vae(vae) => Ok(vae),
            AnyModel::Stack(stack) if stack.latent_bits() == 0 => {
                Err(user(format!("the model has no latents: {what}")))
            }
            AnyModel::Stack(_) => Err(user(format!("the latents of the model are bits: {what}"))),
        }
    }
}

impl AnyModel {
    /// Recognition means of each row of `x`, layer by layer, each given the means of the one below.
    ///
    /// # Errors
    /// If there are no latents, or none whose mean is known without those before it.
    pub fn encode(&self, x: Tensor<2>) -> anyhow::Result<Vec<Tensor<2>>> {
        match self {
            AnyModel::Stack(stack) => {
                if stack.depth() == 0 {
                    return Err(user("the model has no latents, and nothing to encode into"));
                }
                if let Some(l) = stack.recognition.iter().position(|layer| !layer.is_factorial()) {
                    return Err(user(format!(
                        "recognition layer {l} is autoregressive: the mean of a unit there depends on the bits of those \
                         before it; encode takes sbn and dsbn layers, and vae"
                    )));
                }
                let mut below = x - stack.centre.val().unsqueeze();
                let means = stack.recognition.iter().map(|layer| {
                    // Independent units: their means do not depend on the first argument.
                    let any = below.clone().slice([0..below.dims()[0], 0..1]).repeat_dim(1, layer.dims().0);
                    below = layer.mean(any, below.clone());
                    below.clone()
                });
                Ok(means.collect())
            }
            AnyModel::Vae(vae) => {
                let noise = Tensor::zeros([x.dims()[0], vae.noise_units()], (&vae.device(), vae.dtype()));
                Ok(vae.propose_at(x, noise).latents)
            }
        }
    }
}

impl LatentVariableModel for AnyModel {
    type Latents = Vec<Tensor<2>>;

    fn log_joint(&self, x: Tensor<2>, h: &Vec<Tensor<2>>) -> Tensor<1> {
        each!(self, model => model.log_joint(x, h))
    }

    fn log_posterior(&self, x: Tensor<2>, h: &Vec<Tensor<2>>) -> Tensor<1> {
        each!(self, model => model.log_posterior(x, h))
    }

    fn trace_joint(&self, x: Tensor<2>, h: &Vec<Tensor<2>>) -> Traced {
        each!(self, model => model.trace_joint(x, h))
    }

    fn trace_posterior(&self, x: Tensor<2>, h: &Vec<Tensor<2>>) -> Traced {
        each!(self, model => model.trace_posterior(x, h))
    }

    fn propose(&self, x: Tensor<2>, draws: &Draws, defence: f64) -> Proposals<Vec<Tensor<2>>> {
        each!(self, model => model.propose(x, draws, defence))
    }

    fn log_weights(&self, x: Tensor<2>, draws: &Draws) -> Tensor<2> {
        each!(self, model => model.log_weights(x, draws))
    }

    fn log_weights_defended(&self, x: Tensor<2>, draws: &Draws, defence: f64) -> Tensor<2> {
        each!(self, model => model.log_weights_defended(x, draws, defence))
    }

    fn dream(&self, draws: &Draws) -> (Tensor<2>, Vec<Tensor<2>>) {
        each!(self, model => model.dream(draws))
    }

    fn decode(&self, x: Tensor<2>, h: &Vec<Tensor<2>>) -> Tensor<2> {
        each!(self, model => model.decode(x, h))
    }

    fn joint_gradient(
        &self,
        x: Tensor<2>,
        h: &Vec<Tensor<2>>,
        traces: &[Tensor<2>],
        weights: Tensor<1>,
        into: &mut Gradients,
    ) {
        each!(self, model => model.joint_gradient(x, h, traces, weights, into));
    }

    fn posterior_gradient(
        &self,
        x: Tensor<2>,
        h: &Vec<Tensor<2>>,
        traces: &[Tensor<2>],
        weights: Tensor<1>,
        into: &mut Gradients,
    ) {
        each!(self, model => model.posterior_gradient(x, h, traces, weights, into));
    }

    fn observed(&self) -> usize {
        each!(self, model => model.observed())
    }

    fn dtype(&self) -> DType {
        each!(self, model => model.dtype())
    }

    fn device(&self) -> Device {
        each!(self, model => model.device())
    }
}
