//! log Z of models that are given by an energy: computed or estimated once for all rows.

use std::ops::Range;

use helmholtz_core::{Batch, Key, Role};
use helmholtz_datasets::DataSet;
use helmholtz_eval::{AnnealedPartition, NllSummary, Round, WithinPartition};
use helmholtz_ops::into_f64;
use helmholtz_zoo::{TrainingRows, Unnormalised};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::energy_annealing::EnergyAnnealing;
use crate::args::{AnnealingArgs, BaseWord, EvaluateArgs};
use crate::config::count;
use crate::console::say;
use crate::error::{OrUser, user};

/// Chains of annealing, and of reverse annealing for each row.
const CHAINS: (usize, usize) = (100, 10);
/// The temperatures that `--error` starts with.
const FIRST_TEMPERATURES: usize = 1000;
/// Default maximum numbers of chains and of temperatures with `--error`.
const MOST: (i64, i64) = (10_000, 100_000);
/// Rows at a time.
const ROWS: usize = 250;

/// How log Z is to be estimated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// The number of chains; with a bound on the error, the number to start with.
    pub(crate) chains: usize,
    pub(crate) by: EnergyAnnealing,
    /// The bound on the error, if there is one; then the temperatures are those to start with.
    within: Option<WithinPartition>,
    /// Chains at a time.
    pub(crate) chunk: usize,
}

/// What is known of log Z, and of the other side of the likelihood.
#[derive(Clone, Debug)]
pub(crate) struct OfEnergy {
    pub(crate) log_z: f64,
    how: LogZBy,
    /// By reverse annealing.
    reverse: Option<NllSummary>,
}

/// How log Z was found.
#[derive(Clone, Debug)]
enum LogZBy {
    /// By enumeration of so many units.
    Enumeration { units: usize },
    /// By annealing.
    Annealing(Annealed),
}

/// log Z by annealing, with what it took.
#[derive(Clone, Debug)]
pub(crate) struct Annealed {
    pub(crate) found: AnnealedPartition,
    pub(crate) chains: usize,
    by: EnergyAnnealing,
    /// What a bound on the error took; not set without one.
    rounds: Option<Vec<Round>>,
}

impl Asked {
    /// # Errors
    /// If a number is out of range.
    pub(crate) fn of(args: &EvaluateArgs, method: &str) -> anyhow::Result<Self> {
        let AnnealingArgs { chains, temperatures, .. } = args.annealing;
        let chains = positive("--chains", chains)?;
        if chains == Some(1) {
            return Err(user("--chains 1: one chain has no error estimate; use at least 2"));
        }
        let mut asked = Asked {
            chains: chains.unwrap_or(CHAINS.0),
            by: EnergyAnnealing {
                temperatures: positive("--temperatures", temperatures)?,
                base: args.base.unwrap_or_default(),
                reverse: (method == "raise").then(|| chains.unwrap_or(CHAINS.1)),
            },
            within: None,
            chunk: count("--batch-rows", args.batch_rows)?.max(1),
        };
        if let Some(error) = args.error {
            let first = asked.by.temperatures.unwrap_or(FIRST_TEMPERATURES);
            asked.by.temperatures = Some(first);
            asked.within = Some(within(error, [asked.chains, first], args.annealing)?);
        }
        if asked.by.base == BaseWord::Uniform {
            tracing::warn!(
                "--base uniform: from fair coins annealing can miss much of a machine's mass, and the NLL then comes \
                 out many nats too low with a small error; the default begins at the means of the data"
            );
        }
        Ok(asked)
    }

    /// What a run reports when it ends.
    pub(crate) fn usual() -> Self {
        let by = EnergyAnnealing { temperatures: None, base: BaseWord::Data, reverse: None };
        Asked { chains: CHAINS.0, by, within: None, chunk: ROWS }
    }
}

fn positive(flag: &str, value: Option<i64>) -> anyhow::Result<Option<usize>> {
    match value.map(|value| count(flag, value)).transpose()? {
        Some(0) => Err(user(format!("{flag} 0: must be at least 1"))),
        number => Ok(number),
    }
}

