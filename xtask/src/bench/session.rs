//! Steps through Burn's learner, as training takes them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, ensure};
use burn::module::Module;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::tensor::Tensor;
use helmholtz_core::{Batch, Estimate, Key, LatentVariableModel, Measure, Model, Strategy};
use helmholtz_datasets::Plan;
use helmholtz_eval::ImportanceSampling;
use helmholtz_train::{End, Fit, Pair, Progress, Rule, Stop, Training};

use crate::bench::descent::Descent;
use crate::bench::parts::WARM_UP;

/// Steps of a session beyond the timed ones: validation and the checkpoint follow the last.
pub(crate) const UNTIMED: usize = WARM_UP + 1;

/// When the estimates of a session began and ended, in order.
type Calls = Arc<Mutex<Vec<[Instant; 2]>>>;

/// A strategy that records when it is called: the time from one call's start to the next is a whole
/// step, with the optimiser, the metrics and the data loader.
#[derive(Module, Debug)]
struct Timed<S: Model> {
    strategy: S,
    #[module(skip)]
    calls: Calls,
}

impl<M: LatentVariableModel, S: Strategy<M>> Strategy<M> for Timed<S> {
    fn estimate(&self, model: &M, batch: &Batch, key: Key) -> Estimate {
        let start = Instant::now();
        let estimate = self.strategy.estimate(model, batch, key);
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push([start, Instant::now()]);
        estimate
    }

    fn measures(&self) -> &[Measure] {
        self.strategy.measures()
    }
}

/// Times of the steps of a session, in milliseconds.
#[derive(Default)]
pub(crate) struct Session {
    pub(crate) steps: Vec<f64>,
    pub(crate) estimates: Vec<f64>,
}

impl Session {
    /// `steps` timed steps through Burn's learner, on `batch` of the rows `x` at a time.
    ///
    /// The rows repeat so that the session is a single epoch, whose end comes after the last timed step.
    pub(crate) fn run<M: LatentVariableModel, S: Strategy<M>>(
        model: &M,
        x: &Tensor<2>,
        strategy: &S,
        descent: &Descent,
        [batch, steps]: [usize; 2],
    ) -> anyhow::Result<Session> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let calls = Calls::default();
        let ([_, d], rows) = (x.dims(), (steps + UNTIMED) * batch);
        let train = x.clone().repeat_dim(0, rows.div_ceil(x.dims()[0])).slice([0..rows, 0..d]);
        // A split has its own memory: selecting rows from a part of a tensor would copy the part first, at every step.
        let train = Tensor::from_data(train.into_data(), &x.device());
        let fit = Fit {
            folder: folder.path().to_path_buf(),
            devices: vec![x.device()],
            key: Key::new(0),
            plan: Plan::of_epochs(rows, batch, 1),
            checkpoint_every: 1,
            patience: None,
            resume: None,
            progress: Progress::Silent,
            on_record: Box::new(|_| Ok(())),
            stop: Stop::new(),
        };
        let outcome = fit.run(Training {
            learn: Pair::of(
                model.clone(),
                Timed { strategy: strategy.clone(), calls: calls.clone() }.into(),
                None,
                ImportanceSampling::new(1),
            ),
            rule: Rule::default(),
            optimiser: (descent.optimiser)(),
            schedule: ModuleLrScheduler::new(descent.rate),
            train: train.into(),
            draws_bits: false,
            valid: x.clone().slice([0..1, 0..d]).into(),
        })?;
        ensure!(outcome.end == End::Finished, "the training of a session ended early: {:?}", outcome.end);
        let calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        let ms = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1e3;
        let timed = || calls.array_windows().skip(WARM_UP);
        Ok(Session {
            steps: timed().map(|[[start, _], [next, _]]| ms(*start, *next)).collect(),
            estimates: timed().map(|[[start, end], _]| ms(*start, *end)).collect(),
        })
    }

    /// Appends the steps of another session.
    pub(crate) fn extend(&mut self, other: Session) {
        self.steps.extend(other.steps);
        self.estimates.extend(other.estimates);
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use helmholtz_strategies::ReweightedWakeSleep;

    use super::*;
    use crate::bench::descent::ADAM;
    use crate::bench::stack::stack;

    #[test]
    fn a_session_times_the_steps_it_is_asked_for() {
        let stack = stack(&[3, 2], &Device::flex()).unwrap();
        let strategy = ReweightedWakeSleep::new(2).unwrap();
        let session = Session::run(&stack.model, &stack.x, &strategy, &ADAM, [4, 7]).unwrap();
        assert_eq!((session.steps.len(), session.estimates.len()), (7, 7));
        assert!(session.steps.iter().zip(&session.estimates).all(|(step, estimate)| estimate <= step));
    }
}
