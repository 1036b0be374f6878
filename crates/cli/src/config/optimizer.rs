//! The keys of the optimiser.

use super::Config;
use crate::error::user;

impl Config {
    /// Writes out the rate of the recognition net, and refuses what makes no optimiser.
    pub(super) fn check_optimizer(&mut self) -> anyhow::Result<()> {
        let optimizer = &mut self.optimizer;
        let lr_q = *optimizer.lr_q.get_or_insert(optimizer.lr);
        for (key, rate) in [("lr", optimizer.lr), ("lr_q", lr_q)] {
            if !(rate.is_finite() && rate >= 0.0) {
                return Err(user(format!(
                    "optimizer.{key} = {rate}: a learning rate is a finite number, not below zero, such as 0.001"
                )));
            }
        }
        for (key, value, kinds) in [
            // Zero is the default, and none at all.
            ("momentum", Some(optimizer.momentum).filter(|m| *m != 0.0), &["sgd", "rmsprop"][..]),
            ("beta1", optimizer.beta1, &["adam"]),
            ("beta2", optimizer.beta2, &["adam"]),
            ("decay", optimizer.decay, &["rmsprop"]),
            ("epsilon", optimizer.epsilon, &["adam", "rmsprop"]),
        ] {
            if value.is_some() && !kinds.contains(&optimizer.kind.as_str()) {
                return Err(user(format!(
                    "optimizer.{key} belongs to {}, and the optimiser is {}; leave it out",
                    kinds.join(" and "),
                    optimizer.kind
                )));
            }
        }
        if let Some(epsilon) = optimizer.epsilon.filter(|epsilon| !(epsilon.is_finite() && *epsilon > 0.0)) {
            return Err(user(format!(
                "optimizer.epsilon = {epsilon}: a finite number above 0, such as 1e-8"
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
        }
        for (key, value) in [
            ("lr_end", optimizer.lr_end),
            ("weight_decay", optimizer.weight_decay),
            ("l1", optimizer.l1),
            ("clip_norm", optimizer.clip_norm),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(user(format!("optimizer.{key} = {value}: a finite number, not below zero")));
            }
        }
        Ok(())
    }
}
