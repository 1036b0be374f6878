//! Learning rates and settings of the strategy as functions of the step.
//!
//! A run is a sequence of stages. Each has a rate and settings of its own. Both follow from the number of the step
//! alone, so a resumed run goes on as if it had not stopped.

use burn::module::list_param_ids;
use burn::optim::LearningRate;
use burn::optim::lr_scheduler::{LrScheduler, LrSchedulerRecord};
use helmholtz_core::{Model, Strategy, module_of_field};

/// How a rate goes from the start of a stage to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// It does not change.
    Constant,
    /// Along a straight line.
    Linear,
    /// Along half a period of the cosine: flat at both ends.
    Cosine,
}

/// The learning rate of a stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// At the first step.
    pub start: f64,
    /// The rate that would follow one step after the last.
    pub end: f64,
    /// How it goes from one to the other.
    pub shape: Shape,
}

impl Rate {
    /// The same at every step.
    pub fn constant(rate: f64) -> Self {
        Rate { start: rate, end: rate, shape: Shape::Constant }
    }

    /// The rate when `share` of the stage, in [0, 1], is over.
    pub fn at(&self, share: f64) -> f64 {
        let way = match self.shape {
            Shape::Constant => 0.0,
            Shape::Linear => share,
            Shape::Cosine => 0.5 * (1.0 - (std::f64::consts::PI * share).cos()),
        };
        self.start + (self.end - self.start) * way
    }
}

/// The learning rate of a run of stages; after the last step it stays at its end.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// For each stage, the step that it ends before, and its rate.
    stages: Vec<(u64, Rate)>,
    step: u64,
}

impl Schedule {
    /// Stages, each with the step that it ends before.
    ///
    /// # Panics
    /// If there are none, or the ends do not ascend.
    pub fn new(stages: Vec<(u64, Rate)>) -> Self {
        assert!(!stages.is_empty(), "a run has at least one stage");
        assert!(stages.is_sorted_by_key(|(end, _)| *end), "stages end one after the other");
        Schedule { stages, step: 0 }
    }

    /// The rate at a step.
    pub fn at(&self, step: u64) -> f64 {
        let stage = self.stages.iter().position(|(end, _)| step < *end).unwrap_or(self.stages.len() - 1);
        let start = if stage == 0 { 0 } else { self.stages[stage - 1].0 };
        let (end, rate) = self.stages[stage];
        let share = (step - start) as f64 / (end - start).max(1) as f64;
        rate.at(share.min(1.0))
    }
}

impl LrScheduler for Schedule {
    fn step(&mut self) -> LearningRate {
        let rate = self.at(self.step);
        self.step += 1;
        rate
    }

    fn to_record(&self) -> LrSchedulerRecord {
        LrSchedulerRecord::new().with_scalar("step", self.step)
    }

    fn load_record(&mut self, record: LrSchedulerRecord) {
        self.step = record.scalar("step").unwrap_or(0);
    }
}

/// A strategy with the settings that it has in each stage.
///
/// What it remembers and what it has learnt go on from stage to stage. As a module it is the strategy itself.
#[derive(Clone, Debug)]
pub struct Stages<S> {
    strategy: S,
    /// For each stage, the step that it ends before, and the strategy with its settings. What these remember is not
    /// used.
    settings: Vec<(u64, S)>,
}

module_of_field!(Stages<S>, strategy, S: Model);

impl<S: Model> Stages<S> {
    /// Settings, each with the step that their stage ends before. Memory and learnt parameters start as in the first.
    ///
    /// # Panics
    /// If there are none, or the ends do not ascend.
    pub fn new(settings: Vec<(u64, S)>) -> Self {
        assert!(!settings.is_empty(), "a run has at least one stage");
        assert!(settings.is_sorted_by_key(|(end, _)| *end), "stages end one after the other");
        Stages { strategy: settings[0].1.clone(), settings }
    }

    /// The stage that a step belongs to, from zero; after the last step it is the last stage.
    pub fn stage(&self, step: u64) -> usize {
        self.settings.iter().position(|(end, _)| step < *end).unwrap_or(self.settings.len() - 1)
    }

    /// The strategy at a step: with the settings of the stage and the current memory.
    pub fn at<M>(&self, step: u64) -> S
    where
        S: Strategy<M>,
    {
        if self.settings.len() == 1 {
            return self.strategy.clone();
        }
        let (_, settings) = &self.settings[self.stage(step)];
        settings.continuing(&self.strategy)
    }

    /// Checks that a strategy with parameters or a memory says how the next stage goes on with them.
    ///
    /// # Panics
    /// If it does not, and there are several stages.
    pub(crate) fn check<M>(&self)
    where
        S: Strategy<M>,
    {
        let own = list_param_ids(&self.strategy);
        for (_, settings) in self.settings.iter().skip(1) {
            let next = list_param_ids(&settings.continuing(&self.strategy));
            assert!(
                next == own,
                "a strategy that remembers needs Strategy::continuing, which says how it goes on in the next stage"
            );
        }
    }

    /// The strategy with the settings of each stage.
    pub fn settings(&self) -> impl Iterator<Item = &S> {
        self.settings.iter().map(|(_, settings)| settings)
    }
}

impl<S: Model> From<S> for Stages<S> {
    fn from(strategy: S) -> Self {
        Stages::new(vec![(u64::MAX, strategy)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule {
        let falling = Rate { start: 1.0, end: 0.0, shape: Shape::Linear };
        let cosine = Rate { start: 0.5, end: 0.1, shape: Shape::Cosine };
        Schedule::new(vec![(4, falling), (5, Rate::constant(0.2)), (9, cosine)])
    }

    #[test]
    fn rates_follow_the_shapes_of_their_stages() {
        let rates: Vec<f64> = (0..5).map(|step| schedule().at(step)).collect();
        assert_eq!(rates, [1.0, 0.75, 0.5, 0.25, 0.2]);
        let rates: Vec<f64> = (5..9).map(|step| schedule().at(step)).collect();
        let half = 0.5f64.sqrt();
        let expected = [0.5, 0.3 + 0.2 * half, 0.3, 0.3 - 0.2 * half];
        assert!(
            rates.iter().zip(expected).all(|(rate, expected)| (rate - expected).abs() < 1e-12),
            "{rates:?}"
        );
        assert!((schedule().at(100) - 0.1).abs() < 1e-12, "a run that is extended stays at the last rate");
    }

    #[test]
    fn a_schedule_goes_on_from_its_record() {
        let mut whole = schedule();
        let all: Vec<f64> = (0..9).map(|_| whole.step()).collect();
        for cut in 0..9 {
            let mut first = schedule();
            for _ in 0..cut {
                first.step();
            }
            let mut later = schedule();
            later.load_record(first.to_record());
            assert_eq!((cut..9).map(|_| later.step()).collect::<Vec<_>>(), all[cut..]);
        }
    }
}
