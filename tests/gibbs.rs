//! The Gibbs sampler of the bidirectional Helmholtz machine is compared with its exact transition matrix.
//!
//! Importance resampling chooses state s with probability `n_s w_s / Σ n w`, where the counts n are multinomial under
//! the distributions of the proposals. Since `1 / W = ∫ exp(-t W) dt`, the expectation of that probability over the
//! counts is a single integral over t. It is exact for every number of proposals, so the transition matrix needs no
//! sampling.

use burn::tensor::{DType, Tensor};
use helmholtz_core::{Key, Layerwise, enumerate_bits};
use helmholtz_directed::{HelmholtzMachine, LayerKind};
use helmholtz_eval::{ExactLikelihood, Reading};
use helmholtz_samplers::{Chains, Gibbs, GibbsError, Known, OneShot};
use helmholtz_tests::{device, either, row, sbn, stack_of, values};

/// Sizes of the layers, from the data up: 64 joint states.
const SIZES: [usize; 3] = [3, 2, 1];
const STATES: usize = 64;

fn model() -> HelmholtzMachine {
    sbn(SIZES[0], &SIZES[1..], 41)
}

/// A component of the proposals: their number and their distribution over the states.
struct Component {
    n: usize,
    law: Vec<f64>,
}

/// Random weights of the states: each is the mean of `terms` independent draws from a discrete distribution.
struct Weights {
    /// For each state, pairs of probability and value.
    of: Vec<Vec<(f64, f64)>>,
    terms: usize,
}

impl Weights {
    fn known(weights: Vec<f64>) -> Self {
        Weights { of: weights.into_iter().map(|w| vec![(1.0, w)]).collect(), terms: 1 }
    }

    /// `E exp(-t w)` and `E w exp(-t w)` for a state.
    fn transforms(&self, state: usize, t: f64) -> (f64, f64) {
        let m = self.terms as f64;
        let part = |f: &dyn Fn(f64) -> f64| -> f64 { self.of[state].iter().map(|&(p, v)| p * f(v)).sum() };
        let one = part(&|v| (-t * v / m).exp());
        let rest = one.powi(self.terms as i32 - 1);
        (one * rest, part(&|v| v * (-t * v / m).exp()) * rest)
    }
}

/// The distribution of the state that importance resampling chooses.
fn resampled(components: &[Component], weights: &Weights) -> Vec<f64> {
    let states = weights.of.len();
    let mut law = vec![0.0; states];
    // t = exp(y): the integrand falls off doubly exponentially above and exponentially below, and the trapezoid
    // rule on y converges geometrically.
    let step = 0.02;
    for i in -2500..600 {
        let t = (f64::from(i) * step).exp();
        let transforms: Vec<(f64, f64)> = (0..states).map(|s| weights.transforms(s, t)).collect();
        let phi = |c: &Component| c.law.iter().zip(&transforms).map(|(p, (e, _))| p * e).sum::<f64>();
        let phis: Vec<f64> = components.iter().map(phi).collect();
        for (c, component) in components.iter().enumerate() {
            let rest: f64 = components
                .iter()
                .zip(&phis)
                .enumerate()
                .map(|(d, (other, phi))| phi.powi(other.n as i32 - i32::from(c == d)))
                .product();
            for s in 0..states {
                law[s] += component.n as f64 * component.law[s] * transforms[s].1 * rest * t * step;
            }
        }
    }
    let total: f64 = law.iter().sum();
    assert!((total - 1.0).abs() < 1e-9, "the integral is off by {:e}", total - 1.0);
    law
}

/// The bits of state `s` of layer `l`.
fn bits(l: usize, s: usize) -> Tensor<2> {
    enumerate_bits(SIZES[l], s as u64, 1, DType::F64, &device())
}

fn all_bits(l: usize) -> Tensor<2> {
    enumerate_bits(SIZES[l], 0, 1 << SIZES[l], DType::F64, &device())
}

/// Tables of log-probabilities between neighbouring layers: `[l][state of l + 1][state of l]`, and the reverse.
struct Exact {
    /// `log p(hₗ | hₗ₊₁)`; the prior last, as a single row.
    down: Vec<Vec<Vec<f64>>>,
    /// `log q(hₗ | hₗ₋₁)`: `[l - 1][state of l - 1][state of l]`.
    up: Vec<Vec<Vec<f64>>>,
    /// `log p̃*(x)`.
    tilde: Vec<f64>,
    /// p* of the joint states; x varies fastest.
    star: Vec<f64>,
}

