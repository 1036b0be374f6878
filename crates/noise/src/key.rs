//! A key names a stream of numbers; a role or an index splits it.

use crate::philox::philox4x32;

/// The name of a stream of random numbers.
///
/// It is made from the run's seed by [`Key::new`] and split by [`Key::child`]: by a [`Role`] (what the numbers are
/// for), by an index (the step, the layer, the epoch) or by a name. Children with different labels are independent
/// for all practical purposes: a child is 64 bits of Philox4x32-10 output.
///
/// A key also holds the number of the first row, for rows that are numbered by their place in a batch: see
/// [`Key::from_row`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    words: [u32; 2],
    first_row: u64,
}

/// What a stream of numbers is for.
///
/// The discriminants are part of the format: changing one changes every result of every seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum Role {
    /// Initial weights.
    Init = 1,
    /// The order of the training rows in an epoch.
    Order = 2,
    /// Latents proposed by the recognition net in training.
    Wake = 3,
    /// Dreams (samples of the generative model) in training.
    Sleep = 4,
    /// Latents proposed in evaluation.
    Evaluate = 5,
    /// Latents proposed when the validation split is scored during training.
    Validate = 6,
    /// Samples drawn for display or export.
    Sample = 7,
    /// The generator of a synthetic data set.
    Data = 8,
    /// The rows of a pseudo-random subset of a split.
    Subset = 9,
    /// One stochastic layer; split further by its index.
    Layer = 10,
    /// The choice between the components of a mixture proposal.
    Mixture = 11,
    /// The uniform component of a mixture proposal.
    Defensive = 12,
    /// The order in which an autoregressive layer visits its units.
    Units = 13,
    /// Draws for a partition function.
    Partition = 14,
    /// The choice of one among weighted proposals.
    Choice = 15,
    /// The state that a Markov chain starts in.
    Start = 16,
    /// The steps of a Markov chain; split further by their index.
    Chain = 17,
    /// Momenta of Hamiltonian dynamics.
    Momentum = 18,
    /// Whether a proposal is accepted.
    Accept = 19,
    /// Draws with which an evaluation checks itself; split further by names.
    Check = 20,
}

/// What [`Key::child`] splits by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(u64);

impl From<Role> for Label {
    fn from(role: Role) -> Self {
        Label(1 << 63 | role as u64)
    }
}

impl From<u64> for Label {
    fn from(index: u64) -> Self {
        assert!(index < 1 << 63, "the index {index} cannot split a key; it must be below 2^63");
        Label(index)
    }
}

impl From<usize> for Label {
    fn from(index: usize) -> Self {
        Label::from(index as u64)
    }
}

impl From<&str> for Label {
    /// The label of a name: its 64-bit FNV-1a hash without the top bit.
    fn from(name: &str) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Label(hash & !(1 << 63))
    }
}

impl Key {
    /// The root key of a seed.
    pub const fn new(seed: u64) -> Self {
        Key { words: [seed as u32, (seed >> 32) as u32], first_row: 0 }
    }

    /// The key of a role or an index below this one.
    pub fn child(self, label: impl Into<Label>) -> Self {
        let Label(label) = label.into();
        // Word 3 has its top bit set here and never in a draw (see `uniform`), so that splitting
        // a key and drawing from it read disjoint counters.
        let counter = [label as u32, (label >> 32) as u32, 0, 1 << 31];
        let [a, b, ..] = philox4x32(counter, self.words);
        Key { words: [a, b], ..self }
    }

    /// The same key for a part of a batch that starts at row `first` of the batch. The draws for row i of the part are
    /// those that the whole batch would make for row `first + i`. Children inherit `first`.
    ///
    /// This affects [`Draws::new`](crate::Draws::new), where rows are numbered by their place, but not rows with
    /// numbers of their own.
    pub const fn from_row(self, first: u64) -> Self {
        Key { first_row: first, ..self }
    }

    /// The number of the first row.
    pub const fn first_row(self) -> u64 {
        self.first_row
    }

    /// The two words that key the Philox block function.
    pub const fn words(self) -> [u32; 2] {
        self.words
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn children_of_different_labels_differ() {
        let root = Key::new(3);
        let mut seen = HashSet::from([root]);
        for index in 0..20_000u64 {
            assert!(seen.insert(root.child(index)), "index {index} repeats a key");
        }
        for role in [Role::Init, Role::Order, Role::Wake, Role::Sleep, Role::Evaluate] {
            assert!(seen.insert(root.child(role)), "{role:?} repeats a key");
        }
    }

    #[test]
    fn keys_are_stable_between_versions() {
        // A change here would be value-breaking: every published seed would give other numbers.
        let key = Key::new(0).child(Role::Wake).child(12u64);
        assert_eq!(key, Key::new(0).child(Role::Wake).child(12usize));
        assert_eq!(key.words(), [1_462_945_903, 4_186_941_058]);
    }
}
