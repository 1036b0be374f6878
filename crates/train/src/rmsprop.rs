//! RMSProp, with Burn's state and numbers, in one pass over each parameter that is in host memory.

use burn::optim::{
    CenteredState, LearningRate, ModuleOptimizer, Optimizer, RmsPropConfig, RmsPropState, SquareAvgState,
};
use burn::tensor::{Device, Tensor};
use helmholtz_ops::rmsprop;

/// RMSProp, not centred; with momentum, and for parameters that are not in host memory, it is Burn's.
///
/// Its state is Burn's, in checkpoints too, and so are its numbers, to the bit.
#[derive(Clone)]
pub struct RmsProp {
    settings: rmsprop::RmsPropSettings,
    momentum: f32,
    burn: burn::optim::RmsProp,
}

impl RmsProp {
    /// An optimiser that keeps a share α of the mean of squares, with ε added to its root.
    pub fn new(alpha: f32, epsilon: f32, momentum: f32) -> Self {
        let config = RmsPropConfig::new().with_alpha(alpha).with_epsilon(epsilon).with_momentum(momentum);
        RmsProp { settings: rmsprop::RmsPropSettings { alpha, epsilon }, momentum, burn: config.build() }
    }

    /// The optimiser of all parameters of a module.
    pub fn init(self) -> ModuleOptimizer {
        ModuleOptimizer::from(self)
    }
}

impl Optimizer for RmsProp {
    type State<const D: usize> = RmsPropState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<RmsPropState<D>>,
    ) -> (Tensor<D>, Option<RmsPropState<D>>) {
        if self.momentum > 0.0 || !rmsprop::RmsPropSettings::applies(&parameter.device()) {
            return self.burn.step(rate, parameter, gradient, state);
        }
        // Burn's state has the mean of squares twice. The second is dropped, so that the first can be changed in place.
        let squares = state.map(|state| state.square_avg.square_avg);
        let [parameter, squares] = self.settings.step(rate, parameter, gradient, squares);
        let state =
            RmsPropState::new(SquareAvgState::new(squares.clone()), CenteredState::new(None, squares), None);
        (parameter, Some(state))
    }

    fn to_device<const D: usize>(state: RmsPropState<D>, device: &Device) -> RmsPropState<D> {
        <burn::optim::RmsProp as Optimizer>::to_device(state, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trained::{same_bits, trained};

    #[test]
    fn steps_are_those_of_burns_rmsprop_to_the_bit() {
        for momentum in [0.0, 0.5] {
            let config = RmsPropConfig::new().with_alpha(0.95).with_epsilon(1e-6).with_momentum(momentum);
            let ours = trained(RmsProp::new(0.95, 1e-6, momentum).init());
            assert!(same_bits(&ours, &trained(config.init())), "momentum {momentum}");
        }
    }
}
