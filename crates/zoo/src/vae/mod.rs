//! Variational auto-encoders.

pub mod checks;
mod config;

use burn::tensor::Tensor;
use helmholtz_core::{LatentVariableModel, Reparameterized};
use helmholtz_vae::Vae;

use crate::can::{Can, Smooth};
use crate::error::ConfigError;
use crate::registry::Family;
use crate::strategies::{of_any_latents, of_smooth_latents};

pub use config::VaeSettings;

/// The family.
pub fn family() -> Family {
    let mut strategies = of_any_latents();
    strategies.extend(of_smooth_latents());
    Family { name: "vae", models: config::models(), strategies, checks: checks::checks }
}

impl Can for Vae {
    fn smooth(&self) -> Option<&dyn Smooth> {
        Some(self)
    }

    fn encode(&self, x: Tensor<2>) -> Result<Vec<Tensor<2>>, ConfigError> {
        let noise =
            Tensor::zeros([x.dims()[0], Reparameterized::noise_units(self)], (&self.device(), self.dtype()));
        Ok(self.propose_at(x, noise).latents)
    }
}
