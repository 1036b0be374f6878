//! A mixture of logistic distributions over the 256 grey values `v/255`.
//!
//! With mixture weights π, means m and scales s, the probability of a value x is the mass of its bin, `x ± 1/510`:
//!
//! ```text
//! p(x) = Σₖ πₖ [σ((x + 1/510 - mₖ)/sₖ) - σ((x - 1/510 - mₖ)/sₖ)]
//! ```
//!
//! The lowest and the highest bin extend to infinity. With `a` and `b` the two arguments and
//! `t = a - b = 1/(255 s)`, the mass of a bin is `σ(a) σ(-b) (1 - exp(-t))`. So its logarithm needs no difference of
//! two numbers that may be equal, and nothing is clipped.
//!
//! The outputs of a unit are K logits of π, K means minus one half, and K logarithms of scales.
//!
//! # Reference
//! Salimans, Karpathy, Chen, Kingma, "PixelCNN++", ICLR 2017, arXiv:1701.05517, section 2.1, on the scale [0, 1]
//! and without the coupling of colours.

use burn::tensor::{Tensor, activation};
use helmholtz_core::Scored;

/// Half of a bin.
const HALF: f64 = 1.0 / 510.0;

/// The parameters of each unit and component, from the outputs: `[n, K, d]` each.
struct Mixture {
    log_pi: Tensor<3>,
    mean: Tensor<3>,
    log_scale: Tensor<3>,
}

impl Mixture {
    fn of(outputs: Tensor<2>, components: usize) -> Self {
        let [n, width] = outputs.dims();
        let d = width / (3 * components);
        let outputs = outputs.reshape([n, 3, components, d]);
        let part = |i: usize| outputs.clone().slice([0..n, i..i + 1]).reshape([n, components, d]);
        Mixture { log_pi: activation::log_softmax(part(0), 1), mean: part(1) + 0.5, log_scale: part(2) }
    }
}

fn log_sigmoid(a: Tensor<3>) -> Tensor<3> {
    // -softplus(-a), stable at both ends.
    (activation::relu(a.clone().neg()) + a.abs().neg().exp().log1p()).neg()
}

/// `log(1 - exp(-t))` for t > 0, by a series where the difference would lose digits.
fn log1m_exp(t: Tensor<3>) -> Tensor<3> {
    let small = t.clone().lower_elem(0.5);
    // The first omitted term, t⁸ / 9 676 800, is below 1e-9.
    let t2 = t.clone().square();
    let series = t.clone().log() - t.clone() * 0.5 + t2.clone() * (1.0 / 24.0)
        - t2.clone().square() * (1.0 / 2880.0)
        + t2.clone() * t2.square() * (1.0 / 181_440.0);
    let plain = (t.neg().exp().neg() + 1.0).log();
    plain.mask_where(small, series)
}

/// The log masses of the bin of `x` under each component, with `a`, `b`, `t`, `1/s`, and masks of the lowest and the
/// highest bin.
struct Masses {
    log_mass: Tensor<3>,
    a: Tensor<3>,
    b: Tensor<3>,
    t: Tensor<3>,
    inverse: Tensor<3>,
    lowest: Tensor<3, burn::tensor::Bool>,
    highest: Tensor<3, burn::tensor::Bool>,
}

fn masses(x: Tensor<2>, mixture: &Mixture) -> Masses {
    let [n, components, d] = mixture.mean.dims();
    let x = x.unsqueeze_dim::<3>(1).expand([n, components, d]);
    let inverse = mixture.log_scale.clone().neg().exp();
    let centred = x.clone() - mixture.mean.clone();
    let a = (centred.clone() + HALF) * inverse.clone();
    let b = (centred - HALF) * inverse.clone();
    let t = inverse.clone() * (2.0 * HALF);
    let (low, high) = (log_sigmoid(a.clone()), log_sigmoid(b.clone().neg()));
    let (lowest, highest) = (x.clone().lower_elem(HALF), x.greater_elem(1.0 - HALF));
    let log_mass = (low.clone() + high.clone() + log1m_exp(t.clone()))
        .mask_where(lowest.clone(), low)
        .mask_where(highest.clone(), high);
    Masses { log_mass, a, b, t, inverse, lowest, highest }
}

/// `log Σₖ exp` along the components: `[n, 1, d]`.
fn log_sum(terms: Tensor<3>) -> Tensor<3> {
    let max = terms.clone().max_dim(1).detach();
    (terms - max.clone()).exp().sum_dim(1).log() + max
}

/// `log p(x | outputs)` summed over the units: `[n]`, in nats.
///
/// # Shapes
/// - `x`: `[n, d]`, grey values in [0, 1]; `outputs`: `[n, 3 K d]`
pub(crate) fn log_prob(x: Tensor<2>, outputs: Tensor<2>, components: usize) -> Tensor<1> {
    let mixture = Mixture::of(outputs, components);
    let terms = mixture.log_pi.clone() + masses(x, &mixture).log_mass;
    log_sum(terms).flatten::<2>(1, 2).sum_dim(1).squeeze_dim(1)
}