impl Exact {
    fn of(model: &HelmholtzMachine) -> Self {
        let top = SIZES.len() - 1;
        let rows = |l: usize, f: &dyn Fn(Tensor<2>) -> Tensor<1>| -> Vec<Vec<f64>> {
            (0..1 << SIZES[l]).map(|s| values(f(bits(l, s)))).collect()
        };
        let mut down: Vec<_> = (0..top)
            .map(|l| rows(l + 1, &|above| model.log_generative(l, all_bits(l), Some(above))))
            .collect();
        down.push(vec![values(model.log_generative(top, all_bits(top), None))]);
        let up: Vec<_> =
            (1..=top).map(|l| rows(l - 1, &|below| model.log_recognition(l, all_bits(l), below))).collect();
        let exact = ExactLikelihood::default();
        let tilde = exact.score(model, all_bits(0), Reading::Bidirectional).unwrap();
        let log_z2 = exact.log_z2(model).unwrap();
        let star = (0..STATES)
            .map(|joint| {
                let [x, a, b] = split(joint);
                let p = down[0][a][x] + down[1][b][a] + down[2][0][b];
                let q = up[0][x][a] + up[1][a][b];
                (0.5 * (p + q + tilde[x]) - log_z2).exp()
            })
            .collect();
        Exact { down, up, tilde, star }
    }

    /// The distribution of a new h₁.
    fn first(&self, [x, _, b]: [usize; 3], n: usize) -> Vec<f64> {
        let of_p: Vec<f64> = self.down[1][b].iter().map(|log_p| log_p.exp()).collect();
        let of_q: Vec<f64> = self.up[0][x].iter().map(|log_q| log_q.exp()).collect();
        let weights = (0..1 << SIZES[1]).map(|a| {
            let root = self.down[0][a][x] + self.down[1][b][a] + self.up[0][x][a] + self.up[1][a][b];
            (0.5 * root).exp() / mixture(n, of_p[a], of_q[a])
        });
        let weights = Weights::known(weights.collect());
        resampled(&halves(n, of_p, of_q), &weights)
    }

    /// The distribution of a new h₂.
    fn second(&self, [_, a, _]: [usize; 3], n: usize) -> Vec<f64> {
        let of_p: Vec<f64> = self.down[2][0].iter().map(|log_p| log_p.exp()).collect();
        let of_q: Vec<f64> = self.up[1][a].iter().map(|log_q| log_q.exp()).collect();
        let weights = (0..1 << SIZES[2]).map(|b| {
            let root = self.down[1][b][a] + self.down[2][0][b] + self.up[1][a][b];
            (0.5 * root).exp() / mixture(n, of_p[b], of_q[b])
        });
        let weights = Weights::known(weights.collect());
        resampled(&halves(n, of_p, of_q), &weights)
    }

    /// Values of `√(p / q)`, each with the probability q of its latents. The estimate of `√p̃*(x)` is a mean of them.
    fn roots(&self, x: usize) -> impl Iterator<Item = (f64, f64)> {
        let pairs = (0..1 << SIZES[1]).flat_map(|a| (0..1 << SIZES[2]).map(move |b| (a, b)));
        pairs.map(move |(a, b)| {
            let p = self.down[0][a][x] + self.down[1][b][a] + self.down[2][0][b];
            let q = self.up[0][x][a] + self.up[1][a][b];
            (q.exp(), (0.5 * (p - q)).exp())
        })
    }

    /// The distribution of a new x that keeps the `known` bits of the old one.
    fn observed(&self, [x, a, _]: [usize; 3], gibbs: Gibbs, known: usize) -> Vec<f64> {
        let mut law = vec![0.0; 1 << SIZES[0]];
        for (proposed, log_p) in self.down[0][a].iter().enumerate() {
            law[proposed & !known | x & known] += log_p.exp();
        }
        let of = (0..1 << SIZES[0]).map(|x| {
            let scale = (0.5 * (self.up[0][x][a] - self.down[0][a][x])).exp();
            self.roots(x).map(|(p, root)| (p, scale * root)).collect()
        });
        let weights = Weights { of: of.collect(), terms: gibbs.inner };
        resampled(&[Component { n: gibbs.proposals, law }], &weights)
    }

