//! Exact vectors for strategies that contrast data with chains, on machines of a few units.

use burn::module::Module;
use burn::tensor::Tensor;
use helmholtz_core::{
    Batch, Draws, EnergyModel, Estimate, Harmonium, Key, Measure, Role, Strategy, Trainable, Weighed,
};
use helmholtz_court::{Blocks, Exact, ReferenceError, References, StatesError};
use helmholtz_energy::{NoTransitions, Rbm};
use helmholtz_strategies::{Offsets, Tempering};

/// The law that chains begin with.
pub(super) enum Law {
    /// Each row is as likely as any other; values row by row.
    OfRows(Vec<f64>),
    /// Fair coins.
    Noise,
    /// That of the machine.
    Model,
}

/// The contrast of a batch with the law of chains after their sweeps.
pub(super) struct OfContrast {
    rbm: Rbm,
    data: Weighed,
    offsets: Offsets,
    /// The law of the chains, and that of the machine: `[states]`.
    laws: [Vec<f64>; 2],
}

impl OfContrast {
    /// # Errors
    /// If there are too many states, some units are real, or offsets that depend on the chains: the expected update has no closed form.
    pub(super) fn new(
        rbm: &Rbm,
        batch: &Batch,
        (start, sweeps): (Law, usize),
        offsets: Offsets,
    ) -> Result<Self, ReferenceError> {
        let transitions = rbm.transitions().map_err(|error| match error {
            NoTransitions::Real => StatesError::Neither,
            NoTransitions::TooMany { sizes: [d, m] } => StatesError::Bits { bits: d.max(m) },
        })?;
        let of_model = transitions.law().to_vec();
        let begin = match start {
            Law::Model => of_model.clone(),
            Law::Noise => transitions.noise(),
            Law::OfRows(rows) => transitions.law_of_rows(&rows),
        };
        let of_chains = transitions.after(&begin, sweeps);
        if offsets == Offsets::Enhanced {
            return Err(ReferenceError::NoClaim);
        }
        let data = Weighed::equally(rbm.rows(batch));
        Ok(OfContrast { rbm: rbm.clone(), data, offsets, laws: [of_chains, of_model] })
    }

    pub(super) fn boxed(self) -> Option<Box<dyn Exact>> {
        Some(Box::new(self))
    }

    /// The contrast with a law, or what states of small mass add to it, which is without the data.
    fn contrast(&self, law: &[f64], is_part: bool) -> Vec<f64> {
        let weights = Tensor::from_data(law, (&self.rbm.device(), self.rbm.dtype()));
        let samples = Weighed { x: self.rbm.visible_states(), weights };
        let Weighed { x, weights } = self.data.clone();
        // The offsets are those of the data in either case.
        let mut own = None;
        self.rbm.contrast(self.data.clone(), samples.clone(), &mut |of_data, _| {
            own = Some(of_data);
            None
        });
        let own = own.filter(|_| self.offsets != Offsets::Zero);
        let data =
            if is_part { Weighed { weights: weights.zeros_like(), x } } else { Weighed { x, weights } };
        let found = self.rbm.contrast(data, samples, &mut |_, _| own.clone());
        Blocks::of(&self.rbm).flatten(&self.rbm, &found.gradients)
    }
}

impl Exact for OfContrast {
    fn references(&self) -> Result<References, ReferenceError> {
        let [own, limit] = [0, 1].map(|i| self.contrast(&self.laws[i], false));
        Ok(References { own, limit, has_limit: [true, false] })
    }

    fn rare(&self, mass: f64) -> Result<Vec<f64>, ReferenceError> {
        let law = &self.laws[0];
        let mut order: Vec<usize> = (0..law.len()).collect();
        order.sort_unstable_by(|a, b| law[*a].total_cmp(&law[*b]));
        let (mut rare, mut total) = (vec![0.0; law.len()], 0.0);
        for state in order {
            total += law[state];
            if total > mass {
                break;
            }
            rare[state] = law[state];
        }
        Ok(self.contrast(&rare, true))
    }
}

/// Tempered chains that begin at noise in each estimate and then run for some updates on the model as it is.
#[derive(Module, Debug)]
pub(super) struct TemperedReplicas {
    pub(super) tempering: Tempering,
    updates: usize,
}

impl TemperedReplicas {
    pub(super) fn new(tempering: &Tempering, updates: usize) -> Self {
        TemperedReplicas { tempering: tempering.held(), updates }
    }
}

impl Strategy<Rbm> for TemperedReplicas {
    fn estimate(&self, model: &Rbm, batch: &Batch, key: Key) -> Estimate {
        let replica = self.tempering.held();
        let chains = replica.states().dims()[0];
        let noise = model.noise(&Draws::new(key.child(Role::Start), chains, 1));
        let before = key.child(Role::Wake);
        let settled = (1..self.updates * replica.sweeps)
            .fold(noise, |x, sweep| replica.advance(model, x, sweep % 2 == 1, before.child(sweep)).0);
        replica.put(settled);
        replica.estimate(model, batch, key)
    }

    fn measures(&self) -> &[Measure] {
        Strategy::<Rbm>::measures(&self.tempering)
    }
}
