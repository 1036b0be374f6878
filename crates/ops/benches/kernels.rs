//! The fused passes at the sizes of a training step.

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use helmholtz_noise::{Draws, Key, fill_uniform};
use helmholtz_ops::{bernoulli, rows};

fn kernels(criterion: &mut Criterion) {
    let device = Device::flex();
    let random = |n, d| Tensor::<2>::random([n, d], Distribution::Normal(0.0, 3.0), &device);
    for [n, d] in [[1000, 200], [1000, 784]] {
        let bias = Tensor::<1>::zeros([d], &device);
        let x = Tensor::<2>::random([n / 10, d], Distribution::Bernoulli(0.3), &device);
        let draws = Draws::new(Key::new(1), n, 1);
        let weights = Tensor::<1>::ones([n], &device);
        criterion.bench_function(&format!("score/{n}x{d}"), |bench| {
            bench.iter_batched(
                || random(n, d),
                |product| bernoulli::score(x.clone(), product, bias.clone()),
                BatchSize::LargeInput,
            );
        });
        criterion.bench_function(&format!("draw/{n}x{d}"), |bench| {
            bench.iter_batched(
                || random(n, d),
                |product| bernoulli::draw(product, bias.clone(), &draws, None),
                BatchSize::LargeInput,
            );
        });
        criterion.bench_function(&format!("weigh/{n}x{d}"), |bench| {
            bench.iter_batched(
                || random(n, d),
                |errors| rows::weigh(errors, weights.clone(), 1),
                BatchSize::LargeInput,
            );
        });
        criterion.bench_function(&format!("uniforms/{n}x{d}"), |bench| {
            let mut out = vec![0.0f32; d];
            bench.iter(|| (0..n as u64).for_each(|row| fill_uniform(Key::new(1), row, 0, &mut out)));
        });
        criterion.bench_function(&format!("zeroed-allocation/{n}x{d}"), |bench| {
            bench.iter(|| {
                let mut v = vec![0.0f32; n * d];
                v.iter_mut().step_by(1024).for_each(|v| *v = 1.0);
                v
            });
        });
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
