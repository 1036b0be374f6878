//! The machine compared with sums over all of its states, in double precision.

mod autocorrelation;
mod conditional;
mod gauge;
mod gibbs;
mod gradient;
mod grid;
mod labels;
mod law;
mod student;
mod unigauss;
mod units;

use burn::tensor::{DType, Device, Tensor, TensorData};
use helmholtz_core::{Key, enumerate_bits};
use helmholtz_noise::Stream;
use helmholtz_ops::into_f64;

use crate::Rbm;

fn tensor<const D: usize>(values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), DType::F64))
}

/// A machine with uniformly distributed parameters: connections in ±1.5, biases in ±1.
fn rbm([d, m]: [usize; 2], seed: u64) -> Rbm {
    let mut stream = Stream::new(Key::new(seed));
    let mut uniform =
        |n: usize, size: f64| -> Vec<f64> { (0..n).map(|_| stream.uniform_in(-size, size)).collect() };
    let weight = tensor(uniform(d * m, 1.5), [d, m]);
    let visible = tensor(uniform(d, 1.0), [d]);
    Rbm::of_bits(weight, visible, tensor(uniform(m, 1.0), [m]))
}

/// All states of `n` bits.
fn states(n: usize) -> Tensor<2> {
    enumerate_bits(n, 0, 1 << n, DType::F64, &Device::flex())
}

/// `p(v, h)` of all pairs of states, a row for each v, by the definition of the energy in plain numbers.
fn joint(rbm: &Rbm) -> Vec<Vec<f64>> {
    let [d, m] = rbm.weight.val().dims();
    let (w, a, b) = (into_f64(rbm.weight.val()), into_f64(rbm.visible.val()), into_f64(rbm.hidden.val()));
    let bit = |state: usize, j: usize| (state >> j & 1) as f64;
    let minus_energy = |v: usize, h: usize| {
        let own =
            (0..d).map(|i| a[i] * bit(v, i)).sum::<f64>() + (0..m).map(|j| b[j] * bit(h, j)).sum::<f64>();
        own + (0..d)
            .flat_map(|i| (0..m).map(move |j| (i, j)))
            .map(|(i, j)| bit(v, i) * w[i * m + j] * bit(h, j))
            .sum::<f64>()
    };
    let weights: Vec<Vec<f64>> =
        (0..1 << d).map(|v| (0..1 << m).map(|h| minus_energy(v, h).exp()).collect()).collect();
    let z: f64 = weights.iter().flatten().sum();
    weights.into_iter().map(|row| row.into_iter().map(|weight| weight / z).collect()).collect()
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let close = (found - expected).abs() <= tolerance * expected.abs().max(1.0);
        assert!(close, "number {i}: found {found}, expected {expected}");
    }
}
