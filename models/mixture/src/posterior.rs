//! The posterior of a row's class, component and missing values, given its observed values.
//!
//! It follows by Bayes' rule from `log p(x, y, k)`, in which missing values are summed out.

use burn::tensor::Tensor;
use helmholtz_core::Batch;
use helmholtz_ops::log_weights::log_sum_exp;
use helmholtz_ops::{product, sigmoid};

use crate::BernoulliMixture;

impl BernoulliMixture {
    /// `log p(y | x)` of every class, in nats: `[n, C]`. Targets are ignored.
    pub fn log_class_probabilities(&self, batch: &Batch) -> Tensor<2> {
        let (n, classes) = (batch.len(), self.classes);
        let of_classes = log_sum_exp(self.log_joint(batch).reshape([n * classes, self.components()]));
        let log_joint = of_classes.reshape([n, classes]);
        log_joint.clone() - log_sum_exp(log_joint).unsqueeze_dim(1)
    }

    /// `p(y, k | x)` of every component, or `p(k | x, y)` if the batch gives the class: `[n, C K]`.
    pub fn responsibilities(&self, batch: &Batch) -> Tensor<2> {
        self.responsibilities_of(batch, self.log_joint(batch)).0
    }

    /// The rows with missing values replaced by their means given the observed values, and given the class if the batch
    /// gives it: `[n, d]`.
    pub fn impute(&self, batch: &Batch) -> Tensor<2> {
        let Some(mask) = &batch.mask else { return batch.x.clone() };
        let mean = product::ab(self.responsibilities(batch), sigmoid(self.logits.val()));
        batch.x.clone() + mean * (mask.clone().neg() + 1.0)
    }
}
