//! Operations, one by one.

use burn::tensor::{Tensor, activation};
use helmholtz_core::{Draws, Key};
use helmholtz_ops::hidden::Activation;
use helmholtz_ops::{bernoulli, darn, hidden, log_weights, noise, order::UnitOrder, product, rows, sigmoid};

use helmholtz_zoo::check::{DoctorCheck, On, Outputs};

const GROUP: &str = "operation";
/// Allows for single precision and for another order of summation.
const TOLERANCE: f64 = 1e-5;
/// Widths for which kernels have been wrong: none is a multiple of four, and one is a single column.
pub(super) const WIDTHS: [usize; 5] = [1, 7, 10, 13, 50];

/// All operations.
pub(super) fn checks() -> Vec<DoctorCheck> {
    let mut checks = vec![
        operation("product", |on, out| {
            // Every pair of widths, as inner and outer sizes, and the sizes of a step.
            for k in WIDTHS {
                for m in WIDTHS {
                    multiply(on, out, [6, k, m]);
                }
            }
            for shape in [[1, 784, 1], [100, 784, 200], [60, 200, 784], [300, 50, 1], [1, 1, 300]] {
                multiply(on, out, shape);
            }
        }),
        operation("product, transposed", |on, out| {
            for (n, k, m) in [(60, 7, 13), (300, 50, 1), (100, 1, 10), (60, 200, 784)] {
                let (y, e) = (on.matrix("y", [n, k]), on.matrix("e", [n, m]));
                out.put(format!("[{n}, {k}]' x [{n}, {m}]"), y.clone().transpose().matmul(e));
                let w = on.matrix("w", [m, k]);
                out.put(format!("[{n}, {k}] x [{m}, {k}]'"), y.matmul(w.transpose()));
            }
        }),
        operation("product of bits", |on, out| {
            // The product, by tables on `flex`, and its difference from Burn's own; odd sizes, and a mean subtracted.
            for (n, k, m) in [(100, 200, 784), (131, 97, 65), (64, 785, 50)] {
                let (w, e) = (on.matrix("w", [k, m]), on.matrix("e", [n, m]));
                let centred = on.bits("y", [n, k]) - on.matrix("centre", [1, k]);
                for (name, y) in [("bits", on.bits("y", [n, k])), ("centred", centred)] {
                    let name = format!("{name} [{n}, {k}] and {m} columns");
                    let products = [
                        (product::ab(y.clone(), w.clone()), y.clone().matmul(w.clone()), k),
                        (product::atb(y.clone(), e.clone()), y.transpose().matmul(e.clone()), n),
                    ];
                    for (found, own, terms) in products {
                        // A sum grows as the square root of the number of its terms.
                        let size = (terms as f64).sqrt();
                        out.put(format!("{name}, {terms} terms, off"), (found.clone() - own) / size);
                        out.put(format!("{name}, {terms} terms"), found / size);
                    }
                }
                let weights = on.matrix("weights", [1, n]).squeeze_dim(0);
                let (weighed, sums) = product::weighed_atb(on.bits("y", [n, k]), weights, e);
                out.put(format!("weighed [{n}, {k}]' x [{n}, {m}]"), weighed);
                out.put(format!("sums of [{n}, {m}]"), sums.unsqueeze::<2>());
            }
        }),
        operation("elementwise", |on, out| {
            for d in WIDTHS {
                let a = on.matrix("a", [9, d]) * 12.0;
                out.put(format!("sigmoid {d}"), sigmoid(a.clone()));
                out.put(format!("softplus {d}"), activation::softplus(a.clone(), 1.0));
                out.put(format!("log of 1 + exp(-|a|) {d}"), a.clone().abs().neg().exp().log1p());
                out.put(format!("tanh {d}"), a.clone().tanh());
                out.put(format!("sums of rows {d}"), a.clone().sum_dim(1));
                out.put(format!("sums of columns {d}"), a.sum_dim(0));
            }
        }),
        operation("log weights", |on, out| {
            for k in WIDTHS {
                let w = on.matrix("w", [9, k]) * 60.0;
                out.put(format!("log sum {k}"), log_weights::log_sum_exp(w.clone()));
                out.put(format!("log mean {k}"), log_weights::log_mean_exp(w.clone()));
                let normal = log_weights::normalise(w.clone());
                out.put(format!("normalised {k}"), normal.clone());
                out.put(format!("effective share {k}"), log_weights::effective_share(normal));
                if k > 1 {
                    out.put(format!("mean of the others {k}"), log_weights::mean_of_others(w.clone()));
                    out.put(format!("log sum of the others {k}"), log_weights::log_sum_of_others(w));
                }
            }
        }),
        operation("rows", |on, out| {
            for d in WIDTHS {
                let (e, w) = (on.matrix("e", [60, d]), on.vector("w", 60));
                for k in [1, 5] {
                    let (weighed, sums) = rows::weigh(e.clone(), w.clone(), k);
                    out.put(format!("weighed {d}, in groups of {k}"), weighed);
                    out.put(format!("sums {d}, in groups of {k}"), sums);
                    out.put(format!("groups of {k}, {d}"), rows::sum_groups(e.clone(), k));
                    out.put(format!("repeated {d}, {k} times"), rows::repeat_rows(e.clone(), k));
                }
                out.put(format!("sum of squares {d}"), rows::sum_of_squares(e));
            }
        }),
        operation("uniforms and normals", |on, out| {
            for d in WIDTHS {
                let draws = Draws::of_rows(Key::new(3), vec![5, 0, 1 << 40], 4);
                out.put(format!("uniforms {d}"), noise::uniform(&draws, d, on.dtype, &on.device));
                out.put(format!("normals {d}"), noise::normal(&draws, d, on.dtype, &on.device));
            }
        }),
        operation("bernoulli", |on, out| {
            for d in WIDTHS.into_iter().chain([784]) {
                let (x, product) = (on.bits("x", [4, d]), on.matrix("l", [12, d]) * 6.0);
                let bias = on.vector("b", d);
                let scored = bernoulli::score(x.clone(), product.clone(), bias.clone());
                out.put(format!("log p {d}"), scored.log_prob);
                out.put(format!("errors {d}"), scored.trace);
                out.put(format!("table {d}"), bernoulli::log_prob_table(x, product.clone(), bias.clone()));
                let more = bernoulli::score(on.bits("more x", [24, d]), product.clone(), bias.clone());
                out.put(format!("log p of more x {d}"), more.log_prob);
                out.put(format!("errors of more x {d}"), more.trace);
                let draws = Draws::new(Key::new(4), 12, 2);
                let marked: Vec<bool> = (0..24).map(|i| i % 3 == 0).collect();
                for (defence, name) in [(None, "draw"), (Some(&marked[..]), "defended draw")] {
                    let drawn = bernoulli::draw(product.clone(), bias.clone(), &draws, defence);
                    out.put(format!("{name} {d}"), drawn.x);
                    out.put(format!("log p of a {name} {d}"), drawn.scored.log_prob);
                    out.put(format!("errors of a {name} {d}"), drawn.scored.trace);
                }
            }
        }),
        operation("bernoulli, infinite logits", |on, out| {
            let x = on.bits("x", [1, 8]);
            let signs = x.clone() * 2.0 - 1.0;
            let zeros = Tensor::zeros([8], (&on.device, on.dtype));
            for (name, l) in [("right", signs.clone() * f64::INFINITY), ("wrong", signs * f64::NEG_INFINITY)]
            {
                let scored = bernoulli::score(x.clone(), l, zeros.clone());
                out.put(format!("log p on the {name} side"), scored.log_prob);
                out.put(format!("errors on the {name} side"), scored.trace);
            }
        }),
        operation("sums of units before", |on, out| {
            for d in WIDTHS {
                for order in [UnitOrder::index(), UnitOrder::random(d, Key::new(6))] {
                    let (x, w) = (on.bits("x", [9, d]), on.matrix("w", [d, d]));
                    let name = if order.is_index() { "by index" } else { "in random order" };
                    out.put(format!("{name} {d}"), darn::product(x, w, &order));
                }
            }
        }),
    ];
    for (name, f) in
        [("relu", Activation::Relu), ("tanh", Activation::Tanh), ("logistic", Activation::Sigmoid)]
    {
        checks.push(operation(format!("hidden units, {name}"), move |on, out| {
            for d in WIDTHS {
                let (l, bias) = (on.matrix("l", [40, d]) * 4.0, on.vector("b", d));
                let a = hidden::forward(l, bias, f);
                out.put(format!("forward {d}"), a.clone());
                let (back, sums) = hidden::backward(on.matrix("delta", [40, d]), a, f);
                out.put(format!("back {d}"), back);
                out.put(format!("sums {d}"), sums);
            }
        }));
    }
    checks
}

fn operation(name: impl Into<String>, compute: impl Fn(&On, &mut Outputs) + 'static) -> DoctorCheck {
    DoctorCheck::new(GROUP, name, TOLERANCE, compute)
}

fn multiply(on: &On, out: &mut Outputs, [n, k, m]: [usize; 3]) {
    let product = on.matrix("a", [n, k]).matmul(on.matrix("b", [k, m]));
    out.put(format!("[{n}, {k}] x [{k}, {m}]"), product);
}
