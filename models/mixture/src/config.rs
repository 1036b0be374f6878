//! Sizes, smoothing and initialisation of a mixture.

use burn::module::Param;
use burn::tensor::{DType, Device, Tensor};
use helmholtz_core::{Draws, Key, Role};
use helmholtz_ops::noise;
use thiserror::Error;

use crate::BernoulliMixture;

/// Sizes, smoothing and initialisation.
#[derive(Clone, Debug, PartialEq)]
pub struct BernoulliMixtureConfig {
    /// Number of observed units, d.
    pub observed: usize,
    /// Number of classes, C; 1 for a mixture that knows of none.
    pub classes: usize,
    /// Number of components of each class, K.
    pub components: usize,
    /// Pseudo-rows that the maximisation of EM adds to the data, s, as a share of the rows: see [`em`](crate::em).
    pub smoothing: f64,
    /// Standard deviation of the normal noise that the logits begin with, which tells the components apart.
    pub spread: f64,
}

/// A mixture that cannot be built.
#[derive(Debug, Error, PartialEq)]
pub enum MixtureError {
    /// No classes.
    #[error("classes = 0: a mixture has at least one class; give 1 for rows without classes")]
    NoClasses,
    /// No components.
    #[error("components = 0: a mixture needs at least one component for each class")]
    NoComponents,
    /// A share of pseudo-rows that is not a number from zero up.
    #[error(
        "smoothing = {0:?}: give a share of pseudo-rows, 0 or a positive number in single precision, as in `smoothing = 0.01`"
    )]
    Smoothing(f64),
    /// A standard deviation that is not a number from zero up.
    #[error(
        "spread = {0:?}: give a standard deviation of logits, 0 or a positive number in single precision, as in `spread = 0.5`"
    )]
    Spread(f64),
    /// Components that would remain alike.
    #[error(
        "spread = 0: {0} components that begin alike remain alike; give a positive number, or one component"
    )]
    Alike(usize),
    /// No observed units.
    #[error("the data have no columns")]
    NoObserved,
    /// A data mean of the wrong size.
    #[error("the data mean has {found} values for {expected} observed units")]
    MeanSize {
        /// Size of the mean.
        found: usize,
        /// Number of observed units.
        expected: usize,
    },
}

impl BernoulliMixtureConfig {
    /// One class; a pseudo-row for every 100 rows of the data, logits within about one half of the data's.
    pub fn new(observed: usize, components: usize) -> Self {
        BernoulliMixtureConfig { observed, classes: 1, components, smoothing: 0.01, spread: 0.5 }
    }

    /// Refuses sizes and settings that make no mixture.
    ///
    /// # Errors
    /// With the first that is wrong.
    pub fn check(&self) -> Result<(), MixtureError> {
        // As the parameters are kept.
        let from_zero = |value: f64| value >= 0.0 && (value as f32).is_finite();
        if self.observed == 0 {
            return Err(MixtureError::NoObserved);
        }
        if self.classes == 0 {
            return Err(MixtureError::NoClasses);
        }
        if self.components == 0 {
            return Err(MixtureError::NoComponents);
        }
        if !from_zero(self.smoothing) {
            return Err(MixtureError::Smoothing(self.smoothing));
        }
        if !from_zero(self.spread) {
            return Err(MixtureError::Spread(self.spread));
        }
        if self.spread == 0.0 && self.components > 1 {
            return Err(MixtureError::Alike(self.components));
        }
        Ok(())
    }

    /// A mixture of equal weights, whose logits are those of the data mean, clipped to [0.001, 0.999], with noise
    /// drawn under `key`. The clipped mean is that of the pseudo-rows as well.
    ///
    /// Without a `mean` (one number per observed unit) the data are taken to have mean one half.
    ///
    /// # Errors
    /// If a size is zero, smoothing or spread are not finite or negative, components would begin alike, or the mean
    /// has the wrong length.
    pub fn init(
        &self,
        mean: Option<&[f64]>,
        key: Key,
        device: &Device,
    ) -> Result<BernoulliMixture, MixtureError> {
        self.check()?;
        let (d, k) = (self.observed, self.classes * self.components);
        let half = vec![0.5; d];
        let mean = mean.unwrap_or(&half);
        if mean.len() != d {
            return Err(MixtureError::MeanSize { found: mean.len(), expected: d });
        }
        let mean: Vec<f64> = mean.iter().map(|m| m.clamp(0.001, 0.999)).collect();
        let row = |values: Vec<f64>| {
            let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
            Tensor::<1>::from_floats(values.as_slice(), device)
        };
        let logits = row(mean.iter().map(|m| (m / (1.0 - m)).ln()).collect()).unsqueeze::<2>();
        let draws = Draws::new(key.child(Role::Init), k, 1);
        let noise = noise::normal(&draws, d, DType::F32, device);
        Ok(BernoulliMixture {
            weights: Param::from_tensor(Tensor::zeros([k], (device, DType::F32))),
            logits: Param::from_tensor(logits + noise * self.spread),
            prior_mean: Param::from_tensor(row(mean)).set_require_grad(false),
            classes: self.classes,
            smoothing: self.smoothing,
        })
    }
}

#[cfg(test)]
mod tests {
    use helmholtz_ops::into_f64;

    use super::*;

    #[test]
    fn what_cannot_be_built_is_refused_with_a_sentence_that_begins_with_its_key() {
        let config = BernoulliMixtureConfig::new(4, 3);
        let error = |config: BernoulliMixtureConfig, mean: Option<&[f64]>| {
            config.init(mean, Key::new(0), &Device::flex()).unwrap_err().to_string()
        };
        for (config, start) in [
            (BernoulliMixtureConfig { classes: 0, ..config.clone() }, "classes = 0:"),
            (BernoulliMixtureConfig { components: 0, ..config.clone() }, "components = 0:"),
            (BernoulliMixtureConfig { smoothing: -0.5, ..config.clone() }, "smoothing = -0.5:"),
            (BernoulliMixtureConfig { smoothing: f64::NAN, ..config.clone() }, "smoothing = NaN:"),
            (BernoulliMixtureConfig { spread: f64::INFINITY, ..config.clone() }, "spread = inf:"),
            (BernoulliMixtureConfig { spread: 0.0, ..config.clone() }, "spread = 0: 3 components"),
            (BernoulliMixtureConfig { observed: 0, ..config.clone() }, "the data have no columns"),
        ] {
            let found = error(config, None);
            assert!(found.starts_with(start), "{found}");
        }
        assert_eq!(error(config, Some(&[0.5; 3])), "the data mean has 3 values for 4 observed units");
    }

    #[test]
    fn components_begin_around_the_logits_of_the_data_mean() {
        // 4000 draws of a normal law: mean within 5 standard errors, false alarms below 1e-6.
        let config = BernoulliMixtureConfig { spread: 0.3, ..BernoulliMixtureConfig::new(2, 4000) };
        let model = config.init(Some(&[0.0, 0.7]), Key::new(0), &Device::flex()).unwrap();
        let logits = into_f64(model.logits.val().mean_dim(0));
        for (found, mean) in logits.into_iter().zip([0.001f64, 0.7]) {
            assert!((found - (mean / (1.0 - mean)).ln()).abs() < 5.0 * 0.3 / 4000f64.sqrt(), "{found}");
        }
        assert!((into_f64(model.log_weights().exp())[7] * 4000.0 - 1.0).abs() < 1e-5, "equal weights");
    }
}
