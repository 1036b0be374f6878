//! `frey/faces`: frames of a video of one face, 28 rows of 20 grey pixels.
//!
//! The values are intensities and stay intensities: this protocol has no binarization. There is no official split.
//! Here 1565, 200 and 200 rows (the usual sizes) are cut from a permutation that is part of the protocol, and each
//! split keeps the order of the file. Neighbouring frames are similar, so the splits are far from independent.
//!
//! # Reference
//! B. Frey and S. Roweis, the frames used in Roweis, Saul and Hinton, "Global coordination of local
//! linear models", NIPS 2001.

use helmholtz_noise::{Key, Role};

use crate::entry::{Entry, Recipe};
use crate::formats::{Format, RowAxis, Wanted};
use crate::partition::partition;
use crate::reader::Reader;
use crate::source_file::{Mirror, SourceFile};
use crate::{Binarization, DataError, ImageShape, Split};

const FILE: &str = "frey-faces/frey_rawface.mat";
const ROWS: [usize; 3] = [1_565, 200, 200];

/// The original file.
pub const FACES: Entry = Entry {
    id: "frey/faces",
    version: 1,
    summary: "frames of a video of one face, 28x20, grey",
    source: "cs.nyu.edu/~roweis/data.html",
    licence: "not stated; B. Frey and S. Roweis",
    generated: false,
    shape: ImageShape { height: 28, width: 20 },
    split_sizes: ROWS,
    binarization: Binarization::AsStored,
    files: &[SourceFile {
        names: &[
            FILE,
            "frey-faces/frey-faces-images-idx3-ubyte.gz",
            "frey-faces/frey-faces-images-idx3-ubyte",
        ],
        bytes: 1_100_584,
        sha256: Some("265a83a23adb081755cd3de375509828e690324d1d60f076b8ecebc840d59c64"),
        labels: false,
        mirrors: &[Mirror { url: "https://cs.nyu.edu/~roweis/data/frey_rawface.mat", name: FILE }],
    }],
    sha256: Some("a5713345f8b547e141b1b8a39191949f6a0790b53e5ee69ded2642df74a4362d"),
    labels_sha256: None,
    recipe: Recipe::Read(read),
};

fn read(files: &Reader<'_>) -> Result<[Split; 3], DataError> {
    // In the original file each face is a column.
    let wanted = match Format::of(files.path(0))? {
        Format::Mat => {
            Wanted { array: Some("ff".to_owned()), rows: Some(RowAxis::Last), ..Wanted::default() }
        }
        _ => Wanted::default(),
    };
    let rows = ROWS.iter().sum();
    let all = files.of_size(0, files.read(0, &wanted)?, rows)?;
    let key = Key::new(u64::from(FACES.version)).child(Role::Subset).child(FACES.id);
    Ok(partition(rows, ROWS, key).map(|part| all.select(&part)))
}
