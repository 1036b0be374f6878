//! A learned baseline: a prediction of the signal.

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

    /// Adds the gradient of `1/2 Σᵢ sᵢ (tᵢ - C(yᵢ))²` where `residuals` holds `sᵢ (tᵢ - C(yᵢ))`, `[n]`.
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

/// The value of a parameter as a constant, even where the learner tracks it.
fn constant<const D: usize>(param: &Param<Tensor<D>>) -> Tensor<D> {
    param.val().without_autodiff()
}

#[cfg(test)]
mod tests {
    use helmholtz_core::{map_params, visit_params};

    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_squared_error() {
        let device = Device::flex();
        let vector = |values: Vec<f64>| Tensor::<1>::from_data(values.as_slice(), (&device, DType::F64));
        let mut stream = Stream::new(Key::new(5));
        // All parameters in double precision, away from zero.
        let baseline = map_params(Baseline::new(3, 2, Key::new(4), &device), |_, param| {
            vector((0..param.shape().num_elements()).map(|_| stream.uniform_in(-1.0, 1.0)).collect())
        });
        let y = Tensor::<2>::from_data(
            TensorData::new(vec![0.2f64, 1.0, -0.4, 0.0, -1.0, 0.7], [2, 3]),
            (&device, DType::F64),
        );
        let targets = vector(vec![0.5, -2.0]);
        let loss = |baseline: &Baseline| {
            let residuals = targets.clone() - baseline.predict(y.clone()).values;
            (residuals.square().sum() * 0.5).into_scalar::<f64>()
        };
        let mut gradients = Gradients::new();
        let predicted = baseline.predict(y.clone());
        let residuals = targets.clone() - predicted.values.clone();
        baseline.gradient(y.clone(), predicted, residuals, &mut gradients);
        visit_params(&baseline, |of, param| {
            let found = param.gradient(&gradients).expect("every parameter has a gradient");
            let found: Vec<f64> = found.into_data().try_to_vec().unwrap();
            for (element, found) in found.iter().enumerate() {
                let at = |by: f64| {
                    loss(&map_params(baseline.clone(), |path, param| {
                        let mut step = vec![0.0; param.shape().num_elements()];
                        if path == of {
                            step[element] = by;
                        }
                        param.values() + vector(step)
                    }))
                };
                let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((found - numeric).abs() < 1e-8, "{of:?}, {element}: {found} against {numeric}");
            }
        });
    }
}
