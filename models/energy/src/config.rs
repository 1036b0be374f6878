//! Sizes and initialisation of a machine.

use burn::module::Param;
use burn::tensor::{DType, Device, Tensor};
use helmholtz_core::{Draws, Key, Role};
use helmholtz_ops::noise;
use thiserror::Error;

use crate::Rbm;
use crate::units::{Block, Layer, LayerError, Units};

/// Sizes and initialisation.
#[derive(Clone, Debug, PartialEq)]
pub struct RbmConfig {
    /// The visible units, with d columns in all.
    pub visible: Vec<Block>,
    /// K, the number of classes, if the label of a row is one more visible unit, after all others.
    pub classes: Option<usize>,
    /// Number of hidden units, m.
    pub hidden: usize,
    /// Standard deviation of the normal noise of the initial connections, which makes the hidden units different.
    pub spread: f64,
    /// Initial odds that a hidden unit is on while the others are off; if not set, the hidden biases are 0. Small odds
    /// make a Gaussian machine begin as a normal law with a few distant ones, and so with heavy tails.
    pub odds: Option<f64>,
}

/// Why a machine cannot be built.
#[derive(Debug, Error, PartialEq)]
pub enum RbmError {
    /// No visible units, or no whole number of them.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// No hidden units.
    #[error("hidden = 0: a machine needs at least one hidden unit")]
    NoHidden,
    /// No choice of classes.
    #[error("classes = {0}: a label is one of at least 2 classes; leave it out for rows without labels")]
    Classes(usize),
    /// A standard deviation that is negative or not finite.
    #[error(
        "spread = {0:?}: the standard deviation of the connections must be 0 or positive, and finite in single \
         precision, as in `spread = 0.01`"
    )]
    Spread(f64),
    /// Hidden units that would stay equal.
    #[error(
        "spread = 0: {0} hidden units that start equal stay equal; give a positive spread, or one hidden unit"
    )]
    Alike(usize),
    /// Odds that are not a positive number.
    #[error("odds = {0:?}: the odds of a hidden unit must be positive and finite, as in `odds = 0.01`")]
    Odds(f64),
    /// A data mean of the wrong size.
    #[error("the data mean has {found} values for {expected} visible units; give one value for each unit")]
    MeanSize {
        /// Size of the mean.
        found: usize,
        /// Number of visible units.
        expected: usize,
    },
}

impl RbmConfig {
    /// Bits, and connections with a standard deviation of 0.01.
    pub fn new(observed: usize, hidden: usize) -> Self {
        RbmConfig::of(vec![Block { units: Units::Bernoulli, columns: observed }], hidden)
    }

    /// Visible units of these types, and connections with a standard deviation of 0.01.
    pub fn of(visible: Vec<Block>, hidden: usize) -> Self {
        RbmConfig { visible, classes: None, hidden, spread: 0.01, odds: None }
    }

    /// Rejects sizes and settings from which no machine can be built.
    ///
    /// # Errors
    /// With the first wrong setting.
    pub fn check(&self) -> Result<(), RbmError> {
        self.layer()?;
        if let Some(classes @ 0..=1) = self.classes {
            return Err(RbmError::Classes(classes));
        }
        if self.hidden == 0 {
            return Err(RbmError::NoHidden);
        }
        // Finite as f32, because the parameters are f32.
        if !(self.spread >= 0.0 && (self.spread as f32).is_finite()) {
            return Err(RbmError::Spread(self.spread));
        }
        if self.spread as f32 == 0.0 && self.hidden > 1 {
            return Err(RbmError::Alike(self.hidden));
        }
        match self.odds {
            Some(odds) if !(odds > 0.0 && odds.is_finite()) => Err(RbmError::Odds(odds)),
            _ => Ok(()),
        }
    }

    fn layer(&self) -> Result<Layer, LayerError> {
        Layer::new(self.visible.clone())?;
        let label = self.classes.filter(|classes| *classes > 1);
        let label = label.map(|columns| Block { units: Units::Softmax { categories: columns }, columns });
        Layer::new(self.visible.iter().copied().chain(label).collect())
    }

