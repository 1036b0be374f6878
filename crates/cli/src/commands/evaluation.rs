//! The result of an evaluation, as text and as JSON.

use std::path::Path;
use std::process::ExitCode;

use helmholtz_core::Score;
use serde_json::json;

use super::advice;
use super::check::Judged;
use super::score::{OfLaw, OfMachine, Scores};
use super::shard::Setting;
use super::test_rows::TestRows;
use crate::console::say;
use crate::npy;
use crate::output::write_whole;

/// The result of an evaluation, with its setting.
pub(crate) struct Evaluation {
    pub(crate) setting: Setting,
    pub(crate) scores: Scores,
    /// The score that the best epoch was chosen by, if it is not the NLL.
    pub(crate) own: Option<(Score, f64)>,
    /// Active units of each layer, if the latents are real numbers.
    pub(crate) active: Option<Vec<usize>>,
    /// How the test rows relate to the others, if they were scored.
    pub(crate) test_rows: Option<TestRows>,
    /// The verdict of the check, if there was one.
    pub(crate) judged: Option<Judged>,
}

impl Evaluation {
    /// Prints the result, and writes log p of each row if a file for it was named.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn report(
        &self,
        seconds: f64,
        as_json: bool,
        per_example: Option<&Path>,
    ) -> anyhow::Result<ExitCode> {
        // Written first, because printing ends the program if the reader of its output has gone away.
        if let Some(path) = per_example {
            let log_probs = &self.scores.log_probs;
            write_whole(path, |file| npy::write_f64(file, &[log_probs.len()], log_probs))?;
        }
        if as_json {
            say!("{}", self.json());
        } else {
            self.print(seconds);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The JSON object that `--json` prints.
    fn json(&self) -> serde_json::Value {
        let Evaluation { setting, scores, active, .. } = self;
        let Setting { protocol, data_sha256, split, epoch, method, annealing, .. } = setting;
        let s = &scores.summary;
        let mut json = json!({
            "protocol": protocol, "split": split, "n": s.n, "k": s.k_mean.round() as u64,
            "k_max": s.k_max, "method": method,
            "nll": s.nll, "se_rows": s.se_rows, "se_mc": s.se_mc, "bias_mc": s.bias_mc, "ci95": s.ci95,
            "ess": s.ess, "max_weight": s.max_weight,
            "exact_nll": (method == "exact").then_some(s.nll), "log_z2": null, "data_sha256": data_sha256,
            "active_units": active, "epoch": epoch,
            "score": self.own.map(|(score, value)| json!({"name": score.name, "unit": score.unit, "value": value})),
            "suspect": self.judged.as_ref().and_then(Judged::suspect),
            "check": self.judged.as_ref().map(Judged::json),
        });
        TestRows::put(self.test_rows.as_ref(), &mut json);
        if let Some([temperatures, leapfrog]) = annealing {
            json["temperatures"] = json!(temperatures);
            json["leapfrog"] = json!(leapfrog);
            json["acceptance"] = json!(scores.acceptance);
        }
        if scores.is_conditional {
            json["nll_is_conditional"] = json!(true);
        }
        if let Some(energy) = &scores.energy {
            energy.put(s.nll, &mut json);
        }
        if let Some(OfLaw { cross_entropy, entropy }) = &scores.law {
            json["cross_entropy"] = json!(cross_entropy);
            json["entropy"] = json!(entropy);
        }
        if let Some(OfMachine { p, log_z2: z }) = &scores.bidirectional {
            json["nll_p"] = json!(p.nll);
            json["ess_p"] = json!(p.ess);
            json["nll_is_bound"] = json!(!z.is_known());
            json["log_z2"] = json!(z.is_known().then_some(z.log_z2));
            for (key, value) in [
                ("log_z2_se", z.se()),
                ("log_z2_se_formula", z.se_formula),
                ("log_z2_se_batches", z.se_batches),
                ("log_z2_bias", z.bias()),
                ("log_z2_check", z.check),
            ] {
                json[key] = json!(value);
            }
            json["log_z2_n"] = json!(z.samples);
        }
        json
    }

    /// Prints the result as text; `seconds` is how long the scoring took.
    fn print(&self, seconds: f64) {
        let Evaluation { setting, scores, active, .. } = self;
        let Setting { protocol, split, epoch, method, annealing, layers, .. } = setting;
        let s = &scores.summary;
        let epoch = epoch.map(|epoch| format!(", weights of epoch {epoch}")).unwrap_or_default();
        say!("{protocol} {split}: {} rows, {seconds:.1} s{epoch}", s.n);
        let of = match &scores.bidirectional {
            None if scores.is_conditional => " given y",
            None => "",
            Some(found) if found.log_z2.is_known() => " of p*",
            Some(_) => " of p* <=",
        };
        let over_rows = match s.ci95 {
            Some([low, high]) => format!("95 % confidence interval over rows [{low:.3}, {high:.3}]"),
            None => "one row: no spread".to_string(),
        };
        say!("  NLL{of:<10}{:.3} nats, {over_rows}", s.nll);
        if scores.is_conditional {
            say!("  given        the label y of each row: it is -log p(x | y), and not -log p(x)");
        }
        if let Some((score, value)) = self.own {
            say!("  chosen by    {value:.3} {}, the {}", score.unit, score.title);
        }
        if let Some(suspect) = self.judged.as_ref().and_then(Judged::suspect) {
            say!("  suspect      {suspect}");
        }
        if let Some(energy) = &scores.energy {
            energy.print(s.nll);
            self.print_law();
            return;
        }
        if method == "exact" {
            self.print_exact();
            return;
        }
        let unknown = if s.k_max == 1 { " (the error of one sample is not known)" } else { "" };
        let k = if s.k_mean == s.k_max as f64 {
            s.k_max.to_string()
        } else {
            format!("{:.0} on average, {} at most", s.k_mean, s.k_max)
        };
        say!(
            "  K = {k}: adds an error of ±{:.4}; the NLL is about {:.4} too high{unknown}",
            s.se_mc,
            s.bias_mc
        );
        say!("  ESS          {:.2} % of K; largest weight {:.3} on average", 100.0 * s.ess, s.max_weight);
        if let Some(note) = advice::low_ess(s.ess, s.k_mean) {
            say!("  note         {note}");
        }
        if let Some([temperatures, leapfrog]) = annealing {
            let accepted =
                scores.acceptance.map_or("no".into(), |share| format!("{:.0} % of", 100.0 * share));
            say!(
                "  annealed     K chains over {temperatures} temperatures, {leapfrog} leapfrog steps, \
                 {accepted} moves accepted"
            );
        }
        if let Some(active) = active {
            let parts = active.iter().zip(layers).map(|(active, units)| format!("{active} of {units}"));
            let parts: Vec<String> = parts.collect();
            say!(
                "  active       {} units, from the data up (their means vary by more than 0.01)",
                parts.join(", ")
            );
        }
        self.print_bidirectional();
        if let Some(judged) = &self.judged {
            judged.print_figures();
        }
        let unit = if method == "ais" { "chain" } else { "sample" };
        say!("  pairs        {:.1} (row, {unit}) per second", s.n as f64 * s.k_mean / seconds);
    }

    fn print_exact(&self) {
        if let Some(OfMachine { p, log_z2: z }) = &self.scores.bidirectional {
            say!("  NLL of p     {:.3} nats", p.nll);
            say!("  2 log Z      {:.4} nats", z.log_z2);
        }
        self.print_law();
        let spread = self
            .scores
            .summary
            .se_rows
            .map_or_else(String::new, |se| format!("; standard error over rows ±{se:.3}"));
        let how = match self.setting.layers.is_empty() {
            true => "exactly: the likelihood is a formula",
            false => "by enumeration of all latent states",
        };
        say!("  {how}{spread}");
    }

    fn print_law(&self) {
        if let Some(OfLaw { cross_entropy, entropy }) = &self.scores.law {
            say!(
                "  cross-entropy {cross_entropy:.4} nats on the distribution of the data, whose entropy is {entropy:.4}"
            );
        }
    }

    fn print_bidirectional(&self) {
        let Some(OfMachine { p, log_z2: z }) = &self.scores.bidirectional else { return };
        say!(
            "  NLL of p     {:.3} nats; K adds an error of ±{:.4}, about {:.4} too high; ESS {:.2} % of K",
            p.nll,
            p.se_mc,
            p.bias_mc,
            100.0 * p.ess
        );
        if z.is_known() {
            say!(
                "  2 log Z      {:.4} nats ±{:.4} (±{:.4} by batches), about {:.4} too low, and so is the NLL of p*",
                z.log_z2,
                z.se_formula,
                z.se_batches,
                z.bias()
            );
        } else {
            say!("  2 log Z      not known: the NLL of p* is replaced by its upper bound, with Z = 1");
        }
        say!(
            "  draws        {}; their mean of exp(2 s) is {:.3}, exactly 1 in expectation",
            z.samples,
            z.check
        );
    }
}
