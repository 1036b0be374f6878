//! A step of Adam in one pass over each parameter.
//!
//! ```text
//! m ← β₁ m + (1 - β₁) g,   v ← β₂ v + (1 - β₂) g²
//! w ← w - lr · m √(1 - β₂ᵗ) / (1 - β₁ᵗ) / (√v + ε √(1 - β₂ᵗ))
//! ```
//!
//! Burn's own Adam takes a dozen passes, each with its own buffer. The operations and their order are those of Burn,
//! so the numbers are the same to the bit.
//!
//! # Reference
//! Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015, arXiv:1412.6980.

use burn::tensor::{Device, ElementConversion, Tensor};
use helmholtz_noise::simd::vectorised;
use rayon::prelude::*;

use crate::host::{self, for_real, in_host_memory};
use crate::real::Real;

/// Settings of Adam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamSettings {
    /// β₁, the share of the running mean of gradients that a step keeps.
    pub beta_1: f32,
    /// β₂, the share of the running mean of squared gradients that a step keeps.
    pub beta_2: f32,
    /// ε, added to the square root of the mean of squares.
    pub epsilon: f32,
}

/// Number of values in one task.
pub(crate) const PART: usize = 1 << 14;

impl AdamSettings {
    /// Whether a step can be taken in one pass: the device's tensors are in host memory and not on autodiff.
    pub fn applies(device: &Device) -> bool {
        !device.is_autodiff() && in_host_memory(device)
    }

    /// The parameter, m and v after step t = `time`, counted from 1. `moments` are m and v before the step, or `None`
    /// at the first step. A tensor that nothing else holds is changed in place.
    ///
    /// # Shapes
    /// All tensors have the shape of `parameter`.
    ///
    /// # Panics
    /// If it [does not apply](Self::applies) to the device of the tensors, or their sizes differ.
    pub fn step<const D: usize>(
        &self,
        rate: f64,
        time: i32,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        moments: Option<[Tensor<D>; 2]>,
    ) -> [Tensor<D>; 3] {
        assert!(Self::applies(&parameter.device()), "a one-pass step needs host memory and no autodiff");
        for_real!(parameter.dtype(), T => self.on_host::<T, D>(rate, time, parameter, gradient, moments))
    }

    fn on_host<T: Real, const D: usize>(
        &self,
        rate: f64,
        time: i32,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        moments: Option<[Tensor<D>; 2]>,
    ) -> [Tensor<D>; 3] {
        let (shape, device) = (parameter.dims(), parameter.device());
        let AdamSettings { beta_1, beta_2, epsilon } = *self;
        // In single precision for every element type, as in Burn.
        let correction = (1.0 - beta_2.powi(time)).sqrt();
        let constants = Constants {
            keep: [beta_1, beta_2].map(|beta| beta.elem::<T>()),
            take: [1.0 - beta_1, 1.0 - beta_2].map(|share| share.elem::<T>()),
            scale: (correction / (1.0 - beta_1.powi(time))).elem::<T>(),
            epsilon: (epsilon * correction).elem::<T>(),
            rate: rate.elem::<T>(),
        };
        let (n, gradient) = (parameter.shape().num_elements(), host::read::<T, D>(gradient));
        assert_eq!(n, gradient.len(), "the parameter and its gradient differ in size");
        let is_first = moments.is_none();
        let [mut m, mut v] = match moments {
            Some(moments) => moments.map(host::values::<T, D>),
            None => [(); 2].map(|()| vec![T::ZERO; n]),
        };
        let beside = gradient.par_chunks(PART).zip(m.par_chunks_mut(PART).zip(v.par_chunks_mut(PART)));
        let values = host::change::<T, D, _>(parameter, PART, beside, |w, (g, (m, v))| {
            vectorised(
                #[inline(always)]
                || {
                    if is_first {
                        constants.pass::<true>(w, g, m, v)
                    } else {
                        constants.pass::<false>(w, g, m, v)
                    }
                },
            );
        });
        [values, m, v].map(|values| host::tensor(values, shape, &device))
    }
}

struct Constants<T> {
    keep: [T; 2],
    take: [T; 2],
    scale: T,
    epsilon: T,
    rate: T,
}

impl<T: Real> Constants<T> {
    #[inline(always)]
    fn pass<const FIRST: bool>(&self, w: &mut [T], g: &[T], m: &mut [T], v: &mut [T]) {
        let Constants { keep, take, scale, epsilon, rate } = *self;
        for (((w, &g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
            if FIRST {
                *m = g * take[0];
                *v = g * g * take[1];
            } else {
                *m = *m * keep[0] + g * take[0];
                *v = *v * keep[1] + g * g * take[1];
            }
            *w = *w - *m * scale / (v.sqrt() + epsilon) * rate;
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, TensorData};

    use super::*;

    #[test]
    fn a_constant_gradient_moves_a_parameter_by_the_rate_at_every_step() {
        // m / (1 - β₁ᵗ) = g and v / (1 - β₂ᵗ) = g² at every step, to the rounding of the f32 constants.
        let place = (&Device::flex(), DType::F64);
        let gradient = Tensor::<1>::from_data(TensorData::new(vec![3.0, -0.5], [2]), place);
        let adam = AdamSettings { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-12 };
        let mut at = [Tensor::<1>::zeros([2], place), gradient.zeros_like(), gradient.zeros_like()];
        for time in 1..=50 {
            let [parameter, m, v] = at;
            at = adam.step(0.01, time, parameter, gradient.clone(), (time > 1).then_some([m, v]));
            let w = at[0].clone().into_data().try_to_vec::<f64>().unwrap();
            for (w, sign) in w.into_iter().zip([-1.0, 1.0]) {
                assert!(
                    (w - sign * 0.01 * f64::from(time)).abs() < 1e-5 * f64::from(time),
                    "step {time}: {w}"
                );
            }
        }
    }
}
