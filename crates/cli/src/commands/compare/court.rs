//! Courts: gradient estimates of strategies, compared with exact gradients.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{DType, Device};
use helmholtz_core::{Batch, Key, Measure, Strategy, Trainable, map_params};
use helmholtz_court::reference::MOST_OBSERVED;
use helmholtz_court::states::MOST_BITS;
use helmholtz_court::{
    BiasOrder, CourtError, Reference, ReferenceError, Report, StatesError, Trial, Verdict, judge,
};
use helmholtz_datasets::{DataSet, Plan, SplitName};
use helmholtz_zoo::{BoxedModel, BoxedStrategy, Smooth, Support};
use serde_json::{Value, json};

use super::descent::Descent;
use super::plan::{Court, Flags, Precision, TrainedFor, check_shared};
use crate::assemble;
use crate::config::Config;
use crate::error::{OrUser, user};
use crate::memory_limit::{self, Limit};

/// The results of a court.
pub(super) struct Trials {
    /// Data, model and how the weights were trained, in words.
    pub(super) what: String,
    pub(super) protocol: String,
    pub(super) data_sha256: String,
    pub(super) rows: usize,
    pub(super) tried: Vec<Tried>,
}

/// A strategy with a number of samples at some weights.
pub(super) struct Tried {
    pub(super) strategy: String,
    pub(super) k: usize,
    /// Whether its own parameters, such as baselines, were fitted first and then held fixed.
    pub(super) settled: bool,
    pub(super) weights: &'static str,
    pub(super) seed: u64,
    pub(super) report: Report,
}

/// The probability that a court in which every strategy is right calls any of them wrong.
const FALSE_ALARM: f64 = 0.01;

/// A court whose plan is checked and whose data are loaded.
pub(super) struct Prepared<'a> {
    court: &'a Court,
    place: &'a str,
    base: Config,
    entrants: Vec<(&'a str, Config)>,
    data: DataSet,
    device: Device,
}

/// Resolves and checks everything at once, so that nothing is refused after hours of work.
///
/// # Errors
/// If a config makes no sense, the data are missing, or the model is too large.
pub(super) fn prepare<'a>(
    court: &'a Court,
    flags: &'a Flags,
    data_dir: Option<&Path>,
    mut say: impl FnMut(&str),
) -> anyhow::Result<Prepared<'a>> {
    let base = court.base(flags)?;
    let mut entrants = Vec::new();
    for strategy in &court.strategies {
        for &samples in court.samples_of(strategy) {
            // If one sample is too few for a strategy, its other K are still tried.
            match court.of(strategy, samples, flags) {
                Ok(config) => {
                    check_shared(&flags.place, strategy, &config, &base)?;
                    entrants.push((strategy.as_str(), config));
                }
                Err(error) if court.samples.len() > 1 && samples == 1 => say(&format!("left out: {error}")),
                Err(error) => return Err(error),
            }
        }
    }
    check_device(&base.run.device)?;
    let data = assemble::data(&base, data_dir)?;
    let device = crate::device::select(&base.run.device)?;
    memory_limit::check_training(&base, &data, &device)?;
    for (_, config) in &entrants {
        let rows = court.rows.min(data.train.rows());
        memory_limit::of_court(config, rows, data.train.width()).check(Limit::of(&device))?;
    }
    check_model(&base, &data, &entrants, &device)?;
    Ok(Prepared { court, place: &flags.place, base, entrants, data, device })
}

