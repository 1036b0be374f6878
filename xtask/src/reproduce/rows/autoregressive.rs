//! Rows of models with autoregressive layers: NADE layers under reweighted wake-sleep, and the plain models
//! without latents, whose likelihood is exact.

use super::super::row::Source;

/// The strategy of a model without latents: its likelihood is exact, and its gradient followed.
pub(crate) const MAXIMUM_LIKELIHOOD: &str = "maximum likelihood";

pub(super) const QUOTED_BY_MADE: Source =
    Source::Quoted("Table 4 of the MADE paper (Germain et al. 2015), which quotes it");

pub(super) const WHY: &str = "twice the distance between neighbouring models of the published table";
pub(super) const RWS_CHOICES: &str = "The architecture of the published NADE row is not stated. Here: NADE layers, prior and recognition net, \
     wake-phi, Adam on the batch mean, L1 chosen on validation, averaged weights; the epoch is chosen on validation.";
pub(super) const RWS_SUSPECT: &str =
    "The published architecture is not stated; here the latent layers are small and the training short.";
pub(super) const PLAIN_CHOICES: &str = "Adam on the batch mean with a falling rate, L1 chosen on validation, averaged weights; the epoch is chosen on \
     validation. Units in the order of the files.";
pub(super) const PLAIN_SUSPECT: &str =
    "Rate and penalty were chosen on validation from a handful; published models were chosen from many.";

/// A row of reweighted wake-sleep with NADE layers on a UCI set.
macro_rules! rws_nade {
    ($set:literal, $model:literal, $nll:literal, $tolerance:literal, $small_epochs:literal, $minutes:literal) => {
        Row {
            id: concat!("uci-", $set, "-rws-nade"),
            paper: "bornschein2015",
            table: "UCI table",
            model: $model,
            strategy: "rws, wake-phi, K = 5",
            data: concat!("uci/", $set),
            config: concat!("configs/reproduce/uci-", $set, "-rws-nade.toml"),
            flags: &[],
            begins_from: None,
            reported: Reported {
                nll: Some($nll),
                measured: "1000 importance samples",
                source: QUOTED_BY_BIHM,
            },
            tolerance: $tolerance,
            why: autoregressive::WHY,
            choices: autoregressive::RWS_CHOICES,
            suspect: autoregressive::RWS_SUSPECT,
            small_epochs: $small_epochs,
            minutes: $minutes,
        }
    };
}

/// A row of a model without latents on a UCI set.
macro_rules! plain {
    ($kind:literal, $set:literal, $model:literal, $nll:literal, $source:expr, $tolerance:literal, $small_epochs:literal, $minutes:literal) => {
        Row {
            id: concat!("uci-", $set, "-", $kind),
            paper: "larochelle2011",
            table: "UCI table",
            model: $model,
            strategy: autoregressive::MAXIMUM_LIKELIHOOD,
            data: concat!("uci/", $set),
            config: concat!("configs/reproduce/uci-", $set, "-", $kind, ".toml"),
            flags: &[],
            begins_from: None,
            reported: Reported { nll: Some($nll), measured: "exactly", source: $source },
            tolerance: $tolerance,
            why: autoregressive::WHY,
            choices: autoregressive::PLAIN_CHOICES,
            suspect: autoregressive::PLAIN_SUSPECT,
            small_epochs: $small_epochs,
            minutes: $minutes,
        }
    };
}

pub(super) use {plain, rws_nade};
