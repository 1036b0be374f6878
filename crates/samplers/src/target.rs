//! What chains of weighted proposals sample: a distribution given by proposals and their weights.

use burn::tensor::{DType, Device, Tensor};
use helmholtz_core::{Draws, LatentVariableModel, Proposals, Reparameterized};
use helmholtz_ops::noise;

use crate::chains::select;
use crate::hmc::LogDensity;

/// For each row of a batch a distribution `π(ξ) ∝ q(ξ) w(ξ)`, known through draws from q and through w.
///
/// Points are matrices, the points of one row side by side as in [`Draws`]; a point may consist of several
/// matrices' rows (layers of latents).
pub trait Target {
    /// What is kept of the points for a gradient.
    type Kept;

    /// Independent draws from q for the given rows of the batch: [`Draws::k`] for each.
    fn fresh(&self, rows: &[usize], draws: &Draws) -> Vec<Tensor<2>>;

    /// `log w` of the same number of points for each of the given rows: `[rows, points of a row]`.
    fn log_weights(&self, rows: &[usize], points: Vec<Tensor<2>>) -> Tensor<2>;

    /// `log w`, and what is kept for a gradient.
    fn weigh(&self, rows: &[usize], points: Vec<Tensor<2>>) -> (Tensor<2>, Self::Kept);

    /// Whether q is a standard normal distribution, so that draws may be correlated with each other.
    fn is_gaussian(&self) -> bool {
        false
    }

    /// The floating-point type and the device of the points.
    fn place(&self) -> (DType, Device);
}

/// Latents for some rows of a batch, scored under both nets.
#[derive(Clone, Debug)]
pub struct Placed<H> {
    /// The rows: `[rows, d_x]`.
    pub x: Tensor<2>,
    /// The points that the latents are computed from.
    pub points: Vec<Tensor<2>>,
    /// The latents of each row and their scores.
    pub proposals: Proposals<H>,
}

/// The posterior of a model whose latents are functions of noise, in the space of that noise: q is standard normal
/// and `w(ξ) = p(x, g(ξ, x)) / q(g(ξ, x) | x)`.
#[derive(Clone, Debug)]
pub struct NoiseSpace<'a, M> {
    model: &'a M,
    x: Tensor<2>,
}

impl<'a, M: Reparameterized> NoiseSpace<'a, M> {
    /// The posterior of each row of `x`, `[batch, d_x]`.
    pub fn new(model: &'a M, x: Tensor<2>) -> Self {
        NoiseSpace { model, x }
    }
}

impl<M: Reparameterized> Target for NoiseSpace<'_, M> {
    type Kept = Placed<M::Latents>;

    fn fresh(&self, _rows: &[usize], draws: &Draws) -> Vec<Tensor<2>> {
        let (dtype, device) = self.place();
        vec![noise::normal(draws, self.model.noise_units(), dtype, &device)]
    }

    fn log_weights(&self, rows: &[usize], points: Vec<Tensor<2>>) -> Tensor<2> {
        self.model.log_weights_at(rows_of(&self.x, rows), only(points))
    }

    fn weigh(&self, rows: &[usize], points: Vec<Tensor<2>>) -> (Tensor<2>, Self::Kept) {
        let x = rows_of(&self.x, rows);
        let proposals = self.model.propose_at(x.clone(), only(points.clone()));
        (proposals.log_weights(), Placed { x, points, proposals })
    }

    fn is_gaussian(&self) -> bool {
        true
    }

    fn place(&self) -> (DType, Device) {
        (self.model.dtype(), self.model.device())
    }
}

/// `w`, for noise with the same number of points for each row.
impl<M: Reparameterized> LogDensity for NoiseSpace<'_, M> {
    fn log_density_and_gradient(&self, noise: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
        self.model.log_weight_gradient(self.x.clone(), noise)
    }
}

/// The posterior of any model whose latents are layers, with its recognition net as q:
/// `w(h) = p(x, h) / q(h | x)`.
#[derive(Clone, Debug)]
pub struct Posterior<'a, M> {
    model: &'a M,
    x: Tensor<2>,
}

impl<'a, M: LatentVariableModel<Latents = Vec<Tensor<2>>>> Posterior<'a, M> {
    /// The posterior of each row of `x`, `[batch, d_x]`.
    pub fn new(model: &'a M, x: Tensor<2>) -> Self {
        Posterior { model, x }
    }
}

impl<M: LatentVariableModel<Latents = Vec<Tensor<2>>>> Target for Posterior<'_, M> {
    type Kept = Placed<M::Latents>;

    fn fresh(&self, rows: &[usize], draws: &Draws) -> Vec<Tensor<2>> {
        self.model.propose(rows_of(&self.x, rows), draws, 0.0).latents
    }

    fn log_weights(&self, rows: &[usize], points: Vec<Tensor<2>>) -> Tensor<2> {
        self.weigh(rows, points).0
    }

    fn weigh(&self, rows: &[usize], latents: Vec<Tensor<2>>) -> (Tensor<2>, Self::Kept) {
        let x = rows_of(&self.x, rows);
        let p = self.model.trace_joint(x.clone(), &latents);
        let q = self.model.trace_posterior(x.clone(), &latents);
        let (k, log_proposal) = (q.log_prob.dims()[0] / rows.len(), q.log_prob.clone());
        let proposals = Proposals { latents, p, q, log_proposal, k };
        (proposals.log_weights(), Placed { x, points: proposals.latents.clone(), proposals })
    }

    fn place(&self) -> (DType, Device) {
        (self.model.dtype(), self.model.device())
    }
}

fn only(points: Vec<Tensor<2>>) -> Tensor<2> {
    let [noise] = <[_; 1]>::try_from(points).expect("noise is one matrix");
    noise
}

/// The given rows of `x`; not a copy if they are all rows in order.
fn rows_of(x: &Tensor<2>, rows: &[usize]) -> Tensor<2> {
    if rows.len() == x.dims()[0] && rows.iter().enumerate().all(|(i, &row)| i == row) {
        return x.clone();
    }
    select(x.clone(), rows)
}