impl Prepared<'_> {
    /// Tries every strategy; with a precision again, by as many estimates as the first trial says it takes.
    ///
    /// # Errors
    /// If training fails or an estimate is not finite.
    pub(super) fn hold(
        &self,
        precision: Option<Precision>,
        mut say: impl FnMut(&str),
    ) -> anyhow::Result<Trials> {
        let Prepared { court, place, base, entrants, data, device } = self;
        let rows: Vec<usize> = (0..court.rows.min(data.train.rows())).collect();
        let batch = assemble::judged(base, data, SplitName::Train, device)?.select(&rows).cast(DType::F64);
        let cells = court.weights.len() * entrants.len();
        // A precision may take a second trial, whose verdict counts as well.
        let trials = cells * if precision.is_some() { 2 } else { 1 };
        let mut tried = Vec::new();
        for (weights, model) in trained(court, base, data)? {
            let model = map_params(model, |_, param| param.values().cast(DType::F64));
            let weights: &'static str = weights.into();
            for (strategy, config) in entrants {
                let k = config.spec.strategy.samples();
                let key = Key::new(base.seed).child("court").child(*strategy).child(k).child(weights);
                let entrant = self::strategy(config, &model)?;
                let settled = entrant.learns();
                let entrant = settle(entrant, &model, &batch, config, key.child("settle"));
                let trial =
                    Trial { false_alarm: FALSE_ALARM / trials as f64, ..Trial::new(court.estimates, key) };
                let judged = self::judged(&model, &entrant, &batch, trial);
                let report = judged.and_then(|found| match planned(&found, precision, trial) {
                    Some(trial) => self::judged(&model, &entrant, &batch, trial),
                    None => Ok(found),
                });
                let report = report.map_err(|error| {
                    let text = format!("{place}: [[court]], {strategy} with K = {k}: {error}");
                    // A number that is not finite is not the plan's fault.
                    if matches!(error, CourtError::NotFinite { .. }) {
                        anyhow::anyhow!(text)
                    } else {
                        user(text)
                    }
                })?;
                say(&format!(
                    "  {:<12} {strategy:<9} K = {k:<3} {}   ({:.1} s)",
                    weights,
                    report.verdict(),
                    report.estimates as f64 * (report.seconds_per_estimate + report.bookkeeping_per_estimate),
                ));
                let strategy = strategy.to_string();
                tried.push(Tried { strategy, k, settled, weights, seed: base.seed, report });
            }
        }
        let epochs = base.train.epochs.map_or("some steps".to_owned(), |epochs| format!("{epochs} epochs"));
        Ok(Trials {
            what: format!(
                "{} on {}, weights trained by {} for {epochs}",
                base.spec.model.in_words(data.train.width()),
                data.protocol(),
                base.spec.strategy.kind()
            ),
            protocol: data.protocol(),
            data_sha256: data.data_sha256.clone(),
            rows: rows.len(),
            tried,
        })
    }
}

/// Compares a strategy with the exact vectors that its family has for it.
fn judged(
    model: &BoxedModel,
    strategy: &BoxedStrategy,
    batch: &Batch,
    trial: Trial,
) -> Result<Report, CourtError> {
    let exact = strategy.exact(model, batch)?.ok_or(ReferenceError::NoClaim)?;
    judge(model, strategy, &*exact, batch, trial)
}

/// Planned estimates beyond those that a first trial asks for, since its standard errors are estimates too.
const RESERVE: f64 = 1.1;

/// The trial that sees as small a bias as `precision` asks for, on estimates of its own. `None` if `found` already does,
/// has found a fault, or never can because the exact gradient is zero.
fn planned(found: &Report, precision: Option<Precision>, first: Trial) -> Option<Trial> {
    let Precision { asked, most } = precision?;
    let is_faulty = matches!(found.verdict(), Verdict::Wrong);
    if is_faulty || found.resolution() <= asked || found.estimates >= most {
        return None;
    }
    let estimates = (found.estimates_for(asked)? as f64 * RESERVE).ceil().min(most as f64) as u64;
    Some(Trial { estimates, key: first.key.child("planned"), ..first })
}

/// The strategy of a config's first stage.
fn strategy(config: &Config, model: &BoxedModel) -> anyhow::Result<BoxedStrategy> {
    let mut stages = config.spec.strategies(model, config.seed).or_user()?;
    Ok(stages.swap_remove(0))
}

