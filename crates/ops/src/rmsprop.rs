//! A step of RMSProp in one pass over each parameter.
//!
//! ```text
//! v ← α v + (1 - α) g²,   w ← w - lr · g / (√v + ε)
//! ```
//!
//! As in [`adam`](crate::adam), the operations and their order are those of Burn, which takes one pass for each
//! operation.
//!
//! # Reference
//! Tieleman, Hinton, "Lecture 6.5: rmsprop", Coursera: Neural Networks for Machine Learning, 2012.

use burn::tensor::{Device, ElementConversion, Tensor};
use helmholtz_noise::simd::vectorised;
use rayon::prelude::*;

use crate::adam::{AdamSettings, PART};
use crate::host::{self, for_real};
use crate::real::Real;

/// Settings of RMSProp without momentum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsPropSettings {
    /// α, the share of the running mean of squared gradients that a step keeps.
    pub alpha: f32,
    /// ε, added to the square root of that mean.
    pub epsilon: f32,
}

impl RmsPropSettings {
    /// Whether a step can be taken in one pass: the device's tensors are in host memory and not on autodiff.
    pub fn applies(device: &Device) -> bool {
        AdamSettings::applies(device)
    }

    /// The parameter and v after a step. `squares` is v before the step, or `None` at the first step. A tensor that
    /// nothing else holds is changed in place.
    ///
    /// # Shapes
    /// All tensors have the shape of `parameter`.
    ///
    /// # Panics
    /// If it [does not apply](Self::applies) to the device of the tensors, or their sizes differ.
    pub fn step<const D: usize>(
        &self,
        rate: f64,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        squares: Option<Tensor<D>>,
    ) -> [Tensor<D>; 2] {
        assert!(Self::applies(&parameter.device()), "a one-pass step needs host memory and no autodiff");
        for_real!(parameter.dtype(), T => self.on_host::<T, D>(rate, parameter, gradient, squares))
    }

    fn on_host<T: Real, const D: usize>(
        &self,
        rate: f64,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        squares: Option<Tensor<D>>,
    ) -> [Tensor<D>; 2] {
        let (shape, device) = (parameter.dims(), parameter.device());
        let [keep, take, epsilon] = [self.alpha, 1.0 - self.alpha, self.epsilon].map(|x| x.elem::<T>());
        let constants = Constants { keep, take, epsilon, rate: rate.elem::<T>() };
        let (n, gradient) = (parameter.shape().num_elements(), host::read::<T, D>(gradient));
        assert_eq!(n, gradient.len(), "the parameter and its gradient differ in size");
        let is_first = squares.is_none();
        let mut v = squares.map_or_else(|| vec![T::ZERO; n], host::values::<T, D>);
        let beside = gradient.par_chunks(PART).zip(v.par_chunks_mut(PART));
        let values = host::change::<T, D, _>(parameter, PART, beside, |w, (g, v)| {
            vectorised(
                #[inline(always)]
                || {
                    if is_first { constants.pass::<true>(w, g, v) } else { constants.pass::<false>(w, g, v) }
                },
            );
        });
        [values, v].map(|values| host::tensor(values, shape, &device))
    }
}

struct Constants<T> {
    keep: T,
    take: T,
    epsilon: T,
    rate: T,
}

impl<T: Real> Constants<T> {
    #[inline(always)]
    fn pass<const FIRST: bool>(&self, w: &mut [T], g: &[T], v: &mut [T]) {
        let Constants { keep, take, epsilon, rate } = *self;
        for ((w, &g), v) in w.iter_mut().zip(g).zip(v) {
            // The first step has no earlier mean to add, not even a zero.
            *v = if FIRST { g * g * take } else { *v * keep + g * g * take };
            *w = *w - g / (v.sqrt() + epsilon) * rate;
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, TensorData};

    use super::*;

    #[test]
    fn a_constant_gradient_has_the_square_mean_that_geometric_sums_give() {
        // v after t steps is g² (1 - αᵗ).
        let place = (&Device::flex(), DType::F64);
        let gradient = Tensor::<1>::from_data(TensorData::new(vec![3.0, -0.5], [2]), place);
        let (mut at, mut squares, mut expected) = (Tensor::<1>::zeros([2], place), None, [0.0f64; 2]);
        let rms = RmsPropSettings { alpha: 0.75, epsilon: 0.0 };
        for time in 1..=20 {
            let [parameter, v] = rms.step(0.01, at, gradient.clone(), squares);
            for (w, sign) in expected.iter_mut().zip([1.0, -1.0]) {
                *w -= 0.01 * sign / (1.0 - 0.75f64.powi(time)).sqrt();
            }
            let found = parameter.clone().into_data().try_to_vec::<f64>().unwrap();
            assert!(
                found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12),
                "{found:?}, {expected:?}"
            );
            (at, squares) = (parameter, Some(v));
        }
    }
}
