//! Variational auto-encoders.

use burn::tensor::Tensor;
use helmholtz_core::{LatentVariableModel, Reparameterized};
use helmholtz_strategies::{Coupled, Pathwise};
use helmholtz_vae::Vae;

use crate::can::{Can, Refusal, Smooth};

impl Can for Vae {
    fn smooth(&self) -> Option<&dyn Smooth> {
        Some(self)
    }

    fn encode(&self, x: Tensor<2>) -> Result<Vec<Tensor<2>>, Refusal> {
        let noise =
            Tensor::zeros([x.dims()[0], Reparameterized::noise_units(self)], (&self.device(), self.dtype()));
        Ok(self.propose_at(x, noise).latents)
    }
}

crate::estimates!(Pathwise => Vae);
crate::estimates!(Coupled => Vae);
