//! How an energy is annealed.

use helmholtz_eval::{Annealing, Schedule};
use helmholtz_zoo::{Base, TrainingRows};
use serde::{Deserialize, Serialize};

use crate::args::BaseWord;

/// How an energy is annealed, apart from the number of chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnergyAnnealing {
    /// T, in equal steps; if not set, the steps of Salakhutdinov and Murray.
    pub(crate) temperatures: Option<usize>,
    pub(crate) base: BaseWord,
    /// Chains of a row that is annealed backwards over the same temperatures, if rows are.
    pub(crate) reverse: Option<usize>,
}

impl EnergyAnnealing {
    /// Annealing of so many chains.
    ///
    /// # Panics
    /// If there are no temperatures.
    pub(crate) fn annealing(self, chains: usize) -> Annealing {
        let schedule = self.temperatures.map_or_else(Schedule::salakhutdinov_murray, Schedule::linear);
        Annealing { chains, schedule }
    }

    pub(crate) fn base<'a>(&self, rows: &'a TrainingRows) -> Base<'a> {
        match self.base {
            BaseWord::Data => Base::Data(rows),
            BaseWord::Uniform => Base::Uniform,
        }
    }
}
