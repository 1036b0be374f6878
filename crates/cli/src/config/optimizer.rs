//! The keys of the optimiser.

use helmholtz_core::ParameterGroup;

use super::schema::{Config, OptimizerConfig};
use crate::error::{excerpt, user};

impl Config {
    /// Writes out the rate of each group of parameters, and refuses settings that make no valid optimiser.
    pub(super) fn check_optimizer(&mut self) -> anyhow::Result<()> {
        self.check_groups()?;
        self.check_whole_steps()?;
        let optimizer = &mut self.optimizer;
        let of_groups = optimizer.rates.iter().map(|(key, rate)| (key.as_str(), *rate));
        for (key, rate) in std::iter::once(("lr", optimizer.lr)).chain(of_groups) {
            if !(rate.is_finite() && rate >= 0.0) {
                return Err(user(format!(
                    "optimizer.{key} = {rate}: a learning rate must be finite and not negative, such as 0.001"
                )));
            }
            check_single(key, rate)?;
        }
        let kind = optimizer.kind.as_str();
        let belongs = |key: &str, kinds: &[&str]| {
            user(format!(
                "optimizer.{key} belongs to {}, and the optimiser is {kind}; leave it out",
                kinds.join(" and ")
            ))
        };
        let of_momentum = ["sgd", "rmsprop"];
        if optimizer.momentum != 0.0 && !of_momentum.contains(&kind) {
            return Err(belongs("momentum", &of_momentum));
        }
        for (key, value, usual, kinds) in [
            ("beta1", &mut optimizer.beta1, 0.9, &["adam"][..]),
            ("beta2", &mut optimizer.beta2, 0.999, &["adam"]),
            ("decay", &mut optimizer.decay, 0.99, &["rmsprop"]),
            // Burn's default of 1e-5 is not small against the gradients of a batch mean.
            ("epsilon", &mut optimizer.epsilon, 1e-8, &["adam", "rmsprop"]),
        ] {
            if kinds.contains(&kind) {
                value.get_or_insert(usual);
            } else if value.is_some_and(|value| value != usual) {
                return Err(belongs(key, kinds));
            } else {
                // A default that was written out for another optimiser has no meaning here.
                *value = None;
            }
        }
        // In single precision, as the optimiser reads it: an epsilon that rounds to 0 would lead to a division by 0.
        let is_epsilon = |epsilon: f64| (epsilon as f32).is_finite() && epsilon as f32 > 0.0;
        if let Some(epsilon) = optimizer.epsilon.filter(|epsilon| !is_epsilon(*epsilon)) {
            return Err(user(format!(
                "optimizer.epsilon = {epsilon}: must be finite and above 0 in single precision, such as 1e-8"
            )));
        }
        for (key, value) in [
            ("momentum", Some(optimizer.momentum)),
            ("average", Some(optimizer.average)),
            ("beta1", optimizer.beta1),
            ("beta2", optimizer.beta2),
            ("decay", optimizer.decay),
        ] {
            if let Some(value) = value.filter(|value| !(0.0..1.0).contains(value)) {
                return Err(user(format!("optimizer.{key} = {value}: must lie in [0, 1)")));
            }
            // A decay of 1 forgets nothing, and the corrections that divide by 1 - decay divide by 0.
            if let Some(value) = value.filter(|value| *value as f32 >= 1.0) {
                return Err(user(format!(
                    "optimizer.{key} = {value}: must be below 1, and rounds to 1 in single precision, in which the \
                     optimiser computes; the largest such number is about 0.99999994"
                )));
            }
        }
        for (key, value) in [
            ("lr_end", optimizer.lr_end),
            ("weight_decay", optimizer.weight_decay),
            ("l1", optimizer.l1),
            ("clip_norm", optimizer.clip_norm),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(user(format!("optimizer.{key} = {value}: must be finite and not negative")));
            }
            check_single(key, value)?;
        }
        Ok(())
    }

    /// Refuses settings that would change the updates of a strategy that computes whole steps.
    fn check_whole_steps(&self) -> anyhow::Result<()> {
        let OptimizerConfig { kind, momentum, loss, weight_decay, l1, clip_norm, .. } = &self.optimizer;
        let wrong = match () {
            () if !self.spec.strategy.takes_whole_steps() => None,
            () if kind != "sgd" => Some(format!("kind = \"{kind}\"")),
            () if loss != "mean" => Some(format!("loss = \"{loss}\"")),
            () => {
                [("momentum", momentum), ("weight_decay", weight_decay), ("l1", l1), ("clip_norm", clip_norm)]
                    .into_iter()
                    .find(|(_, value)| **value != 0.0)
                    .map(|(key, value)| format!("{key} = {value}"))
            }
        };
        wrong.map_or(Ok(()), |setting| {
            Err(user(format!(
                "optimizer.{setting}: {} computes whole updates of the parameters, not gradients, and only plain sgd \
                 applies them unchanged; leave this setting out (optimizer.lr = 1 applies each update in full)",
                self.spec.strategy.kind()
            )))
        })
    }

    /// Writes out the rate of each group of the model's parameters, and refuses rates of groups that it does not have.
    fn check_groups(&mut self) -> anyhow::Result<()> {
        let model = &self.spec.model;
        let keys: Vec<String> = rate_keys(model.groups()).map(|(key, _)| key).collect();
        let of_stages =
            self.stage.iter().enumerate().flat_map(|(i, stage)| {
                stage.rates.keys().map(move |key| (format!("stage {}, ", i + 1), key))
            });
        let all = self.optimizer.rates.keys().map(|key| ("optimizer.".to_owned(), key)).chain(of_stages);
        for (place, key) in all {
            if keys.contains(key) {
                continue;
            }
            let names: Vec<&str> = ["lr"].into_iter().chain(keys.iter().map(String::as_str)).collect();
            return Err(user(format!(
                "{place}{}: {} has no group of parameters with a rate of this name; its rates are {}",
                excerpt(key),
                model.kind(),
                names.join(", ")
            )));
        }
        let lr = self.optimizer.lr;
        for key in keys {
            self.optimizer.rates.entry(key).or_insert(lr);
        }
        Ok(())
    }
}

