//! Variational auto-encoders.

pub mod checks;
pub mod config;
pub mod strategies;

use burn::tensor::Tensor;
use helmholtz_core::{Batch, Reparameterized, Trainable};
use helmholtz_vae::Vae;

use crate::can::{Can, Smooth};
use crate::error::ConfigError;
use crate::registry::Family;
use crate::strategies::{of_any_latents, of_every_strategy};

/// The family.
pub fn family() -> Family {
    let mut all = of_any_latents();
    all.extend(strategies::entries());
    let strategies = all.into_iter().map(of_every_strategy).collect();
    Family { name: "vae", models: config::models(), strategies, checks: checks::checks }
}

impl Can for Vae {
    fn smooth(&self) -> Option<&dyn Smooth> {
        Some(self)
    }

    fn encode(&self, batch: &Batch) -> Result<Vec<Tensor<2>>, ConfigError> {
        let x = batch.whole();
        let noise =
            Tensor::zeros([x.dims()[0], Reparameterized::noise_units(self)], (&self.device(), self.dtype()));
        Ok(self.propose_at(x, noise).latents)
    }
}
