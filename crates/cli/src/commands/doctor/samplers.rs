//! Samplers and evaluators.

use std::sync::Arc;

use burn::tensor::Tensor;
use helmholtz_core::{Draws, InverseTemperature, Kernel, Key, LatentVariableModel, Reparameterized};
use helmholtz_directed::LayerKind;
use helmholtz_eval::{
    Activity, AnnealedImportanceSampling, ExactLikelihood, ImportanceSampling, PartitionFunction, Reading,
    RowEstimate,
};
use helmholtz_ops::noise::normal;
use helmholtz_samplers::{Chains, Gibbs, Hmc, HmcKernel, HmcState, Known, NoiseSpace, OneShot};

use helmholtz_zoo::check::{DoctorCheck, Outputs};
use helmholtz_zoo::directed::checks::stack;
use helmholtz_zoo::vae::checks::vae;

const TOLERANCE: f64 = 1e-4;
/// Rounding grows along a trajectory.
const TOLERANCE_OF_TRAJECTORIES: f64 = 1e-3;
const OBSERVED: usize = 13;

/// All samplers and evaluators.
pub(super) fn checks() -> Vec<DoctorCheck> {
    vec![
        DoctorCheck::new("sampler", "gibbs", TOLERANCE, |on, out| {
            let model = stack(on, LayerKind::Sbn);
            let (x, h) = model.dream(&Draws::new(Key::new(2), 9, 1));
            let mask = on.bits("mask", [1, OBSERVED]);
            let known = Known { mask, values: on.bits("values", [1, OBSERVED]) };
            for (name, known) in [("free", None), ("with known units", Some(&known))] {
                let mut chains = Chains::new(x.clone(), h.clone());
                for sweep in 0..3u64 {
                    let gibbs = Gibbs { proposals: 7, inner: 3 };
                    let key = Key::new(4).child(sweep);
                    chains = gibbs.sweep(&model, &chains, known, key).expect("proposals have weight");
                }
                for (l, layer) in chains.layers.into_iter().enumerate() {
                    out.put(format!("layer {l}, {name}"), layer);
                }
            }
        }),
        DoctorCheck::new("sampler", "one-shot", TOLERANCE, |on, out| {
            let model = stack(on, LayerKind::Nade);
            let sampler = OneShot { oversample: 7, inner: 3 };
            let chains = sampler.sample(&model, 9, Key::new(4)).expect("draws have weight");
            for (l, layer) in chains.layers.into_iter().enumerate() {
                out.put(format!("layer {l}"), layer);
            }
        }),
        DoctorCheck::new("sampler", "hmc", TOLERANCE_OF_TRAJECTORIES, |on, out| {
            let (model, x) = (vae(on), on.bits("x", [3, OBSERVED]));
            let draws = Draws::new(Key::new(5), 3, 4);
            let start = normal(&draws, model.noise_units(), on.dtype, &on.device);
            let target = NoiseSpace::new(&model, x);
            let size = Tensor::full([12], 0.1, (&on.device, on.dtype));
            let kernel = HmcKernel { hmc: Hmc::new(3), target: &target, normal: 1.0 };
            let mut state = HmcState { step_size: size, ..kernel.at(start) };
            for t in 0..5u64 {
                let (next, moved) = kernel.step(state, &InverseTemperature::Same(1.0), &draws.child(t));
                out.put(format!("acceptance {t}"), moved.acceptance);
                state = next;
            }
            let at = state.at;
            out.put("position", at.position);
            out.put("log density", at.log_density);
            out.put("gradient", at.gradient);
        }),
        DoctorCheck::new("evaluator", "importance sampling", TOLERANCE, |on, out| {
            for (name, kind) in LayerKind::ALL {
                let (model, x) = (stack(on, kind), on.bits("x", [7, OBSERVED]));
                for reading in [Reading::Directed, Reading::Bidirectional] {
                    let sampling = ImportanceSampling { chunk: 31, reading, ..ImportanceSampling::new(10) };
                    let found = sampling.estimate(&model, x.clone(), numbers(7), Key::new(3));
                    estimates(out, &format!("{name}, {reading:?}"), found.expect("rows have weight"));
                }
            }
            let found = ImportanceSampling::new(10);
            let found = found.estimate(&vae(on), on.bits("x", [7, OBSERVED]), numbers(7), Key::new(3));
            estimates(out, "of a vae", found.expect("rows have weight"));
        }),
        DoctorCheck::new("evaluator", "enumeration", TOLERANCE, |on, out| {
            let exact = ExactLikelihood { chunk: 1000 };
            for (name, kind) in LayerKind::ALL {
                // 2^10 states of the latents, and 2^13 with those of three observed units.
                let config = helmholtz_directed::StackConfig::of(kind, 3, vec![7, 3]);
                let model = config.init(None, Key::new(1), &on.device).expect("the sizes make a stack");
                let model = on.cast(model);
                for reading in [Reading::Directed, Reading::Bidirectional] {
                    let found = exact.score(&model, on.bits("x", [5, 3]), reading);
                    out.numbers(format!("{name}, {reading:?}"), found.expect("few states"));
                }
                out.numbers(format!("{name}, 2 log Z"), vec![exact.log_z2(&model).expect("few states")]);
            }
        }),
        DoctorCheck::new("evaluator", "2 log Z by draws", TOLERANCE, |on, out| {
            let asked = PartitionFunction { error: 1.0, most: 2000 };
            let found = asked.estimate(&stack(on, LayerKind::Sbn), Key::new(6), |_, _| {});
            out.numbers("2 log Z", vec![found.log_z2, found.se_formula, found.se_batches, found.check]);
        }),
        DoctorCheck::new(
            "evaluator",
            "annealed importance sampling",
            TOLERANCE_OF_TRAJECTORIES,
            |on, out| {
                let annealing =
                    AnnealedImportanceSampling { hmc: Hmc::new(2), ..AnnealedImportanceSampling::new(5, 8) };
                let (model, x) = (vae(on), on.bits("x", [3, OBSERVED]));
                let found = annealing.estimate(&model, x, numbers(3), Key::new(3), |_, _| {});
                let found = found.expect("rows have weight");
                estimates(out, "rows", found.iter().map(|row| row.estimate).collect());
                out.numbers("acceptance", found.iter().filter_map(|row| row.acceptance).collect());
            },
        ),
        DoctorCheck::new("evaluator", "active units", TOLERANCE, |on, out| {
            let activity = Activity::of(&vae(on), on.bits("x", [50, OBSERVED]));
            out.numbers("variances", activity.variances().concat());
        }),
    ]
}

fn numbers(n: u64) -> Arc<[u64]> {
    (0..n).collect()
}

fn estimates(out: &mut Outputs, name: &str, rows: Vec<RowEstimate>) {
    let of = |f: fn(&RowEstimate) -> f64| rows.iter().map(f).collect();
    out.numbers(format!("log p, {name}"), of(|row| row.log_prob));
    out.numbers(format!("effective share, {name}"), of(|row| row.ess));
    out.numbers(format!("largest weight, {name}"), of(|row| row.max_weight));
}
