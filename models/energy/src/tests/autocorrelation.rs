//! Autocorrelation times compared with sums of autocovariances, by powers of the transitions.

use burn::module::Param;

use super::*;
use crate::transitions::divergence;
use crate::{MOST_UNITS, NoTransitions};

/// `[C(0), Σ_{t ≥ 1} C(t)]` of a function, from `T` one power at a time until they are negligible.
fn by_powers(rbm: &Rbm, f: &[f64]) -> [f64; 2] {
    let transitions = rbm.transitions().unwrap();
    let law = transitions.law();
    let mean: f64 = law.iter().zip(f).map(|(p, f)| p * f).sum();
    // π(v) f̃(v) as a signed law: after t sweeps its scalar product with f̃ is C(t).
    let mut state: Vec<f64> = law.iter().zip(f).map(|(p, f)| p * (f - mean)).collect();
    let covariance = |state: &[f64]| state.iter().zip(f).map(|(s, f)| s * (f - mean)).sum::<f64>();
    let first = covariance(&state);
    let mut rest = 0.0;
    for _ in 0..20_000 {
        state = transitions.after(&state, 1);
        let next = covariance(&state);
        rest += next;
        if next.abs() < 1e-18 * first {
            break;
        }
    }
    [first, rest]
}

/// A machine whose chains take long: a common factor on all parameters.
fn slow(sizes: [usize; 2], seed: u64) -> Rbm {
    helmholtz_core::map_params(rbm(sizes, seed), |_, param| param.values() * 3.0)
}

#[test]
fn times_are_sums_of_autocovariances_whichever_layer_is_the_smaller_one() {
    for (rbm, seed) in [rbm([4, 2], 41), slow([4, 3], 42), rbm([2, 5], 43), slow([3, 3], 44)].iter().zip(45..)
    {
        let [d, _] = rbm.weight.val().dims();
        let fundamental = rbm.transitions().unwrap().fundamental().unwrap();
        let mut stream = Stream::new(Key::new(seed));
        let f: Vec<f64> = (0..1 << d).map(|_| stream.uniform_in(-1.0, 1.0)).collect();
        let [first, rest] = by_powers(rbm, &f);
        let expected = 1.0 + 2.0 * rest / first;
        assert!(expected > 1.0);
        assert_close(&[fundamental.time(&f).unwrap()], &[expected], 1e-9);
        let units = (0..d)
            .map(|i| by_powers(rbm, &(0..1 << d).map(|v: usize| (v >> i & 1) as f64).collect::<Vec<_>>()));
        let [first, rest] = units.fold([0.0; 2], |[a, b], [first, rest]| [a + first, b + rest]);
        assert_close(&[fundamental.time_of_units().unwrap()], &[1.0 + 2.0 * rest / first], 1e-9);
        // No function is slower than the slowest one.
        let slowest = fundamental.slowest().unwrap();
        assert!(fundamental.time(&f).unwrap() <= slowest && fundamental.time_of_units().unwrap() <= slowest);
    }
}

#[test]
fn the_slowest_time_is_the_rate_at_which_a_law_is_forgotten() {
    let rbm = slow([4, 3], 47);
    let transitions = rbm.transitions().unwrap();
    let off = |sweeps: usize| -> f64 {
        let mut begin = vec![0.0; 16];
        begin[5] = 1.0;
        let law = transitions.after(&begin, sweeps);
        law.iter().zip(transitions.law()).map(|(found, own)| (found - own).abs()).sum()
    };
    // After many sweeps, each leaves a share λ of the distance.
    let slowest = transitions.fundamental().unwrap().slowest().unwrap();
    let sweeps = (8.0 * slowest) as usize;
    let eigenvalue = off(sweeps + 1) / off(sweeps);
    assert_close(&[slowest], &[(1.0 + eigenvalue) / (1.0 - eigenvalue)], 1e-4);
}

#[test]
fn nearly_independent_layers_have_a_slowest_time_near_one() {
    // Eigenvalues of about the squares of the connections, all of one size.
    for size in [1e-1, 1e-2, 1e-3, 1e-6] {
        let mut rbm = rbm([4, 3], 52);
        rbm.weight = rbm.weight.map(|weight| weight * size);
        let fundamental = rbm.transitions().unwrap().fundamental().unwrap();
        let (units, slowest) = (fundamental.time_of_units().unwrap(), fundamental.slowest().unwrap());
        assert!(slowest >= units - 1e-12 && slowest < 1.0 + 10.0 * size * size, "{size}: {units}, {slowest}");
    }
}

#[test]
fn independent_layers_have_a_time_of_one() {
    let mut rbm = rbm([3, 2], 48);
    rbm.weight = Param::from_tensor(tensor(vec![0.0; 6], [3, 2]));
    let fundamental = rbm.transitions().unwrap().fundamental().unwrap();
    assert_close(&[fundamental.time_of_units().unwrap(), fundamental.slowest().unwrap()], &[1.0, 1.0], 1e-12);
    assert_eq!(fundamental.time(&[2.0; 8]), None, "a constant has no time");
}

#[test]
fn laws_are_those_of_the_energy() {
    for sizes in [[3, 2], [2, 4]] {
        let rbm = rbm(sizes, 49);
        let transitions = rbm.transitions().unwrap();
        let expected: Vec<f64> = joint(&rbm).iter().map(|row| row.iter().sum()).collect();
        assert_close(transitions.law(), &expected, 1e-13);
        assert_close(&transitions.after(transitions.law(), 3), &expected, 1e-13);
        assert_close(&transitions.noise(), &vec![1.0 / expected.len() as f64; expected.len()], 1e-15);
        assert_close(&[divergence(&expected, transitions.law())], &[0.0], 1e-12);
    }
    let transitions = rbm([2, 1], 50).transitions().unwrap();
    assert_close(
        &transitions.law_of_rows(&[1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]),
        &[0.25, 0.5, 0.0, 0.25],
        1e-15,
    );
    let half = divergence(&[0.5, 0.5, 0.0, 0.0], &[0.25; 4]);
    assert_close(&[half], &[2f64.ln()], 1e-15);
}

#[test]
fn too_many_units_are_refused_with_their_numbers() {
    let rbm = rbm([MOST_UNITS[0] + 1, 2], 51);
    let error = rbm.transitions().unwrap_err();
    assert_eq!(error, NoTransitions::TooMany { sizes: [13, 2] });
    assert!(error.to_string().starts_with("the machine has 13 visible and 2 hidden units;"), "{error}");
}
