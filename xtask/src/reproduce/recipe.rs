//! What a row trains: its config, read as `helmholtz train` reads it.
//!
//! A row names its model and its strategy in words, for the tables. The words are compared with those of its config, so
//! that neither changes without the other.

use std::ffi::OsString;

use helmholtz_cli::args::{Args, Command};
use helmholtz_cli::commands::train;
use helmholtz_cli::config::{Config, Overlay};
use helmholtz_cli::error::user;
use helmholtz_eval::Reading;
use helmholtz_zoo::Spec;

use super::catalogue::Catalogue;
use super::row::{Row, Scoring};
use super::tier::Tier;
use crate::workspace;

/// A row with its config.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) row: &'static Row,
    /// The recipe of the row whose weights it begins with, if any.
    pub(crate) before: Option<Box<Recipe>>,
    /// The config that its file and flags make at tier `paper`.
    config: Config,
}

/// The most layers at tier `smoke`, and the most units of one layer.
const SMOKE: (usize, usize) = (3, 8);

impl Recipe {
    /// The recipe of a row.
    ///
    /// # Errors
    /// If its config is not accepted, or has another model or strategy than the row names.
    pub(crate) fn of(catalogue: &'static Catalogue, row: &'static Row) -> anyhow::Result<Self> {
        let before = row.begins_from.as_ref().and_then(|id| catalogue.row(id));
        let before = before.map(|before| Recipe::of(catalogue, before).map(Box::new)).transpose()?;
        let config = read(row, words(row, &row.data, "flex"))?;
        let recipe = Recipe { row, before, config };
        let width = helmholtz_datasets::entry(&row.data)?.width();
        for (key, named, made) in [
            ("model", &row.model, recipe.config.spec.model.in_words(width)),
            ("strategy", &row.strategy, recipe.strategy()),
        ] {
            if *named != made {
                return Err(user(format!(
                    "{}: {key} = \"{named}\", but {} with the row's flags gives \"{made}\"; correct one of them",
                    row.place(),
                    row.config
                )));
            }
        }
        Ok(recipe)
    }

    /// The arguments of `helmholtz train` that make the row's config.
    pub(crate) fn words(&self, tier: Tier, data: &str, device: &str) -> Vec<OsString> {
        let mut words = words(self.row, data, device);
        words.extend(self.changes(tier).into_iter().flat_map(|pair| ["--set".into(), pair.into()]));
        words
    }

    /// The config that the row's file and flags make now, with every default written out.
    ///
    /// If the row begins from the weights of another row, that row's config follows as a comment.
    pub(crate) fn resolved(&self, tier: Tier, device: &str) -> anyhow::Result<String> {
        let mut resolved = read(self.row, self.words(tier, &self.row.data, device))?.to_toml();
        if let Some(before) = &self.before {
            let theirs = as_comment(&before.resolved(tier, device)?);
            resolved += &format!("{BEGINS}{}, which are trained so:\n{theirs}", before.row.id);
        }
        Ok(resolved)
    }

    /// The number of the last epoch at a tier.
    ///
    /// # Errors
    /// If the config is not accepted.
    pub(crate) fn last_epoch(&self, tier: Tier) -> anyhow::Result<u64> {
        let config = read(self.row, self.words(tier, &self.row.data, "flex"))?;
        let later: u64 = config.stage.iter().map(|stage| stage.epochs).sum();
        Ok(config.train.epochs.unwrap_or_default() + later)
    }

