//! A learned baseline: what a signal is expected to be.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use helmholtz_core::{Gradients, Key};
use helmholtz_noise::Stream;

/// `C(y) = b + v · tanh(W y + a)`, fitted by squared error.
#[derive(Module, Debug)]
pub(crate) struct Baseline {
    /// W: `[d, hidden]`, Glorot uniform at first.
    weight: Param<Tensor<2>>,
    /// a: `[hidden]`, zero at first.
    bias: Param<Tensor<1>>,
    /// v: `[hidden, 1]`, zero at first, so that the first baselines are zero.
    out_weight: Param<Tensor<2>>,
    /// b: `[1]`, zero at first.
    out_bias: Param<Tensor<1>>,
}

/// Predictions with what their gradient needs.
pub(crate) struct Predicted {
    /// `C(y)`: `[n]`.
    pub(crate) values: Tensor<1>,
    hidden: Tensor<2>,
}

impl Baseline {
    /// For inputs of size `d`, in single precision.
    pub(crate) fn new(d: usize, hidden: usize, key: Key, device: &Device) -> Self {
        let mut stream = Stream::new(key);
        let limit = (6.0 / (d + hidden) as f64).sqrt();
        let weights = (0..d * hidden).map(|_| stream.uniform_in(-limit, limit) as f32).collect::<Vec<_>>();
        let place = (device, DType::F32);
        Baseline {
            weight: Param::from_tensor(Tensor::from_data(TensorData::new(weights, [d, hidden]), place)),
            bias: Param::from_tensor(Tensor::zeros([hidden], place)),
            out_weight: Param::from_tensor(Tensor::zeros([hidden, 1], place)),
            out_bias: Param::from_tensor(Tensor::zeros([1], place)),
        }
    }

    /// Predictions for inputs `[n, d]` of any type; constants.
    pub(crate) fn predict(&self, y: Tensor<2>) -> Predicted {
        let y = y.cast(constant(&self.weight).dtype());
        let hidden = (y.matmul(constant(&self.weight)) + constant(&self.bias).unsqueeze()).tanh();
        let values = hidden.clone().matmul(constant(&self.out_weight)).squeeze_dim::<1>(1);
        Predicted { values: values + constant(&self.out_bias), hidden }
    }

    /// Adds the gradient of `1/2 Σᵢ sᵢ (tᵢ - C(yᵢ))²` with `residuals` the products `sᵢ (tᵢ - C(yᵢ))`, `[n]`.
    pub(crate) fn gradient(
        &self,
        y: Tensor<2>,
        predicted: Predicted,
        residuals: Tensor<1>,
        into: &mut Gradients,
    ) {
        let dtype = predicted.hidden.dtype();
        let (y, error) = (y.cast(dtype), residuals.cast(dtype).neg().unsqueeze_dim::<2>(1));
        let slope = predicted.hidden.clone().square().neg() + 1.0;
        let inner = error.clone().matmul(constant(&self.out_weight).transpose()) * slope;
        into.add(&self.weight, y.transpose().matmul(inner.clone()));
        into.add(&self.bias, inner.sum_dim(0).squeeze_dim::<1>(0));
        into.add(&self.out_weight, predicted.hidden.transpose().matmul(error.clone()));
        into.add(&self.out_bias, error.sum());
    }
}

/// The value of a parameter that a learner may track.
fn constant<const D: usize>(param: &Param<Tensor<D>>) -> Tensor<D> {
    param.val().without_autodiff()
}

#[cfg(test)]
mod tests {
    use burn::module::ModuleMapper;

    use super::*;

    /// Adds to the parameter of a given number, and counts.
    struct Nudge {
        by: f64,
        of: usize,
        element: usize,
        seen: usize,
    }

    impl ModuleMapper for Nudge {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.seen += 1;
            if self.seen - 1 != self.of {
                return param;
            }
            param.map(|tensor| {
                let shape = tensor.shape();
                let mut step = vec![0.0; shape.num_elements()];
                step[self.element] = self.by;
                let place = (&tensor.device(), DType::F64);
                tensor + Tensor::from_data(TensorData::new(step, shape), place)
            })
        }
    }

    /// All parameters in double precision, away from zero.
    struct Spread(Stream);

    impl ModuleMapper for Spread {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| {
                let shape = tensor.shape();
                let values: Vec<f64> =
                    (0..shape.num_elements()).map(|_| self.0.uniform_in(-1.0, 1.0)).collect();
                Tensor::from_data(TensorData::new(values, shape), (&tensor.device(), DType::F64))
            })
        }
    }

    #[test]
    fn the_gradient_is_that_of_the_squared_error() {
        let device = Device::flex();
        let baseline = Baseline::new(3, 2, Key::new(4), &device).map(&mut Spread(Stream::new(Key::new(5))));
        let y = Tensor::<2>::from_data(
            TensorData::new(vec![0.2f64, 1.0, -0.4, 0.0, -1.0, 0.7], [2, 3]),
            (&device, DType::F64),
        );
        let targets = Tensor::<1>::from_data(TensorData::new(vec![0.5f64, -2.0], [2]), (&device, DType::F64));
        let loss = |baseline: &Baseline| {
            let residuals = targets.clone() - baseline.predict(y.clone()).values;
            (residuals.square().sum() * 0.5).into_scalar::<f64>()
        };
        let mut gradients = Gradients::new();
        let predicted = baseline.predict(y.clone());
        let residuals = targets.clone() - predicted.values.clone();
        baseline.gradient(y.clone(), predicted, residuals, &mut gradients);
        let flat = |tensor: Option<Vec<f64>>| tensor.expect("every parameter has a gradient");
        let two = |param: &Param<Tensor<2>>| {
            flat(gradients.get::<2>(param.id).map(|found| found.into_data().try_to_vec().unwrap()))
        };
        let one = |param: &Param<Tensor<1>>| {
            flat(gradients.get::<1>(param.id).map(|found| found.into_data().try_to_vec().unwrap()))
        };
        let found =
            [two(&baseline.weight), one(&baseline.bias), two(&baseline.out_weight), one(&baseline.out_bias)];
        for (of, found) in found.iter().enumerate() {
            for (element, found) in found.iter().enumerate() {
                let at = |by: f64| loss(&baseline.clone().map(&mut Nudge { by, of, element, seen: 0 }));
                let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!(
                    (found - numeric).abs() < 1e-8,
                    "parameter {of}, {element}: {found} against {numeric}"
                );
            }
        }
    }
}
