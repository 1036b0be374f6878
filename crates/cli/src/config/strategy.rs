//! The keys of strategies, and which of them train which model.

use super::limits::{LARGEST, check_name};
use super::schema::{Config, KERNELS, KL, StrategyConfig};
use crate::error::user;

/// Strategies that follow the path from noise to latents, or move in the noise.
const OF_NOISE: [&str; 5] = ["elbo", "iwae", "stl", "dreg", "coupled"];

/// Strategies that move the recognition net by scores, weighed by how well each sample does.
const OF_SCORES: [&str; 3] = ["vimco", "reinforce", "nvil"];

impl Config {
    /// Writes out the keys of the strategy, and refuses a strategy that the model does not fit, or keys of others.
    pub(super) fn check_strategy(&mut self) -> anyhow::Result<()> {
        let (kind, model) = (self.strategy.kind.as_str(), self.model.kind.as_str());
        let is_vae = model == "vae";
        if OF_NOISE.contains(&kind) && !is_vae {
            return Err(user(format!(
                "strategy.kind = \"{kind}\" on model.kind = \"{model}\": {kind} needs latents that are smooth functions \
                 of noise, and those of {model} are bits; use ws, rws, vimco, reinforce, nvil or bihm, or --model vae"
            )));
        }
        if kind == "bihm" && is_vae {
            return Err(user(format!(
                "strategy.kind = \"bihm\" on model.kind = \"vae\": a bidirectional machine is made of layers of bits; \
                 use rws, ws, {}, or --model bihm",
                OF_NOISE.join(", ")
            )));
        }
        if kind == "nvil" && is_vae {
            return Err(user(format!(
                "strategy.kind = \"nvil\" on model.kind = \"vae\": its signals are those of layers of bits; use vimco, \
                 reinforce, {}, or another model",
                OF_NOISE.join(", ")
            )));
        }
        if kind == "nvil" && !self.stage.is_empty() {
            return Err(user(
                "[[stage]] with strategy.kind = \"nvil\": its baselines would begin anew in every stage; give one stage \
                 of train.epochs, with optimizer.schedule for a falling rate",
            ));
        }
        let has_latents = !self.model.layers.is_empty();
        if OF_SCORES.contains(&kind) && !has_latents {
            return Err(user(format!(
                "strategy.kind = \"{kind}\" with model.layers = []: it trains the recognition net, and without latents \
                 there is none; use rws"
            )));
        }
        if is_vae && self.strategy.defence != 0.0 {
            return Err(user(
                "strategy.defence: the uniform law on the states of bits; the latents of a vae are real numbers, which \
                 have none; leave it out",
            ));
        }
        self.strategy.check_keys()?;
        let usual = if ["ws", "nvil", "elbo", "stl"].contains(&self.strategy.kind.as_str()) || !has_latents {
            1
        } else {
            10
        };
        self.strategy.samples.get_or_insert(usual);
        self.strategy.control_variate.get_or_insert(self.strategy.kind == "bihm");
        Ok(())
    }
}

impl StrategyConfig {
    fn check_keys(&mut self) -> anyhow::Result<()> {
        let kind = self.kind.as_str();
        if (OF_NOISE.contains(&kind) || OF_SCORES.contains(&kind))
            && (self.phi != "wake" || self.control_variate == Some(true) || self.defence != 0.0)
        {
            return Err(user(format!(
                "strategy.phi, strategy.control_variate and strategy.defence belong to rws; {kind} has none of them"
            )));
        }
        if kind == "elbo" {
            check_name("strategy.kl", self.kl.get_or_insert("analytic".into()), &KL)?;
        } else if self.kl.is_some() {
            return Err(user(format!(
                "strategy.kl belongs to elbo, and the strategy is {kind}; leave it out"
            )));
        }
        if kind == "coupled" {
            check_name("strategy.kernel", self.kernel.get_or_insert("disir".into()), &KERNELS)?;
            for (key, value, usual) in
                [("lag", &mut self.lag, 10), ("burn_in", &mut self.burn_in, 1), ("cap", &mut self.cap, 1000)]
            {
                let value = *value.get_or_insert(usual);
                if value > LARGEST {
                    return Err(user(format!("strategy.{key} = {value}: must not be above {LARGEST}")));
                }
            }
            return Ok(());
        }
        for (key, given) in [
            ("kernel", self.kernel.is_some()),
            ("lag", self.lag.is_some()),
            ("burn_in", self.burn_in.is_some()),
            ("cap", self.cap.is_some()),
        ] {
            if given {
                return Err(user(format!(
                    "strategy.{key} belongs to coupled, and the strategy is {kind}; leave it out"
                )));
            }
        }
        Ok(())
    }
}
