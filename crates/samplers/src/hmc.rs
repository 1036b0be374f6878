//! Hamiltonian Monte Carlo for many independent chains at a time.
//!
//! A chain at q draws a momentum `m ~ N(0, I)`, follows the Hamiltonian
//!
//! ```text
//! H(q, m) = -log π(q) + |m|² / 2
//! ```
//!
//! by L leapfrog steps of size ε, and accepts the point where it arrives with probability
//! `min(1, exp(H_before - H_after))`; otherwise it stays. The leapfrog map is reversible and preserves volume, so π
//! is exactly invariant at any step size. The error of the energy is of order ε². Chains are rows of one matrix, and
//! each is accepted or rejected on its own.
//!
//! # Resonance
//! If all directions oscillate alike, as under a standard normal distribution, a trajectory of a whole period comes
//! back to where it began: nothing is rejected and nothing moves. So every step size is multiplied by a factor that
//! is uniform on `[1 - j, 1 + j]` and drawn for each chain and step independently of the state. This leaves π
//! invariant (Neal 2011, section 3.2).
//!
//! # Step sizes
//! A step size that follows the past of its own chain depends on the state, and then π is no longer invariant.
//! Averages over a long chain may still converge, but an annealed importance sampling run, where every step counts
//! once, becomes biased. So [`Adaptation`] is a function of its own that a preliminary run calls. The run whose
//! weights count takes the sizes that it found as constants.
//!
//! # Reference
//! R. M. Neal, "MCMC using Hamiltonian dynamics", Handbook of Markov Chain Monte Carlo, 2011, arXiv:1206.1901.

use burn::tensor::{Bool, Int, Tensor};
use helmholtz_core::{Draws, InverseTemperature, Kernel, Role};
use helmholtz_ops::noise::{normal, uniform};

/// A density on real vectors, known up to a factor.
pub trait LogDensity {
    /// `log f` in nats and its gradient, for every row on its own.
    ///
    /// A row outside of the support has minus infinity, and its gradient does not matter.
    ///
    /// # Shapes
    /// - `position`: `[n, d]`; output `[n]` and `[n, d]`
    fn log_density_and_gradient(&self, position: Tensor<2>) -> (Tensor<1>, Tensor<2>);
}

/// The distribution that is sampled: `π(q) ∝ f(q)^power N(q; 0, I)^normal`.
///
/// [`Tempered::NOT`] is f itself. What a [`Position`] holds of f does not depend on the powers, so a chain goes from
/// one temperature to the next without evaluating f again.
#[derive(Clone, Debug)]
pub struct Tempered {
    /// The inverse temperature of f.
    pub power: InverseTemperature,
    /// The power of the standard normal density.
    pub normal: f64,
}

impl Tempered {
    /// f itself.
    pub const NOT: Self = Tempered { power: InverseTemperature::Same(1.0), normal: 0.0 };

    /// `log π` up to a constant: `[n]`.
    fn log_density(&self, at: &Position) -> Tensor<1> {
        let log_density = self.power.times(at.log_density.clone());
        if self.normal == 0.0 {
            return log_density;
        }
        log_density - half_squares(at.position.clone()) * self.normal
    }

    /// Its gradient: `[n, d]`.
    fn gradient(&self, at: &Position) -> Tensor<2> {
        let gradient = self.power.times(at.gradient.clone());
        if self.normal == 0.0 {
            return gradient;
        }
        gradient - at.position.clone() * self.normal
    }
}

/// `|v|² / 2` of each row.
fn half_squares(rows: Tensor<2>) -> Tensor<1> {
    rows.square().sum_dim(1).squeeze_dim::<1>(1) * 0.5
}

/// The states of n chains, and the density there.
#[derive(Clone, Debug)]
pub struct Position {
    /// The states: `[n, d]`.
    pub position: Tensor<2>,
    /// `log f`, in nats: `[n]`.
    pub log_density: Tensor<1>,
    /// Its gradient: `[n, d]`.
    pub gradient: Tensor<2>,
}

impl Position {
    /// Chains at `position`.
    pub fn of(target: &impl LogDensity, position: Tensor<2>) -> Self {
        let (log_density, gradient) = target.log_density_and_gradient(position.clone());
        Position { position, log_density, gradient }
    }

    /// `other` in the rows where `mask` is true.
    fn replaced(self, mask: &Tensor<1, Bool>, other: Position) -> Self {
        let rows: Tensor<2, Bool> = mask.clone().unsqueeze_dim::<2>(1).expand(self.position.dims());
        Position {
            position: self.position.mask_where(rows.clone(), other.position),
            log_density: self.log_density.mask_where(mask.clone(), other.log_density),
            gradient: self.gradient.mask_where(rows, other.gradient),
        }
    }
}

