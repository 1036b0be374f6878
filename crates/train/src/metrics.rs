//! What is measured at every step, and what stops a run.

use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::TensorReadError;
use burn::train::metric::{
    Adaptor, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes, NumericEntry,
    SerializedEntry,
};
use helmholtz_core::{Better, Measure, Over, ParameterGroup, Score};

use crate::learn::Learn;
use crate::stop::{NonFinite, Reason, Stop};
use crate::trainee::{StepOutput, ValidOutput};

/// A quantity of a training step or of a validation batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// What the strategy measures.
    Measure(Measure),
    /// Norm of the gradient of a group of parameters.
    GradientNorm(ParameterGroup),
    /// Model evaluations: pairs (x, h) scored by p or by q, summed over the epoch.
    Evaluations,
    /// What validation rows are scored by.
    Score(Score),
}

impl Quantity {
    /// The quantities of a training step of `learn`.
    pub fn of_step(learn: &dyn Learn) -> Vec<Quantity> {
        let measures = learn.measures().into_iter().map(Quantity::Measure);
        let norms = learn.groups().iter().map(|group| Quantity::GradientNorm(*group));
        measures.chain(norms).chain([Quantity::Evaluations]).collect()
    }

    /// The name in `metrics.jsonl` and on the dashboard.
    pub fn name(self) -> String {
        match self {
            Quantity::Measure(measure) => measure.name.to_owned(),
            Quantity::GradientNorm(group) => format!("gradient_norm_{}", group.name),
            Quantity::Evaluations => "evaluations".to_owned(),
            Quantity::Score(score) => score.name.to_owned(),
        }
    }

    fn unit(self) -> Option<&'static str> {
        match self {
            Quantity::Measure(measure) => measure.unit,
            Quantity::Score(score) => Some(score.unit),
            _ => None,
        }
    }

    fn better(self) -> Option<Better> {
        match self {
            Quantity::Measure(measure) => measure.better,
            Quantity::Score(score) => Some(score.better),
            _ => None,
        }
    }

    /// How the steps of an epoch are summarised.
    fn over(self) -> Over {
        match self {
            Quantity::Measure(measure) => measure.over,
            Quantity::Evaluations => Over::Sum,
            _ => Over::Mean,
        }
    }
}

/// A quantity, summarised over an epoch: usually its mean over the rows.
#[derive(Clone)]
pub struct Summary {
    quantity: Quantity,
    stop: Stop,
    name: MetricName,
    current: f64,
    sum: f64,
    total: f64,
    largest: f64,
    rows: usize,
}

/// What a metric reads: a quantity's value over some rows, if it has one.
pub struct Readout {
    value: Box<dyn Fn(Quantity) -> Option<Latest>>,
    rows: usize,
    step: Option<u64>,
}

/// A value as it was measured: on the device, still to be read, or a count.
enum Latest {
    Measured(Box<Tensor<1>>),
    Counted(u64),
}

fn measured(value: Tensor<1>) -> Option<Latest> {
    Some(Latest::Measured(Box::new(value)))
}

impl Adaptor<Readout> for StepOutput {
    fn adapt(&self) -> Readout {
        let output = self.clone();
        let value = move |quantity| match quantity {
            // In another stage the strategy may have measured something else.
            Quantity::Measure(measure) => {
                let found = output.measured.iter().find(|found| found.measure == measure);
                found.and_then(|found| measured(found.value.clone()))
            }
            Quantity::GradientNorm(group) => {
                let found = output.squares.iter().find(|(of, _)| *of == group);
                found.and_then(|(_, square)| measured(square.clone().sqrt()))
            }
            Quantity::Evaluations => Some(Latest::Counted(output.evaluations)),
            Quantity::Score(_) => unreachable!("rows are scored in validation"),
        };
        Readout { value: Box::new(value), rows: self.rows, step: Some(self.step) }
    }
}

impl Adaptor<Readout> for ValidOutput {
    fn adapt(&self) -> Readout {
        let scores = self.scores.clone();
        let rows = scores.dims()[0];
        Readout { value: Box::new(move |_| measured(scores.clone())), rows, step: None }
    }
}

impl Summary {
    /// A summary of `quantity`; a number that is not finite stops the run through `stop`.
    pub fn new(quantity: Quantity, stop: Stop) -> Self {
        let name = Arc::new(quantity.name());
        Summary {
            quantity,
            stop,
            name,
            current: f64::NAN,
            sum: 0.0,
            total: 0.0,
            largest: f64::NEG_INFINITY,
            rows: 0,
        }
    }

    /// The summary of the epoch so far, if there was anything to read.
    fn so_far(&self) -> Option<f64> {
        (self.rows > 0).then(|| match self.quantity.over() {
            Over::Mean => self.sum / self.rows as f64,
            Over::Maximum => self.largest,
            Over::Sum => self.total,
        })
    }

    fn entry(&self) -> SerializedEntry {
        match self.so_far() {
            Some(epoch) => SerializedEntry::new(
                format!("epoch {epoch:.3} - batch {:.3}", self.current),
                epoch.to_string(),
            ),
            None => SerializedEntry::new("-".to_string(), f64::NAN.to_string()),
        }
    }
}

impl Metric for Summary {
    type Input = Readout;

    fn update(
        &mut self,
        reading: &Readout,
        _metadata: &MetricMetadata,
    ) -> Result<SerializedEntry, TensorReadError> {
        let Some(value) = (reading.value)(self.quantity) else { return Ok(self.entry()) };
        let mean = match value {
            Latest::Measured(value) => {
                let values = value.try_into_data_as::<f64>()?;
                let values = values.try_to_vec::<f64>()?;
                // One number for the batch, or one for each row, summed in double precision.
                values.iter().sum::<f64>() / values.len() as f64
            }
            Latest::Counted(count) => count as f64,
        };
        if !mean.is_finite() {
            let found = NonFinite { quantity: self.quantity.name(), value: mean, step: reading.step };
            self.stop.record(Reason::NonFinite(found));
        }
        self.current = mean;
        self.sum += mean * reading.rows as f64;
        self.total += mean;
        self.largest = self.largest.max(mean);
        self.rows += reading.rows;
        Ok(self.entry())
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.entry())
    }

    fn clear(&mut self) {
        (self.sum, self.total, self.largest, self.rows) = (0.0, 0.0, f64::NEG_INFINITY, 0);
    }

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        let unit = self.quantity.unit().map(str::to_owned);
        let higher_is_better = self.quantity.better() == Some(Better::Higher);
        NumericAttributes { unit, higher_is_better }.into()
    }
}

impl Numeric for Summary {
    fn value(&self) -> Option<NumericEntry> {
        (self.rows > 0).then_some(NumericEntry::Value(self.current))
    }

    fn running_value(&self) -> Option<NumericEntry> {
        self.so_far().map(NumericEntry::Value)
    }

    fn final_value(&self) -> NumericEntry {
        match self.so_far() {
            Some(epoch) => NumericEntry::Final(epoch),
            // Nothing is recorded of an epoch in which there was nothing to read.
            None => NumericEntry::Aggregated { aggregated_value: f64::NAN, count: 0 },
        }
    }
}
