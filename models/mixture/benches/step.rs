//! A step at the sizes of binarized MNIST, and its matrix products alone.

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use helmholtz_core::{Batch, Expectation, Gradients, Key, Tractable, Trainable};
use helmholtz_mixture::BernoulliMixtureConfig;
use helmholtz_ops::{on_workers, product};

fn step(criterion: &mut Criterion) {
    let device = Device::flex();
    for [n, d, k] in [[100, 784, 500]] {
        let model = BernoulliMixtureConfig::new(d, k).init(None, Key::new(0), &device).unwrap();
        let bits = |p: f64| Tensor::<2>::random([n, d], Distribution::Bernoulli(p), &device);
        let (x, mask) = (bits(0.3), bits(0.5));
        let (logits, r) = (model.logits.val(), model.responsibilities(&Batch::of(x.clone())));
        criterion.bench_function(&format!("products/b{n}-{d}-{k}"), |bench| {
            bench.iter(|| {
                on_workers(&device, || {
                    (product::abt(x.clone(), logits.clone()), product::atb(r.clone(), x.clone()))
                })
            });
        });
        for (name, batch) in
            [("whole", Batch::of(x.clone())), ("masked", Batch::of(x.clone() * mask.clone()).with_mask(mask))]
        {
            criterion.bench_function(&format!("log-prob/{name}/b{n}-{d}-{k}"), |bench| {
                bench.iter(|| on_workers(&device, || model.log_prob(&batch)));
            });
            criterion.bench_function(&format!("gradient/{name}/b{n}-{d}-{k}"), |bench| {
                let weights = Tensor::<1>::full([n], 1.0 / n as f64, (&device, model.dtype()));
                bench.iter(|| {
                    on_workers(&device, || {
                        let mut gradients = Gradients::new();
                        (model.likelihood_gradient(&batch, weights.clone(), &mut gradients), gradients)
                    })
                });
            });
            criterion.bench_function(&format!("em/{name}/b{n}-{d}-{k}"), |bench| {
                bench.iter(|| {
                    on_workers(&device, || {
                        let mut beyond = Gradients::new();
                        let (statistics, log_prob) = model.expected_statistics(&batch);
                        model.beyond_maximum(statistics, &mut beyond);
                        (log_prob, beyond)
                    })
                });
            });
        }
    }
}

criterion_group!(benches, step);
criterion_main!(benches);
