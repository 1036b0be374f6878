//! The rows, one an entry.

use super::row::{Reported, Row, Source};

pub(crate) mod autoregressive;
pub(crate) mod best;
mod bidirectional;
mod vae;

use autoregressive::{QUOTED_BY_MADE, plain, rws_nade};
use bidirectional::{bihm, twelve};
use vae::{burda, continued, coupled, iwae};

const QUOTED_BY_BIHM: Source = Source::Quoted(
    "Table 1 of the bidirectional Helmholtz machine paper (Bornschein et al. 2016), which quotes it",
);
const UCI_CHOICES: &str = "Architecture from Table 2 of the BiHM paper, which does not say whether its SBN or its NADE row used it. \
     Published: momentum SGD on the batch sum, sleep phases in between, early stopping. Here: wake-phi, Adam on the \
     batch mean, averaged weights; the epoch is chosen on validation.";
const UCI_SUSPECT: &str = "The published architecture of the SBN row is not stated, and the rate matters more on this set than the algorithm.";

/// A row of reweighted wake-sleep with SBN layers on a UCI set.
const fn uci(
    [id, data, config]: [&'static str; 3],
    model: &'static str,
    nll: f64,
    [tolerance, small_epochs, minutes]: [f64; 3],
) -> Row {
    Row {
        id,
        paper: "bornschein2015",
        table: "UCI table",
        model,
        strategy: "rws, wake-phi, K = 10",
        data,
        config,
        flags: &[],
        begins_from: None,
        reported: Reported { nll: Some(nll), measured: "1000 importance samples", source: QUOTED_BY_BIHM },
        tolerance,
        why: "twice the distance between neighbouring models of the published table",
        choices: UCI_CHOICES,
        suspect: UCI_SUSPECT,
        small_epochs: small_epochs as u32,
        minutes: minutes as u32,
    }
}

const STACKS: &str =
    "Adam at 1e-3 falling to 1e-4, batch 100; the paper: batch 24, the best of three rates, longer training.";
const STACK_SUSPECT: &str =
    "Shorter training than the published one: the validation curve is still falling at its end.";

/// A row of the K-sweep on a stack of SBN layers.
const fn sweep(
    [id, table, model, strategy, config]: [&'static str; 5],
    flags: &'static [&'static str],
    reported: Reported,
    minutes: u32,
) -> Row {
    Row {
        id,
        paper: "mnih2016",
        table,
        model,
        strategy,
        data: "mnist/binarized",
        config,
        flags,
        begins_from: None,
        reported,
        tolerance: 1.0,
        why: "the spread of the three methods of the table at one K",
        choices: STACKS,
        suspect: STACK_SUSPECT,
        small_epochs: 3,
        minutes,
    }
}

const fn read(nll: f64) -> Reported {
    Reported { nll: Some(nll), measured: "1000 importance samples", source: Source::Read }
}

const fn recalled(nll: f64) -> Reported {
    Reported { nll: Some(nll), measured: "not known", source: Source::Recalled }
}

const UNPUBLISHED: Reported = Reported { nll: None, measured: "", source: Source::None };

/// A row of wake-sleep; the published column is a bound.
const fn wake_sleep([id, model, config]: [&'static str; 3], bound: f64) -> Row {
    Row {
        id,
        paper: "mnih2014",
        table: "Tables 1 and 2, column WS",
        model,
        strategy: "ws, K = 1",
        data: "mnist/binarized",
        config,
        flags: &[],
        begins_from: None,
        reported: Reported {
            nll: Some(bound),
            measured: "bound with 10 samples",
            source: Source::Other("a bound, which is above the likelihood that is measured here"),
        },
        tolerance: 1.0,
        why: "as for the other rows of this stack",
        choices: "Adam at 1e-3 falling to 1e-4, batch 100; the paper: SGD at 1e-4, batch 20.",
        suspect: STACK_SUSPECT,
        small_epochs: 3,
        minutes: 30,
    }
}

const ONE: &str = "configs/reproduce/mnist-sbn-200-rws.toml";
const TWO: &str = "configs/reproduce/mnist-sbn-200-200-rws.toml";
const THREE: &str = "configs/reproduce/mnist-sbn-200-200-200-rws.toml";
const T1: &str = "Table 1, column RWS";
const NOT_IN: &str = "not in the paper";
const WITH: [&str; 4] =
    ["rws, wake-phi, K = 2", "rws, wake-phi, K = 5", "rws, wake-phi, K = 10", "rws, wake-phi, K = 50"];
const K: [&[&str]; 4] =
    [&["--samples", "2"], &["--samples", "5"], &["--samples", "10"], &["--samples", "50"]];

/// Every row, in the order of the list.
pub(crate) static ROWS: [Row; 90] = [
    uci(
        ["uci-adult-rws-sbn", "uci/adult", "configs/reproduce/uci-adult-rws-sbn.toml"],
        "sbn 123-100-20-5",
        13.65,
        [0.3, 40.0, 15.0],
    ),
    uci(
        ["uci-connect4-rws-sbn", "uci/connect4", "configs/reproduce/uci-connect4-rws-sbn.toml"],
        "sbn 126-150-50-10",
        12.68,
        [0.3, 10.0, 40.0],
    ),
    uci(
        ["uci-dna-rws-sbn", "uci/dna", "configs/reproduce/uci-dna-rws-sbn.toml"],
        "sbn 180-150-10",
        90.63,
        [0.3, 60.0, 3.0],
    ),
    uci(
        ["uci-mushrooms-rws-sbn", "uci/mushrooms", "configs/reproduce/uci-mushrooms-rws-sbn.toml"],
        "sbn 112-150-50-10",
        9.90,
        [0.3, 100.0, 10.0],
    ),
    uci(
        ["uci-nips-rws-sbn", "uci/nips", "configs/reproduce/uci-nips-rws-sbn.toml"],
        "sbn 500-150-50-10",
        272.54,
        [1.5, 40.0, 3.0],
    ),
    uci(
        ["uci-ocr-letters-rws-sbn", "uci/ocr-letters", "configs/reproduce/uci-ocr-letters-rws-sbn.toml"],
        "sbn 128-300-100-10",
        29.99,
        [0.3, 5.0, 60.0],
    ),
    uci(
        ["uci-rcv1-rws-sbn", "uci/rcv1", "configs/reproduce/uci-rcv1-rws-sbn.toml"],
        "sbn 150-200-50-10",
        46.16,
        [0.3, 5.0, 60.0],
    ),
    uci(
        ["uci-web-rws-sbn", "uci/web", "configs/reproduce/uci-web-rws-sbn.toml"],
        "sbn 300-300-50-10",
        28.18,
        [0.3, 10.0, 60.0],
    ),
    Row {
        id: "caltech-rws-sbn",
        paper: "bornschein2015",
        table: "Caltech silhouettes",
        model: "sbn 784-400-300-200-100-10",
        strategy: "rws, wake-phi, K = 10",
        data: "caltech/silhouettes",
        config: "configs/reproduce/caltech-rws-sbn.toml",
        flags: &[],
        begins_from: None,
        reported: Reported {
            nll: Some(113.3),
            measured: "up to 1e5 importance samples",
            source: Source::SecondHand(
                "113.3 in the tables of two later papers, 116.9 in a summary of this one: versions of the paper disagree",
            ),
        },
        tolerance: 1.0,
        why: "not judged",
        choices: "Adam at 1e-3 falling to zero, batch 100, averaged weights; the published code: momentum SGD, K = 10, sleep phases.",
        suspect: STACK_SUSPECT,
        small_epochs: 20,
        minutes: 120,
    },
    wake_sleep(["mnist-ws-sbn-200", "sbn 784-200", "configs/reproduce/mnist-sbn-200-ws.toml"], 120.8),
    wake_sleep(
        ["mnist-ws-sbn-200-200", "sbn 784-200-200", "configs/reproduce/mnist-sbn-200-200-ws.toml"],
        107.7,
    ),
    wake_sleep(
        [
            "mnist-ws-sbn-200-200-200",
            "sbn 784-200-200-200",
            "configs/reproduce/mnist-sbn-200-200-200-ws.toml",
        ],
        102.2,
    ),
    sweep(["mnist-rws-sbn-200-k2", NOT_IN, "sbn 784-200", WITH[0], ONE], K[0], UNPUBLISHED, 40),
    sweep(["mnist-rws-sbn-200-k5", NOT_IN, "sbn 784-200", WITH[1], ONE], K[1], UNPUBLISHED, 60),
    sweep(
        ["mnist-rws-sbn-200-k10", "RWS paper's MNIST table", "sbn 784-200", WITH[2], ONE],
        K[2],
        recalled(103.1),
        80,
    ),
    sweep(["mnist-rws-sbn-200-k50", NOT_IN, "sbn 784-200", WITH[3], ONE], K[3], UNPUBLISHED, 300),
    sweep(["mnist-rws-sbn-200-200-k2", NOT_IN, "sbn 784-200-200", WITH[0], TWO], K[0], UNPUBLISHED, 50),
    sweep(["mnist-rws-sbn-200-200-k5", NOT_IN, "sbn 784-200-200", WITH[1], TWO], K[1], UNPUBLISHED, 70),
    sweep(
        ["mnist-rws-sbn-200-200-k10", "RWS paper's MNIST table", "sbn 784-200-200", WITH[2], TWO],
        K[2],
        recalled(93.4),
        100,
    ),
    sweep(["mnist-rws-sbn-200-200-k50", NOT_IN, "sbn 784-200-200", WITH[3], TWO], K[3], UNPUBLISHED, 400),
    sweep(["mnist-rws-sbn-200-200-200-k2", T1, "sbn 784-200-200-200", WITH[0], THREE], K[0], read(94.6), 60),
    sweep(["mnist-rws-sbn-200-200-200-k5", T1, "sbn 784-200-200-200", WITH[1], THREE], K[1], read(93.4), 90),
    sweep(
        ["mnist-rws-sbn-200-200-200-k10", T1, "sbn 784-200-200-200", WITH[2], THREE],
        K[2],
        read(93.0),
        120,
    ),
    sweep(
        ["mnist-rws-sbn-200-200-200-k50", T1, "sbn 784-200-200-200", WITH[3], THREE],
        K[3],
        read(92.5),
        500,
    ),
    Row {
        id: "mnist-rws-sbn-five-layers",
        paper: "bornschein2015",
        table: "best SBN, as in Table 3 of the BiHM paper",
        model: "sbn 784-400-300-200-100-10",
        strategy: "rws, wake-phi, K = 10, then K = 100",
        data: "mnist/binarized",
        config: "configs/reproduce/mnist-sbn-five-layers-rws.toml",
        flags: &[],
        begins_from: None,
        reported: Reported {
            nll: Some(85.4),
            measured: "1e5 importance samples",
            source: Source::Quoted("Table 3 of the bidirectional Helmholtz machine paper, which quotes it"),
        },
        tolerance: 1.0,
        why: "as for the other rows of this set",
        choices: "K = 10 at 1e-3, then K = 100 at 3e-4, as BiHM says of RWS; Adam, batch 100, averaged weights.",
        suspect: STACK_SUSPECT,
        small_epochs: 2,
        minutes: 600,
    },
    rws_nade!("adult", "nade 123-50", 13.16, 0.3, 10, 15),
    rws_nade!("connect4", "nade 126-50", 11.68, 0.3, 3, 40),
    rws_nade!("dna", "nade 180-20, 200 hidden", 84.26, 0.3, 10, 10),
    rws_nade!("mushrooms", "nade 112-50", 9.71, 0.3, 30, 10),
    rws_nade!("nips", "nade 500-50", 271.11, 1.5, 10, 10),
    rws_nade!("ocr-letters", "nade 128-100", 26.43, 0.3, 2, 60),
    rws_nade!("rcv1", "nade 150-100", 46.09, 0.3, 2, 90),
    rws_nade!("web", "nade 300-100", 27.92, 0.3, 3, 60),
    plain!("nade", "adult", "nade 123, 500 hidden", 13.19, Source::Read, 0.3, 10, 15),
    plain!("nade", "connect4", "nade 126, 500 hidden", 11.99, Source::Read, 0.3, 3, 40),
    plain!("nade", "dna", "nade 180, 500 hidden", 84.81, Source::Read, 0.3, 10, 10),
    plain!("nade", "mushrooms", "nade 112, 500 hidden", 9.81, Source::Read, 0.3, 30, 10),
    plain!("nade", "nips", "nade 500, 500 hidden", 273.08, Source::Read, 1.5, 10, 10),
    plain!("nade", "ocr-letters", "nade 128, 500 hidden", 27.22, Source::Read, 0.3, 2, 60),
    plain!("nade", "rcv1", "nade 150, 500 hidden", 46.66, Source::Read, 0.3, 2, 90),
    plain!("nade", "web", "nade 300, 500 hidden", 28.39, Source::Read, 0.3, 3, 60),
    plain!("darn", "adult", "darn 123", 13.17, QUOTED_BY_MADE, 0.3, 10, 1),
    plain!("darn", "connect4", "darn 126", 12.39, QUOTED_BY_MADE, 0.3, 3, 1),
    plain!("darn", "dna", "darn 180", 83.64, QUOTED_BY_MADE, 0.3, 10, 1),
    plain!("darn", "mushrooms", "darn 112", 10.27, QUOTED_BY_MADE, 0.3, 30, 1),
    plain!("darn", "nips", "darn 500", 276.88, QUOTED_BY_MADE, 1.5, 10, 1),
    plain!("darn", "ocr-letters", "darn 128", 39.30, QUOTED_BY_MADE, 0.3, 2, 1),
    plain!("darn", "rcv1", "darn 150", 49.84, QUOTED_BY_MADE, 0.3, 2, 1),
    plain!("darn", "web", "darn 300", 29.35, QUOTED_BY_MADE, 0.3, 3, 1),
    Row {
        id: "caltech-rws-nade",
        paper: "bornschein2015",
        table: "Caltech silhouettes",
        model: "nade 784-150, pixels permuted",
        strategy: "rws, wake-phi, K = 5",
        data: "caltech/silhouettes",
        config: "configs/reproduce/caltech-rws-nade.toml",
        flags: &[],
        begins_from: None,
        reported: Reported {
            nll: Some(104.3),
            measured: "1000 importance samples",
            source: Source::SecondHand("in a summary of the paper"),
        },
        tolerance: 1.0,
        why: "not judged",
        choices: "Adam at 1e-3 falling to zero, batch 25, averaged weights; the published code: momentum SGD, sleep phases.",
        suspect: STACK_SUSPECT,
        small_epochs: 2,
        minutes: 120,
    },
    bihm!(
        "adult",
        "123-100-70-50-25",
        13.82,
        "by importance samples; beside it 13.78 for p, -2 log Z = 0.2, ESS 81.5 %",
        0.4,
        bidirectional::WHY,
        20,
        15
    ),
    bihm!(
        "connect4",
        "126-300-110-50-20",
        12.31,
        "by importance samples; beside it 12.43 for p, -2 log Z = 0.27, ESS 89.1 %",
        0.4,
        bidirectional::WHY,
        5,
        60
    ),
    bihm!(
        "dna",
        "180-200-150-130-100-70-50-30-20-10",
        86.92,
        "by importance samples; beside it 86.49 for p, -2 log Z = 0.56, ESS 11.2 %",
        0.4,
        bidirectional::WHY,
        20,
        15
    ),
    bihm!(
        "mushrooms",
        "112-150-100-90-60-40-20",
        9.4,
        "by importance samples; beside it 9.4 for p, -2 log Z = 0.09, ESS 92.5 %",
        0.4,
        bidirectional::WHY,
        50,
        15
    ),
    bihm!(
        "nips",
        "500-200-100-50-25",
        272.71,
        "by importance samples; beside it 272.66 for p, -2 log Z = 1.97, ESS 16.8 %",
        2.0,
        bidirectional::WIDE,
        20,
        3
    ),
    bihm!(
        "ocr-letters",
        "128-600-500-100-50-30-10",
        27.3,
        "by importance samples; beside it 27.1 for p, -2 log Z = 1.87, ESS 22.5 %",
        0.4,
        bidirectional::WHY,
        2,
        120
    ),
    bihm!(
        "rcv1",
        "150-500-120-70-30",
        46.98,
        "by importance samples; beside it 46.12 for p, -2 log Z = 0.41, ESS 70.6 %",
        0.4,
        bidirectional::WHY,
        2,
        90
    ),
    bihm!(
        "web",
        "300-650-580-70-30-10",
        28.22,
        "by importance samples; beside it 28.14 for p, -2 log Z = 0.54, ESS 55.9 %",
        0.4,
        bidirectional::WHY,
        3,
        90
    ),
    Row {
        id: "mnist-bihm-twelve-layers",
        paper: "bornschein2016",
        table: "section 4, -log p*",
        model: concat!("bihm ", twelve!()),
        strategy: "bihm, K = 10",
        data: "mnist/binarized",
        config: "configs/reproduce/mnist-bihm-twelve-layers.toml",
        flags: &[],
        begins_from: None,
        reported: Reported {
            nll: Some(84.8),
            measured: "by importance samples, ±0.23; beside it 84.3 to 84.5 for p, and a bound of 89.2; ESS with K = 1e5 11.9 % for p*, 1.2 % for p",
            source: Source::Read,
        },
        tolerance: 1.0,
        why: "as for the other rows of this set",
        choices: bidirectional::TWELVE_CHOICES,
        suspect: STACK_SUSPECT,
        small_epochs: 1,
        minutes: 120,
    },
    Row {
        id: "mnist-rws-sbn-twelve-layers",
        paper: "bornschein2016",
        table: "not in the paper: beside the machine on the same stack",
        model: concat!("sbn ", twelve!()),
        strategy: "rws, wake-phi, K = 10",
        data: "mnist/binarized",
        config: "configs/reproduce/mnist-rws-sbn-twelve-layers.toml",
        flags: &[],
        begins_from: None,
        reported: UNPUBLISHED,
        tolerance: 1.0,
        why: "as for the other rows of this set",
        choices: bidirectional::TWELVE_CHOICES,
        suspect: STACK_SUSPECT,
        small_epochs: 1,
        minutes: 120,
    },
    coupled!("elbo", "20", "elbo, K = 1", 90.05, "0.21", 10, 40),
    coupled!("elbo", "100", "elbo, K = 1", 89.96, "0.14", 10, 45),
    coupled!("elbo", "300", "elbo, K = 1", 90.63, "0.12", 10, 50),
    coupled!("iwae", "20", "iwae, K = 10", 88.06, "0.08", 10, 120),
    coupled!("iwae", "100", "iwae, K = 10", 88.07, "0.06", 10, 130),
    coupled!("iwae", "300", "iwae, K = 10", 89.05, "0.08", 10, 150),
    coupled!("coupled", "20", "coupled, isir then disir, K = 10", 87.29, "0.08", 1, 1200),
    coupled!("coupled", "100", "coupled, isir then disir, K = 10", 86.75, "0.10", 1, 1300),
    coupled!("coupled", "300", "coupled, isir then disir, K = 10", 88.1, "0.08", 1, 1500),
    continued!("20", 87.29, 100),
    continued!("20"),
    continued!("100", 86.75, 130),
    continued!("100"),
    continued!("300", 88.1, 160),
    continued!("300"),
    iwae!("mnist-dynamic", "mnist/dynamic", one, "1", vae::recalled(86.76), 40),
    iwae!("mnist-dynamic", "mnist/dynamic", one, "5", vae::recalled(85.54), 60),
    iwae!("mnist-dynamic", "mnist/dynamic", one, "50", vae::recalled(84.78), 300),
    iwae!("mnist-dynamic", "mnist/dynamic", two, "1", vae::recalled(85.33), 80),
    iwae!("mnist-dynamic", "mnist/dynamic", two, "5", vae::recalled(83.89), 100),
    iwae!("mnist-dynamic", "mnist/dynamic", two, "50", vae::DYNAMIC, 400),
    iwae!("mnist", "mnist/binarized", one, "1", vae::FIXED_VAE, 40),
    iwae!("mnist", "mnist/binarized", one, "5", vae::recalled(87.63), 60),
    iwae!("mnist", "mnist/binarized", one, "50", vae::recalled(87.1), 300),
    iwae!("mnist", "mnist/binarized", two, "1", vae::recalled(88.08), 80),
    iwae!("mnist", "mnist/binarized", two, "5", vae::recalled(86.17), 100),
    iwae!("mnist", "mnist/binarized", two, "50", vae::FIXED, 400),
    iwae!("omniglot", "omniglot/28-derived", two, "50", vae::OMNIGLOT_IWAE, 200),
    iwae!("caltech", "caltech/silhouettes", two, "50", vae::CALTECH, 40),
    burda(
        ["omniglot-elbo-vae-two-layers-k5", "omniglot/28-derived", vae::TWO_LAYERS, "elbo, K = 5", vae::TWO],
        &["--strategy", "elbo", "--samples", "5"],
        vae::OMNIGLOT_VAE,
        60,
    ),
];
