//! Pathwise gradients of the bounds, along the path from the noise: ELBO, STL, IWAE and DReG.
//!
//! Let `h_k = g_φ(ξ_k, x)` for K samples of the noise, `w_k = p(x, h_k) / q(h_k | x)`, and `w̃_k` be `w_k` normalised
//! over the samples. The four estimators differ only in the weights of a sample: α of `∇_θ log p(x, h)`, α ρ of the
//! derivative of `log w` along the path, and γ of the score `∇_φ log q(h | x)` at fixed h (see [`PathWeights`]).
//!
//! | weighting | ascends | α | ρ | γ |
//! | --- | --- | --- | --- | --- |
//! | [`Elbo`](Weighting::Elbo) | `L = E log w` | `1/K` | 1 | `-1/K` |
//! | [`Stl`](Weighting::Stl), "sticking the landing" | `L` | `1/K` | 1 | 0 |
//! | [`Iwae`](Weighting::Iwae) | `L_K = E log 1/K Σ_k w_k` | `w̃_k` | 1 | `-w̃_k` |
//! | [`Dreg`](Weighting::Dreg), "doubly reparameterised" | `L_K` | `w̃_k` | `w̃_k` | 0 |
//!
//! `Elbo` and `Iwae` follow the whole derivative of their bound, with the normalised weights held constant. In
//! `L` the score of q has expectation zero, and `Stl` leaves it out. In `L_K` it does not, and `Dreg` writes it as
//! another path derivative. In both, q's parameters are held fixed in its density. With several layers q's outputs are
//! not held fixed: the derivative goes through them to the lower latents.
//!
//! Gradients are means over the batch; the code of Burda et al. sums.
//!
//! # References
//! Kingma, Welling, "Auto-encoding variational Bayes", ICLR 2014, arXiv:1312.6114, equations 7 and 10: `Elbo`.
//! Roeder, Wu, Duvenaud, "Sticking the landing: simple, lower-variance gradient estimators for variational
//! inference", NeurIPS 2017, arXiv:1703.09194: `Stl`.
//! Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, arXiv:1509.00519, equation 14: `Iwae`.
//! Tucker, Lawson, Gu, Maddison, "Doubly reparameterized gradient estimators for Monte Carlo objectives", ICLR 2019,
//! arXiv:1810.04152, equation 8: `Dreg`.
//! Rainforth et al., "Tighter variational bounds are not necessarily better", ICML 2018, arXiv:1802.04537.

use burn::module::Module;
use burn::tensor::Tensor;
use helmholtz_core::{
    Batch, Claims, Direction, Draws, Estimate, Follows, Gradients, Key, Measured, PathParts, PathWeights,
    Proposals, Reparameterized, Role, Strategy,
};
use helmholtz_ops::log_weights::normalise;
use helmholtz_ops::noise;

use crate::wake::{diagnose, diagnose_mean, per_row, scored};

/// Ascent of a bound along the path from the noise.
#[derive(Module, Debug)]
pub struct Pathwise {
    /// Samples per observation, K.
    pub samples: usize,
    /// The bound, and how its derivative is estimated.
    #[module(skip)]
    pub weighting: Weighting,
}

/// What the samples are weighted for: a bound, and an estimator of its derivative in phi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighting {
    /// The evidence lower bound, and its whole derivative.
    Elbo {
        /// Whether the expectation of `log p(h_L)` under the last layer's own noise is computed in closed form,
        /// `-(μ² + σ²)/2`. That of `log q` always is, so with one layer `KL(q || p)` then has no noise.
        analytic_kl: bool,
    },
    /// The evidence lower bound, without the score of q: unbiased, and without any variance where
    /// `q(h | x) = p(h | x)`.
    Stl,
    /// The importance-weighted bound, and its whole derivative; with K = 1 the ELBO. The signal-to-noise ratio in phi
    /// falls as K grows (Rainforth et al. 2018).
    Iwae,
    /// The importance-weighted bound; phi follows `Σ_k w̃_k² d/dh log w_k dh_k/dφ`, which has the same expectation
    /// and a signal-to-noise ratio that does not fall.
    Dreg,
}

impl Pathwise {
    /// With `samples` per observation.
    ///
    /// # Panics
    /// If `samples` is zero.
    pub fn new(samples: usize, weighting: Weighting) -> Self {
        assert!(samples > 0, "a bound needs at least one sample per observation");
        Pathwise { samples, weighting }
    }

    /// The update at given noise, for the nets that `parts` names.
    pub fn update<M: Reparameterized>(
        &self,
        model: &M,
        x: Tensor<2>,
        noise: Tensor<2>,
        proposals: Proposals<M::Latents>,
        parts: PathParts,
        into: &mut Gradients,
    ) -> Vec<Measured> {
        let log_weights = proposals.log_weights();
        let (w, measured) = match self.weighting {
            Weighting::Elbo { .. } | Weighting::Stl => {
                (log_weights.full_like(1.0 / proposals.k as f64), diagnose_mean(log_weights))
            }
            Weighting::Iwae | Weighting::Dreg => (normalise(log_weights.clone()), diagnose(log_weights)),
        };
        let joint = per_row(w.clone());
        let zero = joint.zeros_like();
        let (path, posterior) = match self.weighting {
            Weighting::Elbo { .. } | Weighting::Iwae => (None, None),
            Weighting::Stl => (None, Some(zero)),
            Weighting::Dreg => (Some(w.flatten(0, 1)), Some(zero)),
        };
        let analytic_prior = self.weighting == Weighting::Elbo { analytic_kl: true };
        let weights = PathWeights { joint, path, posterior, analytic_prior, parts };
        model.pathwise_gradient(x, noise, proposals, &weights, into);
        measured
    }
}

impl<M: Reparameterized> Strategy<M> for Pathwise {
    fn estimate(&self, model: &M, batch: &Batch, key: Key) -> Estimate {
        let (x, batch) = (batch.whole(), batch.len());
        let mut gradients = Gradients::new();
        let (noise, proposals) = propose_on_path(model, x.clone(), self.samples, key);
        let measured = self.update(model, x, noise, proposals, PathParts::Both, &mut gradients);
        Estimate { gradients, measured, evaluations: scored(batch * self.samples) }
    }
}

impl Claims for Pathwise {
    fn follows(&self) -> Follows {
        let direction = match self.weighting {
            Weighting::Elbo { .. } | Weighting::Stl => Direction::Elbo,
            Weighting::Iwae | Weighting::Dreg => Direction::Bound { samples: self.samples },
        };
        Follows::new(direction, direction)
    }
}

/// Noise for `k` samples of each row of `x`, and the latents that it gives.
pub(crate) fn propose_on_path<M: Reparameterized>(
    model: &M,
    x: Tensor<2>,
    k: usize,
    key: Key,
) -> (Tensor<2>, Proposals<M::Latents>) {
    let [batch, _] = x.dims();
    let draws = Draws::new(key.child(Role::Wake), batch, k);
    let noise = noise::normal(&draws, model.noise_units(), model.dtype(), &model.device());
    let proposals = model.propose_at(x, noise.clone());
    (noise, proposals)
}
