//! The lowest figure of this zoo for each set, beside the lowest published one.
//!
//! A candidate is any row of the set that was run at tier `paper`. The one with the lowest mean
//! validation NLL is taken, and its test NLL is shown: the test split is read once for each
//! candidate, and never chosen on.

/// A set, and the lowest published figure for it.
pub(crate) struct Set {
    /// Id of the protocol.
    pub(crate) data: &'static str,
    /// Lowest published test NLL that was read, where there is one.
    pub(crate) published: Option<f64>,
    /// By which model.
    pub(crate) by: &'static str,
}

const fn set(data: &'static str, published: f64, by: &'static str) -> Set {
    Set { data, published: Some(published), by }
}

/// The sets that have rows.
pub(crate) const SETS: [Set; 11] = [
    set("uci/adult", 13.12, "MADE"),
    set("uci/connect4", 11.68, "RWS with NADE layers"),
    set("uci/dna", 79.66, "MADE, mask sampling"),
    set("uci/mushrooms", 9.40, "BiHM"),
    set("uci/nips", 271.11, "RWS with NADE layers"),
    set("uci/ocr-letters", 26.43, "RWS with NADE layers"),
    set("uci/rcv1", 46.09, "RWS with NADE layers"),
    set("uci/web", 27.87, "EoNADE"),
    Set { data: "caltech/silhouettes", published: None, by: "the sources are second-hand" },
    Set { data: "omniglot/28-derived", published: None, by: "published figures are of other drawings" },
    set("mnist/binarized", 81.01, "discrete VAE, estimated, as a later paper quotes it"),
];