/// The settings of `--error`, given the chains and temperatures to start with.
fn within(
    error: f64,
    [chains, temperatures]: [usize; 2],
    args: AnnealingArgs,
) -> anyhow::Result<WithinPartition> {
    if !(error.is_finite() && error > 0.0) {
        return Err(user(format!("--error {error}: must be finite and above 0")));
    }
    let most = |flag: &str, value: Option<i64>, usual: i64, start: usize| {
        let most = count(flag, value.unwrap_or(usual.max(start as i64)))?;
        if most >= start {
            return Ok(most);
        }
        Err(user(format!("{flag} {most}: must be at least the {start} that the estimate starts with")))
    };
    Ok(WithinPartition {
        error,
        most_chains: most("--max-chains", args.max_chains, MOST.0, chains)?,
        most_temperatures: most("--max-temperatures", args.max_temperatures, MOST.1, temperatures)?,
    })
}

/// log Z by annealing, over as many temperatures and with as many chains as it takes if its error has a bound.
pub(crate) fn annealed(
    energy: &dyn Unnormalised,
    data: &DataSet,
    (asked, seed): (&Asked, u64),
    bar: &ProgressBar,
) -> OfEnergy {
    let Some(within) = asked.within else {
        let log_weights = log_weights(energy, data, asked, (0..asked.chains, seed), bar);
        return OfEnergy::of_log_weights(&log_weights, asked.by);
    };
    let first = asked.by.annealing(asked.chains).schedule.steps();
    let planned = within.estimate([asked.chains, first], |annealing, chains| {
        let by = EnergyAnnealing { temperatures: Some(annealing.schedule.steps()), ..asked.by };
        let asked = Asked { chains: annealing.chains, by, ..*asked };
        log_weights(energy, data, &asked, (chains, seed), bar)
    });
    let Round { chains, temperatures, found } = *planned.last();
    if !within.is_met(&found) {
        tracing::warn!(
            "--error {}: not reached with {chains} chains over {temperatures} temperatures (--max-chains, \
             --max-temperatures): the error of log Z is {:.4}",
            within.error,
            found.se
        );
    }
    let by = EnergyAnnealing { temperatures: Some(temperatures), ..asked.by };
    let how = LogZBy::Annealing(Annealed { found, chains, by, rounds: Some(planned.rounds) });
    OfEnergy { log_z: found.log_z, how, reverse: None }
}

/// The log weights of some of the chains; the mean of their exponentials is Z. The draws of a chain depend on its number
/// and on the seed.
pub(crate) fn log_weights(
    energy: &dyn Unnormalised,
    data: &DataSet,
    asked: &Asked,
    (chains, seed): (Range<usize>, u64),
    bar: &ProgressBar,
) -> Vec<f64> {
    let rows = TrainingRows::of(&data.train);
    let (annealing, base) = (asked.by.annealing(asked.chains), asked.by.base(&rows));
    let key = Key::new(seed).child(Role::Partition);
    let steps = annealing.schedule.steps() as u64;
    bar.set_length(steps * chains.len().div_ceil(asked.chunk) as u64);
    let firsts = chains.clone().step_by(asked.chunk);
    let parts = firsts.map(|first| first..(first + asked.chunk).min(chains.end));
    (0..)
        .zip(parts)
        .flat_map(|(i, part)| {
            energy.anneal_part(&annealing, part, &base, key, &mut |step| {
                bar.set_position(i * steps + step as u64);
            })
        })
        .collect()
}

/// log Z by enumeration.
///
/// # Errors
/// If there are too many states.
pub(crate) fn exact(energy: &dyn Unnormalised) -> anyhow::Result<OfEnergy> {
    let log_z = energy.log_partition().or_user()?;
    let how = LogZBy::Enumeration { units: energy.enumerated_units() };
    Ok(OfEnergy { log_z, how, reverse: None })
}

/// The free energy F of each row, where `log p = -F - log Z`.
pub(crate) fn free_energies(energy: &dyn Unnormalised, batch: &Batch) -> Vec<f64> {
    let parts = (0..batch.len()).step_by(ROWS).map(|first| first..(first + ROWS).min(batch.len()));
    parts.flat_map(|rows| into_f64(energy.free_energies(batch.slice(rows).whole()))).collect()
}

/// `log p` of each row, given log Z.
pub(crate) fn log_probs(energy: &dyn Unnormalised, batch: &Batch, log_z: f64) -> Vec<f64> {
    free_energies(energy, batch).into_iter().map(|energy| -energy - log_z).collect()
}

impl OfEnergy {
    /// From the log weights of all chains.
    ///
    /// # Panics
    /// If there are no chains.
    pub(crate) fn of_log_weights(log_weights: &[f64], by: EnergyAnnealing) -> Self {
        let found = AnnealedPartition::of_log_weights(log_weights);
        let how = LogZBy::Annealing(Annealed { found, chains: log_weights.len(), by, rounds: None });
        OfEnergy { log_z: found.log_z, how, reverse: None }
    }

