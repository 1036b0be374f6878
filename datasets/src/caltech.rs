//! `caltech/silhouettes`: outlines of objects, 28×28. **The values are as stored: the object is 0** and the
//! background is 1, as reweighted wake-sleep and BiHM read them. Labels run from 1 to 101.
//!
//! The original file stores each image column by column, as MATLAB does; here images are stored row by row.
//!
//! # Reference
//! Marlin, Swersky, Chen and de Freitas, "Inductive principles for restricted Boltzmann machine
//! learning", AISTATS 2010.

use crate::entry::{Entry, Recipe};
use crate::reader::Reader;
use crate::source_file::{Mirror, SourceFile};
use crate::{Binarization, DataError, ImageShape, Split};

const FILE: &str = "caltech101-silhouettes/caltech101_silhouettes_28_split1.mat";
const SIDE: usize = 28;
const ROWS: [usize; 3] = [4_100, 2_264, 2_307];

/// The first split of the original file.
pub const SILHOUETTES: Entry = Entry {
    id: "caltech/silhouettes",
    version: 1,
    summary: "outlines of the objects of Caltech 101, 28x28, object 0 on background 1",
    source: "people.cs.umass.edu/~marlin/data.shtml",
    licence: "not stated; B. Marlin et al., from Caltech 101",
    generated: false,
    shape: ImageShape { height: SIDE, width: SIDE },
    split_sizes: ROWS,
    binarization: Binarization::AsStored,
    files: &[SourceFile {
        names: &[FILE],
        bytes: 872_124,
        sha256: Some("eb6735e8d84b1850fabc5590124aab1755e90c9fd28123585324398405e1e42a"),
        labels: false,
        mirrors: &[Mirror {
            url: "https://people.cs.umass.edu/~marlin/data/caltech101_silhouettes_28_split1.mat",
            name: FILE,
        }],
    }],
    sha256: Some("b7ebc2c17cf376db0737ea5118c05b26a0d25d78ddcac1a3dcefe155bad360dc"),
    labels_sha256: Some("a959b6db7143ec5b36afba470c881d85aa326e8245d4bedc4c552d9663cd5947"),
    recipe: Recipe::Read(read),
};

fn read(files: &Reader<'_>) -> Result<[Split; 3], DataError> {
    let file = files.mat(0)?;
    let split = |images: &str, labels: &str, rows: usize| {
        let labels = file.labels(labels, rows)?;
        let images = file.images(images, rows)?;
        if let Some((row, pixel, value)) = images.first_not_binary() {
            let problem = format!(
                "row {}, pixel {}: found {value} where 0 or 1 is expected; use the original file",
                row + 1,
                pixel + 1
            );
            return Err(DataError::malformed(files.path(0), problem));
        }
        let bits = images.bits().chunks_exact(SIDE * SIDE).flat_map(upright).collect();
        Ok(Split::new(rows, SIDE * SIDE, bits).with_labels(Some(labels)))
    };
    Ok([
        split("train_data", "train_labels", ROWS[0])?,
        split("val_data", "val_labels", ROWS[1])?,
        split("test_data", "test_labels", ROWS[2])?,
    ])
}

/// Converts an image from column-major to row-major order.
fn upright(columns: &[u8]) -> impl Iterator<Item = u8> {
    (0..SIDE * SIDE).map(|i| columns[i % SIDE * SIDE + i / SIDE])
}
