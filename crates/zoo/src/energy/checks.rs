//! The doctor's checks of energy models and of the strategies on them.

use helmholtz_core::{Batch, Draws, EnergyModel, Harmonium, Key, Tractable};
use helmholtz_energy::{Rbm, RbmConfig};
use helmholtz_strategies::{
    Centring, ContrastiveDivergence, EnergyDiscrepancy, IndependentSamples, MaximumLikelihood, Offsets,
    PersistentChains, Start, Tempering,
};

use crate::check::{DoctorCheck, On, Outputs, of_strategy};

const TOLERANCE: f64 = 1e-4;
const OBSERVED: usize = 13;

fn rbm(on: &On) -> Rbm {
    let config = RbmConfig { spread: 0.5, ..RbmConfig::new(OBSERVED, 7) };
    on.cast(config.init(None, Key::new(1), &on.device).expect("the sizes make a machine"))
}

/// The checks of the distribution and of each strategy.
pub fn checks() -> Vec<DoctorCheck> {
    let law = |on: &On, out: &mut Outputs| {
        let rbm = rbm(on);
        let x = on.bits("x", [5, OBSERVED]);
        out.put("free energies", rbm.free_energy(x.clone()));
        out.put("log p", rbm.log_prob(&Batch::of(x.clone())));
        out.put("hidden means", rbm.hidden_means(x.clone()));
        out.put("a sweep", rbm.sweep(x, None, &Draws::new(Key::new(3), 5, 1)));
    };
    fn each(offsets: Offsets) -> impl Fn(&Rbm) -> Centring {
        move |rbm| Centring::new(rbm, offsets)
    }
    vec![
        DoctorCheck::new("model", "restricted Boltzmann machine", TOLERANCE, law),
        DoctorCheck::new("strategy", "cd", TOLERANCE, |on, out| {
            let rbm = rbm(on);
            let centring = each(Offsets::Data)(&rbm);
            of_strategy(on, out, &rbm, &ContrastiveDivergence { sweeps: 2, start: Start::Data, centring });
        }),
        DoctorCheck::new("strategy", "rdm", TOLERANCE, |on, out| {
            let rbm = rbm(on);
            let centring = each(Offsets::Enhanced)(&rbm);
            let start = Start::Noise { chains: 6 };
            of_strategy(on, out, &rbm, &ContrastiveDivergence { sweeps: 2, start, centring });
        }),
        DoctorCheck::new("strategy", "pcd", TOLERANCE, |on, out| {
            let rbm = rbm(on);
            let offsets = Offsets::Moving { rate: 0.1 };
            of_strategy(on, out, &rbm, &PersistentChains::new(&rbm, (6, 2), offsets, Key::new(4)));
        }),
        DoctorCheck::new("strategy", "tempering", TOLERANCE, |on, out| {
            let rbm = rbm(on);
            of_strategy(on, out, &rbm, &Tempering::new(&rbm, (3, 4, 2), Offsets::Zero, Key::new(4)));
        }),
        DoctorCheck::new("strategy", "independent", TOLERANCE, |on, out| {
            let rbm = rbm(on);
            let centring = each(Offsets::Data)(&rbm);
            of_strategy(on, out, &rbm, &IndependentSamples { samples: 20, centring });
        }),
        DoctorCheck::new("strategy", "energy-discrepancy", TOLERANCE, |on, out| {
            of_strategy(on, out, &rbm(on), &EnergyDiscrepancy { perturbed: 4, flip: 0.2 });
        }),
        DoctorCheck::new("strategy", "ml on an energy", TOLERANCE, |on, out| {
            of_strategy(on, out, &rbm(on), &MaximumLikelihood {});
        }),
    ]
}