    /// How the row trains, in words that follow from its config alone.
    pub(crate) fn training(&self) -> String {
        let Config { optimizer: by, train, stage, .. } = &self.config;
        let of = if by.loss == "sum" { "sums" } else { "means" };
        let mut parts = vec![match by.schedule.as_str() {
            "constant" => format!("{} at {} on {of} over batches of {}", by.kind, by.lr, train.batch),
            schedule => format!(
                "{} at {} falling to {} ({schedule}) on {of} over batches of {}",
                by.kind,
                by.lr,
                by.lr * by.lr_end,
                train.batch
            ),
        }];
        parts.extend(
            by.rates.iter().filter(|(_, rate)| **rate != by.lr).map(|(key, rate)| format!("{key} {rate}")),
        );
        parts.push(match (train.epochs, train.steps) {
            (Some(epochs), _) => format!("{epochs} epochs"),
            (_, steps) => format!("{} steps", steps.unwrap_or_default()),
        });
        for stage in stage {
            let samples = stage.samples.map_or(String::new(), |k| format!(" with K = {k}"));
            let rate = stage.lr.map_or(String::new(), |lr| format!(" at {lr}"));
            parts.push(format!("then {} epochs{samples}{rate}", stage.epochs));
        }
        for (value, name) in self.penalties() {
            parts.push(format!("{name} {value}"));
        }
        if by.average > 0.0 {
            parts.push(format!("weights averaged with a decay of {}", by.average));
        }
        if train.patience > 0 {
            parts.push(format!("a patience of {} epochs", train.patience));
        }
        let chosen = if self.row.last_epoch {
            "the last epoch is scored"
        } else {
            "the epoch with the best validation score is scored"
        };
        format!("{}; {chosen}", parts.join(", "))
    }

    /// Penalties and limits that the config uses, each with its name.
    fn penalties(&self) -> impl Iterator<Item = (f64, &'static str)> {
        let by = &self.config.optimizer;
        let all = [
            (by.l1, "L1"),
            (by.weight_decay, "weight decay"),
            (by.clip_norm, "gradients clipped at a norm of"),
        ];
        all.into_iter().filter(|(value, _)| *value > 0.0)
    }

    /// Means that the config uses and the paper does not.
    pub(crate) fn beyond(&self) -> Vec<String> {
        let uses = |key: &String| {
            let table = toml::Table::try_from(&self.config.optimizer).expect("a config is a table");
            table.get(key).and_then(toml::Value::as_float).is_some_and(|value| value > 0.0)
        };
        let name = |key: &String| match key.as_str() {
            "l1" => "an L1 penalty".to_owned(),
            "average" => "averaged weights".to_owned(),
            other => other.to_owned(),
        };
        self.row.beyond.iter().filter(|key| uses(key)).map(name).collect()
    }

    /// Whether the model is a bidirectional machine, whose NLL is that of p*.
    pub(crate) fn is_bidirectional(&self) -> bool {
        self.config.spec.model.reading() == Reading::Bidirectional
    }

    /// What decides which programs run, and with which flags. Rows that share it are run in the same way.
    pub(crate) fn treatment(&self) -> (&str, bool, &str, Scoring, bool, bool) {
        let Spec { model, strategy, .. } = &self.config.spec;
        (
            model.kind(),
            model.layers().is_empty(),
            strategy.kind(),
            self.row.score,
            self.before.is_some(),
            self.row.last_epoch,
        )
    }

    /// Keys that make a smaller run of the row's config, each with its value. Flags of the row take precedence.
    fn changes(&self, tier: Tier) -> Vec<String> {
        match tier {
            Tier::Smoke => {
                let Spec { model, strategy, .. } = &self.config.spec;
                let (depth, width) = SMOKE;
                let mut pairs = ["train.epochs=2", "train.valid_samples=2", "train.final_samples=2"]
                    .map(str::to_owned)
                    .to_vec();
                // Without latents there is nothing to sample.
                let samples = if model.layers().is_empty() { "" } else { "samples=20," };
                pairs.push(format!("stage=[{{epochs=1,{samples}lr=3e-4}}]"));
                let keys = [("model", model.smaller(depth, width)), ("strategy", strategy.smaller())];
                for (section, table) in keys {
                    pairs.extend(table.into_iter().map(|(key, value)| format!("{section}.{key}={value}")));
                }
                pairs
            }
            Tier::Small => vec![format!("train.epochs={}", self.row.small_epochs), "stage=[]".to_owned()],
            Tier::Paper => Vec::new(),
        }
    }

