//! The transitions of block Gibbs sampling between all states of the visible units, for machines of a few units.
//!
//! With `A(v, h) = p(h | v)` and `B(h, v) = p(v | h)`, a sweep has the transitions `T = A B`. They are reversible, and
//! their eigenvalues are not negative. Sums are plain loops in double precision, on any device.

use burn::tensor::Tensor;
use helmholtz_core::{Trainable, enumerate_bits};
use helmholtz_ops::into_f64;
use thiserror::Error;

use crate::Rbm;
use crate::autocorrelation::Fundamental;

/// The largest number of visible and of hidden units for which laws of chains are computed.
pub const MOST_UNITS: [usize; 2] = [12, 10];

/// A machine with too many states to list the transitions between them.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "the machine has {} visible and {} hidden units; laws of chains are summed over all states for at most {} and {}: \
     use smaller data or fewer hidden units", .sizes[0], .sizes[1], MOST_UNITS[0], MOST_UNITS[1]
)]
pub struct TooManyStates {
    /// Visible and hidden units.
    pub sizes: [usize; 2],
}

/// The chain of block Gibbs sampling over the visible units, by enumeration.
///
/// Bit i of the number of a state is unit i. Laws are `[2^d]`, in the order of
/// [`visible_states`](Rbm::visible_states).
#[derive(Clone, Debug)]
pub struct Transitions {
    /// Numbers of units, d and m.
    sizes: [usize; 2],
    /// A: `[2^d, 2^m]`.
    to_hidden: Vec<f64>,
    /// B: `[2^m, 2^d]`.
    to_visible: Vec<f64>,
    /// The law of the machine: `[2^d]`.
    law: Vec<f64>,
}

impl Rbm {
    /// All states of the visible units: `[2^d, d]`. Bit i of the number of a state is unit i.
    pub fn visible_states(&self) -> Tensor<2> {
        let d = self.observed();
        enumerate_bits(d, 0, 1 << d, self.dtype(), &self.device())
    }

    /// The chain of block Gibbs sampling over the visible units.
    ///
    /// # Errors
    /// If there are more units than [`MOST_UNITS`].
    pub fn transitions(&self) -> Result<Transitions, TooManyStates> {
        let sizes @ [d, m] = [self.observed(), self.n_hidden()];
        if d > MOST_UNITS[0] || m > MOST_UNITS[1] {
            return Err(TooManyStates { sizes });
        }
        let weight = into_f64(self.weight.val());
        let (visible, hidden) = (into_f64(self.visible.val()), into_f64(self.hidden.val()));
        let bit = |state: usize, unit: usize| state >> unit & 1 == 1;
        // The logits of one layer given a state of the other.
        let of_hidden = |v: usize| -> Vec<f64> {
            let on = (0..d).filter(|i| bit(v, *i));
            on.fold(hidden.clone(), |logits, i| sum(&logits, &weight[i * m..][..m]))
        };
        let of_visible = |h: usize| -> Vec<f64> {
            let own = |i: usize| (0..m).filter(|j| bit(h, *j)).map(|j| weight[i * m + j]).sum::<f64>();
            (0..d).map(|i| visible[i] + own(i)).collect()
        };
        let minus_free_energy = |v: usize| {
            let own: f64 = (0..d).filter(|i| bit(v, *i)).map(|i| visible[i]).sum();
            own + of_hidden(v).into_iter().map(softplus).sum::<f64>()
        };
        Ok(Transitions {
            sizes,
            to_hidden: (0..1 << d).flat_map(|v| factorial(&of_hidden(v))).collect(),
            to_visible: (0..1 << m).flat_map(|h| factorial(&of_visible(h))).collect(),
            law: normalised((0..1 << d).map(minus_free_energy).collect()),
        })
    }

