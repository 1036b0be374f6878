//! What a strategy claims to estimate.
//!
//! In expectation every estimator of this field adds, for each row `x` of the batch, `Σ_h A(h) ∇ log p(x, h)` in theta
//! and `Σ_h A(h) ∇ log q(h | x)` in phi. A [`Direction`] names the coefficients A. If the latent states can be
//! enumerated or integrated over, A can be computed and an implementation can be checked against it.
//!
//! With `w = p(x, h) / q(h | x)`, normalised over K samples `h_k ~ q` to `w̃_k`:
//!
//! | direction | A(h) in theta | A(h) in phi |
//! | --- | --- | --- |
//! | [`Elbo`](Direction::Elbo) | `q(h \| x)` | `q(h \| x) log w(h)` |
//! | [`Bound`](Direction::Bound) | `E Σ_k w̃_k [h_k = h]` | `E Σ_k (log 1/K Σ_j w_j - w̃_k) [h_k = h]` |
//! | [`SelfNormalised`](Direction::SelfNormalised) | `E Σ_k w̃_k [h_k = h]` | the same |
//! | [`Posterior`](Direction::Posterior) | `p(h \| x)` | the same |
//!
//! [`Dreams`](Direction::Dreams) sums over the model's own `x` as well: `Σ_{x, h} p(x, h) ∇ log q(h | x)`.

/// A strategy that claims what its updates are in expectation, so that a court can check the claim.
pub trait Claims {
    /// What the update is in expectation, given the current state of the strategy.
    fn follows(&self) -> Follows;
}

/// A direction in the parameters of one net.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Direction {
    /// The gradient of the evidence lower bound `E_q log p(x, h) - log q(h | x)`.
    Elbo,
    /// The gradient of the K-sample bound `E log 1/K Σ_k w_k`.
    Bound {
        /// Samples, K.
        samples: usize,
    },
    /// Scores under self-normalised weights of K samples.
    SelfNormalised(SampleWeights),
    /// Scores under the distribution proportional to `p(x, h)^a q(h | x)^(1 - a)`: the limit of self-normalised
    /// weights `w^a` as K grows. With a = 1 this is `p(h | x)`, and the direction is the gradient of `log p(x)` in
    /// theta and of `E_{p(h | x)} log q(h | x)` in phi.
    Posterior {
        /// The exponent a.
        power: f64,
    },
    /// The gradient of `E_{p(x, h)} log q(h | x)` on data drawn from the model; in phi only.
    Dreams,
}

/// Weights of K samples, normalised by their sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleWeights {
    /// Samples, K.
    pub samples: usize,
    /// Share d of the uniform distribution in the proposal `(1 - d) q + d uniform`, the denominator of the weights.
    pub defence: f64,
    /// The exponent a of the weights `(p / proposal)^a`: 1, or 1/2 in a bidirectional machine.
    pub power: f64,
}

impl SampleWeights {
    /// The weights `p / q` of `samples` draws from q.
    pub fn of(samples: usize) -> Self {
        SampleWeights { samples, defence: 0.0, power: 1.0 }
    }
}

/// A direction and its share in a sum of several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// What the direction is multiplied by.
    pub share: f64,
    /// The direction.
    pub direction: Direction,
}

/// What the updates of a strategy are in expectation, and what they are meant to follow.
///
/// A net without terms is not updated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Follows {
    /// The expected update of the generative net.
    pub theta: Vec<Term>,
    /// The expected update of the recognition net.
    pub phi: Vec<Term>,
    /// What theta is meant to follow: the gradient of the log-likelihood that the model is trained by.
    pub limit_theta: Option<Direction>,
    /// What phi is meant to follow, if its expected update differs from that.
    pub limit_phi: Option<Direction>,
}

impl Follows {
    /// One direction in each net; theta is meant to follow the gradient of `log p(x)`.
    pub fn new(theta: Direction, phi: Direction) -> Self {
        let whole = |direction| vec![Term { share: 1.0, direction }];
        Follows {
            theta: whole(theta),
            phi: whole(phi),
            limit_theta: Some(Direction::Posterior { power: 1.0 }),
            limit_phi: None,
        }
    }

    /// The same with a limit for phi.
    pub fn with_limit_of_phi(self, limit: Direction) -> Self {
        Follows { limit_phi: Some(limit), ..self }
    }
}
