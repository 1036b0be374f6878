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
    /// Number of classes, C; 1 for a mixture without classes.
    pub classes: usize,
    /// Number of components of each class, K.
    pub components: usize,
    /// Pseudo-rows that the maximisation of EM adds to the data, s, as a share of the rows: see [`em`](crate::em).
    pub smoothing: f64,
    /// Standard deviation of the normal noise in the initial logits, which makes the components different.
    pub spread: f64,
}

/// Why a mixture cannot be built.
#[derive(Debug, Error, PartialEq)]
pub enum MixtureError {
    /// No classes.
    #[error("classes = 0: a mixture needs at least one class; give 1 for rows without classes")]
    NoClasses,
    /// No components.
    #[error("components = 0: a mixture needs at least one component for each class")]
    NoComponents,
    /// A share of pseudo-rows that is negative or not finite.
    #[error(
        "smoothing = {0:?}: the share of pseudo-rows must be 0 or positive, and finite in single precision, as in \
         `smoothing = 0.01`"
    )]
    Smoothing(f64),
    /// A standard deviation that is negative or not finite.
    #[error(
        "spread = {0:?}: the standard deviation of logits must be 0 or positive, and finite in single precision, as in \
         `spread = 0.5`"
    )]
    Spread(f64),
    /// Components that would stay equal.
    #[error(
        "spread = 0: {0} components that start equal stay equal; give a positive spread, or one component"
    )]
    Alike(usize),
    /// No observed units.
    #[error("the data have no columns; a model needs at least one observed unit")]
    NoObserved,
    /// A data mean of the wrong size.
    #[error("the data mean has {found} values for {expected} observed units; give one value for each unit")]
    MeanSize {
        /// Size of the mean.
        found: usize,
        /// Number of observed units.
        expected: usize,
    },
}

impl BernoulliMixtureConfig {
    /// One class, one pseudo-row for every 100 data rows, and logits within about one half of those of the data mean.
    pub fn new(observed: usize, components: usize) -> Self {
        BernoulliMixtureConfig { observed, classes: 1, components, smoothing: 0.01, spread: 0.5 }
    }

    /// Rejects sizes and settings from which no mixture can be built.
    ///
    /// # Errors
    /// With the first wrong setting.
    pub fn check(&self) -> Result<(), MixtureError> {
        // Finite as f32, because the parameters are f32.
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

    /// A mixture with equal weights. Its logits are those of the data mean, clipped to [0.001, 0.999], plus noise
    /// drawn under `key`. The clipped mean is also the mean of the pseudo-rows.
    ///
    /// `mean` has one number per observed unit. If it is not set, one half is used for every unit.
    ///
    /// # Errors
    /// If a size is zero, smoothing or spread is negative or not finite, components would start equal, or the mean
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
        assert_eq!(
            error(config, Some(&[0.5; 3])),
            "the data mean has 3 values for 4 observed units; give one value for each unit"
        );
    }

    #[test]
    fn components_begin_around_the_logits_of_the_data_mean() {
        // 4000 draws from a normal distribution: the mean is within 5 standard errors, with false alarms below 1e-6.
        let config = BernoulliMixtureConfig { spread: 0.3, ..BernoulliMixtureConfig::new(2, 4000) };
        let model = config.init(Some(&[0.0, 0.7]), Key::new(0), &Device::flex()).unwrap();
        let logits = into_f64(model.logits.val().mean_dim(0));
        for (found, mean) in logits.into_iter().zip([0.001f64, 0.7]) {
            assert!((found - (mean / (1.0 - mean)).ln()).abs() < 5.0 * 0.3 / 4000f64.sqrt(), "{found}");
        }
        assert!((into_f64(model.log_weights().exp())[7] * 4000.0 - 1.0).abs() < 1e-5, "equal weights");
    }
}