    /// A machine with normal connections drawn under `key`. The visible biases are such that the units are almost
    /// independent with the means of the data: logits and logarithms of shares, clipped to [0.001, 0.999], or the means
    /// themselves for real units, whose variances are 1. The hidden biases are 0, or follow from the odds.
    ///
    /// `mean` has one number for each column but those of labels, which begin all as likely. If it is not set, values of bits and categories are all as likely, and real
    /// units have biases of 0.
    ///
    /// # Errors
    /// If a size is zero, there are fewer than two classes, the spread is negative or not finite, the odds are not positive, hidden units would start equal,
    /// or the mean has the wrong length.
    pub fn init(&self, mean: Option<&[f64]>, key: Key, device: &Device) -> Result<Rbm, RbmError> {
        self.check()?;
        let layer = self.layer()?;
        let observed = layer.columns() - self.classes.unwrap_or_default();
        if let Some(mean) = mean
            && mean.len() != observed
        {
            return Err(RbmError::MeanSize { found: mean.len(), expected: observed });
        }
        let mut visible = vec![0.0; layer.columns()];
        for (units, columns) in layer.ranges() {
            for column in columns.filter(|column| *column < observed) {
                let Some(mean) = mean.map(|mean| mean[column]) else { continue };
                let share = mean.clamp(0.001, 0.999);
                visible[column] = match units {
                    Units::Bernoulli => (share / (1.0 - share)).ln(),
                    Units::Softmax { .. } => share.ln(),
                    Units::Gaussian | Units::Rectified => mean,
                } as f32;
            }
        }
        let draws = Draws::new(key.child(Role::Init), layer.columns(), 1);
        let connections = noise::normal(&draws, self.hidden, DType::F32, device) * self.spread;
        let visible = Tensor::from_floats(visible.as_slice(), device);
        let zeros = Tensor::zeros([self.hidden], (device, DType::F32));
        let mut rbm = Rbm::new(layer, connections, visible, zeros);
        if self.classes.is_some() {
            rbm = rbm.with_labels();
        }
        let Some(odds) = self.odds else { return Ok(rbm) };
        // With unit j alone on, the visible units are in the field of its connections.
        let log_factor = |fields: Tensor<2>| rbm.layer().log_normalizer(&rbm.given_field(fields));
        let fields = rbm.weight.val().transpose();
        let gain = log_factor(fields.clone()) - log_factor(fields.zeros_like());
        rbm.hidden = Param::from_tensor(-gain + odds.ln());
        Ok(rbm)
    }
}

#[cfg(test)]
mod tests {
    use helmholtz_ops::into_f64;

    use super::*;

    #[test]
    fn what_cannot_be_built_is_refused_with_a_sentence_that_begins_with_its_key() {
        let config = RbmConfig::new(4, 3);
        let error = |config: RbmConfig, mean: Option<&[f64]>| {
            config.init(mean, Key::new(0), &Device::flex()).unwrap_err().to_string()
        };
        for (config, start) in [
            (RbmConfig { visible: Vec::new(), ..config.clone() }, "the data have no columns"),
            (RbmConfig { hidden: 0, ..config.clone() }, "hidden = 0:"),
            (RbmConfig { classes: Some(1), ..config.clone() }, "classes = 1:"),
            (RbmConfig { spread: -0.5, ..config.clone() }, "spread = -0.5:"),
            (RbmConfig { spread: f64::INFINITY, ..config.clone() }, "spread = inf:"),
            (RbmConfig { spread: 0.0, ..config.clone() }, "spread = 0: 3 hidden units"),
            (RbmConfig { spread: 1e-50, ..config.clone() }, "spread = 0: 3 hidden units"),
            (RbmConfig { odds: Some(0.0), ..config.clone() }, "odds = 0.0: the odds"),
        ] {
            let found = error(config, None);
            assert!(found.starts_with(start), "{found}");
        }
        assert!(error(config, Some(&[0.5; 3])).starts_with("the data mean has 3 values for 4 visible units"));
    }

    #[test]
    fn a_new_machine_has_the_means_of_the_data() {
        let mean = [0.0, 0.2, 0.7];
        let rbm = RbmConfig::new(3, 2).init(Some(&mean), Key::new(0), &Device::flex()).unwrap();
        let found = into_f64(rbm.visible_means(Tensor::zeros([1, 2], &Device::flex())));
        for (found, expected) in found.into_iter().zip([0.001, 0.2, 0.7]) {
            assert!((found - expected).abs() < 1e-6, "{found}");
        }
    }
}
