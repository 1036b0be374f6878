//! The keys of a model with Gaussian latents.

use super::limits::{LARGEST_MATRIX, check_name};
use super::schema::{Config, LIKELIHOODS, STDS, VAE_ACTIVATIONS};
use crate::error::user;

impl Config {
    /// Writes out the keys that a vae has, and refuses those that only other models have.
    pub(super) fn check_vae(&mut self) -> anyhow::Result<()> {
        let model = &mut self.model;
        for (key, given, instead) in [
            ("p", model.p.is_some(), "leave it out"),
            ("q", model.q.is_some(), "leave it out"),
            ("hidden", model.hidden.is_some(), "the widths of its nets are model.bodies, as in [[200, 200]]"),
            ("order", model.order.is_some() || model.order_seed.is_some(), "leave it out"),
            ("weights", model.weights != "glorot", "its weights are Glorot uniform; leave it out"),
            ("bias", model.bias != 0.0, "its biases are 0 but for those that the data set; leave it out"),
        ] {
            if given {
                return Err(user(format!(
                    "model.{key}: belongs to layers of bits, and a vae has none; {instead}"
                )));
            }
        }
        let depth = model.layers.len();
        if depth == 0 {
            return Err(user(
                "model.layers = []: a vae needs at least one layer of latents, as in `--layers 20`",
            ));
        }
        check_name("model.activation", model.activation.get_or_insert("relu".into()), &VAE_ACTIVATIONS)?;
        check_name("model.std", model.std.get_or_insert("softplus".into()), &STDS)?;
        let likelihood = model.likelihood.get_or_insert("bernoulli".into());
        check_name("model.likelihood", likelihood, &LIKELIHOODS)?;
        if likelihood == "logistics" {
            let components = *model.components.get_or_insert(10);
            if !(1..=MOST_COMPONENTS).contains(&components) {
                return Err(user(format!(
                    "model.components = {components}: must be from 1 to {MOST_COMPONENTS}"
                )));
            }
        } else if model.components.is_some() {
            return Err(user("model.components: belongs to model.likelihood = \"logistics\"; leave it out"));
        }
        let bodies = model.bodies.get_or_insert_with(|| vec![vec![200, 200]; depth]);
        if bodies.len() != depth {
            return Err(user(format!(
                "model.bodies has {} lists of widths where model.layers = {:?} asks for {depth}: one for the net \
                 below each layer of latents, from the data up, [] for a linear map",
                bodies.len(),
                model.layers
            )));
        }
        for (l, (body, latents)) in bodies.iter().zip(&model.layers).enumerate() {
            let widths = || body.iter().chain([latents]);
            if body.contains(&0) {
                return Err(user(format!(
                    "model.bodies: list {l} has a width of 0; every width is at least 1"
                )));
            }
            if let Some((a, b)) =
                widths().zip(widths().skip(1)).find(|(a, b)| a.saturating_mul(**b) > LARGEST_MATRIX)
            {
                return Err(user(format!("model.bodies: {a} units beside {b} make more than 2^28 weights")));
            }
        }
        if let Some(channels) =
            model.channels.as_ref().filter(|channels| channels.is_empty() || channels.contains(&0))
        {
            return Err(user(format!(
                "model.channels = {channels:?}: channels from the data up, each at least 1, as in [64, 128]; leave \
                 it out for nets without convolutions"
            )));
        }
        Ok(())
    }

    /// Refuses the keys that only a vae has.
    pub(super) fn check_no_vae(&self) -> anyhow::Result<()> {
        let model = &self.model;
        for (key, given) in [
            ("bodies", model.bodies.is_some()),
            ("std", model.std.is_some()),
            ("likelihood", model.likelihood.is_some()),
            ("components", model.components.is_some()),
            ("channels", model.channels.is_some()),
        ] {
            if given {
                return Err(user(format!(
                    "model.{key} is set, and there is no vae for it; leave it out, or choose model.kind = \"vae\""
                )));
            }
        }
        Ok(())
    }
}

/// No mixture has more components.
const MOST_COMPONENTS: usize = 1000;
