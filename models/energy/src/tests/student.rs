//! Products of Student-t experts, compared with quadrature.

use std::f64::consts::PI;

use helmholtz_core::{Batch, Draws, EnergyModel, Gradients, Tractable};

use super::gradient::{flat, slopes};
use super::*;
use crate::student::{StudentT, StudentTError};

fn model(filters: &[f64], alphas: &[f64]) -> Result<StudentT, StudentTError> {
    let n = alphas.len();
    let logs: Vec<f64> = alphas.iter().map(|alpha| alpha.ln()).collect();
    StudentT::new(tensor(filters.to_vec(), [filters.len() / n, n]), tensor(logs, [n]))
}

fn two() -> StudentT {
    model(&[1.2, -0.4, 0.5, 0.9], &[1.6, 2.3]).unwrap()
}

/// Points of the plane with weights: `x = tan θ` on both axes, by the midpoint rule in θ.
fn plane() -> (Tensor<2>, Vec<f64>) {
    let n = 700;
    let angle = |i: usize| PI * ((i as f64 + 0.5) / n as f64 - 0.5);
    let cells = || (0..n).flat_map(|i| (0..n).map(move |j| (angle(i), angle(j))));
    let points: Vec<f64> = cells().flat_map(|(a, b)| [a.tan(), b.tan()]).collect();
    let area = (PI / n as f64).powi(2);
    let weights = cells().map(|(a, b)| area / (a.cos() * b.cos()).powi(2)).collect();
    (tensor(points, [n * n, 2]), weights)
}

#[test]
fn the_density_is_that_of_its_definition_and_integrates_to_the_partition_function() {
    let model = two();
    let (points, weights) = plane();
    let densities = into_f64((-model.free_energy(points.clone())).exp());
    let by_definition: Vec<f64> = into_f64(points)
        .chunks(2)
        .map(|x| {
            let u = [1.2 * x[0] + 0.5 * x[1], -0.4 * x[0] + 0.9 * x[1]];
            (1.0 + u[0] * u[0]).powf(-1.6) * (1.0 + u[1] * u[1]).powf(-2.3)
        })
        .collect();
    assert_close(&densities, &by_definition, 1e-12);
    let z: f64 = densities.iter().zip(weights).map(|(density, weight)| density * weight).sum();
    let log_z = model.log_partition().unwrap();
    assert!((z.ln() - log_z).abs() < 1e-4, "{} for {log_z}", z.ln());
    // One expert with alpha = 1 is a Cauchy law.
    assert!((self::model(&[2.0], &[1.0]).unwrap().log_partition().unwrap() - (PI / 2.0).ln()).abs() < 1e-12);
}

#[test]
fn gradients_are_those_of_central_differences() {
    let model = model(&[1.2, -0.4, 0.3, 0.5, 0.9, -1.1], &[1.6, 2.3, 0.4]).unwrap();
    let (x, weights) = (tensor(vec![0.3, -1.2, 2.0, 0.7, -0.1, 0.4], [3, 2]), [0.5, -0.7, 1.1]);
    let mut gradients = Gradients::new();
    let energies = model.free_energy_gradient(x.clone(), tensor(weights.to_vec(), [3]), &mut gradients);
    assert_close(&into_f64(energies), &into_f64(model.free_energy(x.clone())), 1e-13);
    let found = flat(&model, &gradients);
    let weighed = |model: &StudentT| -> f64 {
        into_f64(model.free_energy(x.clone())).iter().zip(weights).map(|(energy, w)| energy * w).sum()
    };
    assert_eq!(found.len(), 9);
    assert_close(&found, &slopes(&model, weighed), 1e-7);
}