    /// p* after one sweep.
    fn after_a_sweep(&self, gibbs: Gibbs) -> Vec<f64> {
        let mut between = vec![0.0; STATES];
        for (joint, p) in self.star.iter().enumerate() {
            let [x, _, b] = split(joint);
            for (a, share) in self.first(split(joint), gibbs.proposals).into_iter().enumerate() {
                between[join([x, a, b])] += p * share;
            }
        }
        let mut after = vec![0.0; STATES];
        // The distributions of a new x and of a new h₂ depend only on h₁.
        for a in 0..1 << SIZES[1] {
            let p: f64 = (0..STATES).filter(|&joint| split(joint)[1] == a).map(|joint| between[joint]).sum();
            let seconds = self.second([0, a, 0], gibbs.proposals);
            for (x, of_x) in self.observed([0, a, 0], gibbs, 0).into_iter().enumerate() {
                for (b, of_b) in seconds.iter().enumerate() {
                    after[join([x, a, b])] += p * of_x * of_b;
                }
            }
        }
        after
    }
}

fn split(joint: usize) -> [usize; 3] {
    [joint & 7, joint >> 3 & 3, joint >> 5]
}

fn join([x, a, b]: [usize; 3]) -> usize {
    x | a << 3 | b << 5
}

fn mixture(n: usize, p: f64, q: f64) -> f64 {
    let from_q = n / 2;
    ((n - from_q) as f64 * p + from_q as f64 * q) / n as f64
}

fn halves(n: usize, p: Vec<f64>, q: Vec<f64>) -> [Component; 2] {
    [Component { n: n - n / 2, law: p }, Component { n: n / 2, law: q }]
}

fn total_variation(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0
}

/// The first n of the given chains.
fn first(chains: &Chains, n: usize) -> Chains {
    Chains { layers: chains.layers.iter().map(|layer| layer.clone().slice(0..n)).collect() }
}

/// n chains in one joint state.
fn chains(joint: usize, n: usize) -> Chains {
    let layers = split(joint).into_iter().enumerate().map(|(l, s)| bits(l, s).repeat_dim(0, n));
    Chains { layers: layers.collect() }
}

/// The number of times that each state of a layer occurs.
fn counts(layer: Tensor<2>) -> Vec<f64> {
    let [_, d] = layer.dims();
    let mut counts = vec![0.0; 1 << d];
    for row in values(layer).chunks_exact(d) {
        counts[row.iter().enumerate().map(|(j, bit)| (*bit as usize) << j).sum::<usize>()] += 1.0;
    }
    counts
}

/// Checks that each count agrees with the distribution `law` within 5 standard deviations.
fn assert_follows(counts: &[f64], law: &[f64], what: &str) {
    let n: f64 = counts.iter().sum();
    for (s, (count, p)) in counts.iter().zip(law).enumerate() {
        let z = (count - n * p) / (n * p * (1.0 - p)).sqrt().max(1e-9);
        assert!(z.abs() < 5.0, "{what}: state {s} occurs {count} times, expected {:.1}, z = {z:.1}", n * p);
    }
}

#[test]
fn layers_follow_the_exact_transition_probabilities() {
    // 14 probabilities from each of 3 states for 2 numbers of proposals, 5 standard deviations: the false-alarm
    // probability is below 5e-5.
    let model = model();
    let exact = Exact::of(&model);
    for gibbs in [Gibbs { proposals: 2, inner: 1 }, Gibbs { proposals: 7, inner: 3 }] {
        for joint in [5, 26, 47] {
            let (chains, key) = (chains(joint, either(5000, 20_000)), Key::new(joint as u64));
            let at = |l: usize| format!("{gibbs:?}, layer {l} from state {joint}");
            let first = gibbs.latents(&model, &chains, 1, key).unwrap();
            assert_follows(&counts(first), &exact.first(split(joint), gibbs.proposals), &at(1));
            let second = gibbs.latents(&model, &chains, 2, key).unwrap();
            assert_follows(&counts(second), &exact.second(split(joint), gibbs.proposals), &at(2));
            let x = gibbs.observed(&model, &chains, None, key).unwrap();
            assert_follows(&counts(x), &exact.observed(split(joint), gibbs, 0), &at(0));
        }
    }
}

