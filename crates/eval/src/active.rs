//! Active units: latents whose means vary with the data.
//!
//! ```text
//! A_u = Var_x(E_{q(u | x)}[u]),   unit u is active if A_u > 0.01
//! ```
//!
//! A unit that training has switched off has `q(u | x)` equal to its prior for every x, so A_u is 0. In trained
//! models the A_u fall into two groups far apart, and the threshold lies between them.
//!
//! With several layers the mean of a unit given x alone has no closed form. For a unit of layer l we take
//! `E[u | hₗ₋₁]` at the means of the layer below, and so on down to x: these are the latents for noise that is 0
//! throughout. In the lowest layer it is the mean itself.
//!
//! # Reference
//! Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, arXiv:1509.00519, section 5.2.

use burn::tensor::Tensor;
use helmholtz_core::Reparameterized;
use helmholtz_ops::into_f64;

/// The variance of a mean above which its unit is active.
pub const ACTIVE_ABOVE: f64 = 0.01;
/// Rows that are processed at a time, which bounds the memory.
const ROWS_AT_ONCE: usize = 1000;

/// Variances over rows of the means of all latents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activity {
    rows: u64,
    /// From the data up.
    layers: Vec<UnitMoments>,
}

/// Means over rows, and sums of squares about them, of the units of a layer.
#[derive(Clone, Debug, Default, PartialEq)]
struct UnitMoments {
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Activity {
    /// The activity of a model's units over the rows of `x`.
    pub fn of<M: Reparameterized<Latents = Vec<Tensor<2>>>>(model: &M, x: Tensor<2>) -> Self {
        let mut activity = Activity::default();
        let [n, _] = x.dims();
        for first in (0..n).step_by(ROWS_AT_ONCE) {
            activity.add(model, x.clone().slice(first..(first + ROWS_AT_ONCE).min(n)));
        }
        activity
    }

    /// Adds further rows.
    ///
    /// # Panics
    /// If the model has other layers than the model of earlier calls.
    pub fn add<M: Reparameterized<Latents = Vec<Tensor<2>>>>(&mut self, model: &M, x: Tensor<2>) {
        let [n, _] = x.dims();
        let zeros = Tensor::zeros([n, model.noise_units()], (&x.device(), model.dtype()));
        let means = model.propose_at(x, zeros).latents;
        if self.layers.is_empty() {
            self.layers = means.iter().map(|layer| UnitMoments::of_units(layer.dims()[1])).collect();
        }
        assert_eq!(means.len(), self.layers.len(), "the model has another number of layers than before");
        for (layer, moments) in means.into_iter().zip(&mut self.layers) {
            moments.add(layer, self.rows);
        }
        self.rows += n as u64;
    }

    /// A_u of every unit, layer by layer from the data up.
    pub fn variances(&self) -> Vec<Vec<f64>> {
        let of =
            |layer: &UnitMoments| layer.squares.iter().map(|squares| squares / self.rows as f64).collect();
        self.layers.iter().map(of).collect()
    }

    /// How many units are active, layer by layer from the data up.
    pub fn active(&self) -> Vec<usize> {
        let of = |layer: Vec<f64>| layer.into_iter().filter(|&variance| variance > ACTIVE_ABOVE).count();
        self.variances().into_iter().map(of).collect()
    }
}

impl UnitMoments {
    fn of_units(d: usize) -> Self {
        UnitMoments { mean: vec![0.0; d], squares: vec![0.0; d] }
    }

    /// Adds rows after `rows` others, by Welford's update: plain sums of squares far from zero would lose their
    /// digits.
    fn add(&mut self, layer: Tensor<2>, mut rows: u64) {
        let [_, d] = layer.dims();
        assert_eq!(d, self.mean.len(), "the layer has another number of units than before");
        let values = into_f64(layer);
        for row in values.chunks_exact(d) {
            rows += 1;
            for ((value, mean), squares) in row.iter().zip(&mut self.mean).zip(&mut self.squares) {
                let from_old = value - *mean;
                *mean += from_old / rows as f64;
                *squares += from_old * (value - *mean);
            }
        }
    }
}
