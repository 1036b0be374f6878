//! NADE's scan over the units: forwards for log-probabilities and samples, backwards for the gradient.
//!
//! The units are in their order, `a₀` is the start, and `oᵢ` is the part of a logit that does not depend on x:
//!
//! ```text
//! hidᵢ = σ(aᵢ)     log-odds of xᵢ: lᵢ = oᵢ + hidᵢ · Vᵢ     aᵢ₊₁ = aᵢ + xᵢ Wᵢ
//! ```
//!
//! With errors `δᵢ = ∂L/∂lᵢ`, the gradient runs the scan backwards and undoes one addition after the other:
//!
//! ```text
//! ∂L/∂Vᵢ = δᵢ hidᵢ     gᵢ = δᵢ Vᵢ hidᵢ (1 - hidᵢ)     ∂L/∂Wᵢ = xᵢ Σ_{j > i} gⱼ     ∂L/∂a₀ = Σⱼ gⱼ
//! ```
//!
//! No activation is stored: memory is `O(n (d + H) + d H)` for n rows, d units and H hidden units.
//! A unit that is off does not change the hidden units, so their sigmoids are computed only after a unit that is on.
//!
//! # Reference
//! Larochelle, Murray, "The neural autoregressive distribution estimator", AISTATS 2011, Algorithm 1.

mod back;
mod host;
mod scan;
mod tensors;
mod vectors;

use burn::tensor::Tensor;
use helmholtz_core::{Defence, Drawn, Draws, Scored};

use crate::host::{common_dtype, for_real, in_host_memory};

pub use scan::{Scan, ScanGradient};
pub use tensors::{draw_by_tensors, gradient_by_tensors, log_prob, score_by_tensors};

/// Log-probability and error `x - E[xᵢ | x_<i]` of the rows of `x`.
///
/// # Shapes
/// - `x`: `[n, d]`; `start`: `[n, H]`; `product`: `[n, d]`, the part of the logits that does not depend on x, to
///   which `bias` (`[d]`) is added; each may have fewer rows, one for every k consecutive ones
/// - log-probability `[n]` in nats, error `[n, d]`
pub fn score(x: Tensor<2>, start: Tensor<2>, product: Tensor<2>, bias: Tensor<1>, scan: &Scan) -> Scored {
    if in_host_memory(&x.device()) {
        let dtype = common_dtype(x.dtype(), scan.encoder.dtype());
        for_real!(dtype, T => host::score::<T>(x, start, product, bias, scan))
    } else {
        score_by_tensors(x, start, product, bias, scan)
    }
}

/// Samples drawn unit by unit, with their log-probability and error.
///
/// A unit is on if its uniform is below its conditional mean, or below one half in the rows that `defence`
/// marks.
///
/// # Shapes
/// As in [`score`], for the `n` matrix rows of `draws`.
pub fn draw(
    start: Tensor<2>,
    product: Tensor<2>,
    bias: Tensor<1>,
    scan: &Scan,
    draws: &Draws,
    defence: Defence<'_>,
) -> Drawn {
    if in_host_memory(&product.device()) {
        for_real!(product.dtype(), T => host::draw::<T>(start, product, bias, scan, draws, defence))
    } else {
        draw_by_tensors(start, product, bias, scan, draws, defence)
    }
}

/// The gradient of a loss whose derivative with respect to the logits is `errors`.
///
/// # Shapes
/// - `x` and `start` as in [`score`]; `errors`: `[n, d]`
pub fn gradient(x: Tensor<2>, start: Tensor<2>, errors: Tensor<2>, scan: &Scan) -> ScanGradient {
    if in_host_memory(&x.device()) {
        let dtype = common_dtype(x.dtype(), errors.dtype());
        for_real!(dtype, T => back::gradient::<T>(x, start, errors, scan))
    } else {
        gradient_by_tensors(x, start, errors, scan)
    }
}

#[cfg(test)]
mod tests;
