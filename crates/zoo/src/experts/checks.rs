//! The doctor's checks of products of experts.

use helmholtz_core::{Batch, Draws, EnergyModel, Harmonium, Key, Strategy, Tractable};
use helmholtz_energy::{StudentT, Unigauss};
use helmholtz_strategies::{Centring, ContrastiveDivergence, MaximumLikelihood, Offsets, Start};

use super::initial;
use crate::check::{DoctorCheck, On, Outputs};

const TOLERANCE: f64 = 1e-4;
const OBSERVED: usize = 5;
const ROWS: usize = 6;
const BOUNDS: (f64, f64) = (-3.0, 2.0);

fn student_t(on: &On) -> StudentT {
    let model = initial::student_t(OBSERVED, 0.7, Key::new(1), &on.device);
    on.cast(model.expect("orthogonal filters are independent"))
}

fn unigauss(on: &On) -> Unigauss {
    let model = initial::unigauss(&[0.2; OBSERVED], (4, 0.7), BOUNDS, (Key::new(2), &on.device));
    on.cast(model.expect("the bounds are in order"))
}

fn rows(on: &On) -> Batch {
    Batch::of(on.matrix("x", [ROWS, OBSERVED]))
}

/// The checks of both distributions and of the strategies on them.
pub fn checks() -> Vec<DoctorCheck> {
    let of_student = |on: &On, out: &mut Outputs| {
        let (model, batch) = (student_t(on), rows(on));
        out.put("log p", model.log_prob(&batch));
        out.put("responses", model.responses(batch.whole()));
        let estimate = MaximumLikelihood {}.estimate(&model, &batch, Key::new(3));
        out.gradients("gradient of ml", &model, &estimate.gradients);
    };
    let of_unigauss = |on: &On, out: &mut Outputs| {
        let (model, batch) = (unigauss(on), rows(on));
        out.put("free energies", model.free_energy(batch.whole()));
        out.put("log p", model.log_prob(&batch));
        out.put("hidden means", model.hidden_means(batch.whole()));
        out.put("a sweep", model.sweep(batch.whole(), None, &Draws::new(Key::new(4), ROWS, 1)));
        let estimate = MaximumLikelihood {}.estimate(&model, &batch, Key::new(3));
        out.gradients("gradient of ml", &model, &estimate.gradients);
    };
    vec![
        DoctorCheck::new("model", "student-t experts", TOLERANCE, of_student),
        DoctorCheck::new("model", "unigauss experts", TOLERANCE, of_unigauss),
        DoctorCheck::new("strategy", "cd on unigauss experts", TOLERANCE, |on, out| {
            let model = unigauss(on);
            let centring = Centring::new(&model, Offsets::Zero);
            let cd = ContrastiveDivergence { sweeps: 2, start: Start::Data, centring };
            out.gradients("gradient", &model, &cd.estimate(&model, &rows(on), Key::new(5)).gradients);
        }),
    ]
}
