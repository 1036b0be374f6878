//! Strategies against each other, from the same weights, on the same rows, at the same cost.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use helmholtz_core::{Draws, Evaluator, Key, Role, Score, Trainable};
use helmholtz_datasets::{DataSet, ImageShape, Plan, SplitName};
use helmholtz_eval::{ImportanceSampling, Reading, ZeroWeight, summarise};
use helmholtz_ops::into_f64;
use helmholtz_zoo::{BoxedEvaluator, BoxedModel, TrainingRows};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::descent::{Descent, no_number};
use super::out::Out;
use super::plan::{Flags, Race, check_shared};
use crate::assemble;
use crate::commands::score::{PART, chosen_rows, cross_entropy, exact_log_probs, is_closed_form};
use crate::config::Config;
use crate::error::{OrUser, user};
use crate::memory_limit;

/// The results of a race.
pub(super) struct Run {
    /// Data and model, in words.
    pub(super) what: String,
    pub(super) protocol: String,
    pub(super) data_sha256: String,
    /// What the models are judged by, in words.
    pub(super) judged_by: String,
    /// The score that the judge computes.
    pub(super) score: Score,
    /// The lowest possible score, if it is known.
    pub(super) entropy: Option<f64>,
    pub(super) budget: (f64, &'static str),
    pub(super) shape: ImageShape,
    pub(super) runners: Vec<Runner>,
}

/// A strategy with its seeds.
pub(super) struct Runner {
    pub(super) strategy: String,
    /// Whether it trains the bidirectional machine rather than p.
    pub(super) is_bidirectional: bool,
    pub(super) samples: usize,
    pub(super) seeds: Vec<Course>,
}

/// One seed of a strategy.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Course {
    pub(super) seed: u64,
    /// Cost in the unit of the budget, and the model's score at that cost.
    pub(super) curve: Vec<(f64, f64)>,
    /// Monte Carlo error of the last score; zero for an exact score.
    pub(super) se: f64,
    pub(super) steps: u64,
    pub(super) seconds: f64,
    /// Seconds of judging, which are not charged.
    pub(super) judging: f64,
    pub(super) evaluations: u64,
    /// The step at which the bound, or the likelihood of a test row, was not finite, if there was one.
    pub(super) broken: Option<u64>,
    /// Ancestral samples, or their means, `[n, d]`.
    pub(super) samples: Vec<f32>,
}

/// Number of samples shown of each model.
pub(super) const SHOWN: usize = 25;
/// Maximum number of latent bits for judging by the distribution of the data, if it is known.
const LAW_BITS: usize = 16;
/// Maximum number of latent bits for judging test rows by enumeration.
const EXACT_BITS: usize = 12;

enum Judge {
    /// The cross-entropy on the distribution that the data are drawn from.
    Law,
    /// Test rows, by enumeration.
    Exact(Vec<usize>),
    /// Test rows, by importance sampling.
    Samples(Vec<usize>, ImportanceSampling),
    /// Test rows, by the family's own score, for models without latents that a recognition net proposes.
    Own(Vec<usize>, BoxedEvaluator),
}

impl Judge {
    fn new(race: &Race, config: &Config, data: &DataSet, model: &BoxedModel) -> Self {
        let bits = if is_closed_form(model) { 0 } else { model.latent_bits().unwrap_or(usize::MAX) };
        let rows = chosen_rows(data, SplitName::Test, Some(race.rows as usize));
        let own = config.spec.model.evaluator(race.samples as usize, &TrainingRows::of(&data.train));
        match (&data.law, bits) {
            _ if own.measures() != Score::NLL => Judge::Own(rows, own),
            (Some(_), bits) if bits <= LAW_BITS => Judge::Law,
            _ if model.latent_for("").is_err() => Judge::Own(rows, own),
            (_, bits) if bits <= EXACT_BITS => Judge::Exact(rows),
            _ => Judge::Samples(rows, ImportanceSampling::new(race.samples as usize)),
        }
    }

    fn words(&self) -> String {
        match self {
            Judge::Law => {
                "exact cross-entropy on the distribution of the data, every state enumerated".into()
            }
            Judge::Exact(rows) => {
                format!("exact -log p of {} test rows, every latent state enumerated", rows.len())
            }
            Judge::Samples(rows, sampling) => {
                format!("-log p of {} test rows, {} importance samples each", rows.len(), sampling.samples)
            }
            Judge::Own(rows, evaluator) => {
                format!("{} of {} test rows", evaluator.measures().title, rows.len())
            }
        }
    }

    fn measures(&self) -> Score {
        match self {
            Judge::Own(_, evaluator) => evaluator.measures(),
            _ => Score::NLL,
        }
    }