#[test]
fn the_law_of_the_machine_is_invariant_as_proposals_grow() {
    let exact = Exact::of(&model());
    assert!((exact.star.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let deviation = |gibbs| total_variation(&exact.after_a_sweep(gibbs), &exact.star);
    for inner in [1, 10] {
        let found = [10, 100, 1000].map(|proposals| deviation(Gibbs { proposals, inner }));
        println!(
            "{inner} inner samples: total variation from p* after a sweep, 10, 100, 1000 proposals: {found:?}"
        );
        assert!(found[0] < 0.1 && found[2] > 0.0);
        // Of order 1/N.
        for pair in found.windows(2) {
            assert!((7.0..14.0).contains(&(pair[0] / pair[1])), "{found:?}");
        }
    }
    // Without the factor √p̃*(x) in the weights, the invariant distribution would be proportional to √(p q), which is
    // another one.
    let roots = |joint: usize| exact.star[joint] * (-0.5 * exact.tilde[split(joint)[0]]).exp();
    let total: f64 = (0..STATES).map(roots).sum();
    let other: Vec<f64> = (0..STATES).map(|joint| roots(joint) / total).collect();
    let away = total_variation(&other, &exact.star);
    println!("without √p̃*(x) in the weights the invariant distribution would be {away:.3} away from p*");
    assert!(away > 0.1);
}

#[test]
#[ignore = "nightly: another test checks each transition probability"]
fn a_long_chain_visits_states_as_often_as_the_law_says() {
    // 400 chains of 60 sweeps from a fixed state: the total deviation of 64 frequencies. States 10 sweeps apart are
    // nearly independent here, so that about 1600 independent states are seen. Noise alone gives √(64 / 1600) / 2.
    let model = model();
    let exact = Exact::of(&model);
    let gibbs = Gibbs { proposals: 20, inner: 5 };
    let mut state = chains(0, 400);
    let mut seen = vec![0.0; STATES];
    for sweep in 0..60u64 {
        state = gibbs.sweep(&model, &state, None, Key::new(9).child(sweep)).unwrap();
        if sweep >= 20 {
            let layers: Vec<Vec<f64>> = state.layers.iter().map(|layer| values(layer.clone())).collect();
            for chain in 0..400 {
                let number = |l: usize| {
                    let d = SIZES[l];
                    layers[l][chain * d..(chain + 1) * d]
                        .iter()
                        .enumerate()
                        .map(|(j, bit)| (*bit as usize) << j)
                        .sum()
                };
                seen[join([number(0), number(1), number(2)])] += 1.0 / 16_000.0;
            }
        }
    }
    let deviation = total_variation(&seen, &exact.star);
    println!("total variation of 16 000 visited states from p*: {deviation:.3}");
    assert!(deviation < 0.06, "{deviation}");
}

#[test]
fn known_units_stay_and_the_others_follow_their_conditional() {
    let model = model();
    let exact = Exact::of(&model);
    let gibbs = Gibbs { proposals: 6, inner: 2 };
    let (joint, mask, n) = (26, 0b010, either(5000, 20_000));
    let state = chains(joint, n);
    let known = Known { mask: row(&[0, 1, 0]), values: state.x() };
    let x = gibbs.observed(&model, &state, Some(&known), Key::new(2)).unwrap();
    let kept = values(x.clone().slice([0..n, 1..2]));
    assert!(kept.iter().all(|&bit| bit == values(state.x())[1]), "a known unit changed");
    assert_follows(&counts(x), &exact.observed(split(joint), gibbs, mask), "known units");
    // If all units are known, nothing changes.
    let all = Known { mask: row(&[1, 1, 1]), values: state.x() };
    let x = gibbs.observed(&model, &state, Some(&all), Key::new(2)).unwrap();
    assert_eq!(values(x), values(state.x()));
}

#[test]
fn one_shot_samples_follow_their_exact_distribution_and_approach_that_of_the_machine() {
    let model = model();
    let exact = Exact::of(&model);
    let law = |oversample: usize, inner: usize| {
        let p = (0..STATES).map(|joint| {
            let [x, a, b] = split(joint);
            exact.down[0][a][x] + exact.down[1][b][a] + exact.down[2][0][b]
        });
        let p: Vec<f64> = p.collect();
        let of = (0..STATES).map(|joint| {
            let [x, a, b] = split(joint);
            let scale = (0.5 * (exact.up[0][x][a] + exact.up[1][a][b] - p[joint])).exp();
            exact.roots(x).map(|(share, root)| (share, scale * root)).collect()
        });
        let weights = Weights { of: of.collect(), terms: inner };
        resampled(&[Component { n: oversample, law: p.iter().map(|p| p.exp()).collect() }], &weights)
    };
    let sampler = OneShot { oversample: 4, inner: 2 };
    let found = sampler.sample(&model, 20_000, Key::new(6)).unwrap();
    let mut of_x = vec![0.0; 8];
    law(4, 2).iter().enumerate().for_each(|(joint, p)| of_x[split(joint)[0]] += p);
    assert_follows(&counts(found.x()), &of_x, "one shot");
    let deviations = [1, 10, 100].map(|n| total_variation(&law(n, 10), &exact.star));
    println!("one shot: total variation from p* with 1, 10, 100 draws: {deviations:?}");
    assert!(deviations.is_sorted_by(|a, b| *a > 5.0 * b));
}

#[test]
fn chains_repeat_go_on_and_do_not_depend_on_other_chains() {
    for (_, kind) in LayerKind::ALL {
        let model = stack_of(kind, 5, &[3, 2], 43);
        let gibbs = Gibbs { proposals: 5, inner: 2 };
        let key = Key::new(4);
        let start = OneShot { oversample: 3, inner: 2 }.sample(&model, 6, key).unwrap();
        let run = |start: &Chains, sweeps: std::ops::Range<u64>| {
            sweeps.fold(start.clone(), |state, t| gibbs.sweep(&model, &state, None, key.child(t)).unwrap())
        };
        let bits = |chains: &Chains| chains.layers.iter().cloned().map(values).collect::<Vec<_>>();
        let whole = bits(&run(&start, 0..6));
        assert_eq!(whole, bits(&run(&run(&start, 0..2), 2..6)), "{kind:?}: stopped and gone on");
        let two = first(&start, 2);
        for (two, six) in bits(&run(&two, 0..6)).iter().zip(&whole) {
            assert_eq!(two[..], six[..two.len()], "{kind:?}: two chains of six");
        }
        // So many proposals that six chains need two blocks, and one chain alone needs one.
        let gibbs = Gibbs { proposals: 3000, inner: 1 };
        let shot = OneShot { oversample: 3000, inner: 1 };
        let sweep = |start: &Chains| bits(&gibbs.sweep(&model, start, None, key).unwrap());
        for (one, six) in sweep(&first(&start, 1)).iter().zip(&sweep(&start)) {
            assert_eq!(one[..], six[..one.len()], "{kind:?}: one chain of six");
        }
        let samples = |n: usize| bits(&shot.sample(&model, n, key).unwrap());
        for (two, six) in samples(2).iter().zip(&samples(6)) {
            assert_eq!(two[..], six[..two.len()], "{kind:?}: two samples of six");
        }
    }
}

#[test]
fn what_cannot_be_sampled_is_refused() {
    let model = model();
    let state = chains(0, 2);
    let few = Gibbs { proposals: 1, inner: 4 };
    assert!(matches!(few.sweep(&model, &state, None, Key::new(0)), Err(GibbsError::TooFew { .. })));
    let nade = stack_of(LayerKind::Nade, 3, &[2, 1], 1);
    let known = Known { mask: row(&[1, 0, 0]), values: state.x() };
    let gibbs = Gibbs { proposals: 4, inner: 1 };
    assert_eq!(
        gibbs.sweep(&nade, &state, Some(&known), Key::new(0)).unwrap_err(),
        GibbsError::Autoregressive
    );
    assert!(gibbs.sweep(&nade, &state, None, Key::new(0)).is_ok());
    let plain = stack_of(LayerKind::Nade, 3, &[], 1);
    let state = Chains::new(state.x(), Vec::new());
    assert_eq!(gibbs.sweep(&plain, &state, None, Key::new(0)).unwrap_err(), GibbsError::NoLatents);
}