    /// The strategy in the words of the tables.
    fn strategy(&self) -> String {
        let Config { spec, optimizer, stage, .. } = &self.config;
        let has_samples = spec.strategy.table().contains_key("samples");
        // Without latents, K samples of nothing are one.
        if spec.model.layers().is_empty() && has_samples {
            return "maximum likelihood".to_owned();
        }
        let kind = spec.strategy.kind();
        let mut words = match &self.before {
            Some(before) => {
                let first = before.config.spec.strategy.kind();
                let slower = first == kind && optimizer.lr < before.config.optimizer.lr;
                format!("{first}, then {kind}{}", if slower { " more slowly" } else { "" })
            }
            None => spec.strategy.in_words(),
        };
        if has_samples {
            words += &format!(", K = {}", spec.strategy.samples());
        }
        for samples in stage.iter().filter_map(|stage| stage.samples) {
            words += &format!(", then K = {samples}");
        }
        words
    }
}

/// Whether a stored config equals `now`, once the defaults that its version left out are written out.
pub(crate) fn is_same_config(stored: &str, now: &str) -> bool {
    stored == now || rewritten(stored).is_some_and(|stored| stored == now)
}

/// A stored config as this version writes it; `None` if this version does not accept it.
fn rewritten(stored: &str) -> Option<String> {
    let (own, before) = match stored.split_once(BEGINS) {
        Some((own, before)) => (own, Some(before)),
        None => (stored, None),
    };
    let config = Config::of_table(own.parse().ok()?, "a stored config", &Overlay::default()).ok()?;
    let mut text = config.to_toml();
    if let Some((row, before)) = before.and_then(|before| before.split_once('\n')) {
        let before = before.lines().map(|line| line.strip_prefix("# ").unwrap_or_default());
        let before = rewritten(&before.map(|line| format!("{line}\n")).collect::<String>())?;
        text += &format!("{BEGINS}{row}\n{}", as_comment(&before));
    }
    Some(text)
}

/// The text before the name of the row whose weights a run begins from. Stored results contain it.
const BEGINS: &str = "\n# It begins from the weights of ";

fn as_comment(text: &str) -> String {
    text.lines().map(|line| format!("# {line}\n")).collect()
}

/// The arguments of `helmholtz train` that a row gives.
fn words(row: &Row, data: &str, device: &str) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["train".into(), workspace::root().join(&row.config).into()];
    words.extend(row.flags.iter().map(Into::into));
    words.extend(["--dataset", data, "--device", device].map(Into::into));
    words
}

