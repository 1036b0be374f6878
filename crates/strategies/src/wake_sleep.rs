//! Wake-sleep.
//!
//! Wake: sample `h ~ q(h | x)` for a row of data and ascend `log p(x, h)` in theta, which in
//! expectation is the gradient of the ELBO. Sleep: dream `x, h ~ p` and ascend `log q(h | x)` in
//! phi, the gradient of `-KL(p(h | x) || q(h | x))` under the model's own `x`. The two have no common
//! objective.
//!
//! # Reference
//! Hinton, Dayan, Frey, Neal, "The wake-sleep algorithm for unsupervised neural networks",
//! Science 268, 1995.

use burn::module::Module;
use burn::tensor::Tensor;
use helmholtz_core::{
    Batch, Claims, Direction, Estimate, Follows, Gradients, Key, LatentVariableModel, Measured, Proposals,
    Strategy,
};

use crate::wake::{diagnose, propose, scored, sleep_phi, sleep_phi_at, wake_theta};

/// Wake-sleep with as many dreams as rows in the batch.
#[derive(Module, Debug)]
pub struct WakeSleep {
    /// Samples per observation in the wake phase, averaged; 1 in the paper.
    pub samples: usize,
}

impl WakeSleep {
    /// Wake-sleep with `samples` wake samples per observation.
    ///
    /// # Panics
    /// If `samples` is zero.
    pub fn new(samples: usize) -> Self {
        assert!(samples > 0, "wake-sleep needs at least one sample per observation");
        WakeSleep { samples }
    }

    /// The wake phase at given proposals.
    pub fn wake<M: LatentVariableModel>(
        &self,
        model: &M,
        x: Tensor<2>,
        proposals: &Proposals<M::Latents>,
        into: &mut Gradients,
    ) -> Vec<Measured> {
        let log_weights = proposals.log_weights();
        let weights = log_weights.full_like(1.0 / proposals.k as f64);
        wake_theta(model, x, proposals, weights, into);
        diagnose(log_weights)
    }

    /// The sleep phase at given dreams.
    pub fn sleep_at<M: LatentVariableModel>(
        &self,
        model: &M,
        x: Tensor<2>,
        h: &M::Latents,
        into: &mut Gradients,
    ) {
        sleep_phi_at(model, x, h, 1.0, into);
    }

    /// The sleep phase with `batch` dreams.
    pub fn sleep<M: LatentVariableModel>(&self, model: &M, batch: usize, key: Key, into: &mut Gradients) {
        sleep_phi(model, batch, 1.0, key, into);
    }
}

impl<M: LatentVariableModel> Strategy<M> for WakeSleep {
    fn estimate(&self, model: &M, batch: &Batch, key: Key) -> Estimate {
        let (x, batch) = (batch.whole(), batch.len());
        let mut gradients = Gradients::new();
        let proposals = propose(model, x.clone(), self.samples, 0.0, key);
        let measured = self.wake(model, x, &proposals, &mut gradients);
        self.sleep(model, batch, key, &mut gradients);
        // Dreams are drawn by p and scored by q.
        let evaluations = scored(batch * self.samples) + batch as u64;
        Estimate { gradients, measured, evaluations }
    }
}

impl Claims for WakeSleep {
    fn follows(&self) -> Follows {
        Follows::new(Direction::Elbo, Direction::Dreams)
    }
}
