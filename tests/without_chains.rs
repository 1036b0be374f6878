//! Strategies for energies that need no chain, against sums over all states.

use burn::module::Param;
use burn::tensor::{DType, Tensor, TensorData};
use helmholtz_core::{
    Batch, EnergyModel, Gradients, Harmonium, Key, Strategy, Tractable, Weighed, map_params, visit_params,
};
use helmholtz_energy::Rbm;
use helmholtz_ops::into_f64;
use helmholtz_strategies::{Centring, EnergyDiscrepancy, IndependentSamples, Offsets};
use helmholtz_tests::{device, either};

use crate::rbm::small;

fn flat(rbm: &Rbm, gradients: &Gradients) -> Vec<f64> {
    let mut all = Vec::new();
    visit_params(rbm, |_, param| all.extend(param.gradient(gradients).into_iter().flat_map(into_f64)));
    all
}

/// Rows of states, each as often as it comes in `total` rows of the machine's law, rounded.
fn rows_of_law(rbm: &Rbm, total: f64) -> Batch {
    let states = rbm.visible_states();
    let p = into_f64(rbm.log_prob(&Batch::of(states.clone())).exp());
    let rows = p.iter().enumerate().flat_map(|(i, p)| vec![i as i64; (p * total).round() as usize]);
    let rows: Vec<i64> = rows.collect();
    Batch::of(states.select(0, Tensor::from_data(rows.as_slice(), &device())))
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

fn mean_of<S: Strategy<Rbm>>(strategy: &S, rbm: &Rbm, batch: &Batch, n: u64) -> Vec<f64> {
    let mut sum: Vec<f64> = Vec::new();
    for i in 0..n {
        let found = flat(rbm, &strategy.estimate(rbm, batch, Key::new(5).child(i)).gradients);
        sum.resize(found.len(), 0.0);
        sum.iter_mut().zip(found).for_each(|(sum, value)| *sum += value / n as f64);
    }
    sum
}

/// The machine with `by` added to parameter value number `place`.
fn moved(rbm: &Rbm, place: usize, by: f64) -> Rbm {
    let mut first = 0;
    map_params(rbm.clone(), |_, param| {
        let mut values = into_f64(param.values());
        let n = values.len();
        if (first..first + n).contains(&place) {
            values[place - first] += by;
        }
        first += n;
        Tensor::from_data(TensorData::new(values, [n]), (&device(), DType::F64))
    })
}

#[test]
fn the_gradient_of_energy_discrepancy_is_that_of_its_loss() {
    let rbm = small(4, 3, 21);
    let batch = rows_of_law(&small(4, 3, 22), 20.0);
    let strategy = EnergyDiscrepancy { perturbed: 5, flip: 0.2 };
    let loss = |rbm: &Rbm| {
        let estimate = strategy.estimate(rbm, &batch, Key::new(3));
        into_f64(estimate.measured[0].value.clone())[0]
    };
    let found = flat(&rbm, &strategy.estimate(&rbm, &batch, Key::new(3)).gradients);
    let h = 1e-4;
    for (place, found) in found.iter().enumerate() {
        let expected = (loss(&moved(&rbm, place, h)) - loss(&moved(&rbm, place, -h))) / (2.0 * h);
        assert!((found - expected).abs() < 1e-7, "{place}: {found} for {expected}");
    }
}

#[test]
fn energy_discrepancy_with_many_perturbed_rows_rests_at_the_law_of_the_data() {
    let (rbm, other) = (small(3, 2, 23), small(3, 2, 24));
    let batch = rows_of_law(&rbm, 400.0);
    let strategy = EnergyDiscrepancy { perturbed: 400, flip: 0.3 };
    let n = either(10, 60);
    let (own, others) = (mean_of(&strategy, &rbm, &batch, n), mean_of(&strategy, &other, &batch, n));
    // What is left is the rounding of the rows (1/800), the finite number of perturbed rows (1/400), and noise.
    assert!(largest(&own) < 0.012, "{own:?}");
    assert!(largest(&others) > 0.05, "{others:?}");
}

#[test]
fn weighted_independent_samples_give_the_gradient_of_the_likelihood() {
    let (rbm, data) = (small(4, 3, 25), rows_of_law(&small(4, 3, 26), 50.0));
    for offsets in [Offsets::Zero, Offsets::Data] {
        let centring = Centring::new(&rbm, offsets);
        let strategy = IndependentSamples { samples: 2000, centring };
        let found = mean_of(&strategy, &rbm, &data, either(40, 400));
        let states = rbm.visible_states();
        let weights = rbm.log_prob(&Batch::of(states.clone())).exp();
        let law = Weighed { x: states, weights };
        let is_centred = offsets == Offsets::Data;
        let expected = rbm
            .contrast(Weighed::equally(data.whole()), law, &mut |means, _| is_centred.then_some(means))
            .gradients;
        let expected = flat(&rbm, &expected);
        // 80 000 samples in all: five standard errors of a mean of bits are 0.009, and the bias is about 1/2000.
        let off: Vec<f64> = found.iter().zip(&expected).map(|(a, b)| a - b).collect();
        assert!(largest(&off) < 0.012, "{off:?}");
        assert!(largest(&expected) > 0.05, "{expected:?}");
    }
}

#[test]
fn a_machine_whose_units_are_independent_needs_no_weights() {
    // Without connections, samples with the means of the machine all have one weight.
    let mut rbm = small(4, 3, 27);
    rbm.weight = Param::from_tensor(rbm.weight.val().zeros_like());
    rbm.visible = Param::from_tensor(rbm.visible.val().zeros_like());
    let half = Tensor::<2>::from_data(
        TensorData::new(vec![0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0], [2, 4]),
        (&device(), DType::F64),
    );
    let strategy = IndependentSamples { samples: 100, centring: Centring::new(&rbm, Offsets::Zero) };
    let estimate = strategy.estimate(&rbm, &Batch::of(half.clone()), Key::new(6));
    let ess = into_f64(estimate.measured[1].value.clone())[0];
    assert!((ess - 1.0).abs() < 1e-12, "{ess}");
    assert!(into_f64(rbm.free_energy(half)).iter().all(|energy| energy.is_finite()));
}