    /// The law of v after each of chains that begin with a law has made `sweeps` sweeps of block Gibbs sampling:
    /// `law Tᵏ`.
    ///
    /// # Shapes
    /// - `law`: `[2^d]`, and the same for the result, in the order of [`visible_states`](Self::visible_states)
    ///
    /// # Panics
    /// If there are more units than [`MOST_UNITS`].
    pub fn law_after(&self, law: Tensor<1>, sweeps: usize) -> Tensor<1> {
        let transitions = self.transitions().unwrap_or_else(|error| panic!("{error}"));
        let like = (&law.device(), law.dtype());
        Tensor::from_data(transitions.after(&into_f64(law), sweeps).as_slice(), like)
    }
}

impl Transitions {
    /// Numbers of visible and of hidden units, d and m.
    pub fn sizes(&self) -> [usize; 2] {
        self.sizes
    }

    /// The law of the machine, which sweeps leave invariant: `[2^d]`.
    pub fn law(&self) -> &[f64] {
        &self.law
    }

    /// The law of fair coins, with which chains from noise begin: `[2^d]`.
    pub fn noise(&self) -> Vec<f64> {
        let states = self.law.len();
        vec![1.0 / states as f64; states]
    }

    /// The law after so many sweeps of chains that begin with a law: `law Tᵏ`.
    pub fn after(&self, law: &[f64], sweeps: usize) -> Vec<f64> {
        let sweep = |law: Vec<f64>, _| onwards(&onwards(&law, &self.to_hidden), &self.to_visible);
        (0..sweeps).fold(law.to_vec(), sweep)
    }

    /// The distribution of rows of bits, each as likely as any other: `[2^d]` for values row by row.
    ///
    /// # Panics
    /// If there are no rows, or they do not have d values.
    pub fn law_of_rows(&self, rows: &[f64]) -> Vec<f64> {
        let d = self.sizes[0];
        assert!(!rows.is_empty() && rows.len().is_multiple_of(d), "rows of {d} values are needed");
        let n = (rows.len() / d) as f64;
        let mut law = vec![0.0; self.law.len()];
        for row in rows.chunks(d) {
            let state: usize = row.iter().enumerate().map(|(i, bit)| usize::from(*bit > 0.5) << i).sum();
            law[state] += 1.0 / n;
        }
        law
    }

    /// Autocorrelation times of the chain in its law. `None` if they are beyond double precision, from about 1e14.
    pub fn fundamental(&self) -> Option<Fundamental> {
        Fundamental::of(self.sizes, [&self.to_hidden, &self.to_visible], &self.law)
    }
}

/// `KL(p || q) = Σ p log(p / q)` in nats; infinite if q is zero where p is not.
///
/// # Panics
/// If the laws are over different numbers of states.
pub fn divergence(p: &[f64], q: &[f64]) -> f64 {
    assert_eq!(p.len(), q.len(), "both laws must be over the same states");
    p.iter().zip(q).filter(|(p, _)| **p > 0.0).map(|(p, q)| p * (p / q).ln()).sum()
}

/// `law · matrix`, for a matrix given row by row.
fn onwards(law: &[f64], matrix: &[f64]) -> Vec<f64> {
    let width = matrix.len() / law.len();
    let mut next = vec![0.0; width];
    for (mass, row) in law.iter().zip(matrix.chunks_exact(width)) {
        next.iter_mut().zip(row).for_each(|(next, share)| *next += mass * share);
    }
    next
}

/// The probabilities of all states of independent units with these logits.
fn factorial(logits: &[f64]) -> Vec<f64> {
    logits.iter().fold(vec![1.0], |states, logit| {
        let [off, on] = [-logit, *logit].map(|logit| 1.0 / (1.0 + (-logit).exp()));
        states.iter().map(|p| p * off).chain(states.iter().map(|p| p * on)).collect()
    })
}

fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn softplus(logit: f64) -> f64 {
    logit.max(0.0) + (-logit.abs()).exp().ln_1p()
}

fn normalised(logs: Vec<f64>) -> Vec<f64> {
    let max = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logs.into_iter().map(|log| (log - max).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}
