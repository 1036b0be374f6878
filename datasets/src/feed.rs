//! Data loaders whose order and draws depend only on the seed and the epoch.
//!
//! The whole split lies on the device as one [`Batch`]. A loader yields selections of its rows, with the targets, masks
//! and side inputs of those rows. The last batch of an epoch holds the remaining rows. If the rows are intensities, a
//! [`Feed`] can draw bits from them, anew in every epoch.
//!
//! Both loaders implement Burn's `DataLoader`, for any training loop:
//!
//! ```
//! use burn::data::dataloader::DataLoader;
//! use burn::tensor::Device;
//! use helmholtz_datasets::{Feed, Plan};
//! use helmholtz_noise::Key;
//!
//! let bars = helmholtz_datasets::load("bars/5x5", None)?;
//! let plan = Plan::of_epochs(bars.train.rows(), 300, 2);
//! let feed = Feed::new(bars.train.batch(&Device::flex()), plan, Key::new(0), 0);
//! for share in feed.iter() {
//!     let batch = share.expect("the rows are in memory").batch;
//!     assert!(batch.x.dims() == [300, 25] || batch.x.dims() == [100, 25]); // the last of 10 000
//! }
//! # Ok::<(), helmholtz_datasets::DataError>(())
//! ```

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::tensor::{Device, Tensor, TensorData};
use helmholtz_core::Batch;
use helmholtz_noise::{Key, Role, Stream, fill_uniform};

/// The part of a step's batch that one device gets: all of it, unless several devices share the work.
#[derive(Clone, Debug)]
pub struct Share {
    /// The rows, with their numbers in the split and the number of the training step.
    pub batch: Batch,
    /// Index of the first of these rows in the step's whole batch: 0, unless they are only a part of it.
    pub first: usize,
    /// Number of rows of the step's whole batch.
    pub whole: usize,
}

/// The part of a batch of `rows` rows that corresponds to the slice `from..to` of `of` rows.
///
/// Adjacent slices correspond to adjacent parts.
fn share([from, to]: [usize; 2], of: usize, rows: usize) -> Range<usize> {
    let place = |at: usize| (at as u128 * rows as u128 / of.max(1) as u128) as usize;
    place(from)..place(to)
}

/// How many steps a run takes, and how many rows each step uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Rows of the training split.
    pub rows: usize,
    /// Rows per batch.
    pub batch: usize,
    /// Steps of the whole run.
    pub steps: u64,
}

impl Plan {
    /// A plan of whole epochs.
    pub fn of_epochs(rows: usize, batch: usize, epochs: u64) -> Self {
        let plan = Plan { rows, batch, steps: 0 };
        Plan { steps: epochs.saturating_mul(plan.steps_per_epoch()), ..plan }
    }

    /// Steps in one pass over the data.
    pub fn steps_per_epoch(&self) -> u64 {
        self.rows.div_ceil(self.batch) as u64
    }

    /// The step at which the epoch that contains step `from` ends: the next multiple of the steps per epoch, or the end
    /// of the run.
    pub fn epoch_end(&self, from: u64) -> u64 {
        let per_epoch = self.steps_per_epoch();
        ((from / per_epoch + 1) * per_epoch).min(self.steps)
    }

    /// Steps taken by the end of the learner's `n`-th epoch after step `from`.
    pub fn step_after(&self, from: u64, n: usize) -> u64 {
        ((from / self.steps_per_epoch() + n as u64) * self.steps_per_epoch())
            .clamp(from, self.steps.max(from))
    }

    /// Rows of the smallest batch.
    pub fn fewest(&self) -> usize {
        match self.rows % self.batch {
            0 => self.batch,
            rest => rest,
        }
    }

    /// Rows seen in the first `steps` steps.
    pub fn rows_by(&self, steps: u64) -> u64 {
        let (epochs, rest) = (steps / self.steps_per_epoch(), steps % self.steps_per_epoch());
        epochs * self.rows as u64 + (rest * self.batch as u64).min(self.rows as u64)
    }

    /// Epochs of the learner that are left from step `from`; the last may be shorter than a pass over the data.
    pub fn epochs_left(&self, from: u64) -> usize {
        let per_epoch = self.steps_per_epoch();
        (self.steps.div_ceil(per_epoch).saturating_sub(from / per_epoch)) as usize
    }
}

