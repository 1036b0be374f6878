use burn::tensor::{DType, Device, TensorData};
use helmholtz_core::Key;

use super::*;
use crate::order::UnitOrder;

fn matrix(shape: [usize; 2], seed: usize, dtype: DType) -> Tensor<2> {
    let values: Vec<f64> =
        (0..shape[0] * shape[1]).map(|i| ((i * 7919 + seed * 131) % 97) as f64 / 48.0 - 1.0).collect();
    Tensor::from_data(TensorData::new(values, shape).convert_dtype(dtype), (&Device::flex(), dtype))
}

fn bits(shape: [usize; 2], seed: usize, dtype: DType) -> Tensor<2> {
    matrix(shape, seed, dtype).greater_elem(0.2).float().cast(dtype)
}

fn scan(d: usize, h: usize, order: UnitOrder, dtype: DType) -> Scan {
    Scan { encoder: matrix([d, h], 1, dtype), decoder: matrix([d, h], 2, dtype), order }
}

fn assert_close<const D: usize>(a: Tensor<D>, b: Tensor<D>, dtype: DType, what: &str) {
    // Sums of up to a thousand terms of order one.
    let tolerance = if dtype == DType::F64 { 1e-11 } else { 2e-4 };
    let numbers = |t: Tensor<D>| t.into_data_as::<f64>().try_to_vec::<f64>().unwrap();
    for (a, b) in numbers(a).into_iter().zip(numbers(b)) {
        assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{what}: found {a}, expected {b}");
    }
}

/// Rows, units, hidden units, and how many rows each row of x, of the start and of the logits serves.
const SIZES: [[usize; 6]; 7] = [
    [1, 1, 1, 1, 1, 1],
    [6, 13, 5, 3, 1, 1],
    [6, 40, 16, 1, 2, 2],
    [20, 33, 17, 1, 20, 20],
    [20, 33, 17, 20, 1, 1],
    [45, 64, 150, 1, 5, 1],
    [130, 70, 40, 10, 1, 1],
];

fn for_each_size(check: impl Fn([usize; 6], UnitOrder, DType)) {
    for dtype in [DType::F32, DType::F64] {
        for size in SIZES {
            check(size, UnitOrder::index(), dtype);
            check(size, UnitOrder::random(size[1], Key::new(7)), dtype);
        }
    }
}

#[test]
fn the_fused_score_and_the_tensor_operations_are_the_same_function() {
    for_each_size(|[n, d, h, k_x, k_start, k_product], order, dtype| {
        let scan = scan(d, h, order, dtype);
        let (start, product) = (matrix([n / k_start, h], 3, dtype), matrix([n / k_product, d], 4, dtype));
        let bias = matrix([1, d], 5, dtype).squeeze_dim::<1>(0);
        // Bits, and values between 0 and 1: a NADE scores intensities as means.
        for x in [bits([n / k_x, d], 6, dtype), matrix([n / k_x, d], 6, dtype).abs()] {
            let fused = score(x.clone(), start.clone(), product.clone(), bias.clone(), &scan);
            let plain = score_by_tensors(x, start.clone(), product.clone(), bias.clone(), &scan);
            assert_close(fused.log_prob, plain.log_prob, dtype, "log-probability");
            assert_close(fused.trace, plain.trace, dtype, "error");
        }
    });
}

#[test]
fn the_fused_gradient_and_the_tensor_operations_are_the_same_function() {
    for_each_size(|[n, d, h, k_x, k_start, _], order, dtype| {
        let scan = scan(d, h, order, dtype);
        let (start, errors) = (matrix([n / k_start, h], 3, dtype), matrix([n, d], 4, dtype));
        for x in [bits([n / k_x, d], 6, dtype), matrix([n / k_x, d], 6, dtype)] {
            let fused = gradient(x.clone(), start.clone(), errors.clone(), &scan);
            let plain = gradient_by_tensors(x, start.clone(), errors.clone(), &scan);
            assert_close(fused.encoder, plain.encoder, dtype, "W");
            assert_close(fused.decoder, plain.decoder, dtype, "V");
            assert_close(fused.start, plain.start, dtype, "start");
        }
    });
}

#[test]
fn the_fused_sampler_and_the_tensor_operations_are_the_same_function() {
    for_each_size(|[n, d, h, _, k_start, k_product], order, dtype| {
        let scan = scan(d, h, order, dtype);
        let (start, product) = (matrix([n / k_start, h], 3, dtype), matrix([n / k_product, d], 4, dtype));
        let bias = matrix([1, d], 5, dtype).squeeze_dim::<1>(0);
        let draws = Draws::new(Key::new(2), n, 1);
        let marked: Vec<bool> = (0..n).map(|i| i % 3 == 1).collect();
        for defence in [None, Some(marked.as_slice())] {
            let fused = draw(start.clone(), product.clone(), bias.clone(), &scan, &draws, defence);
            let plain = draw_by_tensors(start.clone(), product.clone(), bias.clone(), &scan, &draws, defence);
            // A unit whose uniform equals its mean to rounding could differ; here no unit does.
            assert_eq!(fused.x.clone().into_data(), plain.x.into_data());
            assert_close(fused.scored.log_prob.clone(), plain.scored.log_prob, dtype, "log-probability");
            assert_close(fused.scored.trace, plain.scored.trace, dtype, "error");
            // A sample has the same score under `score` as under `draw`.
            let scored = score(fused.x, start.clone(), product.clone(), bias.clone(), &scan);
            assert_close(fused.scored.log_prob, scored.log_prob, dtype, "log-probability");
        }
    });
}

#[test]
fn a_gradient_does_not_depend_on_the_number_of_threads() {
    let scan = scan(50, 75, UnitOrder::index(), DType::F32);
    let (x, start, errors) =
        (bits([40, 50], 1, DType::F32), matrix([40, 75], 2, DType::F32), matrix([40, 50], 3, DType::F32));
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let found = pool.install(|| gradient(x.clone(), start.clone(), errors.clone(), &scan));
        [found.encoder, found.decoder, found.start].map(Tensor::into_data)
    };
    assert_eq!(with(1), with(2));
    assert_eq!(with(1), with(5));
}

#[test]
fn one_unit_by_hand() {
    // H = 1, d = 2: l₀ = b₀ + σ(c) v₀, l₁ = b₁ + σ(c + x₀ w₀) v₁.
    let of = |values: &[f64], shape: [usize; 2]| {
        Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), (&Device::flex(), DType::F64))
    };
    let scan = Scan {
        encoder: of(&[0.7, 9.0], [2, 1]),
        decoder: of(&[1.5, -2.0], [2, 1]),
        order: UnitOrder::index(),
    };
    let sigmoid = |a: f64| 1.0 / (1.0 + (-a).exp());
    let (c, b) = (0.3, [0.2, -0.1]);
    let x = of(&[1.0, 0.0, 0.0, 1.0], [2, 2]);
    let scored = score(x, of(&[c], [1, 1]), of(&[0.0, 0.0], [1, 2]), of(&b, [1, 2]).squeeze_dim(0), &scan);
    let l0 = b[0] + sigmoid(c) * 1.5;
    let expected = [
        sigmoid(l0).ln() + sigmoid(-(b[1] - 2.0 * sigmoid(c + 0.7))).ln(),
        sigmoid(-l0).ln() + sigmoid(b[1] - 2.0 * sigmoid(c)).ln(),
    ];
    for (found, expected) in scored.log_prob.into_data().iter::<f64>().zip(expected) {
        assert!((found - expected).abs() < 1e-14, "found {found}, expected {expected}");
    }
}
