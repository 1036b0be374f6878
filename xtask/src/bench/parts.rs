//! The parts of a step, run alone, and how to repeat and time them.

use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use helmholtz_core::Key;
use helmholtz_noise::fill_uniform;

pub(crate) fn ms_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// Steps that are taken before the timed ones: Adam's moments, the allocator's pools and the worker
/// threads come into being.
pub(crate) const WARM_UP: usize = 5;

/// Runs `step` as often as a session does, and keeps the timed runs.
pub(crate) fn repeat<T>(steps: usize, mut step: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<Vec<T>> {
    let mut times = (0..WARM_UP + steps).map(|_| step()).collect::<anyhow::Result<Vec<T>>>()?;
    Ok(times.split_off(WARM_UP))
}

/// The matrix products of a step: one forward for each layer of either net, one for its gradient.
pub(crate) struct Products {
    factors: Vec<Factors>,
    device: Device,
}

struct Factors {
    /// What the layer is given: `[n, d_y]`.
    y: Tensor<2>,
    /// Its weights: `[d_y, d_x]`.
    w: Tensor<2>,
    /// Its errors: `[n, d_x]`.
    e: Tensor<2>,
}

impl Factors {
    fn new([n, d_y, d_x]: [usize; 3], device: &Device) -> Self {
        let random = |rows: usize, columns: usize| {
            let mut values = vec![0.0f32; rows * columns];
            for (row, values) in values.chunks_exact_mut(columns).enumerate() {
                fill_uniform(Key::new(1), row as u64, 0, values);
            }
            Tensor::from_data(TensorData::new(values, [rows, columns]), device)
        };
        Factors { y: random(n, d_y), w: random(d_y, d_x), e: random(n, d_x) }
    }

    fn forward(&self) -> Tensor<2> {
        self.y.clone().matmul(self.w.clone())
    }

    fn gradient(&self) -> Tensor<2> {
        self.y.clone().transpose().matmul(self.e.clone())
    }
}

/// `[n, d_y, d_x]` of every layer: the recognition net from the data up, then the generative net.
///
/// The lowest recognition layer sees each row once, whatever the number of samples.
pub(crate) fn shapes(observed: usize, layers: &[usize], batch: usize, samples: usize) -> Vec<[usize; 3]> {
    let sizes: Vec<usize> = std::iter::once(observed).chain(layers.iter().copied()).collect();
    let rows = |layer: usize| if layer == 0 { batch } else { batch * samples };
    let recognition = sizes.windows(2).enumerate().map(|(layer, d)| [rows(layer), d[0], d[1]]);
    let generative = sizes.windows(2).map(|d| [batch * samples, d[1], d[0]]);
    recognition.chain(generative).collect()
}

impl Products {
    /// The products of layers with `[n, d_y, d_x]`.
    pub(crate) fn new(shapes: Vec<[usize; 3]>, device: &Device) -> Self {
        let factors = shapes.into_iter().map(|shape| Factors::new(shape, device)).collect();
        Products { factors, device: device.clone() }
    }

    /// Multiplies all of them; the time in milliseconds.
    pub(crate) fn run(&self) -> anyhow::Result<f64> {
        let start = Instant::now();
        for factors in &self.factors {
            factors.forward();
            factors.gradient();
        }
        self.device.sync()?;
        Ok(ms_since(start))
    }

    /// Additions and multiplications of one run.
    pub(crate) fn operations(&self) -> f64 {
        let product = |factors: &Factors| {
            let ([n, d_y], [_, d_x]) = (factors.y.dims(), factors.w.dims());
            4.0 * n as f64 * d_y as f64 * d_x as f64
        };
        self.factors.iter().map(product).sum()
    }
}

/// `[m, k]` by `[k, n]`, `repeats` times after three that are not timed.
pub(crate) fn gemm([m, k, n]: [usize; 3], repeats: usize, device: &Device) -> anyhow::Result<Vec<f64>> {
    let factors = Factors::new([m, k, n], device);
    let mut ms = Vec::new();
    for _ in 0..repeats + 3 {
        let start = Instant::now();
        factors.forward();
        device.sync()?;
        ms.push(ms_since(start));
    }
    Ok(ms.split_off(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_products_of_a_step_are_those_of_both_nets() {
        assert_eq!(
            shapes(784, &[200, 100], 10, 5),
            [[10, 784, 200], [50, 200, 100], [50, 200, 784], [50, 100, 200]]
        );
    }
}