/// The training split, shuffled anew in every epoch.
///
/// Burn's learner asks for an iterator once per epoch. The feed counts the steps taken so far; the epoch follows from
/// that count. A resumed run starts from the count.
#[derive(Clone)]
pub struct Feed {
    all: Batch,
    plan: Plan,
    key: Key,
    /// The key for drawing bits, if the rows are intensities.
    bits: Option<Key>,
    /// The part of every batch that is fed, as a range of the rows.
    part: [usize; 2],
    step: Arc<AtomicU64>,
}

impl Feed {
    /// Feeds the rows of `all` according to `plan`, shuffled with `key`, starting at step `first`.
    ///
    /// # Panics
    /// If the plan has another number of rows than `all`.
    pub fn new(all: Batch, plan: Plan, key: Key, first: u64) -> Self {
        assert_eq!(all.len(), plan.rows, "the plan must have the number of rows of the split");
        let step = Arc::new(AtomicU64::new(first));
        Feed { all, plan, key: key.child(Role::Order), bits: None, part: [0, plan.rows], step }
    }

    /// Draws bits from rows that are intensities: in epoch e, value j of row i is 1 if the uniform number at
    /// (row i, sample 0, unit j) of the key of epoch e is below the intensity.
    pub fn drawing_bits(self, key: Key) -> Self {
        Feed { bits: Some(key.child(Role::Data)), ..self }
    }

    /// The number of steps taken so far.
    pub fn steps_taken(&self) -> Arc<AtomicU64> {
        self.step.clone()
    }
}

impl DataLoader<Share> for Feed {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Share> + 'a> {
        let first = self.step.load(Ordering::SeqCst);
        let epoch = first / self.plan.steps_per_epoch();
        let order = Stream::new(self.key.child(epoch)).permutation(self.plan.rows);
        let end = self.plan.epoch_end(first);
        Box::new(FeedIterator { feed: self, order, first, end })
    }

    fn num_items(&self) -> usize {
        self.part[1] - self.part[0]
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<Share>> {
        Arc::new(Feed { all: self.all.to_device(&device.clone().inner()), ..self.clone() })
    }

    /// A feed of a part of every batch. A learner uses slices to divide the work among devices: together the slices
    /// feed, step by step, what the whole feed does. A step in which a slice has no rows is skipped.
    ///
    /// Each slice counts its own steps, except the first, which counts for the whole feed.
    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<Share>> {
        let part = [self.part[0] + start, self.part[0] + end];
        let taken = self.step.load(Ordering::SeqCst);
        let step = if start == 0 { self.step.clone() } else { Arc::new(AtomicU64::new(taken)) };
        Arc::new(Feed { part, step, ..self.clone() })
    }
}

struct FeedIterator<'a> {
    feed: &'a Feed,
    order: Vec<usize>,
    first: u64,
    end: u64,
}

impl Iterator for FeedIterator<'_> {
    type Item = Result<Share, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Plan { batch, rows, .. } = self.feed.plan;
        let (step, whole, place) = loop {
            let step = self.feed.step.load(Ordering::SeqCst);
            if step >= self.end {
                return None;
            }
            self.feed.step.store(step + 1, Ordering::SeqCst);
            let start = (step % self.feed.plan.steps_per_epoch()) as usize * batch;
            let whole = &self.order[start..(start + batch).min(rows)];
            let place = share(self.feed.part, rows, whole.len());
            if !place.is_empty() {
                break (step, whole, place);
            }
        };
        let (first, whole, chosen) = (place.start, whole.len(), &whole[place]);
        let batch = Batch { step, ..self.feed.all.select(chosen) };
        let batch = match self.feed.bits {
            Some(key) => drawn(batch, key.child(step / self.feed.plan.steps_per_epoch())),
            None => batch,
        };
        Some(Ok(Share { batch, first, whole }))
    }
}

/// Bits from intensities: 1 where a keyed uniform number is below the intensity. A missing value is stored as 0 and
/// stays 0.
fn drawn(batch: Batch, key: Key) -> Batch {
    let [n, d] = batch.x.dims();
    let mut uniforms = vec![0.0f32; n * d];
    for (row, uniforms) in batch.rows.iter().zip(uniforms.chunks_exact_mut(d.max(1))) {
        fill_uniform(key, *row, 0, uniforms);
    }
    let uniforms = Tensor::<2>::from_data(TensorData::new(uniforms, [n, d]), &batch.x.device());
    Batch { x: uniforms.lower(batch.x).float(), ..batch }
}