/// Steps that a strategy with baselines of its own takes before it is tried.
pub(super) const SETTLING: u64 = 300;

/// The strategy as it would be after some training at these weights. Its own parameters are fitted by the config's
/// optimiser while the model stays fixed, and then held.
fn settle(
    strategy: BoxedStrategy,
    model: &BoxedModel,
    batch: &Batch,
    config: &Config,
    key: Key,
) -> BoxedStrategy {
    if !strategy.learns() {
        return strategy.held().unwrap_or(strategy);
    }
    let (mut strategy, mut optimiser) = (strategy.train(), assemble::optimiser(config));
    for step in 0..SETTLING {
        let gradients = Strategy::estimate(&strategy, model, batch, key.child(step)).gradients;
        strategy = optimiser.step(config.optimizer.lr, strategy, gradients.into_params());
    }
    let strategy = strategy.valid();
    strategy.held().unwrap_or(strategy)
}

fn check_device(device: &str) -> anyhow::Result<()> {
    if ["wgpu", "vulkan"].iter().any(|name| device.starts_with(name)) {
        return Err(user(format!(
            "--device {device}: the court computes in double precision, which {device} does not have; use flex, \
             ndarray or cuda, or a plan with races only"
        )));
    }
    Ok(())
}

/// Refuses models and strategies for which the court has no exact sums.
fn check_model(
    config: &Config,
    data: &DataSet,
    entrants: &[(&str, Config)],
    device: &Device,
) -> anyhow::Result<()> {
    let wrong = |error: &dyn std::fmt::Display| Err(user(format!("[[court]] {error}")));
    let model = assemble::model(config, data, device)?;
    let observed = model.observed();
    let fits = match (model.latent_bits(), model.smooth().map(Smooth::noise_units)) {
        // Nothing is summed over: the family has its own exact vectors.
        _ if model.formula().is_some() => Ok(()),
        // So do energies, whose strategies refuse machines with too many states.
        _ if model.unnormalised().is_some() => Ok(()),
        (Some(bits), _) if bits > MOST_BITS => Err(StatesError::Bits { bits }),
        (None, Some(units)) if !(1..=2).contains(&units) => Err(StatesError::Units { units }),
        (None, None) => Err(StatesError::Neither),
        _ => Ok(()),
    };
    if let Err(error) = fits {
        return wrong(&error);
    }
    if let Err(error) = config.spec.model.check_sums() {
        return wrong(&error);
    }
    for (strategy, config) in entrants {
        let entrant = self::strategy(config, &model)?;
        if !entrant.claims() {
            return wrong(&format!("{strategy}: {}; leave it out", ReferenceError::NoClaim));
        }
        if entrant.claims_dreams() {
            if observed > MOST_OBSERVED {
                return wrong(&format!("{strategy}: {}", ReferenceError::Dreams { observed }));
            }
            if config.spec.model.support() == Support::Grey {
                return wrong(&format!(
                    "{strategy} on grey values: its exact sleep update is a sum over pictures of bits; leave it out"
                ));
            }
        }
    }
    if entrants.is_empty() {
        return wrong(&"samples: no strategy can be tried with so few; add a larger K");
    }
    Ok(())
}

/// The model at each of the requested weights.
fn trained(court: &Court, base: &Config, data: &DataSet) -> anyhow::Result<Vec<(TrainedFor, BoxedModel)>> {
    let plan = assemble::plan(base, data);
    let last = court.weights.iter().map(|&weights| steps(weights, &plan)).max().unwrap_or(0);
    let mut descent = Descent::new(base, data, plan)?;
    let mut models = Vec::new();
    let mut taken = 0;
    loop {
        let here = court.weights.iter().filter(|&&weights| steps(weights, &plan) == taken);
        models.extend(here.map(|&weights| (weights, descent.model())));
        if taken == last {
            break;
        }
        let stops: Vec<u64> = court.weights.iter().map(|&weights| steps(weights, &plan)).collect();
        taken = descent.run(|done| stops.contains(&done) && done > taken)?;
    }
    models.sort_by_key(|(weights, _)| court.weights.iter().position(|other| other == weights));
    Ok(models)
}