    /// The mean over rows, and its Monte Carlo error if that is known.
    fn score(&self, model: &BoxedModel, data: &DataSet) -> anyhow::Result<(f64, f64)> {
        let batch = |rows: &[usize]| data.fixed(SplitName::Test).select(rows).batch(&model.device());
        match self {
            Judge::Law => {
                let law = data.law.as_ref().expect("the judge was chosen by it");
                Ok((cross_entropy(model, law, Reading::Directed)?, 0.0))
            }
            Judge::Exact(rows) => {
                let log_probs = exact_log_probs(model, &batch(rows), Reading::Directed)?;
                Ok((-log_probs.iter().sum::<f64>() / log_probs.len() as f64, 0.0))
            }
            Judge::Samples(rows, sampling) => {
                let numbers: Arc<[u64]> = rows.iter().map(|&row| row as u64).collect();
                let key = Key::new(0).child(Role::Evaluate).child(data.protocol().as_str());
                let latent = model.latent_for("the race judges by samples of such latents").or_user()?;
                let found = summarise(&sampling.estimate(latent, batch(rows).whole(), numbers, key)?);
                Ok((found.nll, found.se_mc))
            }
            Judge::Own(rows, evaluator) => {
                let key = Key::new(0).child(Role::Evaluate).child(data.protocol().as_str());
                let whole = data.fixed_batch(SplitName::Test, &model.device()).or_user()?;
                let prepared = evaluator.prepare(model, key.child(Role::Partition));
                let scores = rows
                    .chunks(PART)
                    .flat_map(|rows| into_f64(evaluator.score(model, &prepared, &whole.select(rows), key)));
                Ok((scores.sum::<f64>() / rows.len() as f64, 0.0))
            }
        }
    }
}

/// A race whose plan is checked and whose data are loaded.
pub(super) struct Prepared<'a> {
    race: &'a Race,
    /// Each strategy with the configs of its seeds.
    entrants: Vec<(&'a str, Vec<Config>)>,
    data: DataSet,
    judge: Judge,
}

/// Resolves and checks everything at once, so that nothing is refused after hours of work.
///
/// # Errors
/// If a config makes no sense, or the data are missing.
pub(super) fn prepare<'a>(
    race: &'a Race,
    flags: &Flags,
    seeds: Option<u64>,
    data_dir: Option<&Path>,
) -> anyhow::Result<Prepared<'a>> {
    let first_seed = race.first_seed(flags)?;
    let seeds: Vec<u64> = (0..seeds.unwrap_or(race.seeds)).map(|i| first_seed.saturating_add(i)).collect();
    let mut entrants: Vec<(&str, Vec<Config>)> = Vec::new();
    for strategy in &race.strategies {
        let mut configs = Vec::new();
        for &seed in &seeds {
            let config = race.of(strategy, seed, flags)?;
            check(&config, strategy)?;
            let first = entrants.first().map_or(&config, |(_, first)| &first[0]);
            check_shared(&flags.place, strategy, &config, first)?;
            configs.push(config);
        }
        entrants.push((strategy, configs));
    }
    let first = &entrants[0].1[0];
    let data = assemble::data(first, data_dir)?;
    let device = crate::device::select(&first.run.device)?;
    for (_, configs) in &entrants {
        memory_limit::check_training(&configs[0], &data, &device)?;
    }
    let judge = Judge::new(race, first, &data, &assemble::model(first, &data, &device)?);
    Ok(Prepared { race, entrants, data, judge })
}

impl Prepared<'_> {
    /// Runs every strategy with every seed, except for seeds that `out` has kept; `number` is that of the race.
    ///
    /// # Errors
    /// If a model cannot be judged, or a file cannot be written.
    pub(super) fn run(&self, number: usize, out: &Out, mut say: impl FnMut(&str)) -> anyhow::Result<Run> {
        let Prepared { race, entrants, data, judge } = self;
        let budget = race.budget.amount();
        let mut runners = Vec::new();
        for (strategy, configs) in entrants {
            let spec = &configs[0].spec.strategy;
            let samples = spec.samples();
            let mut runner = Runner {
                strategy: strategy.to_string(),
                is_bidirectional: spec.reading() == Reading::Bidirectional,
                samples,
                seeds: Vec::new(),
            };
            for config in configs {
                let (name, key) = (format!("race-{number}-{strategy}-{}", config.seed), self.key(config));
                let kept = out.kept(&name, &key);
                let was_kept = if kept.is_some() { ", kept from before" } else { "" };
                let course = match kept {
                    Some(course) => course,
                    None => {
                        let is_first = runners.is_empty() && runner.seeds.is_empty();
                        let mut tell = |judging: f64| {
                            if is_first {
                                say(&format!(
                                    "  each run is judged {} times, about {judging:.1} s in all, not charged",
                                    race.judged + 1
                                ));
                            }
                        };
                        let course = course(config, data, judge, (budget, race.judged), &mut tell)?;
                        // JSON has no NaN, and a run that ends on it is short.
                        if course.broken.is_none() {
                            out.keep(&name, &key, &course)?;
                        }
                        course
                    }
                };
                let nll = course.nll();
                let how = course.broken.map_or(String::new(), |step| format!(", not finite at step {step}"));
                say(&format!(
                    "  {strategy:<9} K = {samples:<3} seed {}: {nll:.4}   ({} steps, {:.1} s{how}{was_kept})",
                    config.seed, course.steps, course.seconds
                ));
                runner.seeds.push(course);
            }
            runners.push(runner);
        }
        let first = &entrants[0].1[0];
        Ok(Run {
            what: format!("{} on {}", first.spec.model.in_words(data.train.width()), data.protocol()),
            protocol: data.protocol(),
            data_sha256: data.data_sha256.clone(),
            judged_by: judge.words(),
            score: judge.measures(),
            entropy: data.law.as_ref().filter(|_| matches!(judge, Judge::Law)).map(|law| law.entropy()),
            budget,
            shape: data.shape,
            runners,
        })
    }
}