impl DataLoaderIterator<Share> for FeedIterator<'_> {
    fn progress(&self) -> Progress {
        let taken = self.feed.step.load(Ordering::SeqCst) - self.first;
        let items = (taken as usize * self.feed.plan.batch).min(self.feed.plan.rows);
        let share = share(self.feed.part, self.feed.plan.rows, items);
        Progress::new(share.len(), self.feed.num_items(), Some("rows".to_string()))
    }
}

/// A split in the order of its rows, for validation.
#[derive(Clone)]
pub struct OrderedRows {
    all: Batch,
    batch: usize,
}

impl OrderedRows {
    /// The rows of `all`, `batch` at a time.
    pub fn new(all: Batch, batch: usize) -> Self {
        OrderedRows { all, batch }
    }

    /// Number of batches.
    pub fn batches(&self) -> u64 {
        self.all.len().div_ceil(self.batch) as u64
    }
}

impl DataLoader<Share> for OrderedRows {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Share> + 'a> {
        Box::new(RowsIterator { rows: self, next: 0 })
    }

    fn num_items(&self) -> usize {
        self.all.len()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<Share>> {
        Arc::new(OrderedRows { all: self.all.to_device(&device.clone().inner()), batch: self.batch })
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<Share>> {
        Arc::new(OrderedRows { all: self.all.slice(start..end), batch: self.batch })
    }
}

struct RowsIterator<'a> {
    rows: &'a OrderedRows,
    next: usize,
}

impl Iterator for RowsIterator<'_> {
    type Item = Result<Share, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let n = self.rows.all.len();
        if self.next >= n {
            return None;
        }
        let range = self.next..(self.next + self.rows.batch).min(n);
        self.next = range.end;
        let whole = range.len();
        Some(Ok(Share { batch: self.rows.all.slice(range), first: 0, whole }))
    }
}

