//! `uci/...`: the eight binary sets of the NADE paper, from the UCI repository and LIBSVM.
//!
//! The splits are those of Larochelle and Murray; reweighted wake-sleep, MADE and BiHM use them as well. The columns of
//! these sets do not form an image, except those of `uci/ocr-letters` (16×8).
//!
//! - `uci/adult`: the order of the test rows is that of the file whose hash the catalogue holds; the original is known
//!   only as a multiset.
//! - `uci/dna` has 1400 training and 600 validation rows. Another version in circulation has 1600 and 400 rows; it is
//!   refused.
//! - No copy of `uci/connect4`, `uci/ocr-letters`, `uci/rcv1` and `uci/web` was available: their sizes are checked
//!   against the published split, and their hashes are reported but not pinned.
//!
//! # Reference
//! Larochelle and Murray, "The neural autoregressive distribution estimator", AISTATS 2011.

use crate::entry::{Entry, Recipe};
use crate::source_file::{Mirror, SourceFile};
use crate::{Binarization, ImageShape};

/// A file of a set: gzipped text, plain text, or LIBSVM text from its original source. Its addresses are those of the
/// LIBSVM text, and a folder of the collection of density estimation data sets.
macro_rules! file {
    (
        $set:literal, $split:literal, $bytes:literal, sha256: $sha256:expr
        $(, libsvm: $libsvm:literal)* $(, starai: $folder:literal)?
    ) => {
        SourceFile {
            names: &[
                concat!("uci-nade/", $set, ".", $split, ".data.gz"),
                concat!("uci-nade/", $set, ".", $split, ".data"),
                concat!("uci-nade/", $set, ".", $split, ".libsvm"),
            ],
            bytes: $bytes,
            sha256: $sha256,
            labels: false,
            mirrors: &[
                $(Mirror { url: $libsvm, name: concat!("uci-nade/", $set, ".", $split, ".libsvm") },)*
                $(Mirror {
                    url: concat!(
                        "https://raw.githubusercontent.com/UCLA-StarAI/Density-Estimation-Datasets/master/datasets/",
                        $folder, "/", $folder, ".", $split, ".data"
                    ),
                    name: concat!("uci-nade/", $set, ".", $split, ".data"),
                },)?
            ],
        }
    };
}

const LICENCE: &str = "not stated";
const STARAI: &str = "github.com/UCLA-StarAI/Density-Estimation-Datasets";

/// Fields that the eight sets share.
const UCI: Entry = Entry {
    id: "uci",
    version: 1,
    summary: "",
    source: STARAI,
    licence: LICENCE,
    generated: false,
    shape: ImageShape { height: 1, width: 1 },
    split_sizes: [0; 3],
    binarization: Binarization::AsStored,
    files: &[],
    sha256: None,
    labels_sha256: None,
    recipe: Recipe::Read(|files| files.text_splits()),
};

/// The shape of rows that are not images.
const fn columns(width: usize) -> ImageShape {
    ImageShape { height: 1, width }
}

/// Census records in indicator coding.
pub const ADULT: Entry = Entry {
    id: "uci/adult",
    summary: "census records as 123 indicators, split as in the NADE paper",
    source: "github.com/UCLA-StarAI/Density-Estimation-Datasets (train, valid); LIBSVM a5a.t (test)",
    shape: columns(123),
    split_sizes: [5_000, 1_414, 26_147],
    files: &[
        file!("adult", "train", 41_016, sha256: Some("db0a771f93eceeb13f35fc1c32cab14906f5fd51dd0d2db1ddb949f8bb4befea"),
            starai: "adult"),
        file!("adult", "valid", 11_683, sha256: Some("78e8e012126f9f2039b2a2dccf154bf2c35f406bc6d37ab0332887309896de3a"),
            starai: "adult"),
        file!("adult", "test", 213_359, sha256: Some("3874ec6fa457b8959541b8bc1809bbdadb5344e1f577a879a997aee6fed465ae"),
            libsvm: "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary/a5a.t",
            starai: "adult"),
    ],
    sha256: Some("4036f883b9a9b9187dd8efeff95fc72c803f0b74f8c60d40ab279258798c0e60"),
    ..UCI
};

/// Positions of a game.
pub const CONNECT4: Entry = Entry {
    id: "uci/connect4",
    summary: "positions of connect four as 126 indicators, split as in the NADE paper",
    shape: columns(126),
    split_sizes: [16_000, 4_000, 47_557],
    files: &[
        file!("connect4", "train", 4_032_000, sha256: None, starai: "connect4"),
        file!("connect4", "valid", 1_008_000, sha256: None, starai: "connect4"),
        file!("connect4", "test", 11_984_364, sha256: None, starai: "connect4"),
    ],
    ..UCI
};

