//! The parts of a step, run alone, and how to repeat and time them.

use std::time::Instant;

use burn::tensor::{DType, Device, Tensor};
use helmholtz_core::{Draws, Key};
use helmholtz_ops::noise::uniform;
use helmholtz_ops::product::{ab, abt, atb};

pub(crate) fn ms_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// The time of `run` on a device, in milliseconds, and its result.
pub(crate) fn timed<T>(device: &Device, run: impl FnOnce() -> T) -> anyhow::Result<(f64, T)> {
    let start = Instant::now();
    let out = run();
    device.sync()?;
    Ok((ms_since(start), out))
}

/// Steps before the timed ones: they create Adam's moments, the allocator's pools and the worker
/// threads.
pub(crate) const WARM_UP: usize = 5;

/// Runs `step` as often as a session does, and keeps the timed runs.
pub(crate) fn repeat<T>(steps: usize, mut step: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<Vec<T>> {
    let mut times = (0..WARM_UP + steps).map(|_| step()).collect::<anyhow::Result<Vec<T>>>()?;
    Ok(times.split_off(WARM_UP))
}

/// The matrix products of a step: for each layer one forward, one for the gradient of its weights, and, where it is
/// needed, one for the derivative in its input.
pub(crate) struct Products {
    factors: Vec<Factors>,
    device: Device,
}

/// The kind of a layer's inputs.
#[derive(Clone, Copy)]
pub(crate) enum Inputs {
    Bits,
    Real,
}

struct Factors {
    /// The layer's input: `[n, d_y]`.
    y: Tensor<2>,
    /// Its weights: `[d_y, d_x]`.
    w: Tensor<2>,
    /// Its errors: `[n, d_x]`.
    e: Tensor<2>,
    /// Whether the derivative in y is needed.
    is_on_the_way: bool,
}

/// Uniforms: `[n, d]`.
pub(crate) fn random(n: usize, d: usize, device: &Device) -> Tensor<2> {
    uniform(&Draws::new(Key::new(1), n, 1), d, DType::F32, device)
}

/// Uniforms, or bits of which half are on: `[n, d]`.
pub(crate) fn inputs(kind: Inputs, [n, d]: [usize; 2], device: &Device) -> Tensor<2> {
    let uniforms = random(n, d, device);
    match kind {
        Inputs::Bits => uniforms.lower_elem(0.5).float(),
        Inputs::Real => uniforms,
    }
}

impl Factors {
    fn new([n, d_y, d_x]: [usize; 3], y: Inputs, is_on_the_way: bool, device: &Device) -> Self {
        let random = |n, d| random(n, d, device);
        Factors { y: inputs(y, [n, d_y], device), w: random(d_y, d_x), e: random(n, d_x), is_on_the_way }
    }

    fn forward(&self) -> Tensor<2> {
        ab(self.y.clone(), self.w.clone())
    }

    fn back(&self) -> (Tensor<2>, Option<Tensor<2>>) {
        let gradient = atb(self.y.clone(), self.e.clone());
        let derivative = self.is_on_the_way.then(|| abt(self.e.clone(), self.w.clone()));
        (gradient, derivative)
    }

    /// Number of additions and multiplications of a product.
    fn operations(&self) -> f64 {
        let ([n, d_y], [_, d_x]) = (self.y.dims(), self.w.dims());
        2.0 * n as f64 * d_y as f64 * d_x as f64
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
    /// The products of layers with `[n, d_y, d_x]`; `on_the_way` says which layers need the derivative in y.
    pub(crate) fn new(
        shapes: Vec<[usize; 3]>,
        inputs: Inputs,
        on_the_way: fn(usize) -> bool,
        device: &Device,
    ) -> Self {
        let factors = shapes.into_iter().enumerate();
        let factors = factors.map(|(layer, shape)| Factors::new(shape, inputs, on_the_way(layer), device));
        Products { factors: factors.collect(), device: device.clone() }
    }

    /// Computes all products; returns the times of those forward and of the others, in milliseconds.
    pub(crate) fn run(&self) -> anyhow::Result<[f64; 2]> {
        let all = |of: fn(&Factors)| timed(&self.device, || self.factors.iter().for_each(of));
        let ((forward, ()), (back, ())) =
            (all(|factors| drop(factors.forward()))?, all(|factors| drop(factors.back()))?);
        Ok([forward, back])
    }

    /// Number of additions and multiplications of those forward and of the others.
    pub(crate) fn operations(&self) -> [f64; 2] {
        let back = |factors: &Factors| factors.operations() * if factors.is_on_the_way { 2.0 } else { 1.0 };
        [self.factors.iter().map(Factors::operations).sum(), self.factors.iter().map(back).sum()]
    }
}

/// Times of `[m, k]` by `[k, n]`, `repeats` of them, after some that are not timed.
pub(crate) fn gemm([m, k, n]: [usize; 3], repeats: usize, device: &Device) -> anyhow::Result<Vec<f64>> {
    let factors = Factors::new([m, k, n], Inputs::Real, false, device);
    repeat(repeats, || Ok(timed(device, || factors.forward())?.0))
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
