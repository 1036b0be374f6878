//! Restricted Boltzmann machines: annealing against enumeration, and two published machines.

use std::path::PathBuf;

use burn::tensor::{DType, Tensor, TensorData};
use helmholtz_core::{AnnealingPath, EnergyModel, Key, map_params};
use helmholtz_datasets::formats::{Limits, read_matrix};
use helmholtz_datasets::{DataSet, load};
use helmholtz_energy::{FromIndependent, Rbm, RbmConfig, RowMoments};
use helmholtz_eval::{AnnealedPartition, Annealing, Schedule, WithinPartition};
use helmholtz_noise::Stream;
use helmholtz_ops::into_f64;
use helmholtz_tests::{device, either};

/// A machine in double precision with connections and biases in ±1.
pub(crate) fn small(observed: usize, hidden: usize, seed: u64) -> Rbm {
    let rbm = RbmConfig::new(observed, hidden).init(None, Key::new(seed), &device()).unwrap();
    let mut stream = Stream::new(Key::new(seed).child("parameters"));
    map_params(rbm, |_, param| {
        let n = param.values().dims()[0];
        let values: Vec<f64> = (0..n).map(|_| stream.uniform_in(-1.0, 1.0)).collect();
        Tensor::from_data(TensorData::new(values, [n]), (&device(), DType::F64))
    })
}

#[test]
fn annealing_has_weights_with_the_mean_of_the_partition_function() {
    let rbm = small(6, 4, 1);
    let log_z = rbm.log_partition().unwrap();
    let mean = [0.5, 0.3, 0.6, 0.5, 0.7, 0.2];
    let path = FromIndependent::of_data(&rbm, RowMoments { mean: &mean, variance: &[], rows: 100 }, 5.0);
    // However few the steps: with one there is no move at all.
    for (steps, chains) in
        [(1, either(20_000, 400_000)), (3, either(20_000, 400_000)), (100, either(2000, 20_000))]
    {
        let annealing = Annealing { chains, schedule: Schedule::linear(steps) };
        let found = annealing.estimate(&path, Key::new(2).child(steps), |_| {});
        // Five standard errors: false alarms below 1e-6 for each.
        let off = ((found.log_z - log_z).exp() - 1.0).abs();
        assert!(off < 5.0 * found.se * (found.log_z - log_z).exp(), "{steps} steps: {found:?} for {log_z}");
        assert!(steps < 100 || found.se < 0.02, "{found:?}");
    }
}

#[test]
fn an_estimate_is_the_same_again_and_counts_its_steps() {
    let rbm = small(5, 3, 3);
    let path = FromIndependent::uniform(&rbm);
    let annealing = Annealing { chains: 7, schedule: Schedule::linear(120) };
    let mut steps = Vec::new();
    let first = annealing.estimate(&path, Key::new(4), |step| steps.push(step));
    assert_eq!(steps, (1..=120).collect::<Vec<_>>());
    assert_eq!(first, annealing.estimate(&path, Key::new(4), |_| {}));
    assert!(first != annealing.estimate(&path, Key::new(5), |_| {}));
    assert!((path.log_base() - 8.0 * std::f64::consts::LN_2).abs() < 1e-12);
}

