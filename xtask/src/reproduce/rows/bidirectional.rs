//! Rows of bidirectional Helmholtz machines, and of what they are set beside.

pub(super) const WHY: &str = "the same for all sets but nips: neighbouring models of the published table lie a few tenths of a nat apart";
pub(super) const WIDE: &str =
    "neighbouring models of the published table lie up to two nats apart on this set";
pub(super) const CHOICES: &str = "Architecture from Table 2 of the paper, biases of -1 (of 0 on dna), K = 10, the L1 term in its true scale or larger, chosen on \
     validation. Published: Adam at 1e-2 or 1e-3, batch 100, patience of 10 epochs. Here: a falling rate, smaller batches, \
     averaged weights; the epoch is chosen on validation, by the bound log p̃*.";
pub(super) const SUSPECT: &str = "Rates, penalties and lengths were chosen on validation from a handful; the published ones are given for all sets together.";
pub(super) const TWELVE_CHOICES: &str = "Adam at 3e-3 falling to a fiftieth over 140 epochs, batch 100, K = 10, biases of -1, averaged weights; the paper: \
     1e-3 to convergence, then K = 100 at 3e-4.";

/// A row of a bidirectional machine on a UCI set; with what Table 1 of the paper says of it besides.
macro_rules! bihm {
    ($set:literal, $layers:literal, $star:literal, $measured:literal, $tolerance:literal, $why:expr, $small_epochs:literal, $minutes:literal) => {
        Row {
            id: concat!("uci-", $set, "-bihm"),
            paper: "bornschein2016",
            table: "Table 1, -log p*",
            model: concat!("bihm ", $layers),
            strategy: "bihm, K = 10",
            data: concat!("uci/", $set),
            config: concat!("configs/reproduce/uci-", $set, "-bihm.toml"),
            flags: &[],
            begins_from: None,
            reported: Reported { nll: Some($star), measured: $measured, source: Source::Read },
            tolerance: $tolerance,
            why: $why,
            choices: bidirectional::CHOICES,
            suspect: bidirectional::SUSPECT,
            small_epochs: $small_epochs,
            minutes: $minutes,
        }
    };
}

/// The best machine of the paper on binarised MNIST.
macro_rules! twelve {
    () => {
        "784-300-200-100-75-50-35-30-25-20-15-10-10"
    };
}

pub(super) use {bihm, twelve};
