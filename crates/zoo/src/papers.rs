//! The papers that models and strategies are from.

use crate::registry::Paper;

const fn paper(cite: &'static str, link: &'static str) -> Paper {
    Paper { cite, link }
}

pub(crate) const NEAL: Paper = paper("Neal 1992", "https://doi.org/10.1016/0004-3702(92)90065-6");
pub(crate) const WAKE_SLEEP: Paper = paper("Hinton et al. 1995", "https://doi.org/10.1126/science.7761831");
pub(crate) const REWEIGHTED: Paper = paper("Bornschein & Bengio 2015", "https://arxiv.org/abs/1406.2751");
pub(crate) const BIDIRECTIONAL: Paper = paper("Bornschein et al. 2016", "https://arxiv.org/abs/1506.03877");
pub(crate) const DARN: Paper = paper("Gregor et al. 2014", "https://arxiv.org/abs/1310.8499");
pub(crate) const NADE: Paper =
    paper("Larochelle & Murray 2011", "https://proceedings.mlr.press/v15/larochelle11a.html");
pub(crate) const VIMCO: Paper = paper("Mnih & Rezende 2016", "https://arxiv.org/abs/1602.06725");
pub(crate) const NVIL: Paper = paper("Mnih & Gregor 2014", "https://arxiv.org/abs/1402.0030");
pub(crate) const LEAVE_ONE_OUT: Paper =
    paper("Kool et al. 2019", "https://openreview.net/forum?id=r1lgTGL5DE");
pub(crate) const VAE: Paper = paper("Kingma & Welling 2014", "https://arxiv.org/abs/1312.6114");
pub(crate) const STL: Paper = paper("Roeder et al. 2017", "https://arxiv.org/abs/1703.09194");
pub(crate) const IWAE: Paper = paper("Burda et al. 2016", "https://arxiv.org/abs/1509.00519");
pub(crate) const DREG: Paper = paper("Tucker et al. 2019", "https://arxiv.org/abs/1810.04152");
pub(crate) const COUPLED: Paper = paper("Ruiz et al. 2021", "https://arxiv.org/abs/2010.01845");
pub(crate) const MIXTURES: Paper = paper("McLachlan & Peel 2000", "https://doi.org/10.1002/0471721182");
pub(crate) const LIKELIHOOD: Paper = paper("Fisher 1922", "https://doi.org/10.1098/rsta.1922.0009");
pub(crate) const RBM: Paper = paper("Smolensky 1986", "https://mitpress.mit.edu/9780262680530");
pub(crate) const CD: Paper = paper("Hinton 2002", "https://doi.org/10.1162/089976602760128018");
pub(crate) const PCD: Paper = paper("Tieleman 2008", "https://doi.org/10.1145/1390156.1390290");
pub(crate) const RDM: Paper = paper("Decelle et al. 2021", "https://arxiv.org/abs/2105.13889");
pub(crate) const TEMPERING: Paper =
    paper("Desjardins et al. 2010", "https://proceedings.mlr.press/v9/desjardins10a.html");
pub(crate) const CONDITIONAL: Paper =
    paper("Taylor et al. 2011", "https://jmlr.org/papers/v12/taylor11a.html");
pub(crate) const SELF_NORMALISED: Paper = paper("Geweke 1989", "https://doi.org/10.2307/1913710");
pub(crate) const ENERGY_DISCREPANCY: Paper =
    paper("Schröder et al. 2024", "https://github.com/J-zin/discrete-energy-discrepancy");
pub(crate) const EM: Paper = paper("Cappé & Moulines 2009", "https://arxiv.org/abs/0712.4273");