/// [`log_prob`] with its derivative in the outputs: `[n, 3 K d]`.
pub(crate) fn score(x: Tensor<2>, outputs: Tensor<2>, components: usize) -> Scored {
    let mixture = Mixture::of(outputs, components);
    let Masses { log_mass, a, b, t, inverse, lowest, highest } = masses(x, &mixture);
    let terms = mixture.log_pi.clone() + log_mass;
    let total = log_sum(terms.clone());
    let share = (terms - total.clone()).exp(); // of each component in the mass of the bin
    // d log mass / da, / db and / dt, each zero where the bin has no such end.
    let in_a = activation::sigmoid(a.clone().neg()).mask_fill(highest.clone(), 0.0);
    let in_b = activation::sigmoid(b.clone()).neg().mask_fill(lowest.clone(), 0.0);
    let in_t = inverse_expm1(t.clone()).mask_fill(lowest.bool_or(highest), 0.0);
    let in_mean = (in_a.clone() + in_b.clone()).neg() * inverse;
    let in_log_scale = (a * in_a + b * in_b + t * in_t).neg();
    let in_logit = share.clone() - mixture.log_pi.exp();
    let [n, _, _] = share.dims();
    let traces = vec![in_logit, share.clone() * in_mean, share * in_log_scale];
    let trace = Tensor::cat(traces.into_iter().map(|t| t.flatten::<2>(1, 2)).collect(), 1);
    Scored { log_prob: total.reshape([n as i32, -1]).sum_dim(1).squeeze_dim(1), trace }
}

/// `1 / (exp(t) - 1)`, the derivative of `log(1 - exp(-t))`, by its series where the difference would lose digits.
fn inverse_expm1(t: Tensor<3>) -> Tensor<3> {
    let small = t.clone().lower_elem(0.5);
    let t2 = t.clone().square();
    let series = t.clone().recip() - 0.5 + t.clone() * (1.0 / 12.0) - t.clone() * t2.clone() * (1.0 / 720.0)
        + t.clone() * t2.square() * (1.0 / 30_240.0);
    let z = t.neg().exp();
    let plain = z.clone() / (z.neg() + 1.0);
    plain.mask_where(small, series)
}

/// `Σₖ πₖ mₖ`, clamped to [0, 1]: `[n, d]`.
pub(crate) fn mean(outputs: Tensor<2>, components: usize) -> Tensor<2> {
    let mixture = Mixture::of(outputs, components);
    (mixture.log_pi.exp() * mixture.mean).sum_dim(1).squeeze_dim::<2>(1).clamp(0.0, 1.0)
}

/// Draws a sample: the uniforms `choice` pick the components, and the uniforms `u` the values, rounded to their bins.
pub(crate) fn draw(outputs: Tensor<2>, components: usize, choice: Tensor<2>, u: Tensor<2>) -> Tensor<2> {
    let Mixture { log_pi, mean, log_scale } = Mixture::of(outputs, components);
    let [n, k, d] = mean.dims();
    let (mut below, mut value) = (choice.zeros_like(), choice.zeros_like());
    // u is drawn from [0, 1), so it may be zero, and its logarithm must stay finite in f32 and f64.
    let logit = (u.clone().clamp_min(f64::from(f32::MIN_POSITIVE)) / (u.neg() + 1.0)).log();
    for component in 0..k {
        let part = |t: &Tensor<3>| t.clone().slice([0..n, component..component + 1]).reshape([n, d]);
        let upper = below.clone() + part(&log_pi).exp();
        let drawn = part(&mean) + part(&log_scale).exp() * logit.clone();
        let chosen = choice.clone().greater_equal(below);
        // The last component also gets the uniforms above the sum of the weights, which rounding may leave below one.
        let chosen = match component + 1 == k {
            true => chosen,
            false => chosen.bool_and(choice.clone().lower(upper.clone())),
        };
        value = value.mask_where(chosen, drawn);
        below = upper;
    }
    (value.clamp(0.0, 1.0) * 255.0).round() / 255.0
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, TensorData};

    use super::*;

    /// Outputs for three rows of one unit with `K = 2`, with moderate and extreme scales, in f64.
    fn outputs() -> Tensor<2> {
        let values = [
            [0.3, -0.2, -0.1, 0.4, -2.0, -3.0],
            [0.0, 1.0, 0.5, -0.5, -9.0, 0.5],
            [2.0, -2.0, 0.7, -0.9, -4.0, -5.0],
        ];
        tensor(values.concat(), [3, 6])
    }

    fn tensor(values: Vec<f64>, shape: [usize; 2]) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values, shape), (&burn::tensor::Device::flex(), DType::F64))
    }

    fn values<const D: usize>(t: Tensor<D>) -> Vec<f64> {
        t.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn the_masses_of_all_grey_values_sum_to_one() {
        let mut total = vec![0.0; 3];
        for v in 0..256 {
            let x = tensor(vec![f64::from(v) / 255.0; 3], [3, 1]);
            for (total, log_p) in total.iter_mut().zip(values(log_prob(x, outputs(), 2))) {
                *total += log_p.exp();
            }
        }
        assert!(total.iter().all(|total| (total - 1.0).abs() < 1e-8), "{total:?}");
    }

    #[test]
    fn the_trace_is_the_derivative_in_the_outputs() {
        // Central differences with h = 1e-6: the error is h² times the third derivative, which reaches 1e5 at small
        // scales.
        for v in [0.0, 1.0, 100.0, 180.0, 254.0, 255.0] {
            let x = tensor(vec![v / 255.0; 3], [3, 1]);
            let trace = values(score(x.clone(), outputs(), 2).trace);
            let h = 1e-6;
            for output in 0..6 {
                let moved = |sign: f64| {
                    let mut step = vec![0.0; 18];
                    (0..3).for_each(|row| step[6 * row + output] = sign * h);
                    values(log_prob(x.clone(), outputs() + tensor(step, [3, 6]), 2))
                };
                for (row, (up, down)) in moved(1.0).into_iter().zip(moved(-1.0)).enumerate() {
                    let (difference, exact) = ((up - down) / (2.0 * h), trace[6 * row + output]);
                    assert!(
                        (difference - exact).abs() < 1e-5 * (1.0 + exact.abs()),
                        "x = {v}, row {row}, output {output}: found {exact}, expected {difference}"
                    );
                }
            }
        }
    }
}
