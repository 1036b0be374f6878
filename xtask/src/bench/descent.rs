//! Optimisers, and steps without the learner.

use std::time::Instant;

use burn::optim::{ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Tensor};
use helmholtz_core::{Batch, Key, Measured, Model, Strategy};
use helmholtz_train::{Adam, RmsProp};

use crate::bench::parts::ms_since;

/// An optimiser with its step size.
pub(crate) struct Descent {
    pub(crate) optimiser: fn() -> ModuleOptimizer,
    pub(crate) rate: f64,
}

/// Adam with the usual decay rates of the moments.
pub(crate) const ADAM: Descent = Descent { optimiser: || Adam::new(0.9, 0.999, 1e-8).init(), rate: 1e-3 };

/// RMSProp without momentum.
pub(crate) const RMSPROP: Descent =
    Descent { optimiser: || RmsProp::new(0.99, 1e-8, 0.0).init(), rate: 5e-4 };

/// Plain gradient descent.
pub(crate) const SGD: Descent = Descent { optimiser: || SgdConfig::new().init(), rate: 0.05 };

/// Estimate and optimiser in a plain loop, without the learner.
pub(crate) struct Bare<M, S> {
    /// On the autodiff device, where optimisers expect parameters.
    pub(crate) model: M,
    strategy: S,
    optimiser: ModuleOptimizer,
    rate: f64,
    /// The batch.
    pub(crate) batch: Batch,
    device: Device,
    /// The number of the next step, on which its draws depend.
    pub(crate) step: u64,
}

/// A bare step: times in milliseconds, and what was measured on the way.
pub(crate) struct BareStep {
    pub(crate) step: f64,
    pub(crate) optimiser: f64,
    pub(crate) measured: Vec<Measured>,
}

impl<M: Model, S: Strategy<M>> Bare<M, S> {
    /// A loop of steps on the batch `x`.
    pub(crate) fn new(model: &M, strategy: &S, descent: &Descent, x: Tensor<2>) -> Self {
        let device = x.device();
        let model = model.clone().train();
        let (optimiser, strategy) = ((descent.optimiser)(), strategy.clone());
        Bare { model, strategy, optimiser, rate: descent.rate, batch: x.into(), device, step: 0 }
    }

    /// Takes one step.
    pub(crate) fn step(&mut self) -> anyhow::Result<BareStep> {
        let start = Instant::now();
        let key = Key::new(0).child(self.step);
        let estimate = self.strategy.estimate(&self.model.valid(), &self.batch, key);
        let estimated = Instant::now();
        let model = self.model.clone();
        self.model = self.optimiser.step(self.rate, model, estimate.gradients.into_params());
        self.device.sync()?;
        self.step += 1;
        let (step, optimiser) = (ms_since(start), ms_since(estimated));
        Ok(BareStep { step, optimiser, measured: estimate.measured })
    }
}
