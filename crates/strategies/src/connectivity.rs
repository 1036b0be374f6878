//! Network connectivity gradients (NCG): which units of two layers are connected, learnt along with the connections.
//!
//! Each pair of a visible and a hidden unit has a connection `W_ij`, a strength `S_ij` in [0, 1], and an edge if the
//! strength is above one half:
//!
//! ```text
//! A_ij = 1 if S_ij > 1/2, else 0        E(v, h) = -a·v - b·h - vᵀ (A ∘ W) h
//! ```
//!
//! With `M = ⟨v hᵀ⟩_data - ⟨v hᵀ⟩_model`, the negative gradient of the loss in the connections of that machine, and the
//! learning rate r, an update is
//!
//! ```text
//! S ← clip(S + 5 r W ∘ M, 0, 1)        W ← W + r A ∘ M        then A from the new S
//! ```
//!
//! with the W and the A of before on the right-hand sides. S follows the gradient as if A were S itself. W moves only
//! where there is an edge; elsewhere it is remembered, so that an edge comes back as it was. M may be that of any
//! strategy for energies; the authors use contrastive divergence. Biases are trained as usual. In machines with units for
//! labels the authors keep all edges of the labels; machines here have no such units.
//!
//! # Reference
//! De Oliveira, Figueiredo, "Optimizing connectivity through network gradients for restricted Boltzmann machines", Neural
//! Networks 190, 2025, arXiv:2209.06932. Factor, threshold, clipping and initial values are those of the authors' code
//! (AmieOliveira/NCG on GitHub).

use burn::tensor::{DType, Device, Tensor};
use helmholtz_core::{Draws, Key, Role};
use helmholtz_ops::noise;

/// How much faster strengths move than connections.
pub const STRENGTH_RATE: f64 = 5.0;

/// The strength above which there is an edge.
pub const THRESHOLD: f64 = 0.5;

/// Connections between two layers, and how strongly each is wanted.
#[derive(Clone, Debug)]
pub struct Connectivity {
    /// W, of all pairs: `[d, m]`.
    weight: Tensor<2>,
    /// S: `[d, m]` in [0, 1].
    strength: Tensor<2>,
}

impl Connectivity {
    /// Connections that are uniform in [-1, 1), and edges that are each there with probability `share`. Strengths are
    /// uniform in [0, 1/2) without an edge and in (1/2, 1] with one.
    pub fn new([d, m]: [usize; 2], share: f64, key: Key, (dtype, device): (DType, &Device)) -> Self {
        let uniform = |role: Role| noise::uniform(&Draws::new(key.child(role), d, 1), m, dtype, device);
        let half = uniform(Role::Start) * 0.5;
        let is_edge = uniform(Role::Choice).lower_elem(share);
        let strength = half.clone().mask_where(is_edge, half * -1.0 + 1.0);
        Connectivity { weight: uniform(Role::Init) * 2.0 - 1.0, strength }
    }

    /// Given connections and strengths, both `[d, m]`.
    ///
    /// # Panics
    /// If their sizes differ.
    pub fn of(weight: Tensor<2>, strength: Tensor<2>) -> Self {
        assert_eq!(weight.dims(), strength.dims(), "each connection has a strength");
        Connectivity { weight, strength }
    }

    /// W, of all pairs, with or without an edge: `[d, m]`.
    pub fn weight(&self) -> Tensor<2> {
        self.weight.clone()
    }

    /// S: `[d, m]` in [0, 1].
    pub fn strength(&self) -> Tensor<2> {
        self.strength.clone()
    }

    /// A: `[d, m]`, 1 where there is an edge and 0 elsewhere.
    pub fn edges(&self) -> Tensor<2> {
        self.strength.clone().greater_elem(THRESHOLD).float().cast(self.weight.dtype())
    }

    /// `A ∘ W`, the connections of the machine: `[d, m]`.
    pub fn connections(&self) -> Tensor<2> {
        self.edges() * self.weight.clone()
    }

    /// The share of pairs with an edge.
    pub fn share(&self) -> f64 {
        self.edges().mean().into_scalar::<f64>()
    }

    /// The update at a learning rate, given `-M`, the gradient of the loss in the connections: `[d, m]`.
    pub fn step(&self, gradient: Tensor<2>, rate: f64) -> Self {
        let strength =
            self.strength.clone() - self.weight.clone() * gradient.clone() * (STRENGTH_RATE * rate);
        let weight = self.weight.clone() - self.edges() * gradient * rate;
        Connectivity { weight, strength: strength.clamp(0.0, 1.0) }
    }
}

#[cfg(test)]
mod tests {
    use helmholtz_ops::into_f64;

    use super::*;

    fn like() -> (DType, Device) {
        (DType::F64, Device::flex())
    }

    fn matrix(values: [[f64; 2]; 2]) -> Tensor<2> {
        let (dtype, device) = like();
        Tensor::from_data(values, (&device, dtype))
    }

    #[test]
    fn an_update_moves_strengths_of_all_pairs_and_connections_of_edges() {
        let weight = [[0.5, -0.8], [0.3, 1.0]];
        let strength = [[0.6, 0.4], [0.5, 0.95]];
        let m = [[-0.1, -0.2], [0.4, 0.3]];
        let before = Connectivity::of(matrix(weight), matrix(strength));
        // A strength of exactly one half is no edge.
        assert_eq!(into_f64(before.edges()), [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(into_f64(before.connections()), [0.5, 0.0, 0.0, 1.0]);
        assert_eq!(before.share(), 0.5);
        let rate = 0.4;
        let after = before.step(matrix(m) * -1.0, rate);
        let (found_s, found_w) = (into_f64(after.strength()), into_f64(after.weight()));
        for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let (w, s, m) = (weight[i][j], strength[i][j], m[i][j]);
            let expected_s = f64::clamp(s + 5.0 * rate * w * m, 0.0, 1.0);
            let expected_w = if s > 0.5 { w + rate * m } else { w };
            assert!((found_s[2 * i + j] - expected_s).abs() < 1e-15, "S at {i}, {j}");
            assert!((found_w[2 * i + j] - expected_w).abs() < 1e-15, "W at {i}, {j}");
        }
        // One edge went, two came, and one strength was clipped.
        assert_eq!(into_f64(after.edges()), [0.0, 1.0, 1.0, 1.0]);
        assert_eq!(found_s[3], 1.0);
    }

    #[test]
    fn the_beginning_has_the_share_of_edges_and_uniform_connections() {
        let (dtype, device) = like();
        let (n, share) = (200 * 200, 0.3);
        let new = Connectivity::new([200, 200], share, Key::new(1), (dtype, &device));
        // Five standard errors.
        let error = (share * (1.0 - share) / n as f64).sqrt();
        assert!((new.share() - share).abs() < 5.0 * error, "{}", new.share());
        let (edges, strengths) = (into_f64(new.edges()), into_f64(new.strength()));
        assert!(edges.iter().zip(&strengths).all(|(edge, s)| if *edge == 1.0 {
            (0.5..=1.0).contains(s)
        } else {
            (0.0..0.5).contains(s)
        }));
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let weights = into_f64(new.weight());
        assert!(
            weights.iter().all(|w| (-1.0..1.0).contains(w))
                && mean(&weights).abs() < 5.0 / (3.0 * n as f64).sqrt()
        );
        for (share, expected) in [(0.0, 0.0), (1.0, 1.0)] {
            let new = Connectivity::new([20, 20], share, Key::new(1), (dtype, &device));
            assert_eq!(new.share(), expected);
        }
    }
}
