//! Stacks of layers of bits, read as directed or as bidirectional machines.

pub mod checks;
pub mod config;
pub mod strategies;

use burn::tensor::Tensor;
use helmholtz_core::{Batch, Conditional, Trainable};
use helmholtz_directed::HelmholtzMachine;
use helmholtz_layers::{Layer, Top};

use crate::can::{Can, Chained, Summed};
use crate::error::ConfigError;
use crate::registry::Family;
use crate::strategies::{of_any_latents, of_every_strategy};

/// The family.
pub fn family() -> Family {
    let mut all = of_any_latents();
    all.extend(strategies::entries());
    let strategies = all.into_iter().map(of_every_strategy).collect();
    Family { name: "directed", models: config::models(), strategies, checks: checks::checks }
}

impl Can for HelmholtzMachine {
    fn summed(&self) -> Option<&dyn Summed> {
        Some(self)
    }

    fn chained(&self) -> Option<&dyn Chained> {
        Some(self)
    }

    fn order(&self) -> Option<Vec<usize>> {
        let order = match (self.generative.first(), &self.prior) {
            (Some(Layer::Darn(layer)), _) => &layer.order,
            (Some(Layer::Nade(layer)), _) => &layer.order,
            (None, Top::Darn(prior)) => &prior.order,
            (None, Top::Nade(prior)) => &prior.order,
            _ => return None,
        };
        Some(order.units(self.observed()))
    }

    fn encode(&self, batch: &Batch) -> Result<Vec<Tensor<2>>, ConfigError> {
        if self.depth() == 0 {
            return Err(ConfigError("the model has no latents, so there is nothing to encode into".into()));
        }
        if let Some(l) = self.recognition.iter().position(|layer| !layer.is_factorial()) {
            return Err(ConfigError(format!(
                "recognition layer {l} is autoregressive: the mean of a unit there depends on the bits of the \
                 units before it; encode takes sbn and dsbn layers, and vae"
            )));
        }
        let mut below = batch.whole() - self.centre.val().unsqueeze();
        let means = self.recognition.iter().map(|layer| {
            // Independent units: their means do not depend on the first argument.
            let any = below.clone().slice([0..below.dims()[0], 0..1]).repeat_dim(1, layer.dims().0);
            below = layer.mean(any, below.clone());
            below.clone()
        });
        Ok(means.collect())
    }
}