impl OptimizerConfig {
    /// Sets the defaults for strategies that compute whole steps: sgd with a rate of 1. Keys in `given` stay.
    pub(super) fn take_whole_steps(&mut self, given: &[String]) {
        let is_given = |key: &str| given.iter().any(|given| given == key);
        if !is_given("kind") {
            self.kind = "sgd".into();
        }
        if !is_given("lr") {
            self.lr = 1.0;
        }
    }
}

/// The keys of the learning rates of parameter groups that have their own besides `lr`, each with the group's field.
pub(crate) fn rate_keys(groups: &[ParameterGroup]) -> impl Iterator<Item = (String, &'static str)> {
    groups.iter().filter_map(|group| Some((format!("lr_{}", group.name), group.field?)))
}

/// Refuses a finite number that is infinite in single precision, in which the optimiser computes.
fn check_single(key: &str, value: f64) -> anyhow::Result<()> {
    if (value as f32).is_finite() {
        return Ok(());
    }
    Err(user(format!(
        "optimizer.{key} = {value}: is infinite in single precision, in which the optimiser computes; give a number \
         below 3.4e38"
    )))
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Overlay};

    #[test]
    fn numbers_that_single_precision_rounds_to_a_limit_are_refused() {
        let message = |kind: &str, key: &str, value: f64| {
            let overlay = Overlay::default().set("optimizer.kind", kind).set(key, value);
            Config::resolve(None, &overlay).map_err(|error| error.to_string())
        };
        for (kind, key) in [
            ("adam", "optimizer.beta1"),
            ("adam", "optimizer.beta2"),
            ("adam", "optimizer.average"),
            ("rmsprop", "optimizer.decay"),
            ("sgd", "optimizer.momentum"),
        ] {
            for value in [0.9999999999999999, 0.99999998] {
                let refused = message(kind, key, value).unwrap_err();
                assert!(refused.contains(key) && refused.contains("single precision"), "{refused}");
            }
            message(kind, key, 0.9999999).unwrap();
        }
        for (key, value) in [
            ("optimizer.epsilon", 1e-60),
            ("optimizer.epsilon", 1e60),
            ("optimizer.lr", 1e60),
            ("optimizer.lr_q", 1e60),
            ("optimizer.weight_decay", 1e300),
        ] {
            let refused = message("adam", key, value).unwrap_err();
            assert!(refused.contains(key) && refused.contains("single precision"), "{refused}");
        }
    }
}
