//! What is measured at every step, and what stops a run.

use std::fmt;
use std::sync::{Arc, OnceLock};

use burn::tensor::Tensor;
use burn::tensor::TensorReadError;
use burn::train::Interrupter;
use burn::train::metric::{
    Adaptor, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes, NumericEntry,
    SerializedEntry,
};

use crate::trainee::{StepOutput, ValidOutput};

/// A quantity of a training step or of a validation batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// The K-sample bound, in nats, higher being better.
    Bound,
    /// Effective sample size as a share of K.
    Ess,
    /// Norm of the gradient of the generative net.
    GradientNormP,
    /// Norm of the gradient of the recognition net.
    GradientNormQ,
    /// Negative log-likelihood of the validation split, in nats per example.
    Nll,
}

impl Quantity {
    /// The quantities of a training step.
    pub const TRAIN: [Quantity; 4] =
        [Quantity::Bound, Quantity::Ess, Quantity::GradientNormP, Quantity::GradientNormQ];

    /// The name in `metrics.jsonl` and on the dashboard.
    pub fn name(self) -> &'static str {
        match self {
            Quantity::Bound => "bound",
            Quantity::Ess => "ess",
            Quantity::GradientNormP => "gradient_norm_p",
            Quantity::GradientNormQ => "gradient_norm_q",
            Quantity::Nll => "nll",
        }
    }
}

/// A number that is none.
#[derive(Clone, Debug, PartialEq)]
pub struct NonFinite {
    /// What it was.
    pub quantity: &'static str,
    /// The value: NaN or an infinity.
    pub value: f64,
    /// The training step, from zero, or `None` in validation.
    pub step: Option<u64>,
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(step) => write!(f, "{} is {} at step {step}", self.quantity, self.value),
            None => write!(f, "the validation {} is {}", self.quantity, self.value),
        }
    }
}

/// Where a metric reports a number that is none, and stops the run.
#[derive(Clone)]
pub struct Guard {
    found: Arc<OnceLock<NonFinite>>,
    interrupter: Interrupter,
}

impl Guard {
    /// A guard that stops through `interrupter`.
    pub fn new(interrupter: Interrupter) -> Self {
        Guard { found: Arc::new(OnceLock::new()), interrupter }
    }

    /// The first such number.
    pub fn found(&self) -> Option<NonFinite> {
        self.found.get().cloned()
    }

    fn check(&self, quantity: Quantity, value: f64, step: Option<u64>) {
        if !value.is_finite() {
            let found = NonFinite { quantity: quantity.name(), value, step };
            let reason = found.to_string();
            if self.found.set(found).is_ok() {
                self.interrupter.stop(Some(&reason));
            }
        }
    }
}

/// The mean of a quantity over the rows of an epoch.
#[derive(Clone)]
pub struct Mean {
    quantity: Quantity,
    guard: Guard,
    name: MetricName,
    current: f64,
    sum: f64,
    rows: usize,
}

/// What a metric reads: a quantity's value over some rows.
pub struct Reading {
    value: Box<dyn Fn(Quantity) -> Tensor<1>>,
    rows: usize,
    step: Option<u64>,
}

impl Adaptor<Reading> for StepOutput {
    fn adapt(&self) -> Reading {
        let output = self.clone();
        let value = move |quantity| match quantity {
            Quantity::Bound => output.bound.clone(),
            Quantity::Ess => output.ess.clone(),
            Quantity::GradientNormP => output.square_p.clone().sqrt(),
            Quantity::GradientNormQ => output.square_q.clone().sqrt(),
            Quantity::Nll => unreachable!("the likelihood is measured in validation"),
        };
        Reading { value: Box::new(value), rows: self.rows, step: Some(self.step) }
    }
}

impl Adaptor<Reading> for ValidOutput {
    fn adapt(&self) -> Reading {
        let nll = self.log_prob.clone().neg();
        let rows = nll.dims()[0];
        Reading { value: Box::new(move |_| nll.clone()), rows, step: None }
    }
}

impl Mean {
    /// The mean of `quantity`.
    pub fn new(quantity: Quantity, guard: Guard) -> Self {
        let name = Arc::new(quantity.name().to_string());
        Mean { quantity, guard, name, current: 0.0, sum: 0.0, rows: 0 }
    }

    fn mean(&self) -> f64 {
        self.sum / self.rows as f64
    }

    fn entry(&self) -> SerializedEntry {
        let mean = self.mean();
        SerializedEntry::new(format!("epoch {mean:.3} - batch {:.3}", self.current), mean.to_string())
    }
}

impl Metric for Mean {
    type Input = Reading;

    fn update(
        &mut self,
        reading: &Reading,
        _metadata: &MetricMetadata,
    ) -> Result<SerializedEntry, TensorReadError> {
        let values = (reading.value)(self.quantity).try_into_data_as::<f64>()?;
        let values = values.try_to_vec::<f64>()?;
        // One number for the batch, or one for each row, summed in double precision.
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        self.guard.check(self.quantity, mean, reading.step);
        self.current = mean;
        self.sum += mean * reading.rows as f64;
        self.rows += reading.rows;
        Ok(self.entry())
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.entry())
    }

    fn clear(&mut self) {
        (self.sum, self.rows) = (0.0, 0);
    }

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        let unit = matches!(self.quantity, Quantity::Bound | Quantity::Nll).then(|| "nats".to_string());
        let higher_is_better = matches!(self.quantity, Quantity::Bound | Quantity::Ess);
        NumericAttributes { unit, higher_is_better }.into()
    }
}

impl Numeric for Mean {
    fn value(&self) -> Option<NumericEntry> {
        Some(NumericEntry::Value(self.current))
    }

    fn running_value(&self) -> Option<NumericEntry> {
        Some(NumericEntry::Value(self.mean()))
    }

    fn final_value(&self) -> NumericEntry {
        NumericEntry::Final(self.mean())
    }
}