/// The draws of a step.
#[derive(Clone, Debug)]
pub struct Noise {
    /// Standard normals: `[n, d]`.
    pub momentum: Tensor<2>,
    /// Uniforms in [0, 1) that decide whether the end of the trajectory is accepted: `[n]`.
    pub accept: Tensor<1>,
}

/// The outcome of a step, one number for each chain: `[n]`.
#[derive(Clone, Debug)]
pub struct Transition {
    /// Whether the chain moved.
    pub accepted: Tensor<1, Bool>,
    /// The probability that it moves, `min(1, exp(H_before - H_after))`; 0 if the trajectory left the support or its
    /// numbers are not finite.
    pub acceptance: Tensor<1>,
    /// H at the start, in nats.
    pub energy: Tensor<1>,
    /// `H_after - H_before`, in nats, whether the chain moved or not; NaN if the energy at the end is undefined.
    pub energy_error: Tensor<1>,
}

/// Hamiltonian Monte Carlo.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hmc {
    /// Leapfrog steps of a trajectory, L.
    pub leapfrog: usize,
    /// The share j by which step sizes vary from one trajectory to the next.
    pub jitter: f64,
}

impl Hmc {
    /// Trajectories of L leapfrog steps whose sizes vary by a fifth.
    ///
    /// # Panics
    /// If `leapfrog` is zero.
    pub fn new(leapfrog: usize) -> Self {
        assert!(leapfrog > 0, "a trajectory needs at least one leapfrog step");
        Hmc { leapfrog, jitter: 0.2 }
    }

    /// One step of each chain.
    ///
    /// `draws` has one cell for each chain, under a key that no other step has. What a chain draws depends on its
    /// number, and not on the chains beside it.
    ///
    /// # Shapes
    /// - `step_size`: `[n]`, ε of each chain
    pub fn step(
        &self,
        target: &impl LogDensity,
        law: &Tempered,
        from: Position,
        step_size: Tensor<1>,
        draws: &Draws,
    ) -> (Position, Transition) {
        let [n, d] = from.position.dims();
        let (dtype, device) = (from.position.dtype(), from.position.device());
        assert_eq!(draws.len(), n, "one cell of noise for each chain");
        let momentum = normal(&draws.child(Role::Momentum), d, dtype, &device);
        // Unit 0 accepts, unit 1 is the jitter.
        let u = uniform(&draws.child(Role::Accept), 2, dtype, &device);
        let accept = u.clone().slice([0..n, 0..1]).squeeze_dim::<1>(1);
        let factor = u.slice([0..n, 1..2]).squeeze_dim::<1>(1) * (2.0 * self.jitter) + (1.0 - self.jitter);
        self.step_with(target, law, from, step_size * factor, Noise { momentum, accept })
    }

    /// The step for given noise, without jitter of the step size.
    pub fn step_with(
        &self,
        target: &impl LogDensity,
        law: &Tempered,
        from: Position,
        step_size: Tensor<1>,
        noise: Noise,
    ) -> (Position, Transition) {
        let before = energy(law, &from, noise.momentum.clone());
        let (to, momentum) = self.trajectory(target, law, &from, noise.momentum, step_size);
        let energy_error = energy(law, &to, momentum) - before.clone();
        // A comparison with NaN is false, but the smaller of NaN and 1 may be 1, so NaN is masked.
        let undefined = energy_error.clone().is_nan();
        let acceptance = energy_error.clone().neg().exp().clamp_max(1.0).mask_fill(undefined, 0.0);
        let accepted = noise.accept.lower(acceptance.clone());
        let at = from.replaced(&accepted, to);
        (at, Transition { accepted, acceptance, energy: before, energy_error })
    }

    /// The position after L leapfrog steps, with the momentum there.
    pub fn trajectory(
        &self,
        target: &impl LogDensity,
        law: &Tempered,
        from: &Position,
        momentum: Tensor<2>,
        step_size: Tensor<1>,
    ) -> (Position, Tensor<2>) {
        let step_size: Tensor<2> = step_size.unsqueeze_dim(1);
        let half = step_size.clone() * 0.5;
        let mut at = from.clone();
        let mut momentum = momentum + law.gradient(&at) * half.clone();
        for l in 1..=self.leapfrog {
            at = Position::of(target, at.position + momentum.clone() * step_size.clone());
            // Between two steps of the position, two half steps of the momentum are one.
            let kick = if l < self.leapfrog { step_size.clone() } else { half.clone() };
            momentum = momentum + law.gradient(&at) * kick;
        }
        (at, momentum)
    }
}

