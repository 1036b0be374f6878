//! The check must flag recognition nets that miss a mode, and must not flag sound nets.
//!
//! Nets of both kinds come from training, and from damage to trained nets. Enumeration decides which kind a net is:
//! bad if 1000 importance samples are off by more than 0.1 nats, sound if they are off by less than 0.02. Nets in
//! between do not count. The check itself does not use enumeration here.

use std::sync::Arc;

use crate::nets::{Net, Plan};
use burn::module::Param;
use burn::tensor::{DType, Tensor, TensorData};
use helmholtz_core::{Draws, Key, LatentVariableModel, Trainable};
use helmholtz_directed::HelmholtzMachine;
use helmholtz_eval::{Check, CheckVerdict, ExactLikelihood, ImportanceSampling, summarise};
use helmholtz_tests::{device, either, values};
use helmholtz_vae::{Likelihood, Std, Vae, VaeConfig};

/// Rows that are scored.
const ROWS: usize = 200;
const SAMPLES: usize = 1000;

/// The result for a net.
struct Tried {
    name: String,
    /// By how many nats the estimate from importance samples is too low.
    off: f64,
    verdict: CheckVerdict,
}

/// Scores a net with importance samples, checks them without enumeration, and computes how far off they are.
fn tried(net: &Net, x: &Tensor<2>) -> Tried {
    let key = Key::new(7);
    let rows: Arc<[u64]> = (0..ROWS as u64).collect();
    let exact = ExactLikelihood::default().log_prob(&net.model, x.clone()).unwrap();
    let estimates = ImportanceSampling::new(SAMPLES)
        .estimate(&net.model, x.clone(), rows, key)
        .expect("rows have weight");
    let off =
        exact.iter().zip(&estimates).map(|(exact, row)| exact - row.log_prob).sum::<f64>() / ROWS as f64;
    let check = Check { enumerate: false, ..Check::new(SAMPLES) };
    let d = x.dims()[1];
    let some: Arc<[u64]> = (0..128).collect();
    let checked = check.of_bits(&net.model, x.clone().slice([0..128, 0..d]), some, [key, Key::new(8)]);
    let verdict = checked.verdict(&summarise(&estimates), |row| Some(estimates[row as usize].log_prob));
    let v = &verdict;
    println!(
        "NET {:<44} off {off:8.4} bias {:.4} shortfall {:8.4} ±{:.4} explained {:.4} missed {:7.4} ±{:.4} dreams {:7.4} \
         distinct {:6.1} visited {:5.0} {}",
        net.name,
        summarise(&estimates).bias_mc,
        v.shortfall.unwrap().mean,
        v.shortfall.unwrap().se.unwrap(),
        v.explained.unwrap(),
        v.missed.unwrap().mean,
        v.missed.unwrap().se.unwrap(),
        v.missed_of_dreams.unwrap().mean,
        v.distinct.unwrap(),
        v.visited.unwrap(),
        v.suspicion.map_or(String::new(), |why| why.to_string()),
    );
    Tried { name: net.name.clone(), off, verdict }
}

/// Number of bad nets and of flagged bad nets; number of sound nets and of flagged sound nets.
#[derive(Debug, Default)]
struct Counts {
    bad: usize,
    bad_flagged: usize,
    sound: usize,
    sound_flagged: usize,
    between: usize,
}

impl Counts {
    /// Trains the nets of some plans, and counts the results.
    fn of(plans: &[Plan]) -> Self {
        let mut counts = Counts::default();
        for plan in plans {
            let (nets, x) = plan.nets(ROWS);
            for net in &nets {
                let Tried { name, off, verdict } = tried(net, &x);
                let flagged = usize::from(verdict.suspicion.is_some());
                if off > 0.1 {
                    counts.bad += 1;
                    counts.bad_flagged += flagged;
                    if flagged == 0 {
                        println!("MISSED {name}: off by {off:.3}");
                    }
                } else if off < 0.02 {
                    counts.sound += 1;
                    counts.sound_flagged += flagged;
                    if flagged == 1 {
                        println!("FALSE ALARM {name}: off by {off:.4}");
                    }
                } else {
                    counts.between += 1;
                }
            }
        }
        counts
    }
}

/// Runs all plans in parallel on the processor's cores.
fn count(plans: &[Plan]) -> Counts {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let counts = std::thread::scope(|scope| {
        let part = |plans| scope.spawn(move || Counts::of(plans));
        let parts: Vec<_> = plans.chunks(plans.len().div_ceil(threads)).map(part).collect();
        let parts = parts.into_iter().map(|part| part.join().expect("no net fails"));
        parts.fold(Counts::default(), |a, b| Counts {
            bad: a.bad + b.bad,
            bad_flagged: a.bad_flagged + b.bad_flagged,
            sound: a.sound + b.sound,
            sound_flagged: a.sound_flagged + b.sound_flagged,
            between: a.between + b.between,
        })
    });
    println!("{counts:?}");
    counts
}