impl Prepared<'_> {
    /// The command that trains what a strategy trained, for as long as usual; `None` if flags cannot say it.
    pub(super) fn train_command(&self, strategy: &str) -> Option<String> {
        let (_, configs) = self.entrants.iter().find(|(name, _)| *name == strategy)?;
        let config = configs.first()?;
        // The sizes of other models have no flags of their own.
        config.spec.model.table().get("layers")?;
        let layers: Vec<String> = config.spec.model.layers().iter().map(ToString::to_string).collect();
        let model = config.spec.model.kind();
        let layers = if layers.is_empty() { "''".to_owned() } else { layers.join(",") };
        Some(format!(
            "helmholtz train --dataset {} --model {model} --layers {layers} --strategy {strategy} --lr {}",
            config.data.id, config.optimizer.lr
        ))
    }

    /// A hash of all that decides a run: version, settings, budget, judge and data.
    fn key(&self, config: &Config) -> String {
        let Race { budget, judged, samples, rows, .. } = self.race;
        let version = env!("CARGO_PKG_VERSION");
        let of = format!(
            "{version}\n{budget:?} {judged} {samples} {rows}\n{}\n{}",
            self.data.data_sha256,
            config.to_toml()
        );
        Sha256::digest(of).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn check(config: &Config, strategy: &str) -> anyhow::Result<()> {
    if config.optimizer.schedule != "constant" || !config.stage.is_empty() {
        return Err(user(format!(
            "[[race]], {strategy}: a run ends when its budget is spent, so its number of steps is not known before; \
             leave [[stage]] out, and optimizer.schedule at constant"
        )));
    }
    Ok(())
}

/// Trains until the budget is spent. Only the steps are charged, not judging or other work around them. After the first
/// judgement, `tell` hears how many seconds all of them will take.
fn course(
    config: &Config,
    data: &DataSet,
    judge: &Judge,
    ((budget, unit), judged): ((f64, &'static str), usize),
    tell: &mut dyn FnMut(f64),
) -> anyhow::Result<Course> {
    let rows = data.train.rows();
    let plan = Plan::of_epochs(rows, config.train.batch.min(rows), 1 << 32);
    let mut descent = Descent::new(config, data, plan)?;
    let (mut seconds, mut evaluations, mut steps) = (0.0, 0u64, 0u64);
    let clock = Instant::now();
    let (nll, mut se) = judge.score(&descent.model(), data)?;
    let mut judging = clock.elapsed().as_secs_f64();
    tell(judging * (judged + 1) as f64);
    let mut curve = vec![(0.0, nll)];
    // Denser at the beginning, where curves are steep.
    let at = |i: usize| budget * (i as f64 / judged as f64).powi(2);
    let mut next = 1;
    let mut broken = None;
    while next <= judged && broken.is_none() {
        let feed = descent.feed.clone();
        for share in burn::data::dataloader::DataLoader::iter(&feed) {
            let share = share.map_err(|error| anyhow::anyhow!("{error}"))?;
            let clock = Instant::now();
            let output = descent.step(share)?;
            seconds += clock.elapsed().as_secs_f64();
            evaluations += output.evaluations;
            steps += 1;
            let cost = if unit == "seconds" { seconds } else { evaluations as f64 };
            if cost < at(next) {
                continue;
            }
            let is_finite = no_number(&output).is_none();
            let clock = Instant::now();
            let judgement = match is_finite.then(|| judge.score(&descent.model(), data)).transpose() {
                // A test row has no probability, or parameters are no longer finite.
                Err(error) if error.is::<ZeroWeight>() => None,
                judgement => judgement?,
            };
            judging += clock.elapsed().as_secs_f64();
            let Some((nll, of_samples)) = judgement.filter(|(nll, _)| nll.is_finite()) else {
                broken = Some(steps);
                curve.push((cost, f64::NAN));
                break;
            };
            curve.push((cost, nll));
            se = of_samples;
            while next <= judged && cost >= at(next) {
                next += 1;
            }
            if next > judged {
                break;
            }
        }
    }
    let model = descent.model();
    let draws = Draws::new(Key::new(config.seed).child("shown"), SHOWN, 1);
    // Grey values are shown as drawn; for bits, the means show more.
    let means = model.chained().is_some_and(|chained| chained.observed_are_independent())
        || model.drawn().is_some_and(|drawn| drawn.units_are_independent());
    let samples = model.draw(&draws, means).or_user()?;
    let samples = samples.into_data().convert::<f32>().iter::<f32>().collect();
    Ok(Course { seed: config.seed, curve, se, steps, seconds, judging, evaluations, broken, samples })
}

impl Run {
    /// Whether a run ended with a score that is not finite.
    pub(super) fn is_broken(&self) -> bool {
        self.runners.iter().flat_map(|runner| &runner.seeds).any(|course| course.broken.is_some())
    }

    /// The entries of the JSON object.
    pub(super) fn json(&self) -> Vec<Value> {
        let (budget, unit) = self.budget;
        let of_course = |runner: &Runner, course: &Course| {
            json!({
                "strategy": runner.strategy, "k": runner.samples, "seed": course.seed, "data": self.protocol,
                "budget": {(unit): budget}, "score": self.score.name, "unit": self.score.unit, "nll": course.nll(), "se": course.se, "curve": course.curve,
                "steps": course.steps, "seconds": course.seconds, "model_evaluations": course.evaluations,
                "no_number_at_step": course.broken,
            })
        };
        let of_runner =
            |runner: &Runner| runner.seeds.iter().map(|c| of_course(runner, c)).collect::<Vec<_>>();
        self.runners.iter().flat_map(of_runner).collect()
    }
}

impl Course {
    /// The final score; NaN if it is not finite.
    pub(super) fn nll(&self) -> f64 {
        self.curve.last().map_or(f64::NAN, |point| point.1)
    }
}

impl Runner {
    /// Mean over the seeds, and half the width of its 95 % confidence interval, which needs two seeds.
    pub(super) fn mean(&self) -> (f64, Option<f64>) {
        interval(&self.seeds.iter().map(Course::nll).collect::<Vec<_>>(), Level::Shown)
    }

    /// Cost and score at each judgement, means over the seeds; without the first, which the weights at the start have.
    pub(super) fn mean_curve(&self) -> Vec<(f64, f64)> {
        let shortest = self.seeds.iter().map(|seed| seed.curve.len()).min().unwrap_or(0);
        let n = self.seeds.len() as f64;
        let mean = |i: usize, of: fn(&(f64, f64)) -> f64| {
            self.seeds.iter().map(|seed| of(&seed.curve[i])).sum::<f64>() / n
        };
        (1..shortest).map(|i| (mean(i, |point| point.0), mean(i, |point| point.1))).collect()
    }

    /// How much higher it ends than another strategy, seed by seed: both begin with the same weights and see the same
    /// rows.
    pub(super) fn minus(&self, other: &Runner, level: Level) -> (f64, Option<f64>) {
        let pairs = self.seeds.iter().zip(&other.seeds);
        interval(&pairs.map(|(mine, its)| mine.nll() - its.nll()).collect::<Vec<_>>(), level)
    }
}

/// How sure an interval is.
#[derive(Clone, Copy)]
pub(super) enum Level {
    /// 95 %, in tables.
    Shown,
    /// 99 %, for claims, which should hold for other seeds, too.
    Claimed,
}

/// The mean of numbers, and half the width of its confidence interval, which takes at least two.
fn interval(values: &[f64], level: Level) -> (f64, Option<f64>) {
    let n = values.len();
    let mean = values.iter().sum::<f64>() / n as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let half = (n > 1).then(|| student(n - 1, level) * (squares / (n - 1) as f64 / n as f64).sqrt());
    (mean, half.filter(|half| half.is_finite()))
}

/// The two-sided 95 % and 99 % points of Student's t distribution, by degrees of freedom (tables; beyond them within 1 %).
fn student(degrees: usize, level: Level) -> f64 {
    const POINTS: [[f64; 12]; 2] = [
        [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179],
        [63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169, 3.106, 3.055],
    ];
    match (POINTS[level as usize].get(degrees - 1), level) {
        (Some(point), _) => *point,
        // Cornish and Fisher's expansion about the normal point.
        (None, Level::Shown) => 1.96 + 2.372 / degrees as f64,
        (None, Level::Claimed) => 2.576 + 5.3 / degrees as f64,
    }
}
