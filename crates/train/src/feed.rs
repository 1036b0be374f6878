//! Data loaders whose order depends on the seed and the epoch alone.
//!
//! The whole split lies on the device as one tensor; a batch is a selection of its rows. The last
//! batch of an epoch holds what is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::tensor::{Device, Int, Tensor, TensorData};
use helmholtz_core::{Key, Role};
use helmholtz_noise::Stream;

/// A batch of rows.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The rows: `[batch, d]`.
    pub x: Tensor<2>,
    /// Their numbers in the split.
    pub rows: Arc<[u64]>,
    /// The number of the training step, from zero; zero in validation.
    pub step: u64,
}

/// How many steps a run takes, and how many rows each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Rows of the training split.
    pub rows: usize,
    /// Rows of a batch.
    pub batch: usize,
    /// Steps of the whole run.
    pub steps: u64,
}

impl Plan {
    /// Whole epochs.
    pub fn of_epochs(rows: usize, batch: usize, epochs: u64) -> Self {
        let plan = Plan { rows, batch, steps: 0 };
        Plan { steps: epochs.saturating_mul(plan.steps_per_epoch()), ..plan }
    }

    /// Steps of one pass over the data.
    pub fn steps_per_epoch(&self) -> u64 {
        self.rows.div_ceil(self.batch) as u64
    }

    /// The step at which the epoch that holds step `from` ends: the next multiple of an epoch, or
    /// the end of the run.
    pub fn epoch_end(&self, from: u64) -> u64 {
        let per_epoch = self.steps_per_epoch();
        ((from / per_epoch + 1) * per_epoch).min(self.steps)
    }

    /// Steps taken by the end of the learner's `n`-th epoch after step `from`.
    pub fn step_after(&self, from: u64, n: usize) -> u64 {
        ((from / self.steps_per_epoch() + n as u64) * self.steps_per_epoch())
            .clamp(from, self.steps.max(from))
    }

    /// Rows seen in the first `steps` steps.
    pub fn rows_by(&self, steps: u64) -> u64 {
        let (epochs, rest) = (steps / self.steps_per_epoch(), steps % self.steps_per_epoch());
        epochs * self.rows as u64 + (rest * self.batch as u64).min(self.rows as u64)
    }

    /// Learner epochs left from step `from`; the last may be shorter than a pass over the data.
    pub fn epochs_left(&self, from: u64) -> usize {
        let per_epoch = self.steps_per_epoch();
        (self.steps.div_ceil(per_epoch).saturating_sub(from / per_epoch)) as usize
    }
}

/// The training split, shuffled anew in every epoch.
///
/// Burn's learner asks for an iterator once an epoch. Which epoch it is follows from the number of
/// steps taken so far, which the feed counts and a resumed run starts from.
#[derive(Clone)]
pub struct Feed {
    x: Tensor<2>,
    plan: Plan,
    key: Key,
    step: Arc<AtomicU64>,
}

impl Feed {
    /// Feeds `x` by `plan`, shuffled under `key`, from step `first` on.
    pub fn new(x: Tensor<2>, plan: Plan, key: Key, first: u64) -> Self {
        assert_eq!(x.dims()[0], plan.rows, "the plan counts the rows of the split");
        Feed { x, plan, key: key.child(Role::Order), step: Arc::new(AtomicU64::new(first)) }
    }

    /// The number of steps taken so far.
    pub fn steps_taken(&self) -> Arc<AtomicU64> {
        self.step.clone()
    }
}

impl DataLoader<Batch> for Feed {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Batch> + 'a> {
        let first = self.step.load(Ordering::SeqCst);
        let epoch = first / self.plan.steps_per_epoch();
        let order = Stream::new(self.key.child(epoch)).permutation(self.plan.rows);
        let end = self.plan.epoch_end(first);
        Box::new(FeedIterator { feed: self, order, first, end })
    }

    fn num_items(&self) -> usize {
        self.plan.rows
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<Batch>> {
        Arc::new(Feed { x: self.x.clone().to_device(&device.clone().inner()), ..self.clone() })
    }

    /// The training split is not divided: the order of its rows is the run's own.
    fn slice(&self, _start: usize, _end: usize) -> Arc<dyn DataLoader<Batch>> {
        unimplemented_slice()
    }
}

fn unimplemented_slice() -> ! {
    panic!("a keyed feed serves one training device; data-parallel training over several is not offered")
}

struct FeedIterator<'a> {
    feed: &'a Feed,
    order: Vec<usize>,
    first: u64,
    end: u64,
}

impl Iterator for FeedIterator<'_> {
    type Item = Result<Batch, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.feed.step.load(Ordering::SeqCst);
        if step >= self.end {
            return None;
        }
        self.feed.step.store(step + 1, Ordering::SeqCst);
        let Plan { batch, rows, .. } = self.feed.plan;
        let start = (step % self.feed.plan.steps_per_epoch()) as usize * batch;
        let chosen = &self.order[start..(start + batch).min(rows)];
        let indices: Vec<i64> = chosen.iter().map(|&row| row as i64).collect();
        let device = self.feed.x.device();
        let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [chosen.len()]), &device);
        let rows = chosen.iter().map(|&row| row as u64).collect();
        Some(Ok(Batch { x: self.feed.x.clone().select(0, indices), rows, step }))
    }
}

