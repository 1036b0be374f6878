//! One reweighted wake-sleep estimate, its parts, and the matrix products beneath it.

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use helmholtz_core::{Draws, Key, LatentVariableModel, Strategy};
use helmholtz_directed::StackConfig;
use helmholtz_strategies::ReweightedWakeSleep;

const BATCH: usize = 100;
const K: usize = 10;

fn estimate(criterion: &mut Criterion) {
    let device = Device::flex();
    let model = StackConfig::new(784, vec![200, 200, 200]).init(None, Key::new(0), &device).unwrap();
    let x = Tensor::<2>::random([BATCH, 784], Distribution::Bernoulli(0.13), &device);
    let strategy = ReweightedWakeSleep::new(K).unwrap();
    let id = "sbn-784-200-200-200/b100-k10";
    let mut step = 0u64;
    let mut next = || {
        step += 1;
        Key::new(step)
    };
    criterion.bench_function(&format!("rws-estimate/{id}"), |bench| {
        bench.iter(|| {
            let estimate = strategy.estimate(&model, &x.clone().into(), next());
            device.sync().unwrap();
            estimate
        });
    });
    criterion.bench_function(&format!("propose/{id}"), |bench| {
        bench.iter(|| model.propose(x.clone(), &Draws::new(next(), BATCH, K), 0.0));
    });
    criterion.bench_function(&format!("log-weights/{id}"), |bench| {
        bench.iter(|| model.log_weights(x.clone(), &Draws::new(next(), BATCH, K)));
    });
}

/// The eleven products of a step: `[rows, inner, columns]`, forward and backward.
fn products(criterion: &mut Criterion) {
    let device = Device::flex();
    let random = |n, d| Tensor::<2>::random([n, d], Distribution::Default, &device);
    for [n, d_y, d_x] in [[100, 784, 200], [1000, 200, 200], [1000, 200, 784]] {
        let (y, w, e) = (random(n, d_y), random(d_y, d_x), random(n, d_x));
        criterion.bench_function(&format!("product/{n}x{d_y}x{d_x}"), |bench| {
            bench.iter(|| y.clone().matmul(w.clone()));
        });
        criterion.bench_function(&format!("product/{d_y}x{n}x{d_x}-transposed"), |bench| {
            bench.iter(|| y.clone().transpose().matmul(e.clone()));
        });
    }
}

criterion_group!(benches, estimate, products);
criterion_main!(benches);
