//! The doctor's checks of conditional machines.

use burn::tensor::{Int, Tensor};
use helmholtz_core::{Batch, Draws, EnergyModel, Estimate, Harmonium, Key, Strategy, Target, Tractable};
use helmholtz_energy::{ConditionalRbm, RbmConfig};
use helmholtz_strategies::{Centring, ContrastiveDivergence, MaximumLikelihood, Offsets, Start};

use crate::check::{DoctorCheck, On, Outputs};

const TOLERANCE: f64 = 1e-4;
const OBSERVED: usize = 13;
const ROWS: usize = 5;

/// A machine with gains whose classes differ, and a batch for it.
fn machine(on: &On) -> (ConditionalRbm, Batch) {
    let config = RbmConfig { spread: 0.5, ..RbmConfig::new(OBSERVED, 7) };
    let rbm = config.init(None, Key::new(1), &on.device).expect("the sizes make a machine");
    let mut model = on.cast(ConditionalRbm::new(rbm, 3, true));
    model.of_visible = model.of_visible.map(|zeros| zeros + on.matrix("of visible", [3, OBSERVED]));
    model.of_hidden = model.of_hidden.map(|zeros| zeros + on.matrix("of hidden", [3, 7]));
    model.gains = model.gains.map(|gains| gains.map(|zeros| zeros + on.matrix("gains", [3, 7])));
    let classes = Tensor::<1, Int>::from_ints([0, 1, 2, 1, 0], &on.device);
    let batch = Batch::of(on.bits("x", [ROWS, OBSERVED])).with_target(Target::Classes(classes));
    (model, batch)
}

/// The checks of the distribution and of each strategy.
pub fn checks() -> Vec<DoctorCheck> {
    let law = |on: &On, out: &mut Outputs| {
        let (model, batch) = machine(on);
        let x = model.rows(&batch);
        out.put("log p given classes", model.log_prob(&batch));
        let classes = model.log_class_probabilities(batch.whole()).expect("there are few hidden units");
        out.put("log p of classes", classes);
        out.put("hidden means", model.hidden_means(x.clone()));
        out.put("a sweep", model.sweep(x, None, &Draws::new(Key::new(3), ROWS, 1)));
    };
    fn of(on: &On, out: &mut Outputs, strategy: impl Fn(&ConditionalRbm, &Batch) -> Estimate) {
        let (model, batch) = machine(on);
        out.gradients("gradient", &model, &strategy(&model, &batch).gradients);
    }
    vec![
        DoctorCheck::new("model", "conditional machine", TOLERANCE, law),
        DoctorCheck::new("strategy", "cd given classes", TOLERANCE, |on, out| {
            of(on, out, |model, batch| {
                let centring = Centring::new(model, Offsets::Data);
                let cd = ContrastiveDivergence { sweeps: 2, start: Start::Data, centring };
                cd.estimate(model, batch, Key::new(2))
            });
        }),
        DoctorCheck::new("strategy", "ml given classes", TOLERANCE, |on, out| {
            of(on, out, |model, batch| MaximumLikelihood {}.estimate(model, batch, Key::new(2)));
        }),
    ]
}
