//! The settings that a search may change, and how it draws them.

use std::collections::BTreeMap;

use helmholtz_core::Key;
use helmholtz_noise::Stream;
use serde::Deserialize;
use toml::{Table, Value};

use crate::config::Config;
use crate::error::{excerpt, user};

/// The values of some keys of a config.
pub(super) type Values = BTreeMap<String, Value>;

/// What a key may be.
#[derive(Clone, Debug, PartialEq)]
enum Range {
    /// One of some values, each equally likely.
    OneOf(Vec<Value>),
    /// A number whose logarithm is uniform between those of two numbers.
    Between { low: f64, high: f64, is_whole: bool },
}

/// The keys that a search may change, in the order of their names, with what each may be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Space(BTreeMap<String, Range>);

/// `{ from = 1e-4, to = 1e-1 }`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FromTo {
    from: Value,
    to: Value,
}

/// The default learning rates are up to this many times larger or smaller than the config's.
const RATES: f64 = 30.0;

impl Space {
    /// The `[tune]` table of a config at `place`.
    ///
    /// # Errors
    /// If it is not a table of lists and pairs of numbers.
    pub(super) fn of_table(table: &Table, place: &str) -> anyhow::Result<Self> {
        if table.is_empty() {
            return Err(user(format!(
                "{place}: [tune] is empty; state settings, as in \"optimizer.lr\" = {{ from = 1e-4, to = 1e-1 }}"
            )));
        }
        let ranges = table.iter().map(|(key, value)| {
            let range = Range::of_value(value).map_err(|wanted| {
                user(format!("{place}: [tune] {} = {}: {wanted}", excerpt(key), excerpt(&value.to_string())))
            })?;
            Ok((key.clone(), range))
        });
        ranges.collect::<anyhow::Result<_>>().map(Space)
    }

    /// What is searched if a config does not say it: how fast and how long the rate is high, averaging, and a penalty.
    ///
    /// # Errors
    /// If the strategy of the config takes whole steps and thus has no rate to search.
    pub(super) fn usual(config: &Config) -> anyhow::Result<Self> {
        if config.spec.strategy.takes_whole_steps() {
            return Err(user(format!(
                "{} has no learning rate to search; state the settings in a [tune] table, as in \
                 \"model.components\" = [10, 50, 200]",
                config.spec.strategy.kind()
            )));
        }
        let lr = config.optimizer.lr;
        let words = |words: [&str; 2]| Range::OneOf(words.map(Value::from).to_vec());
        let numbers = |numbers: &[f64]| Range::OneOf(numbers.iter().map(|x| Value::from(*x)).collect());
        Ok(Space(BTreeMap::from([
            (
                "optimizer.lr".to_owned(),
                Range::Between { low: lr / RATES, high: lr * RATES, is_whole: false },
            ),
            ("optimizer.schedule".to_owned(), words(["constant", "cosine"])),
            ("optimizer.average".to_owned(), numbers(&[0.0, 0.999])),
            ("optimizer.l1".to_owned(), numbers(&[0.0, 1e-5, 1e-4, 1e-3])),
        ])))
    }

    /// Its keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The first key whose values are drawn from a range.
    pub(super) fn continuous(&self) -> Option<&str> {
        let is_range = |range: &Range| matches!(range, Range::Between { .. });
        self.0.iter().find(|(_, range)| is_range(range)).map(|(key, _)| key.as_str())
    }

    /// Configuration `number`, from one on, which depends on nothing but the seed, its number and the space.
    pub(super) fn draw(&self, seed: u64, number: usize) -> Values {
        let mut stream = Stream::new(Key::new(seed).child("tune").child(number));
        self.0.iter().map(|(key, range)| (key.clone(), range.draw(&mut stream))).collect()
    }

    /// The space in words, for people and for comparison.
    pub(super) fn in_words(&self) -> Vec<String> {
        self.0.iter().map(|(key, range)| format!("{key} {}", range.in_words())).collect()
    }
}

