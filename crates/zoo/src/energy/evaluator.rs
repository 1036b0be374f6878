//! The likelihood of energy models, for validation.

use burn::tensor::Tensor;
use helmholtz_core::{Batch, Better, Evaluator, Key, Score};
use helmholtz_energy::{FromIndependent, Rbm, RowMoments};
use helmholtz_eval::annealing::{Annealing, Schedule};

use crate::can::{Base, Unnormalised};
use crate::training_rows::TrainingRows;

/// The path of annealing that begins with a law.
pub(super) fn path<'a>(rbm: &'a Rbm, base: &Base<'_>) -> FromIndependent<'a> {
    match base {
        Base::Data(TrainingRows { mean, variance, n }) => {
            // Labels begin all as likely.
            let classes = rbm.classes();
            let mean = [mean.as_slice(), &vec![1.0 / classes as f64; classes]].concat();
            let variance = [variance.as_slice(), &vec![1.0; classes]].concat();
            let moments = RowMoments { mean: &mean, variance: &variance, rows: *n };
            // As many rows of each value as a twentieth of the rows.
            FromIndependent::of_data(rbm, moments, *n as f64 / 20.0)
        }
        Base::Uniform => FromIndependent::uniform(rbm),
    }
}

/// Enumerated units up to which log Z of a validation is exact.
pub(super) const VALIDATION_UNITS: usize = 20;

/// Chains and temperatures of the annealing of a validation where it is not.
const VALIDATION: (usize, usize) = (100, 1000);

/// `-log p(x)`, a label being summed out, with log Z by enumeration of the smaller layer or by annealing.
#[derive(Clone, Debug)]
pub struct EnergyLikelihood {
    /// Whether log Z is estimated by annealing.
    pub annealed: bool,
    /// The training rows, at whose moments annealing begins.
    pub data: TrainingRows,
}

impl EnergyLikelihood {
    /// The likelihood with an annealed log Z.
    pub const ANNEALED: Score =
        Score { name: "nll_ais", title: "NLL by annealing", unit: "nats", better: Better::Lower };
}

impl Evaluator<Rbm> for EnergyLikelihood {
    /// log Z.
    type Prepared = f64;

    fn measures(&self) -> Score {
        if self.annealed { EnergyLikelihood::ANNEALED } else { Score::NLL }
    }

    fn prepare(&self, model: &Rbm, key: Key) -> f64 {
        if model.enumerated_units() <= VALIDATION_UNITS {
            return Rbm::log_partition(model).expect("there are few units");
        }
        let (chains, temperatures) = VALIDATION;
        let by = Annealing { chains, schedule: Schedule::linear(temperatures) };
        let base = Base::Data(&self.data);
        by.estimate(&path(model, &base), key, |_| {}).log_z
    }

    fn score(&self, model: &Rbm, log_z: &f64, batch: &Batch, _: Key) -> Tensor<1> {
        Unnormalised::free_energies(model, batch.whole()) + *log_z
    }
}