#[test]
fn chains_are_keyed_by_their_number() {
    let rbm = small(6, 4, 8);
    let path = FromIndependent::uniform(&rbm);
    let annealing = Annealing { chains: 11, schedule: Schedule::linear(60) };
    let part = |chains| annealing.weigh_part(&path, chains, Key::new(9), |_| {});
    let whole = part(0..11);
    let parts = [part(0..3), part(3..4), part(4..11)].concat();
    // In double precision, products of other shapes differ by rounding alone.
    assert!(whole.iter().zip(&parts).all(|(a, b)| (a - b).abs() < 1e-10), "{whole:?}, {parts:?}");
    let found = annealing.estimate(&path, Key::new(9), |_| {});
    assert_eq!(found, AnnealedPartition::of_log_weights(&whole));
    assert!(whole.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn a_planned_annealing_has_the_error_that_was_asked_for() {
    for seed in 0..either(4, 40) {
        // Connections of up to ±5, so that few temperatures are far too few.
        let rbm = scaled(&small(8, 6, 10 + seed), 5.0);
        let log_z = rbm.log_partition().unwrap();
        let path = FromIndependent::uniform(&rbm);
        let within = WithinPartition { error: 0.05, most_chains: 10_000, most_temperatures: 10_000 };
        let key = Key::new(11).child(seed);
        let planned = within.estimate([100, 10], |by, chains| by.weigh_part(&path, chains, key, |_| {}));
        let last = planned.last();
        assert!(last.found.se <= 0.05 && planned.rounds.len() > 1, "{planned:?}");
        // Four standard errors: a false alarm below 1e-4 for each machine, and the draws are fixed.
        let off = ((last.found.log_z - log_z).exp() - 1.0).abs();
        assert!(off < 4.0 * last.found.se, "{planned:?} for {log_z}");
    }
}

/// The machine with all parameters times a factor.
fn scaled(rbm: &Rbm, by: f64) -> Rbm {
    map_params(rbm.clone(), |_, param| param.values() * by)
}

/// A machine of the published code for annealed importance sampling, or `None` if its file is missing.
fn published(name: &str) -> Option<Rbm> {
    let file = data_dir().join("rbm-toronto").join(name);
    if !file.exists() {
        println!("skipped: needs {}", file.display());
        return None;
    }
    let array = |name: &str| {
        let (values, shape) = read_matrix(&file, name, &Limits::default()).unwrap();
        (Tensor::<1>::from_data(values.as_slice(), &device()), shape)
    };
    let ((visible, _), (hidden, _), (weight, shape)) =
        (array("visbiases"), array("hidbiases"), array("vishid"));
    Some(Rbm::of_bits(weight.reshape(shape), visible, hidden))
}

fn data_dir() -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    std::env::var_os("HELMHOLTZ_DATA").map_or_else(beside, PathBuf::from)
}

fn digits() -> DataSet {
    load("mnist/binarized", Some(&data_dir())).unwrap()
}

/// The mean log-likelihood of the test digits under a machine with this partition function.
fn of_digits(rbm: &Rbm, digits: &DataSet, log_z: f64) -> f64 {
    let x = digits.fixed_batch(helmholtz_datasets::SplitName::Test, &device()).unwrap().whole();
    let free_energy = into_f64(rbm.free_energy(x));
    -free_energy.iter().sum::<f64>() / free_energy.len() as f64 - log_z
}

/// The path from the means of the training digits, with five pseudo-rows for each batch of 100.
fn from_means<'a>(rbm: &'a Rbm, digits: &DataSet) -> FromIndependent<'a> {
    let n = digits.train.rows();
    let moments = RowMoments { mean: &digits.train.mean(), variance: &[], rows: n };
    FromIndependent::of_data(rbm, moments, 5.0 * (n / 100) as f64)
}

#[test]
fn the_published_machine_of_15_units_has_its_partition_function() {
    let Some(rbm) = published("mnistvh.mat") else { return };
    let log_z = rbm.log_partition().unwrap();
    // In single precision the energies of these machines are exact to about 1e-4.
    assert!((log_z - 215.679_064).abs() < 5e-4, "{log_z}");
    let digits = digits();
    let found = of_digits(&rbm, &digits, log_z);
    assert!((found + 172.5099).abs() < 1e-3, "{found}");
    let schedule = either(Schedule::linear(1000), Schedule::salakhutdinov_murray());
    let annealing = Annealing { chains: 100, schedule };
    let annealed = annealing.estimate(&from_means(&rbm, &digits), Key::new(6), |_| {});
    println!("log Z {log_z:.4}, test {found:.4}, annealed {:.3} ± {:.3}", annealed.log_z, annealed.se);
    assert!((annealed.log_z - log_z).abs() < 4.0 * annealed.se, "{annealed:?} for {log_z}");
    assert!(annealed.se < either(0.3, 0.1), "{annealed:?}");
}

#[test]
#[ignore = "nightly: anneals a large machine, for a minute"]
fn the_published_machine_of_500_units_has_its_partition_function() {
    let Some(rbm) = published("mnistvh_CD25.mat") else { return };
    let digits = digits();
    let annealing = Annealing { chains: 100, schedule: Schedule::salakhutdinov_murray() };
    let found = annealing.estimate(&from_means(&rbm, &digits), Key::new(7), |_| {});
    println!("log Z {:.3} ± {:.3}, test {:.3}", found.log_z, found.se, of_digits(&rbm, &digits, found.log_z));
    // An independent annealing of this machine found 451.44 with a standard error of 0.10; the published test likelihood is -86.34 nats.
    let se = found.se.hypot(0.10);
    assert!((found.log_z - 451.44).abs() < 3.0 * se, "{found:?}");
    let test = of_digits(&rbm, &digits, found.log_z);
    assert!((test + 86.34).abs() < 0.3, "{test}");
}