/// The thresholds were chosen with seeds 0 to 9, which no test uses.
#[test]
fn nets_that_miss_part_of_the_posterior_are_flagged_and_sound_ones_are_not() {
    let counts = count(&Plan::few(100));
    assert!(counts.bad >= either(6, 12) && counts.sound >= either(10, 24), "{counts:?}");
    assert!(counts.bad_flagged + 1 >= counts.bad && counts.sound_flagged == 0, "{counts:?}");
}

#[test]
#[ignore = "nightly: several hundred nets take minutes"]
fn of_bad_nets_95_percent_are_flagged_and_of_sound_ones_at_most_2() {
    let seeds = std::env::var("SUSPECT_SEEDS").ok();
    let first: u64 = seeds.and_then(|text| text.parse().ok()).unwrap_or(200);
    let counts = count(&Plan::all(first));
    assert!(counts.bad >= 100 && counts.sound >= 200, "{counts:?}");
    assert!(counts.bad_flagged as f64 >= 0.95 * counts.bad as f64, "{counts:?}");
    assert!(counts.sound_flagged as f64 <= 0.02 * counts.sound as f64, "{counts:?}");
}

/// The posterior has one state, which q proposes: all K draws are that state, and nothing is wrong.
#[test]
fn a_posterior_of_a_single_state_is_no_reason_for_alarm() {
    let (model, x): (HelmholtzMachine, Tensor<2>) = crate::nets::copying(ROWS);
    assert_eq!(model.observed(), 9);
    let Tried { off, verdict, .. } = tried(&Net { name: "copying".into(), model }, &x);
    assert!(off.abs() < 0.01 && verdict.distinct.unwrap() < 1.5, "{off}: {verdict:?}");
    assert_eq!(verdict.suspicion, None, "{verdict:?}");
}

/// One Gaussian latent with a linear map, whose posterior is known: q is the posterior, except for its width.
fn linear(width: f64) -> (Vae, impl Fn(&[f64]) -> f64) {
    const W: [f64; 4] = [0.9, -0.5, 0.7, 0.3];
    const V: f64 = 0.2;
    let config = VaeConfig {
        bodies: vec![vec![]],
        std: Std::Exp,
        likelihood: Likelihood::Gaussian { variance: V },
        ..VaeConfig::new(4, vec![1])
    };
    let mut vae = config.init(None, Key::new(0), &device()).unwrap();
    let set = |values: &[f64], shape: [usize; 2]| {
        Param::from_tensor(Tensor::from_data(
            TensorData::new(values.to_vec(), shape),
            (&device(), DType::F64),
        ))
    };
    let bias = |values: &[f64]| {
        let data = TensorData::new(values.to_vec(), [values.len()]);
        Param::from_tensor(Tensor::<1>::from_data(data, (&device(), DType::F64)))
    };
    let squared: f64 = W.iter().map(|w| w * w).sum();
    let variance = 1.0 / (1.0 + squared / V);
    *vae.observed.weight.as_mut().unwrap() = set(&W, [1, 4]);
    vae.observed.bias = bias(&[0.0; 4]);
    vae.centre = bias(&[0.0; 4]);
    let layer = &mut vae.recognition[0];
    layer.mean.weight = set(&W.map(|w| variance * w / V), [4, 1]);
    layer.std.weight = set(&[0.0; 4], [4, 1]);
    layer.mean.bias = bias(&[0.0]);
    layer.std.bias = bias(&[(width * variance.sqrt()).ln()]);
    // x ~ N(0, w wᵀ + v I), by the Sherman–Morrison formula.
    let log_p = move |x: &[f64]| {
        let along: f64 = x.iter().zip(W).map(|(x, w)| x * w).sum();
        let square = x.iter().map(|x| x * x).sum::<f64>() / V - variance * along * along / V / V;
        -0.5 * (square + 4.0 * (2.0 * std::f64::consts::PI * V).ln() - variance.ln())
    };
    (vae, log_p)
}

#[test]
fn real_latents_are_checked_on_dreams_alone() {
    for (width, is_sound) in [(1.0, true), (1.3, true), (0.2, false)] {
        let (vae, log_p) = linear(width);
        let (x, _) = vae.dream(&Draws::new(Key::new(3), ROWS, 1));
        let rows: Arc<[u64]> = (0..ROWS as u64).collect();
        let estimates =
            ImportanceSampling::new(SAMPLES).estimate(&vae, x.clone(), rows, Key::new(7)).unwrap();
        let exact = values(x);
        let off = exact.chunks_exact(4).zip(&estimates).map(|(x, row)| log_p(x) - row.log_prob);
        let off = off.sum::<f64>() / ROWS as f64;
        assert!(if is_sound { off.abs() < 0.02 } else { off > 0.1 }, "{width}: off by {off}");
        let checked = Check::new(SAMPLES).of_dreams(&vae, Key::new(8));
        let verdict = checked.verdict(&summarise(&estimates), |_| None);
        println!("{width}: off by {off:.4}, {verdict:?}");
        assert_eq!(verdict.suspicion.is_none(), is_sound, "{width}: {verdict:?}");
        let [lower, upper] = verdict.bounds.unwrap();
        assert!(verdict.rows == 0 && if is_sound { upper - lower < 0.02 } else { upper - lower > 0.1 });
    }
}