fn steps(weights: TrainedFor, plan: &Plan) -> u64 {
    match weights {
        TrainedFor::Fresh => 0,
        TrainedFor::HalfTrained => plan.steps / 2,
        TrainedFor::Trained => plan.steps,
    }
}

impl Trials {
    /// The entries of the JSON object.
    pub(super) fn json(&self) -> Vec<Value> {
        self.tried.iter().flat_map(Tried::json).collect()
    }

    /// Whether no strategy is wrong about its own objective.
    pub(super) fn is_right(&self) -> bool {
        self.tried.iter().all(|tried| tried.report.verdict() != Verdict::Wrong)
    }

    /// The trials with a verdict.
    pub(super) fn of_verdict(&self, verdict: Verdict) -> impl Iterator<Item = &Tried> {
        self.tried.iter().filter(move |tried| tried.report.verdict() == verdict)
    }

    /// Names of the weights, in the order of the plan.
    pub(super) fn weights(&self) -> Vec<&'static str> {
        in_order(self.tried.iter().map(|tried| tried.weights))
    }

    /// Names of the strategies, in the order of the plan.
    pub(super) fn strategies(&self) -> Vec<&str> {
        in_order(self.tried.iter().map(|tried| tried.strategy.as_str()))
    }

    /// The trials of a strategy at some weights, by K.
    pub(super) fn of<'a>(&'a self, strategy: &'a str, weights: &'a str) -> impl Iterator<Item = &'a Tried> {
        self.tried.iter().filter(move |tried| tried.strategy == strategy && tried.weights == weights)
    }

    /// How the distance of a net's gradient from its limit falls with K.
    pub(super) fn order(&self, strategy: &str, weights: &str, block: &str) -> Option<BiasOrder> {
        let measured: Vec<(usize, f64, f64)> = self
            .of(strategy, weights)
            .filter_map(|tried| {
                let (bias, se) = tried.report.finding(block, Reference::Limit)?.gap?;
                Some((tried.k, bias, se))
            })
            .collect();
        BiasOrder::fit(&measured)
    }
}

fn in_order<T: PartialEq>(names: impl Iterator<Item = T>) -> Vec<T> {
    names.fold(Vec::new(), |mut found, name| {
        if !found.contains(&name) {
            found.push(name);
        }
        found
    })
}

impl Tried {
    /// Strategy, K and weights in words.
    pub(super) fn name(&self) -> String {
        format!("{}, K = {}, {} weights", self.strategy, self.k, self.weights)
    }

    fn json(&self) -> Vec<Value> {
        let Tried { strategy, k, weights, seed, report, .. } = self;
        let of_finding = |found: &helmholtz_court::Finding| {
            json!({
                "strategy": strategy, "k": k, "weights": weights, "seed": seed, "block": found.block,
                "reference": if found.reference == Reference::Own { "own" } else { "limit" },
                "reference_norm": found.norm, "n": report.estimates, "bias": found.bias, "bias_se": found.bias_se,
                "resolution": Some(found.resolution()).filter(|share| share.is_finite()), "z": found.z, "z_critical": report.critical, "bias_visible": found.visible,
                "gap": found.gap.map(|(bias, _)| bias), "gap_se": found.gap.map(|(_, se)| se),
                "variance": found.variance, "snr": found.snr, "cosine": found.cosine, "ess": report.mean(Measure::ESS),
                "verdict": found.verdict.to_string(), "seconds_per_estimate": report.seconds_per_estimate,
                "bookkeeping_seconds": report.bookkeeping_per_estimate,
                "model_evaluations": report.evaluations,
            })
        };
        report.findings.iter().map(of_finding).collect()
    }
}
