//! The transitions of block Gibbs sampling between all states of the visible units, for machines of a few units.
//!
//! With `A(v, h) = p(h | v)` and `B(h, v) = p(v | h)`, a sweep has the transitions `T = A B`. They are reversible, and
//! their eigenvalues are not negative. Sums are plain loops in double precision, on any device.

use std::collections::HashMap;

use burn::tensor::{DType, Tensor};
use helmholtz_core::Trainable;
use helmholtz_ops::into_f64;
use thiserror::Error;

use crate::Rbm;
use crate::autocorrelation::Fundamental;

/// The largest number of visible and of hidden units for which laws of chains are computed.
pub const MOST_UNITS: [usize; 2] = [12, 10];

/// Why the transitions between the states of a machine cannot be listed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NoTransitions {
    /// Too many states.
    #[error(
        "the machine has {} visible and {} hidden units; laws of chains are summed over all states for at \
         most 2^{} and 2^{}: use smaller data or fewer hidden units", .sizes[0], .sizes[1], MOST_UNITS[0], MOST_UNITS[1]
    )]
    TooMany {
        /// Columns of visible units, and hidden units.
        sizes: [usize; 2],
    },
    /// Visible units with infinitely many values.
    #[error("the machine has real visible units: laws of chains are summed over finitely many states")]
    Real,
}

/// The chain of block Gibbs sampling over the visible units, by enumeration.
///
/// Laws are `[states]`, in the order of [`visible_states`](Rbm::visible_states).
#[derive(Clone, Debug)]
pub struct Transitions {
    /// Numbers of columns of visible units and of hidden units, d and m.
    sizes: [usize; 2],
    /// The values of all states, row by row: `[states, d]`.
    states: Vec<f64>,
    /// A: `[states, 2^m]`.
    to_hidden: Vec<f64>,
    /// B: `[2^m, states]`.
    to_visible: Vec<f64>,
    /// The law of the machine: `[states]`.
    law: Vec<f64>,
}

impl Rbm {
    /// All states of the visible units, the first unit changing fastest: `[states, d]`. Bit i of the number of a state
    /// of bits is unit i.
    ///
    /// # Panics
    /// If some of them are real.
    pub fn visible_states(&self) -> Tensor<2> {
        self.layer().states(self.dtype(), &self.device())
    }

    /// The chain of block Gibbs sampling over the visible units.
    ///
    /// # Errors
    /// If there are more units than [`MOST_UNITS`], a unit with K categories counting as `log2 K`, or some are real.
    pub fn transitions(&self) -> Result<Transitions, NoTransitions> {
        let sizes @ [d, m] = [self.layer().columns(), self.n_hidden()];
        let units = self.layer().log2_states().ok_or(NoTransitions::Real)?;
        if units > MOST_UNITS[0] as f64 || m > MOST_UNITS[1] {
            return Err(NoTransitions::TooMany { sizes });
        }
        let weight = into_f64(self.weight.val());
        let (visible, hidden) = (into_f64(self.visible.val()), into_f64(self.hidden.val()));
        let states = into_f64(self.layer().states(DType::F64, &self.device()));
        // The logits of one layer given a state of the other.
        let of_hidden = |v: &[f64]| -> Vec<f64> {
            let on = v.iter().enumerate().filter(|(_, value)| **value == 1.0);
            on.fold(hidden.clone(), |logits, (i, _)| sum(&logits, &weight[i * m..][..m]))
        };
        let of_visible = |h: usize| -> Vec<f64> {
            let on = |j: &usize| h >> j & 1 == 1;
            let own = |i: usize| (0..m).filter(on).map(|j| weight[i * m + j]).sum::<f64>();
            (0..d).map(|i| visible[i] + own(i)).collect()
        };
        let along = |logits: &[f64], v: &[f64]| logits.iter().zip(v).map(|(a, v)| a * v).sum::<f64>();
        let minus_free_energy =
            |v: &[f64]| along(&visible, v) + of_hidden(v).into_iter().map(softplus).sum::<f64>();
        let given_hidden = |h: usize| {
            let logits = of_visible(h);
            normalised(states.chunks_exact(d).map(|v| along(&logits, v)).collect())
        };
        Ok(Transitions {
            sizes,
            to_hidden: states.chunks_exact(d).flat_map(|v| factorial(&of_hidden(v))).collect(),
            to_visible: (0..1 << m).flat_map(given_hidden).collect(),
            law: normalised(states.chunks_exact(d).map(minus_free_energy).collect()),
            states,
        })
    }

    /// The law of v after each of chains that begin with a law has made `sweeps` sweeps of block Gibbs sampling:
    /// `law Tᵏ`.
    ///
    /// # Shapes
    /// - `law`: `[states]`, and the same for the result, in the order of [`visible_states`](Self::visible_states)
    ///
    /// # Panics
    /// If there are more units than [`MOST_UNITS`], categories counting as `log2 K` units, or some are real.
    pub fn law_after(&self, law: Tensor<1>, sweeps: usize) -> Tensor<1> {
        let transitions = self.transitions().unwrap_or_else(|error| panic!("{error}"));
        let like = (&law.device(), law.dtype());
        Tensor::from_data(transitions.after(&into_f64(law), sweeps).as_slice(), like)
    }
}

impl Transitions {
    /// Numbers of columns of visible units and of hidden units, d and m.
    pub fn sizes(&self) -> [usize; 2] {
        self.sizes
    }

    /// The values of all states of the visible units, row by row: `[states, d]`.
    pub fn states(&self) -> &[f64] {
        &self.states
    }

    /// The law of the machine, which sweeps leave invariant: `[states]`.
    pub fn law(&self) -> &[f64] {
        &self.law
    }

    /// The law of states that are all as likely, with which chains from noise begin: `[states]`.
    pub fn noise(&self) -> Vec<f64> {
        let states = self.law.len();
        vec![1.0 / states as f64; states]
    }

    /// The law after so many sweeps of chains that begin with a law: `law Tᵏ`.
    pub fn after(&self, law: &[f64], sweeps: usize) -> Vec<f64> {
        let sweep = |law: Vec<f64>, _| onwards(&onwards(&law, &self.to_hidden), &self.to_visible);
        (0..sweeps).fold(law.to_vec(), sweep)
    }

    /// The distribution of rows of values that the units can take, each as likely as any other: `[states]` for values row
    /// by row.
    ///
    /// # Panics
    /// If there are no rows, they do not have d values, or a row is no state.
    pub fn law_of_rows(&self, rows: &[f64]) -> Vec<f64> {
        let d = self.sizes[0];
        assert!(!rows.is_empty() && rows.len().is_multiple_of(d), "rows of {d} values are needed");
        let key = |row: &[f64]| row.iter().map(|value| value.to_bits()).collect::<Vec<u64>>();
        let numbers: HashMap<Vec<u64>, usize> = self.states.chunks_exact(d).map(key).zip(0..).collect();
        let n = (rows.len() / d) as f64;
        let mut law = vec![0.0; self.law.len()];
        for row in rows.chunks(d) {
            let state = numbers.get(&key(row)).unwrap_or_else(|| panic!("{row:?} is no state of the units"));
            law[*state] += 1.0 / n;
        }
        law
    }

    /// Autocorrelation times of the chain in its law. `None` if they are beyond double precision, from about 1e14.
    pub fn fundamental(&self) -> Option<Fundamental> {
        Fundamental::of(&self.states, [&self.to_hidden, &self.to_visible], &self.law)
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