    /// With what reverse annealing has found.
    pub(crate) fn with_reverse(self, reverse: NllSummary) -> Self {
        OfEnergy { reverse: Some(reverse), ..self }
    }

    /// What annealing has found; not set if log Z is exact.
    pub(crate) fn annealed(&self) -> Option<&Annealed> {
        match &self.how {
            LogZBy::Enumeration { .. } => None,
            LogZBy::Annealing(annealed) => Some(annealed),
        }
    }

    /// How it was annealed in the end; not set if log Z is exact.
    pub(crate) fn by(&self) -> Option<EnergyAnnealing> {
        self.annealed().map(|annealed| annealed.by)
    }

    /// Puts log Z and its error into a JSON object.
    pub(crate) fn put_log_z(&self, json: &mut Value) {
        json["log_z"] = json!(self.log_z);
        json["log_z_se"] = json!(self.annealed().map_or(0.0, |annealed| annealed.found.se));
    }

    /// How it was found, in a few words.
    pub(crate) fn in_words(&self) -> String {
        match self.annealed() {
            None => format!("log Z = {:.3}", self.log_z),
            Some(Annealed { found, .. }) => {
                format!("log Z = {:.2} ± {:.2} by annealing", self.log_z, found.se)
            }
        }
    }

    /// Puts what it knows into the JSON of an evaluation.
    pub(crate) fn put(&self, nll: f64, json: &mut Value) {
        self.put_log_z(json);
        if let Some(annealed) = self.annealed() {
            json["chains"] = json!(annealed.chains);
            json["temperatures"] = json!(annealed.temperatures());
            json["base"] = json!(annealed.by.base.word());
            if let Some(rounds) = &annealed.rounds {
                let of = |Round { chains, temperatures, found }: &Round| {
                    json!({
                        "chains": chains, "temperatures": temperatures, "log_z": found.log_z, "log_z_se": found.se,
                        "ess": found.ess,
                    })
                };
                json["rounds"] = rounds.iter().map(of).collect();
            }
        }
        if let Some(reverse) = &self.reverse {
            json["nll_raise"] = json!(reverse.nll);
            json["nll_raise_se"] = json!(reverse.se_mc);
            json["nll_raise_bias"] = json!(reverse.bias_mc);
            json["nll_raise_k"] = json!(reverse.k_max);
            json["nll_apart"] = json!(reverse.nll - nll);
        }
    }

    /// Prints what it knows.
    pub(crate) fn print(&self, nll: f64) {
        let annealed = match &self.how {
            LogZBy::Enumeration { units } => {
                say!("  log Z        {:.4} nats, exactly: a sum over 2^{units} states", self.log_z);
                return;
            }
            LogZBy::Annealing(annealed) => annealed,
        };
        annealed.print();
        let Some(reverse) = &self.reverse else {
            say!("  note         annealing can only miss mass: the NLL may be higher, by more than");
            say!("               the error says; --method raise gives the other side");
            return;
        };
        say!(
            "  reversed     NLL {:.3} ±{:.3} nats with {} chains a row, about {:.3} too high",
            reverse.nll,
            reverse.se_mc,
            reverse.k_max,
            reverse.bias_mc
        );
        say!("  apart        {:.3} nats: where both agree, both can be believed", reverse.nll - nll);
        say!("  note         reversed bounds the law that annealing ends with, not the machine's own");
    }
}

impl Annealed {
    fn temperatures(&self) -> usize {
        self.by.annealing(self.chains).schedule.steps()
    }

    fn print(&self) {
        let Annealed { found, chains, by, rounds } = self;
        let begin = match by.base {
            BaseWord::Data => "the means of the data",
            BaseWord::Uniform => "fair coins",
        };
        say!(
            "  log Z        {:.3} ±{:.3} nats; ESS {:.0} % of the chains",
            found.log_z,
            found.se,
            100.0 * found.ess
        );
        say!("  annealed     {chains} chains over {} temperatures, from {begin}", self.temperatures());
        // The last round is what the lines above say.
        let earlier = rounds.iter().flat_map(|rounds| &rounds[..rounds.len() - 1]);
        for (i, Round { chains, temperatures, found }) in earlier.enumerate() {
            let heading = if i == 0 { "before that" } else { "" };
            say!(
                "  {heading:<13}{chains} chains over {temperatures} temperatures: ±{:.3}, ESS {:.0} %",
                found.se,
                100.0 * found.ess
            );
        }
    }
}