/// H of each chain: `[n]`.
fn energy(law: &Tempered, at: &Position, momentum: Tensor<2>) -> Tensor<1> {
    half_squares(momentum) - law.log_density(at)
}

/// Hamiltonian Monte Carlo as a [`Kernel`] of the densities `f_β(q) = f(q)^β N(q; 0, I)^normal`.
#[derive(Debug)]
pub struct HmcKernel<'a, T> {
    /// The trajectories.
    pub hmc: Hmc,
    /// f.
    pub target: &'a T,
    /// The power of a standard normal density beside f: 0 for powers of f alone, 1 for a path from `N(0, I)`, at β = 0, to
    /// `f(q) N(q; 0, I)`.
    pub normal: f64,
}

/// Chains and their step sizes.
#[derive(Clone, Debug)]
pub struct HmcState {
    /// The points, and f there.
    pub at: Position,
    /// ε of each chain, `[n]`. No step changes it.
    pub step_size: Tensor<1>,
}

/// Chains begin with [`Adaptation::first_step_size`].
impl<T: LogDensity> Kernel for HmcKernel<'_, T> {
    type State = HmcState;
    type Info = Transition;

    fn at(&self, x: Tensor<2>) -> HmcState {
        let [n, d] = x.dims();
        let like = (&x.device(), x.dtype());
        let step_size = Tensor::full([n], Adaptation::first_step_size(d), like);
        HmcState { at: Position::of(self.target, x), step_size }
    }

    fn positions(&self, state: &HmcState) -> Tensor<2> {
        state.at.position.clone()
    }

    fn step(&self, state: HmcState, beta: &InverseTemperature, draws: &Draws) -> (HmcState, Transition) {
        let law = Tempered { power: beta.clone(), normal: self.normal };
        let HmcState { at, step_size } = state;
        let (at, moved) = self.hmc.step(self.target, &law, at, step_size.clone(), draws);
        (HmcState { at, step_size }, moved)
    }

    /// The normal density, which does not depend on β, is left out.
    fn log_densities(&self, state: &HmcState, beta: Tensor<2>) -> Tensor<2> {
        state.at.log_density.clone().unsqueeze_dim::<2>(1) * beta
    }

    fn log_ratio(&self, state: &HmcState, from: f64, to: f64) -> Tensor<1> {
        state.at.log_density.clone() * (to - from)
    }

    fn select(&self, state: HmcState, from: Tensor<1, Int>) -> HmcState {
        let Position { position, log_density, gradient } = state.at;
        let at = Position {
            position: position.select(0, from.clone()),
            log_density: log_density.select(0, from.clone()),
            gradient: gradient.select(0, from),
        };
        HmcState { at, ..state }
    }
}

/// Step sizes that approach a given acceptance.
///
/// ```text
/// log ε ← log ε + gain (acceptance - target)
/// ```
///
/// Not for a run in which every step counts: see the [module](self).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adaptation {
    /// The acceptance to reach.
    pub target: f64,
    /// How much a step changes log ε, for each unit by which the acceptance is off.
    pub gain: f64,
}

impl Adaptation {
    /// The next log ε, after trajectories of which the given share was accepted.
    ///
    /// # Shapes
    /// - `log_step_size`, `acceptance`: `[n]`, one number for each step size
    pub fn next(&self, log_step_size: Tensor<1>, acceptance: Tensor<1>) -> Tensor<1> {
        log_step_size + (acceptance - self.target) * self.gain
    }

    /// The ε with which about 0.65 of all trajectories under `N(0, I)` in d dimensions are accepted, whatever their
    /// length. It is at most 1, half of the ε at which the leapfrog map becomes unstable.
    ///
    /// For an oscillator that map preserves `m² + q² (1 - ε²/4)` exactly, so H is off by `ε² (q_L² - q_0²) / 8`. Over
    /// trajectories of all lengths the variance of this is `ε⁴ / 32` for each dimension. If the error is normal with
    /// variance s², the mean acceptance is `2 Φ(-s / 2)`: 0.65 at s² = 0.82.
    pub fn first_step_size(d: usize) -> f64 {
        (32.0 * 0.82 / d.max(1) as f64).powf(0.25).min(1.0)
    }
}

#[cfg(test)]
mod tests;