/// The config that these arguments of `helmholtz train` make.
fn read(row: &Row, words: Vec<OsString>) -> anyhow::Result<Config> {
    let wrong = |problem: String| {
        user(format!("{}: {} with the row's flags: {}", row.place(), row.config, problem.trim()))
    };
    let args = Args::try_of_words(std::iter::once("helmholtz".into()).chain(words)).map_err(|error| {
        let text = error.to_string();
        wrong(text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned())
    })?;
    let Some(Command::Train(args)) = args.command else { unreachable!("the first word is train") };
    train::config(&args).map_err(|error| wrong(format!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use helmholtz_cli::error::UserError;

    use super::super::catalogue::catalogue;
    use super::*;

    #[test]
    fn every_row_is_accepted_at_every_tier_and_names_the_model_and_the_strategy_of_its_config() {
        let catalogue = catalogue().unwrap();
        for row in &catalogue.rows {
            let recipe = Recipe::of(catalogue, row).unwrap();
            for tier in [Tier::Smoke, Tier::Small, Tier::Paper] {
                let resolved = recipe.resolved(tier, "flex").unwrap();
                assert!(resolved.contains(&format!("id = \"{}\"", row.data)), "{}: {resolved}", row.id);
            }
        }
    }

    #[test]
    fn a_row_is_refused_if_its_config_is_not_accepted_or_is_of_another_model_or_strategy() {
        let catalogue = catalogue().unwrap();
        let row = catalogue.row("uci-dna-rws-sbn").unwrap();
        let text = fs::read_to_string(workspace::root().join(&row.config)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.toml").display().to_string();
        for (from, to, message) in [
            ("kind = \"sbn\"", "kind = \"darn\"", "gives \"darn 180-150-10\"; correct one of them"),
            ("layers = [150, 10]", "layers = [150, 11]", "gives \"sbn 180-150-11\""),
            ("layers = [150, 10]", "layers = [150]", "gives \"sbn 180-150\""),
            ("samples = 10", "samples = 20", "strategy = \"rws, wake-phi, K = 10\", but "),
            ("phi = \"wake\"", "phi = \"sleep\"", "gives \"rws, sleep-phi, K = 10\""),
            ("kind = \"rws\"", "kind = \"vimco\"", "phi"),
            ("[train]", "[[stage]]\nepochs = 1\nsamples = 100\n[train]", "K = 10, then K = 100\""),
            ("[train]", "[train]\nbach = 1", "train.bach"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            fs::write(&config, changed).unwrap();
            let row: &'static Row = Box::leak(Box::new(Row { config: config.clone(), ..row.clone() }));
            let error = Recipe::of(catalogue, row).unwrap_err();
            assert!(error.is::<UserError>(), "{error}");
            let error = error.to_string();
            assert!(
                error.starts_with("xtask/rows/sigmoid-belief-networks.toml, row `uci-dna-rws-sbn`: "),
                "{error}"
            );
            assert!(error.contains(message), "{from} -> {to}: {error}");
        }
    }

    #[test]
    fn what_a_page_says_of_training_follows_from_the_config() {
        let catalogue = catalogue().unwrap();
        let of = |id: &str| Recipe::of(catalogue, catalogue.row(id).unwrap()).unwrap();
        assert_eq!(
            of("uci-dna-darn").training(),
            "adam at 0.003 falling to 0 (cosine) on means over batches of 25, 200 epochs, L1 0.005, weights averaged with a \
             decay of 0.99; the epoch with the best validation score is scored"
        );
        assert_eq!(of("uci-dna-darn").beyond(), ["an L1 penalty"]);
        assert!(of("uci-dna-nade").beyond().is_empty(), "its config has no L1");
        assert!(of("modes-rbm-pcd").training().ends_with("the last epoch is scored"));
        // Words that a setting of the config stands for. A sentence of a row may have them only about the paper.
        let settings = [
            "L1",
            "averaged weights",
            "weight decay",
            "chosen on validation",
            "falling rate",
            "batch mean",
            "batches of",
        ];
        let is_about_the_paper = |sentence: &str| {
            ["Published", "published", "paper", "tutorial"].iter().any(|word| sentence.contains(word))
        };
        for row in &catalogue.rows {
            let recipe = Recipe::of(catalogue, row).unwrap();
            let (by, training) = (&recipe.config.optimizer, recipe.training());
            for (is_used, word) in [
                (by.l1 > 0.0, "L1"),
                (by.average > 0.0, "averaged"),
                (by.weight_decay > 0.0, "weight decay"),
                (by.schedule != "constant", "falling"),
            ] {
                assert_eq!(training.contains(word), is_used, "{}: {word}: {training}", row.id);
            }
            for text in [&row.choices, &row.suspect] {
                for sentence in text.split(". ").filter(|sentence| !is_about_the_paper(sentence)) {
                    // What was published and what is done here may share a sentence or follow each other.
                    let claim = settings.iter().find(|word| sentence.contains(**word));
                    assert!(claim.is_none(), "{}: `{sentence}` claims what its config decides", row.place());
                }
            }
        }
    }
}
