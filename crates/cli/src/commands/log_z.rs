//! log Z of models that are given by an energy: computed or estimated once for all rows.

use helmholtz_core::{Batch, Key, Role};
use helmholtz_datasets::DataSet;
use helmholtz_eval::NllSummary;
use helmholtz_eval::annealing::{AnnealedPartition, Annealing, Schedule};
use helmholtz_ops::into_f64;
use helmholtz_zoo::{Base, TrainingRows, Unnormalised};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::args::{BaseWord, EvaluateArgs};
use crate::config::count;
use crate::console::say;
use crate::error::{OrUser, user};

/// Chains of annealing, and of reverse annealing for each row.
const CHAINS: (usize, usize) = (100, 10);
/// Rows at a time.
const ROWS: usize = 250;

/// How log Z is found.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) annealing: Annealing,
    /// Annealing backwards from rows; the same temperatures.
    pub(crate) reverse: Option<Annealing>,
    base: BaseWord,
    /// Chains of reverse annealing at a time.
    pub(crate) chunk: usize,
}

/// What is known of log Z, and of the other side of the likelihood.
#[derive(Clone, Debug)]
pub(crate) struct OfEnergy {
    pub(crate) log_z: f64,
    /// Not set if log Z is exact.
    pub(crate) annealed: Option<(AnnealedPartition, Asked)>,
    /// By reverse annealing.
    reverse: Option<NllSummary>,
    /// Units that were enumerated, or would be.
    units: usize,
}

impl Asked {
    /// # Errors
    /// If a number is out of range.
    pub(crate) fn of(args: &EvaluateArgs, method: &str) -> anyhow::Result<Self> {
        let number = |flag: &str, value: Option<i64>| -> anyhow::Result<Option<usize>> {
            let Some(value) = value else { return Ok(None) };
            match count(flag, value)? {
                0 => Err(user(format!("{flag} 0: must be at least 1"))),
                n => Ok(Some(n)),
            }
        };
        let chains = number("--chains", args.annealing.chains)?;
        if chains == Some(1) {
            return Err(user("--chains 1: one chain has no error estimate; use at least 2"));
        }
        let steps = number("--temperatures", args.annealing.temperatures)?;
        let schedule = steps.map_or_else(Schedule::salakhutdinov_murray, Schedule::linear);
        let of = |usual: usize| Annealing { chains: chains.unwrap_or(usual), schedule: schedule.clone() };
        let base = args.base.unwrap_or_default();
        if base == BaseWord::Uniform {
            tracing::warn!(
                "--base uniform: from fair coins annealing can miss much of a machine's mass, and the NLL then comes \
                 out many nats too low with a small error; the default begins at the means of the data"
            );
        }
        Ok(Asked {
            annealing: of(CHAINS.0),
            reverse: (method == "raise").then(|| of(CHAINS.1)),
            base,
            chunk: count("--batch-rows", args.batch_rows)?.max(1),
        })
    }

    /// What a run reports when it ends.
    pub(crate) fn usual() -> Self {
        let annealing = Annealing { chains: CHAINS.0, schedule: Schedule::salakhutdinov_murray() };
        Asked { annealing, reverse: None, base: BaseWord::Data, chunk: ROWS }
    }
}

/// log Z by annealing that begins at the means of the training rows.
pub(crate) fn annealed(
    energy: &dyn Unnormalised,
    data: &DataSet,
    (asked, seed): (&Asked, u64),
    bar: &ProgressBar,
) -> OfEnergy {
    let rows = TrainingRows::of(&data.train);
    let base = asked.base(&rows);
    bar.set_length(asked.annealing.schedule.steps() as u64);
    let key = Key::new(seed).child(Role::Partition);
    let found = energy.anneal(&asked.annealing, &base, key, &mut |step| bar.set_position(step as u64));
    let units = energy.enumerated_units();
    OfEnergy { log_z: found.log_z, annealed: Some((found, asked.clone())), reverse: None, units }
}

impl Asked {
    pub(crate) fn base<'a>(&self, rows: &'a TrainingRows) -> Base<'a> {
        match self.base {
            BaseWord::Data => Base::Data(rows),
            BaseWord::Uniform => Base::Uniform,
        }
    }
}

/// log Z by enumeration.
///
/// # Errors
/// If there are too many states.
pub(crate) fn exact(energy: &dyn Unnormalised) -> anyhow::Result<OfEnergy> {
    let log_z = energy.log_partition().or_user()?;
    Ok(OfEnergy { log_z, annealed: None, reverse: None, units: energy.enumerated_units() })
}

/// `log p` of each row, given log Z.
pub(crate) fn log_probs(energy: &dyn Unnormalised, batch: &Batch, log_z: f64) -> Vec<f64> {
    let parts = (0..batch.len()).step_by(ROWS).map(|first| first..(first + ROWS).min(batch.len()));
    let energies = parts.flat_map(|rows| into_f64(energy.free_energies(batch.slice(rows).whole())));
    energies.map(|energy| -energy - log_z).collect()
}

impl OfEnergy {
    /// With what reverse annealing has found.
    pub(crate) fn with_reverse(self, reverse: NllSummary) -> Self {
        OfEnergy { reverse: Some(reverse), ..self }
    }

    /// Puts log Z and its error into a JSON object.
    pub(crate) fn put_log_z(&self, json: &mut Value) {
        json["log_z"] = json!(self.log_z);
        json["log_z_se"] = json!(self.annealed.as_ref().map_or(0.0, |(found, _)| found.se));
    }

    /// How it was found, in a few words.
    pub(crate) fn in_words(&self) -> String {
        match &self.annealed {
            None => format!("log Z = {:.3}", self.log_z),
            Some((found, _)) => format!("log Z = {:.2} ± {:.2} by annealing", self.log_z, found.se),
        }
    }

    /// Puts what it knows into the JSON of an evaluation.
    pub(crate) fn put(&self, nll: f64, json: &mut Value) {
        self.put_log_z(json);
        if let Some((_, asked)) = &self.annealed {
            json["temperatures"] = json!(asked.annealing.schedule.steps());
            json["base"] = json!(asked.base.word());
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
        let Some((found, asked)) = &self.annealed else {
            say!("  log Z        {:.4} nats, exactly: a sum over 2^{} states", self.log_z, self.units);
            return;
        };
        let begin = match asked.base {
            BaseWord::Data => "the means of the data",
            BaseWord::Uniform => "fair coins",
        };
        say!(
            "  log Z        {:.3} ±{:.3} nats; ESS {:.0} % of the chains",
            found.log_z,
            found.se,
            100.0 * found.ess
        );
        say!(
            "  annealed     {} chains over {} temperatures, from {begin}",
            asked.annealing.chains,
            asked.annealing.schedule.steps()
        );
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