impl DataLoaderIterator<Batch> for FeedIterator<'_> {
    fn progress(&self) -> Progress {
        let taken = self.feed.step.load(Ordering::SeqCst) - self.first;
        let items = (taken as usize * self.feed.plan.batch).min(self.feed.plan.rows);
        Progress::new(items, self.feed.plan.rows, Some("rows".to_string()))
    }
}

/// A split in the order of its rows, for validation.
#[derive(Clone)]
pub struct Rows {
    x: Tensor<2>,
    batch: usize,
}

impl Rows {
    /// All rows of `x`, `batch` at a time.
    pub fn new(x: Tensor<2>, batch: usize) -> Self {
        Rows { x, batch }
    }

    /// Number of batches.
    pub fn batches(&self) -> u64 {
        self.x.dims()[0].div_ceil(self.batch) as u64
    }
}

impl DataLoader<Batch> for Rows {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Batch> + 'a> {
        Box::new(RowsIterator { rows: self, next: 0 })
    }

    fn num_items(&self) -> usize {
        self.x.dims()[0]
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<Batch>> {
        Arc::new(Rows { x: self.x.clone().to_device(&device.clone().inner()), batch: self.batch })
    }

    fn slice(&self, _start: usize, _end: usize) -> Arc<dyn DataLoader<Batch>> {
        unimplemented_slice()
    }
}

struct RowsIterator<'a> {
    rows: &'a Rows,
    next: usize,
}

impl Iterator for RowsIterator<'_> {
    type Item = Result<Batch, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let [n, d] = self.rows.x.dims();
        if self.next >= n {
            return None;
        }
        let range = self.next..(self.next + self.rows.batch).min(n);
        self.next = range.end;
        let x = self.rows.x.clone().slice([range.clone(), 0..d]);
        Some(Ok(Batch { x, rows: range.map(|row| row as u64).collect(), step: 0 }))
    }
}

impl DataLoaderIterator<Batch> for RowsIterator<'_> {
    fn progress(&self) -> Progress {
        Progress::new(self.next, self.rows.num_items(), Some("rows".to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize) -> Tensor<2> {
        let values: Vec<f32> = (0..n).map(|i| i as f32).collect();
        Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([n, 1])
    }

    fn epoch(feed: &Feed) -> Vec<(u64, Vec<u64>)> {
        feed.iter().map(|batch| batch.unwrap()).map(|batch| (batch.step, batch.rows.to_vec())).collect()
    }

    #[test]
    fn an_epoch_holds_every_row_once_and_the_last_batch_is_what_is_left() {
        let feed = Feed::new(numbers(25), Plan::of_epochs(25, 10, 2), Key::new(0), 0);
        let first = epoch(&feed);
        assert_eq!(
            first.iter().map(|(step, rows)| (*step, rows.len())).collect::<Vec<_>>(),
            [(0, 10), (1, 10), (2, 5)]
        );
        let mut rows: Vec<u64> = first.iter().flat_map(|(_, rows)| rows.clone()).collect();
        rows.sort_unstable();
        assert!(rows.into_iter().eq(0..25));
        let second = epoch(&feed);
        assert_eq!(second.len(), 3);
        assert_ne!(first[0].1, second[0].1, "another epoch, another order");
    }

    #[test]
    fn a_feed_that_starts_later_goes_on_as_if_it_had_not_stopped() {
        let plan = Plan::of_epochs(25, 10, 3);
        let whole = Feed::new(numbers(25), plan, Key::new(1), 0);
        let all: Vec<_> = (0..3).flat_map(|_| epoch(&whole)).collect();
        for first in 0..9 {
            let late = Feed::new(numbers(25), plan, Key::new(1), first);
            let rest: Vec<_> = (0..plan.epochs_left(first)).flat_map(|_| epoch(&late)).collect();
            assert_eq!(rest, all[first as usize..], "from step {first}");
        }
    }

    #[test]
    fn a_batch_holds_the_rows_that_it_names() {
        let feed = Feed::new(numbers(7), Plan::of_epochs(7, 3, 1), Key::new(2), 0);
        for batch in feed.iter() {
            let batch = batch.unwrap();
            let values = batch.x.into_data().try_to_vec::<f32>().unwrap();
            assert!(values.iter().zip(batch.rows.iter()).all(|(v, row)| *v == *row as f32));
        }
    }

    #[test]
    fn a_run_may_end_in_the_middle_of_an_epoch() {
        let plan = Plan { rows: 25, batch: 10, steps: 4 };
        let feed = Feed::new(numbers(25), plan, Key::new(0), 0);
        assert_eq!(
            (plan.epochs_left(0), epoch(&feed).len(), epoch(&feed).len(), plan.epochs_left(4)),
            (2, 3, 1, 1)
        );
        assert_eq!(plan.epochs_left(3), 1);
        assert_eq!((plan.rows_by(2), plan.rows_by(3), plan.rows_by(4)), (20, 25, 35));
        assert_eq!((plan.step_after(0, 1), plan.step_after(0, 2), plan.step_after(1, 1)), (3, 4, 3));
    }
}
