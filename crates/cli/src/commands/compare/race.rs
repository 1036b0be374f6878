//! Strategies against each other, from the same weights, on the same rows, at the same cost.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use helmholtz_core::{Draws, Evaluator, Key, Role, Score, Trainable};
use helmholtz_datasets::{DataSet, ImageShape, Plan, SplitName};
use helmholtz_eval::{ImportanceSampling, Reading, ZeroWeight, summarise};
use helmholtz_ops::into_f64;
use helmholtz_zoo::{BoxedEvaluator, BoxedModel};
use serde_json::{Value, json};

use super::descent::{Descent, no_number};
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
pub(super) struct Course {
    pub(super) seed: u64,
    /// Cost in the unit of the budget, and the model's score at that cost.
    pub(super) curve: Vec<(f64, f64)>,
    /// Monte Carlo error of the last score; zero for an exact score.
    pub(super) se: f64,
    pub(super) steps: u64,
    pub(super) seconds: f64,
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
        let own = config.spec.model.evaluator(race.samples as usize);
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
    /// Runs every strategy with every seed.
    ///
    /// # Errors
    /// If a model cannot be judged.
    pub(super) fn run(&self, mut say: impl FnMut(&str)) -> anyhow::Result<Run> {
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
                let course = course(config, data, judge, (budget, race.judged))?;
                let nll = course.nll();
                let how = course.broken.map_or(String::new(), |step| format!(", not finite at step {step}"));
                say(&format!(
                    "  {strategy:<9} K = {samples:<3} seed {}: {nll:.4}   ({} steps, {:.1} s{how})",
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

fn check(config: &Config, strategy: &str) -> anyhow::Result<()> {
    if config.optimizer.schedule != "constant" || !config.stage.is_empty() {
        return Err(user(format!(
            "[[race]], {strategy}: a run ends when its budget is spent, so its number of steps is not known before; \
             leave [[stage]] out, and optimizer.schedule at constant"
        )));
    }
    Ok(())
}

/// Trains until the budget is spent. Only the steps are charged, not judging or other work around them.
fn course(
    config: &Config,
    data: &DataSet,
    judge: &Judge,
    ((budget, unit), judged): ((f64, &'static str), usize),
) -> anyhow::Result<Course> {
    let rows = data.train.rows();
    let plan = Plan::of_epochs(rows, config.train.batch.min(rows), 1 << 32);
    let mut descent = Descent::new(config, data, plan)?;
    let (mut seconds, mut evaluations, mut steps) = (0.0, 0u64, 0u64);
    let (nll, mut se) = judge.score(&descent.model(), data)?;
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
            let judgement = match is_finite.then(|| judge.score(&descent.model(), data)).transpose() {
                // A test row has no probability, or parameters are no longer finite.
                Err(error) if error.is::<ZeroWeight>() => None,
                judgement => judgement?,
            };
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
    Ok(Course { seed: config.seed, curve, se, steps, seconds, evaluations, broken, samples })
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
        let n = self.seeds.len();
        let mean = self.seeds.iter().map(Course::nll).sum::<f64>() / n as f64;
        let squares: f64 = self.seeds.iter().map(|course| (course.nll() - mean).powi(2)).sum();
        let half = (n > 1).then(|| student(n - 1) * (squares / (n - 1) as f64 / n as f64).sqrt());
        (mean, half.filter(|half| half.is_finite()))
    }
}

/// The two-sided 95 % point of Student's t distribution, by degrees of freedom (tables; beyond them within 1 %).
fn student(degrees: usize) -> f64 {
    const POINTS: [f64; 12] =
        [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179];
    match POINTS.get(degrees - 1) {
        Some(point) => *point,
        // Cornish and Fisher's expansion about the normal point.
        None => 1.96 + 2.372 / degrees as f64,
    }
}
