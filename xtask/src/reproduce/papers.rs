//! The papers whose rows are reproduced.

/// A paper.
pub(crate) struct Paper {
    /// What rows call it, and the name of its page.
    pub(crate) key: &'static str,
    pub(crate) authors: &'static str,
    pub(crate) title: &'static str,
    pub(crate) venue: &'static str,
}

pub(crate) const PAPERS: [Paper; 7] = [
    Paper {
        key: "bornschein2015",
        authors: "J. Bornschein and Y. Bengio",
        title: "Reweighted wake-sleep",
        venue: "ICLR 2015, arXiv:1406.2751",
    },
    Paper {
        key: "bornschein2016",
        authors: "J. Bornschein, S. Shabanian, A. Fischer and Y. Bengio",
        title: "Bidirectional Helmholtz machines",
        venue: "ICML 2016, arXiv:1506.03877",
    },
    Paper {
        key: "larochelle2011",
        authors: "H. Larochelle and I. Murray",
        title: "The neural autoregressive distribution estimator",
        venue: "AISTATS 2011",
    },
    Paper {
        key: "mnih2016",
        authors: "A. Mnih and D. Rezende",
        title: "Variational inference for Monte Carlo objectives",
        venue: "ICML 2016, arXiv:1602.06725",
    },
    Paper {
        key: "mnih2014",
        authors: "A. Mnih and K. Gregor",
        title: "Neural variational inference and learning in belief networks",
        venue: "ICML 2014, arXiv:1402.0030",
    },
    Paper {
        key: "ruiz2021",
        authors: "F. J. R. Ruiz, M. K. Titsias, T. Cemgil and A. Doucet",
        title: "Unbiased gradient estimation for variational auto-encoders using coupled Markov chains",
        venue: "UAI 2021, PMLR 161",
    },
    Paper {
        key: "burda2016",
        authors: "Y. Burda, R. Grosse and R. Salakhutdinov",
        title: "Importance weighted autoencoders",
        venue: "ICLR 2016, arXiv:1509.00519",
    },
];
