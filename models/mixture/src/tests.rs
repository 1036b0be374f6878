//! The mixture compared with sums over all of its states, in double precision.

mod dreams;
mod em;
mod gradient;
mod law;

use burn::module::Param;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use helmholtz_core::{Batch, Key, Target, enumerate_bits};
use helmholtz_noise::Stream;
use helmholtz_ops::into_f64;

use crate::BernoulliMixture;

fn tensor<const D: usize>(values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), DType::F64))
}

/// A mixture with uniformly distributed parameters: logits in ±3, weights in ±1, means of pseudo-rows in [0.1, 0.9].
fn mixture([classes, components, d]: [usize; 3], smoothing: f64, seed: u64) -> BernoulliMixture {
    let (mut stream, k) = (Stream::new(Key::new(seed)), classes * components);
    let mut uniform = |n: usize, low: f64, high: f64| -> Vec<f64> {
        (0..n).map(|_| stream.uniform_in(low, high)).collect()
    };
    BernoulliMixture {
        weights: Param::from_tensor(tensor(uniform(k, -1.0, 1.0), [k])),
        logits: Param::from_tensor(tensor(uniform(k * d, -3.0, 3.0), [k, d])),
        prior_mean: Param::from_tensor(tensor(uniform(d, 0.1, 0.9), [d])).set_require_grad(false),
        classes,
        smoothing,
    }
}

/// Random bits, each with a class; about a third of the values are missing if `missing`.
fn data([n, d]: [usize; 2], classes: usize, missing: bool, seed: u64) -> Batch {
    let mut stream = Stream::new(Key::new(seed).child("data"));
    let mut bits = |p: f64| -> Tensor<2> {
        tensor((0..n * d).map(|_| f64::from(u8::from(stream.uniform() < p))).collect(), [n, d])
    };
    let (x, mask) = (bits(0.4), bits(0.67));
    let batch = if missing { Batch::of(x * mask.clone()).with_mask(mask) } else { Batch::of(x) };
    let y: Vec<i64> = (0..n).map(|_| stream.below(classes) as i64).collect();
    if classes > 1 {
        batch.with_target(Target::Classes(Tensor::from_data(y.as_slice(), &Device::flex())))
    } else {
        batch
    }
}

/// The four kinds of batches: with and without classes, with and without missing values.
fn kinds() -> impl Iterator<Item = (usize, bool)> {
    [1, 3].into_iter().flat_map(|classes| [false, true].map(|missing| (classes, missing)))
}

/// All states of `d` bits.
fn states(d: usize) -> Batch {
    Batch::of(enumerate_bits(d, 0, 1 << d, DType::F64, &Device::flex()))
}

/// The same rows, all of class `y`.
fn of_class(batch: Batch, y: i64) -> Batch {
    let classes = Tensor::<1, Int>::full([batch.len()], y, &Device::flex());
    batch.with_target(Target::Classes(classes))
}

/// The same rows without their targets.
fn unlabelled(batch: &Batch) -> Batch {
    Batch { target: None, ..batch.clone() }
}

fn sum_exp(log: Tensor<1>) -> f64 {
    into_f64(log).into_iter().map(f64::exp).sum()
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let close = (found - expected).abs() <= tolerance * expected.abs().max(1.0);
        assert!(close, "number {i}: found {found}, expected {expected}");
    }
}