impl DataLoaderIterator<Share> for RowsIterator<'_> {
    fn progress(&self) -> Progress {
        Progress::new(self.next, self.rows.num_items(), Some("rows".to_string()))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Int;
    use helmholtz_core::Target;

    use super::*;

    /// A column that counts from `from`.
    fn column(n: usize, from: f32) -> Tensor<2> {
        let values: Vec<f32> = (0..n).map(|i| from + i as f32).collect();
        Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([n, 1])
    }

    /// Rows that hold their own numbers, with targets, side inputs and masks that hold the numbers plus an offset.
    fn numbers(n: usize) -> Batch {
        let classes = Tensor::<1, Int>::arange(0..n as i64, &Device::flex());
        let batch = Batch::of(column(n, 0.0)).with_target(Target::Classes(classes));
        Batch { side: Some(column(n, 100.0)), mask: Some(column(n, 200.0)), ..batch }
    }

    /// Whether every part of a batch belongs to the rows that it names.
    fn is_whole(batch: &Batch) -> bool {
        let offset = |tensor: Tensor<2>, from: f32| {
            let values = tensor.into_data().try_to_vec::<f32>().unwrap();
            values.len() == batch.len()
                && values.iter().zip(batch.rows.iter()).all(|(v, row)| v - from == *row as f32)
        };
        let classes = batch.classes().unwrap().float().unsqueeze_dim(1);
        offset(batch.x.clone(), 0.0)
            && offset(classes, 0.0)
            && offset(batch.side.clone().unwrap(), 100.0)
            && offset(batch.mask.clone().unwrap(), 200.0)
    }

    fn next(share: Result<Share, DatasetError>) -> Batch {
        share.unwrap().batch
    }

    fn epoch(feed: &Feed) -> Vec<(u64, Vec<u64>)> {
        feed.iter().map(next).map(|batch| (batch.step, batch.rows.to_vec())).collect()
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
    fn a_batch_holds_all_that_is_known_of_the_rows_that_it_names() {
        let feed = Feed::new(numbers(7), Plan::of_epochs(7, 3, 1), Key::new(2), 0);
        assert_eq!(feed.iter().filter(|share| is_whole(&share.as_ref().unwrap().batch)).count(), 3);
        let rows = OrderedRows::new(numbers(7), 3);
        assert_eq!(rows.iter().filter(|share| is_whole(&share.as_ref().unwrap().batch)).count(), 3);
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

    #[test]
    fn bits_are_drawn_anew_in_every_epoch_and_alike_in_every_run() {
        let x = Tensor::<2>::full([6, 40], 0.5, &Device::flex());
        let bits = |seed: u64, first: u64| {
            let plan = Plan::of_epochs(6, 4, 2);
            let feed = Feed::new(x.clone().into(), plan, Key::new(seed), first).drawing_bits(Key::new(seed));
            let batches = (0..2).flat_map(|_| feed.iter().map(next).collect::<Vec<_>>());
            let mut rows = vec![];
            for batch in batches {
                let values = batch.x.into_data().try_to_vec::<f32>().unwrap();
                let epoch = batch.step / 2;
                rows.extend(
                    batch.rows.iter().zip(values.chunks(40)).map(|(row, x)| (epoch, *row, x.to_vec())),
                );
            }
            rows.sort_by_key(|(epoch, row, _)| (*epoch, *row));
            rows
        };
        let all = bits(1, 0);
        assert_eq!(all.len(), 12);
        assert!(all.iter().all(|(_, _, x)| x.iter().all(|bit| *bit == 0.0 || *bit == 1.0)));
        assert_ne!(all[0].2, all[6].2, "row 0 in two epochs");
        assert_ne!(all[0].2, bits(2, 0)[0].2, "row 0 under two seeds");
        assert_eq!(bits(1, 2), all[6..], "from the second epoch on");
    }

    #[test]
    fn drawn_bits_are_those_of_the_whole_split_drawn_under_the_key_of_the_epoch() {
        let intensities = crate::Split::grey(5, 8, (0..40).map(|i| i * 6).collect());
        let feed = Feed::new(intensities.batch(&Device::flex()), Plan::of_epochs(5, 2, 1), Key::new(3), 0);
        let drawn = crate::binarize::draw(&intensities, Key::new(3).child(Role::Data).child(0u64));
        for batch in feed.drawing_bits(Key::new(3)).iter().map(next) {
            let values = batch.x.into_data().try_to_vec::<f32>().unwrap();
            for (row, values) in batch.rows.iter().zip(values.chunks(8)) {
                assert_eq!(values, drawn.row(*row as usize));
            }
        }
    }

    #[test]
    fn slices_of_a_feed_together_feed_every_batch_of_the_whole() {
        let plan = Plan::of_epochs(23, 10, 2);
        let whole = Feed::new(numbers(23), plan, Key::new(0), 0);
        let batches: Vec<Batch> = (0..2).flat_map(|_| whole.iter().collect::<Vec<_>>()).map(next).collect();
        let shared = Feed::new(numbers(23), plan, Key::new(0), 0);
        // Burn cuts 23 rows for three devices as 7 + 7 + 9.
        let slices = [shared.slice(0, 7), shared.slice(7, 14), shared.slice(14, 23)];
        assert_eq!(slices.each_ref().map(|slice| slice.num_items()), [7, 7, 9]);
        let mut parts: Vec<Vec<Share>> = vec![Vec::new(); batches.len()];
        for slice in slices {
            for share in (0..2).flat_map(|_| slice.iter().collect::<Vec<_>>()) {
                let share = share.unwrap();
                parts[share.batch.step as usize].push(share);
            }
        }
        for (whole, parts) in batches.iter().zip(parts) {
            let mut rows = Vec::new();
            for part in parts {
                assert_eq!((part.first, part.whole), (rows.len(), whole.rows.len()), "step {}", whole.step);
                assert!(is_whole(&part.batch), "step {}", whole.step);
                rows.extend(part.batch.rows.iter().copied());
            }
            assert_eq!(rows, whole.rows.to_vec());
        }
        assert_eq!(shared.steps_taken().load(Ordering::SeqCst), 6, "the first slice counts for the whole");
        assert_eq!((plan.fewest(), Plan::of_epochs(20, 10, 1).fewest()), (3, 10));
    }

    #[test]
    fn a_slice_of_rows_has_them_under_their_numbers_in_the_whole() {
        let loader = OrderedRows::new(numbers(10), 3).slice(4, 9);
        assert_eq!(loader.num_items(), 5);
        let mut rows = vec![];
        for batch in loader.iter().map(next) {
            assert!(is_whole(&batch));
            rows.extend(batch.rows.iter().copied());
        }
        assert!(rows.into_iter().eq(4..9));
    }
}
