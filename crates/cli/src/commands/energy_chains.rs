//! Chains of a model that is given by an energy, from noise: single ones, or tempered.

use burn::tensor::Tensor;
use helmholtz_core::{Draws, Key, Role};
use helmholtz_ops::into_f64;
use helmholtz_samplers::{AutocorrelationTime, Swaps};
use helmholtz_zoo::Unnormalised;

use crate::console::print;

/// How chains of an energy run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EnergyChains {
    /// The number of chains at the temperature of the model.
    pub(crate) n: usize,
    /// Sweeps of each chain.
    pub(crate) sweeps: u64,
    /// Number of inverse temperatures from 1 to 0; 1 for chains without tempering.
    pub(crate) temperatures: usize,
    /// Whether free energies are recorded, for their autocorrelation time.
    pub(crate) is_recorded: bool,
}

/// The chains that are recorded, and the last sweeps for which they are, which bounds memory and work.
const RECORDED: (usize, u64) = (100, 10_000);

/// A share of accepted swaps between neighbours that is too small for states to come down the ladder.
const FEW_SWAPS: f64 = 0.1;

/// What became of the chains.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    /// The last states at the temperature of the model: `[n, d]`.
    pub(crate) x: Tensor<2>,
    /// Swaps between neighbouring temperatures, that of the model first.
    pub(crate) swaps: Swaps,
    /// The free energies of the recorded chains after each recorded sweep.
    pub(crate) free_energies: Vec<Vec<f64>>,
}

impl EnergyChains {
    /// Runs the chains.
    pub(crate) fn run(self, energy: &dyn Unnormalised, key: Key) -> Ran {
        let EnergyChains { n, sweeps, temperatures, is_recorded } = self;
        let all = n * temperatures;
        let mut x = energy.noise(&Draws::new(key.child(Role::Start), all, 1));
        let (mut swaps, mut free_energies) = (Swaps::default(), Vec::new());
        // The first half of a chain is about its start.
        let recorded_from = (sweeps / 2).max(sweeps.saturating_sub(RECORDED.1));
        for t in 0..sweeps {
            let key = key.child(Role::Chain).child(t);
            if temperatures == 1 {
                x = energy.sweep(x, &Draws::new(key, n, 1));
            } else {
                let (next, swapped) = energy.temper(x, temperatures, t % 2 == 1, key);
                swaps.add(&swapped);
                x = next;
            }
            if is_recorded && t >= recorded_from {
                let recorded = x.clone().narrow(0, 0, n.min(RECORDED.0));
                free_energies.push(into_f64(energy.free_energies(recorded)));
            }
        }
        Ran { x: x.narrow(0, 0, n), swaps, free_energies }
    }
}

impl Ran {
    /// Says on standard error between which temperatures there were hardly any swaps.
    pub(crate) fn warn(&self) {
        let few = |(_, share): &(usize, f64)| *share < FEW_SWAPS;
        let of_pairs = self.swaps.of_pairs().into_iter().enumerate();
        let pairs = of_pairs.filter_map(|(pair, share)| Some((pair, share?))).filter(few);
        if let Some((pair, share)) = pairs.min_by(|a, b| a.1.total_cmp(&b.1)) {
            print(&format!(
                "note: {:.1} % of the swaps between temperatures {} and {} were accepted, so that hardly a state comes \
                 down from β = 0; raise --temperatures",
                100.0 * share,
                pair + 1,
                pair + 2
            ));
        }
    }

    /// That of the free energies, in sweeps; `None` if they were not recorded or the chains are too short for it.
    pub(crate) fn autocorrelation_time(&self) -> Option<AutocorrelationTime> {
        AutocorrelationTime::of(&self.free_energies)
    }
}
