//! Adam, with Burn's state and numbers, in one pass over each parameter that is in host memory.

use burn::optim::{AdamConfig, AdamState, AdaptiveMomentumState, LearningRate, ModuleOptimizer, Optimizer};
use burn::tensor::{Device, Tensor};
use helmholtz_ops::adam;

/// Adam; for parameters that are not in host memory it is Burn's.
///
/// Its state is Burn's, in checkpoints too, and so are its numbers, to the bit.
#[derive(Clone)]
pub struct Adam {
    settings: adam::AdamSettings,
    burn: burn::optim::Adam,
}

impl Adam {
    /// An optimiser with these decays, and with ε added to the root of the mean of squares.
    pub fn new(beta_1: f32, beta_2: f32, epsilon: f32) -> Self {
        let config = AdamConfig::new().with_beta_1(beta_1).with_beta_2(beta_2).with_epsilon(epsilon);
        Adam { settings: adam::AdamSettings { beta_1, beta_2, epsilon }, burn: config.build() }
    }

    /// The optimiser of all parameters of a module.
    pub fn init(self) -> ModuleOptimizer {
        ModuleOptimizer::from(self)
    }
}

impl Optimizer for Adam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamState<D>>,
    ) -> (Tensor<D>, Option<AdamState<D>>) {
        if !adam::AdamSettings::applies(&parameter.device()) {
            return self.burn.step(rate, parameter, gradient, state);
        }
        let (time, moments) = match state.map(|state| state.momentum) {
            None => (1, None),
            Some(before) => (before.time + 1, Some([before.moment_1, before.moment_2])),
        };
        let [parameter, m, v] = self.settings.step(rate, time as i32, parameter, gradient, moments);
        (parameter, Some(AdamState::new(AdaptiveMomentumState::new(time, m, v))))
    }

    fn to_device<const D: usize>(state: AdamState<D>, device: &Device) -> AdamState<D> {
        <burn::optim::Adam as Optimizer>::to_device(state, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trained::{same_bits, trained};

    #[test]
    fn steps_are_those_of_burns_adam_to_the_bit() {
        let config = AdamConfig::new().with_beta_1(0.8).with_beta_2(0.99).with_epsilon(1e-6);
        assert!(same_bits(&trained(Adam::new(0.8, 0.99, 1e-6).init()), &trained(config.init())));
    }
}
