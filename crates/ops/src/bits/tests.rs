use burn::tensor::{DType, Device, TensorData};
use proptest::prelude::*;

use super::*;

const ALL: [Instructions; 3] = [Instructions::Widest, Instructions::Avx2, Instructions::Plain];

/// Zeros and ones with a share of ones, in percent.
fn bits(n: usize, share: usize) -> Vec<f64> {
    (0..n).map(|i| f64::from(u8::from((i * 7919 + i / 13) % 101 < share))).collect()
}

fn real(n: usize) -> Vec<f64> {
    (0..n).map(|i| ((i * 40_503) % 1009) as f64 / 500.0 - 1.0).collect()
}

fn tensor(values: &[f64], shape: [usize; 2], dtype: DType) -> Tensor<2> {
    let values = TensorData::new(values.to_vec(), shape).convert_dtype(dtype);
    Tensor::from_data(values, (&Device::flex(), dtype))
}

fn values(tensor: Tensor<2>) -> Vec<f64> {
    tensor.into_data_as::<f64>().try_to_vec().unwrap()
}

/// The product by `gemm`, not by [`crate::product`], which may use tables.
fn by_multiplications(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<2> {
    a.clone().matmul(b.clone())
}

/// Checks that both are equal to rounding: sums of `k` terms of at most `largest`, in different orders.
#[track_caller]
fn close(found: Tensor<2>, expected: Tensor<2>, k: usize, largest: f64) {
    let unit = if found.dtype() == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) };
    assert_eq!(found.dims(), expected.dims());
    let bound = unit * largest * (k * k.max(4)) as f64;
    let off = values(found).iter().zip(values(expected)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(off <= bound, "{off} of {bound}");
}

/// Checks products of bits in both layouts with all instructions; the results are the same to the bit.
fn check([n, k, m]: [usize; 3], share: usize, dtype: DType) {
    let (a, b) = (tensor(&bits(n * k, share), [n, k], dtype), tensor(&real(k * m), [k, m], dtype));
    let expected = by_multiplications(&a, &b);
    let turned = tensor(&values(a.clone().transpose()), [k, n], dtype);
    let mut first = None;
    for instructions in ALL {
        for (a, is_turned) in [(&a, false), (&turned, true)] {
            let found = product(a.clone(), is_turned, b.clone(), instructions).expect("a matrix of bits");
            let data = found.to_data();
            assert_eq!(
                &data,
                first.get_or_insert(data.clone()),
                "[{n}, {k}] by [{k}, {m}], {instructions:?}"
            );
            close(found, expected.clone(), k, 1.0);
        }
    }
}

#[test]
fn products_of_bits_are_those_of_multiplications_for_every_small_shape() {
    // All pairs (n, m) with a varying k, and all pairs (k, m) with a varying n: no code depends on all three together.
    for i in 1..=70 {
        for j in 1..=70 {
            let other = (i * 31 + j * 17) % 70 + 1;
            for [n, k, m] in [[i, other, j], [other, i, j]] {
                check([n, k, m], [50, 13, 0, 101][(i + j) % 4], [DType::F32, DType::F64][j % 2]);
            }
        }
    }
}

#[test]
fn products_of_bits_are_those_of_multiplications_for_large_and_odd_shapes() {
    for [n, k, m] in
        [[1, 1000, 1], [997, 3, 5], [999, 201, 33], [131, 999, 64], [63, 785, 129], [1025, 101, 17]]
    {
        for dtype in [DType::F32, DType::F64] {
            check([n, k, m], 50, dtype);
        }
    }
}

#[test]
fn a_value_that_is_no_bit_is_found_wherever_it_stands() {
    let ([n, k, m], right) = ([96, 100, 40], real(4000));
    for place in [0, 1, 63, 64, 4999, 5000, n * k - 1] {
        for value in [0.5, -1.0, 2.0, f64::NAN, f64::INFINITY] {
            let mut left = bits(n * k, 50);
            left[place] = value;
            for dtype in [DType::F32, DType::F64] {
                let right = tensor(&right, [k, m], dtype);
                for (shape, right, turned) in
                    [([n, k], right, false), ([k, n], tensor(&real(k * m), [k, m], dtype), true)]
                {
                    let left = tensor(&left, shape, dtype);
                    assert!(
                        product(left, turned, right, Instructions::Widest).is_none(),
                        "{value} at {place}"
                    );
                }
            }
        }
    }
}