/// Splice junctions.
pub const DNA: Entry = Entry {
    id: "uci/dna",
    summary: "stretches of DNA as 180 indicators, split as in the NADE paper (1400 and 600, not 1600 and 400)",
    source: "LIBSVM, dna.scale",
    shape: columns(180),
    split_sizes: [1_400, 600, 1_186],
    files: &[
        file!("dna", "train", 33_830, sha256: Some("e2eb386c35e5b423847768be0946de9dd36efa4188f21d4a82456459935c79fe"),
            libsvm: "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/dna.scale.tr"),
        file!("dna", "valid", 14_726, sha256: Some("04e2f6cce3baadd783637582a66318bcf08bb2874d7849f3b02d8c7242713386"),
            libsvm: "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/dna.scale.val"),
        file!("dna", "test", 28_848, sha256: Some("5074893754b458ca72c6b271549271282862f237edde58834563680bbbd11577"),
            libsvm: "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/dna.scale.t",
            starai: "dna"),
    ],
    sha256: Some("4ef096155bcc28f601ba4650fcbeb60fa7e99da3307a7b4660f062f677137489"),
    ..UCI
};

/// Descriptions of mushrooms.
pub const MUSHROOMS: Entry = Entry {
    id: "uci/mushrooms",
    summary: "descriptions of mushrooms as 112 indicators, split as in the NADE paper",
    shape: columns(112),
    split_sizes: [2_000, 500, 5_624],
    files: &[
        file!("mushrooms", "train", 15_125, sha256: Some("05b2606de01fc580a165ba3f941af362b79f629d66dfe88e233790ed86c4d31b"),
            starai: "mushrooms"),
        file!("mushrooms", "valid", 4_086, sha256: Some("f6b66064c8a6c1a9e18e87ac29fab3bd521f376cc3827052288d2c0b5b0933ea"),
            starai: "mushrooms"),
        file!("mushrooms", "test", 41_839, sha256: Some("212243cdba0b421666b9fa5cc2e82524e2d8b6685d795efb4ee5432473cb561d"),
            starai: "mushrooms"),
    ],
    sha256: Some("2a055d2748518e7070ac3e669dc019fff324d02736f3c3046c1789a493751a93"),
    ..UCI
};

/// Words of papers.
pub const NIPS: Entry = Entry {
    id: "uci/nips",
    summary: "words of NIPS papers 0-12 as 500 indicators, split as in the NADE paper",
    shape: columns(500),
    split_sizes: [400, 100, 1_240],
    files: &[
        file!("nips", "train", 33_689, sha256: Some("bbdcb548a5469eefe9588ef3366bc234e217cb078012f33364c47eac807561ab"),
            starai: "nips"),
        file!("nips", "valid", 8_596, sha256: Some("36ddf026283e6085a3853f66d1af2b1a78ee883b25c30a566e61876dccbe4174"),
            starai: "nips"),
        file!("nips", "test", 103_997, sha256: Some("c8079eac08ed40a20dc655caa4abe51d12472f728dc7632d5ed7047fc7c4e8b1"),
            starai: "nips"),
    ],
    sha256: Some("b596e9895ee7f37437d43b250b5bfaf0f78a428a427fd9e69758788e5b6e9956"),
    ..UCI
};

/// Letters.
pub const OCR_LETTERS: Entry = Entry {
    id: "uci/ocr-letters",
    summary: "handwritten letters, 16x8, split as in the NADE paper",
    shape: ImageShape { height: 16, width: 8 },
    split_sizes: [32_152, 10_000, 10_000],
    files: &[
        file!("ocr_letters", "train", 8_230_912, sha256: None, starai: "ocr_letters"),
        file!("ocr_letters", "valid", 2_560_000, sha256: None, starai: "ocr_letters"),
        file!("ocr_letters", "test", 2_560_000, sha256: None, starai: "ocr_letters"),
    ],
    ..UCI
};

/// Words of newswire stories.
pub const RCV1: Entry = Entry {
    id: "uci/rcv1",
    summary: "words of newswire stories as 150 indicators, split as in the NADE paper",
    shape: columns(150),
    split_sizes: [40_000, 10_000, 150_000],
    files: &[
        file!("rcv1", "train", 12_000_000, sha256: None, starai: "rcv1"),
        file!("rcv1", "valid", 3_000_000, sha256: None, starai: "rcv1"),
        file!("rcv1", "test", 45_000_000, sha256: None, starai: "rcv1"),
    ],
    ..UCI
};

/// Web pages.
pub const WEB: Entry = Entry {
    id: "uci/web",
    summary: "features of web pages as 300 indicators, split as in the NADE paper",
    source: "www.cs.toronto.edu/~larocheh/public/datasets/web/ (LIBSVM w6a)",
    shape: columns(300),
    split_sizes: [14_000, 3_188, 32_561],
    files: &[
        file!("web", "train", 8_400_000, sha256: None, libsvm: "https://www.cs.toronto.edu/~larocheh/public/datasets/web/w6a_train.libsvm"),
        file!("web", "valid", 1_912_800, sha256: None, libsvm: "https://www.cs.toronto.edu/~larocheh/public/datasets/web/w6a_valid.libsvm"),
        file!("web", "test", 19_536_600, sha256: None, libsvm: "https://www.cs.toronto.edu/~larocheh/public/datasets/web/w6a_test.libsvm",
            libsvm: "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary/w6a.t"),
    ],
    ..UCI
};
