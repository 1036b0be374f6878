//! The autoencoder that is timed, and its data.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use helmholtz_core::Key;
use helmholtz_strategies::{Pathwise, Weighting};
use helmholtz_vae::Vae;
use helmholtz_vae::VaeConfig;

use crate::bench::descent::{Bare, RMSPROP};
use crate::bench::stack::{OBSERVED, ROWS};

/// Latents.
pub(crate) const LATENTS: usize = 20;

/// Hidden units of the recognition net, from the data up, and of the generative net, down to them.
pub(crate) const HIDDEN: [usize; 2] = [200, 200];

/// Steps of `iwae` that the weights come from.
pub(crate) const TRAINING: usize = 500;

/// A model with its data.
pub(crate) struct Subject {
    pub(crate) model: Vae,
    /// `[ROWS, OBSERVED]`.
    pub(crate) x: Tensor<2>,
}

/// A linear map of the model.
pub(crate) struct Layer<'a> {
    pub(crate) name: &'static str,
    pub(crate) weight: &'a Param<Tensor<2>>,
    pub(crate) bias: &'a Param<Tensor<1>>,
}

impl Subject {
    /// With initial weights.
    pub(crate) fn new(device: &Device) -> anyhow::Result<Self> {
        let glyphs = helmholtz_datasets::load("glyphs/28x28", None)?;
        let x = glyphs.train.tensor(device).slice([0..ROWS, 0..OBSERVED]);
        let mean: Vec<f64> = x.clone().mean_dim(0).into_data_as::<f64>().try_into_vec()?;
        let mut config = VaeConfig::new(OBSERVED, vec![LATENTS]);
        config.bodies = vec![HIDDEN.to_vec()];
        config.centre = false;
        let model = config.init(Some(&mean), Key::new(0).child("bench vae"), device)?;
        Ok(Subject { model, x })
    }

    /// With the weights after [`TRAINING`] steps of `iwae`.
    pub(crate) fn trained(batch: usize, samples: usize, device: &Device) -> anyhow::Result<Self> {
        let Subject { model, x } = Subject::new(device)?;
        let mut training = Bare::new(&model, &Pathwise::new(samples, Weighting::Iwae), &RMSPROP, x.clone());
        for step in 0..TRAINING {
            training.batch = rows(&x, step * batch, batch).into();
            training.step()?;
        }
        Ok(Subject { model: training.model.valid(), x })
    }

    /// The first rows, as many as a batch has.
    pub(crate) fn batch(&self, batch: usize) -> Tensor<2> {
        rows(&self.x, 0, batch)
    }

    /// The linear maps of the recognition net: hidden layers, mean, standard deviation.
    pub(crate) fn encoder(&self) -> [Layer<'_>; 4] {
        let gaussian = &self.model.recognition[0];
        let [lower, upper] = [0, 1].map(|l| &gaussian.body.perceptron.layers[l]);
        let maps = [lower, upper, &gaussian.mean, &gaussian.std];
        let names = ["q's lower layer", "q's upper layer", "q's mean", "q's standard deviation"];
        std::array::from_fn(|l| Layer { name: names[l], weight: &maps[l].weight, bias: &maps[l].bias })
    }

    /// The linear maps of the generative net, from the latents down.
    pub(crate) fn decoder(&self) -> [Layer<'_>; 3] {
        let observed = &self.model.observed;
        let [upper, lower] = [0, 1].map(|l| &observed.perceptron.layers[l]);
        let logits = observed.weight.as_ref().expect("logits are a linear map of hidden units");
        [
            Layer { name: "p's upper layer", weight: &upper.weight, bias: &upper.bias },
            Layer { name: "p's lower layer", weight: &lower.weight, bias: &lower.bias },
            Layer { name: "p's logits", weight: logits, bias: &observed.bias },
        ]
    }
}

/// `n` rows of `x` from the row `first` on; after the last row it starts again at the first.
fn rows(x: &Tensor<2>, first: usize, n: usize) -> Tensor<2> {
    let [n_x, d] = x.dims();
    let first = first % n_x;
    x.clone().repeat_dim(0, (first + n).div_ceil(n_x)).slice([first..first + n, 0..d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_go_round_the_rows() {
        let x = Tensor::<2>::from_floats([[0.0], [1.0], [2.0]], &Device::flex());
        let of = |first, n| rows(&x, first, n).into_data().try_into_vec::<f32>().unwrap();
        assert_eq!(of(0, 2), [0.0, 1.0]);
        assert_eq!(of(5, 5), [2.0, 0.0, 1.0, 2.0, 0.0]);
    }
}
