//! Energy discrepancy: training of an energy without a Markov chain.
//!
//! A row x of the data is perturbed twice: every bit is flipped with probability ε, which gives y, and every bit of y
//! again, M times, which gives `x_1 .. x_M`. The loss of the row compares its energy with those of the perturbed rows:
//!
//! ```text
//! L = log(w + Σ_m exp(F(x) - F(x_m)))
//! ```
//!
//! with w = 1, which keeps the loss from falling without end. With `p_m = exp(F(x) - F(x_m)) / exp(L)`, its gradient is
//!
//! ```text
//! ∇L = Σ_m p_m (∇F(x) - ∇F(x_m))
//! ```
//!
//! As M grows, the loss without w tends to the energy discrepancy, whose minimum over all energies is that of the data's
//! law. No partition function and no sample of the model is needed. Its gradient is not that of the likelihood, and with
//! a finite M the minimum is not quite at the law of the data.
//!
//! # Reference
//! Schröder, Ou, Lim, Li, Vollmer, Duncan, "Energy-based modelling for discrete and mixed data via heat equations on
//! structured spaces", NeurIPS 2024.

use burn::module::Module;
use burn::tensor::Tensor;
use helmholtz_core::{Batch, Better, Draws, EnergyModel, Estimate, Gradients, Key, Measure, Over, Strategy};
use helmholtz_ops::noise;
use helmholtz_ops::rows::repeat_rows;

/// The loss L, in nats. It is no likelihood.
pub const ENERGY_DISCREPANCY: Measure =
    Measure { name: "energy_discrepancy", unit: Some("nats"), better: Some(Better::Lower), over: Over::Mean };

/// The weight w of the loss.
const FLOOR: f64 = 1.0;

/// Energy discrepancy for models of bits.
#[derive(Module, Debug)]
pub struct EnergyDiscrepancy {
    /// M, the number of rows that each row is compared with.
    pub perturbed: usize,
    /// ε, the probability that a bit is flipped.
    pub flip: f64,
}

impl EnergyDiscrepancy {
    /// Bits, each flipped with probability ε: `[n, d]`.
    fn perturb(&self, bits: Tensor<2>, draws: &Draws) -> Tensor<2> {
        let (d, dtype) = (bits.dims()[1], bits.dtype());
        let flips = noise::uniform(draws, d, dtype, &bits.device()).lower_elem(self.flip).float().cast(dtype);
        bits.clone() + flips.clone() - bits * flips * 2.0
    }
}

impl<M: EnergyModel> Strategy<M> for EnergyDiscrepancy {
    fn estimate(&self, model: &M, batch: &Batch, key: Key) -> Estimate {
        let (x, n, m) = (batch.whole(), batch.len(), self.perturbed);
        let draws = |name: &str, k: usize| Draws::of_rows(key.child(name), batch.rows.clone(), k);
        let y = self.perturb(x.clone(), &draws("there", 1));
        let back = self.perturb(repeat_rows(y, m), &draws("back", m));
        let rows = Tensor::cat(vec![x, back], 0);
        let energies = model.free_energy(rows.clone());
        let of_row = energies.clone().narrow(0, 0, n).unsqueeze_dim::<2>(1);
        let gaps = of_row - energies.narrow(0, n, n * m).reshape([n, m]);
        // log(w + Σ exp(gap)) from the largest of all terms.
        let max = gaps.clone().max_dim(1).clamp_min(FLOOR.ln());
        let floor = (-max.clone() + FLOOR.ln()).exp();
        let loss = ((gaps.clone() - max.clone()).exp().sum_dim(1) + floor).log() + max;
        let shares = (gaps - loss.clone()).exp() / n as f64;
        let of_row = shares.clone().sum_dim(1).squeeze_dim::<1>(1);
        let weights = Tensor::cat(vec![of_row, -shares.reshape([n * m])], 0);
        let mut gradients = Gradients::new();
        model.free_energy_gradient(rows, weights, &mut gradients);
        let measured = vec![ENERGY_DISCREPANCY.is(loss.squeeze_dim::<1>(1).mean())];
        Estimate { gradients, measured, evaluations: 2 * (n * (m + 1)) as u64 }
    }

    fn measures(&self) -> &[Measure] {
        &[ENERGY_DISCREPANCY]
    }
}