#[test]
fn data_less_its_mean_is_of_bits() {
    for dtype in [DType::F32, DType::F64] {
        for [n, k, m] in [[5, 1, 3], [100, 785, 200], [33, 70, 17]] {
            let centre = tensor(&real(k), [1, k], dtype);
            let mut data = bits(n * k, 13);
            // One unit never changes; others show their second value late.
            data.iter_mut().step_by(k).for_each(|value| *value = 1.0);
            let a = tensor(&data, [n, k], dtype) - centre;
            let b = tensor(&real(k * m), [k, m], dtype);
            let expected = by_multiplications(&a, &b);
            for instructions in ALL {
                let found = product(a.clone(), false, b.clone(), instructions).expect("two values a column");
                close(found, expected.clone(), k, 2.0);
                let errors = tensor(&real(n * m), [n, m], dtype);
                let found =
                    product(a.clone(), true, errors.clone(), instructions).expect("two values a column");
                close(found, by_multiplications(&a.clone().transpose(), &errors), n, 2.0);
            }
        }
    }
}

#[test]
fn what_is_not_finite_is_left_to_multiplications() {
    let (n, k, m) = (64, 40, 32);
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for place in [0, k * m / 2, k * m - 1] {
            let mut right = real(k * m);
            right[place] = value;
            let (a, b) = (tensor(&bits(n * k, 50), [n, k], DType::F32), tensor(&right, [k, m], DType::F32));
            assert!(product(a, false, b, Instructions::Widest).is_none());
        }
    }
}

#[test]
fn sums_do_not_depend_on_the_number_of_threads() {
    for dtype in [DType::F32, DType::F64] {
        for [n, k, m] in [[500, 300, 77], [2100, 130, 33], [1200, 65, 10]] {
            let (a, b) = (tensor(&bits(n * k, 40), [n, k], dtype), tensor(&real(k * m), [k, m], dtype));
            let of_threads = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let product = || product(a.clone(), false, b.clone(), Instructions::Widest).unwrap();
                pool.install(product).into_data()
            };
            let one = of_threads(1);
            for threads in [2, 4, 64] {
                assert_eq!(of_threads(threads), one, "{threads} threads");
            }
        }
    }
}

/// `aᵀ diag(w) b` and `wᵀ b` of a selection of rows.
fn weighed(
    a: &[f64],
    b: &[f64],
    weights: &[f64],
    terms: Option<&[usize]>,
    [n, m]: [usize; 2],
) -> (Vec<f64>, Vec<f64>) {
    let left = Left { values: a, dims: [n, weights.len()], turned: true, terms };
    let right = Right { values: b, m, weights: Some(weights) };
    multiply_and_sum(&Packed::of(left).unwrap(), right, true, Instructions::Widest).unwrap()
}

#[test]
fn rows_have_weights_and_may_be_left_out() {
    let [n, k, m] = [50, 203, 37];
    let (a, b) = (bits(k * n, 50), real(k * m));
    let weights: Vec<f64> = (0..k).map(|i| if i % 3 == 0 { 0.0 } else { (i % 7) as f64 / 7.0 }).collect();
    let (product, sums) = weighed(&a, &b, &weights, None, [n, m]);
    for (i, j) in [(0, 0), (17, 5), (49, 36)] {
        let expected: f64 = (0..k).map(|t| a[t * n + i] * weights[t] * b[t * m + j]).sum();
        assert!((product[i * m + j] - expected).abs() < 1e-12);
    }
    for (j, sum) in sums.iter().enumerate() {
        let expected: f64 = (0..k).map(|t| weights[t] * b[t * m + j]).sum();
        assert!((sum - expected).abs() < 1e-12);
    }
    let seen: Vec<usize> = (0..k).filter(|i| i % 3 != 0).collect();
    let (some, some_sums) = weighed(&a, &b, &weights, Some(&seen), [n, m]);
    let off = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(off(&some, &product) < 1e-12 && off(&some_sums, &sums) < 1e-12);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A row of bits with one bit set gives a row of the right side, to the bit.
    #[test]
    fn unit_rows_pick_rows(k in 1usize..200, m in 1usize..90, seed in 0usize..1000) {
        let right: Vec<f64> = (0..k * m).map(|i| (((i + seed) * 7907) % 2003) as f64 / 999.0 - 1.0).collect();
        let unit: Vec<f64> = (0..k * k).map(|i| f64::from(u8::from(i / k == i % k))).collect();
        let (a, b) = (tensor(&unit, [k, k], DType::F32), tensor(&right, [k, m], DType::F32));
        let found = product(a, false, b.clone(), Instructions::Widest).unwrap();
        prop_assert_eq!(found.into_data(), b.into_data());
    }

    /// A row of the product depends only on its row of bits, not on that row's place.
    #[test]
    fn rows_do_not_depend_on_those_beside_them(n in 2usize..60, k in 1usize..120, m in 1usize..50, by in 1usize..59) {
        let (left, right) = (bits(n * k, 40), tensor(&real(k * m), [k, m], DType::F32));
        let mut moved = left.clone();
        moved.rotate_left(by % n * k);
        let product = |left: &[f64]| values(product(tensor(left, [n, k], DType::F32), false, right.clone(), Instructions::Widest).unwrap());
        let mut found = product(&left);
        found.rotate_left(by % n * m);
        prop_assert_eq!(found, product(&moved));
    }
}