#[test]
fn samples_have_the_law() {
    let (model, n) = (two(), 100_000);
    let x = model.sample(&Draws::new(Key::new(81), n, 1)).unwrap();
    let (points, weights) = plane();
    let log_z = model.log_partition().unwrap();
    let p: Vec<f64> = into_f64((-model.free_energy(points.clone()) - log_z).exp());
    // Means of bounded functions, since variances of x need not exist.
    for f in [
        |x: &[f64]| 1.0 / (1.0 + x[0] * x[0]),
        |x: &[f64]| 1.0 / (1.0 + (x[1] - 0.5).powi(2)),
        |x: &[f64]| (x[0] * x[1]).tanh(),
    ] {
        let exact: f64 = into_f64(points.clone())
            .chunks(2)
            .zip(p.iter().zip(&weights))
            .map(|(x, (p, w))| f(x) * p * w)
            .sum();
        let found = into_f64(x.clone()).chunks(2).map(f).sum::<f64>() / n as f64;
        // Five standard errors of a function in [-1, 1]: a false alarm in 2 million.
        assert!((found - exact).abs() < 5.0 / (n as f64).sqrt(), "{found} for {exact}");
    }
}

#[test]
fn products_that_cannot_be_normalised_are_refused_with_the_reason() {
    let refused = |independent| StudentTError::NotNormalisable { independent, dimensions: 2 };
    // Fewer experts than dimensions; dependent filters; one alpha too small.
    assert_eq!(model(&[1.0, 2.0], &[2.0]).unwrap_err(), refused(1));
    assert_eq!(model(&[1.0, 2.0, 2.0, 4.0], &[2.0, 2.0]).unwrap_err(), refused(1));
    assert_eq!(model(&[1.0, 0.0, 0.0, 1.0], &[2.0, 0.5]).unwrap_err(), refused(1));
    let text = refused(1).to_string();
    assert!(text.contains("1 experts with independent filters and alpha > 1/2 for 2 dimensions"), "{text}");
    // A third expert does not harm, but has no closed form.
    let three = model(&[1.0, 0.0, 1.0, 0.0, 1.0, 1.0], &[2.0, 1.5, 0.1]).unwrap();
    assert_eq!(three.log_partition(), Err(StudentTError::NotSquare { experts: 3, dimensions: 2 }));
    // Training can lose the law.
    let mut lost = two();
    lost.log_alpha = burn::module::Param::from_tensor(tensor(vec![0.4f64.ln(), 2.0], [2]));
    assert_eq!(lost.log_partition(), Err(refused(1)));
    // Then nothing has a likelihood, and nothing panics.
    let batch = Batch::of(tensor(vec![0.3, -1.2, 2.0, 0.7], [2, 2]));
    assert_eq!(into_f64(lost.log_prob(&batch)), [f64::NEG_INFINITY; 2]);
    let mut gradients = Gradients::new();
    let found = lost.likelihood_gradient(&batch, tensor(vec![0.5; 2], [2]), &mut gradients);
    assert_eq!(into_f64(found), [f64::NEG_INFINITY; 2]);
    assert!(flat(&lost, &gradients).iter().all(|value| value.is_nan()));
}

#[test]
fn gradients_of_the_likelihood_are_those_of_central_differences() {
    let three = model(&[1.2, -0.4, 0.3, 0.5, 0.9, -1.1, 0.2, 0.7, 1.4], &[1.6, 2.3, 0.55]).unwrap();
    for (model, d) in [(two(), 2), (three, 3)] {
        let x = [0.3, -1.2, 2.0, 0.7, -0.1, 0.4, 5.0, -3.0, 0.2, 1.0, 0.8, -0.6];
        let (batch, weights) = (Batch::of(tensor(x[..4 * d].to_vec(), [4, d])), [0.5, -0.7, 1.1, 0.2]);
        let mut gradients = Gradients::new();
        let found = model.likelihood_gradient(&batch, tensor(weights.to_vec(), [4]), &mut gradients);
        assert_close(&into_f64(found), &into_f64(model.log_prob(&batch)), 1e-13);
        let loss = |model: &StudentT| -> f64 {
            -into_f64(model.log_prob(&batch)).iter().zip(weights).map(|(log_p, w)| log_p * w).sum::<f64>()
        };
        // The second derivative of log Γ is 400 at 0.05, which the last expert is above 1/2.
        assert_close(&flat(&model, &gradients), &slopes(&model, loss), 1e-5);
    }
}