impl Range {
    fn of_value(value: &Value) -> Result<Self, String> {
        const WANTED: &str = "give a list of values, as in [25, 100], or { from = 1e-4, to = 1e-1 }";
        match value {
            Value::Array(values) if values.is_empty() => Err("the list is empty".to_owned()),
            Value::Array(values) => Ok(Range::OneOf(values.clone())),
            Value::Table(table) => {
                let FromTo { from, to } = table.clone().try_into().map_err(|_| WANTED.to_owned())?;
                let number = |value: &Value| match value {
                    Value::Integer(whole) => Some(*whole as f64),
                    Value::Float(number) => Some(*number),
                    _ => None,
                };
                let (Some(low), Some(high)) = (number(&from), number(&to)) else {
                    return Err(WANTED.to_owned());
                };
                if !(low > 0.0 && low < high && high.is_finite()) {
                    return Err(
                        "from must be above 0, because it is drawn by its logarithm, and below to".to_owned()
                    );
                }
                Ok(Range::Between { low, high, is_whole: from.is_integer() && to.is_integer() })
            }
            _ => Err(WANTED.to_owned()),
        }
    }

    fn draw(&self, stream: &mut Stream) -> Value {
        match self {
            Range::OneOf(values) => values[stream.below(values.len())].clone(),
            Range::Between { low, high, is_whole: true } => {
                // Every whole number has its share of the line, the ends included.
                let drawn = stream.uniform_in((low - 0.5).ln(), (high + 0.5).ln()).exp();
                Value::from(drawn.round().clamp(*low, *high) as i64)
            }
            Range::Between { low, high, is_whole: false } => {
                Value::from(rounded(stream.uniform_in(low.ln(), high.ln()).exp()))
            }
        }
    }

    fn in_words(&self) -> String {
        match self {
            Range::OneOf(values) => {
                let values: Vec<String> = values.iter().map(Value::to_string).collect();
                format!("one of {}", values.join(", "))
            }
            Range::Between { low, high, .. } => format!("from {low:?} to {high:?}"),
        }
    }
}

/// A number to three digits, so that the winner's config is readable.
fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().expect("a number that was just written")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(text: &str) -> anyhow::Result<Space> {
        Space::of_table(&text.parse().unwrap(), "tune.toml")
    }

    #[test]
    fn draws_stay_in_the_space_cover_it_and_depend_on_seed_and_number_alone() {
        let space = space("a = { from = 1e-4, to = 1e-1 }\nb = [1, 2]\nc = { from = 1, to = 3 }").unwrap();
        let draws: Vec<Values> = (1..400).map(|number| space.draw(7, number)).collect();
        let of = |key: &str| draws.iter().map(|draw| draw[key].clone()).collect::<Vec<_>>();
        let logs: Vec<f64> = of("a").iter().map(|a| a.as_float().unwrap().log10()).collect();
        assert!(logs.iter().all(|log| (-4.0..=-1.0).contains(log)));
        // A third of the draws lies in each power of ten, within four standard deviations.
        for low in [-4.0, -3.0, -2.0] {
            let share = logs.iter().filter(|log| (low..low + 1.0).contains(*log)).count() as f64 / 399.0;
            assert!((share - 1.0 / 3.0).abs() < 4.0 * 0.0236, "{low}: {share}");
        }
        for (key, values) in [("b", 1..=2), ("c", 1..=3)] {
            for value in values {
                assert!(of(key).contains(&Value::Integer(value)), "{key} {value}");
            }
            assert!(of(key).iter().all(|found| (1..=3).contains(&found.as_integer().unwrap())));
        }
        assert_eq!(space.draw(7, 5), draws[4]);
        assert_ne!(space.draw(8, 5), draws[4]);
    }

    #[test]
    fn what_is_no_space_is_refused_with_what_is_wanted() {
        for (text, words) in [
            ("", "is empty"),
            ("a = []", "the list is empty"),
            ("a = 3", "give a list"),
            ("a = { from = 1 }", "give a list"),
            ("a = { from = 0.0, to = 1.0 }", "above 0"),
            ("a = { from = 2, to = 1 }", "below to"),
            ("a = { from = 1.0, to = inf }", "below to"),
            ("a = { from = \"x\", to = 1 }", "give a list"),
        ] {
            let error = space(text).unwrap_err().to_string();
            assert!(error.contains("tune.toml: [tune]") && error.contains(words), "{text}: {error}");
        }
    }
}
