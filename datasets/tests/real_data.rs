//! The catalogued files themselves, where they are at hand: `$HELMHOLTZ_DATA`, else `shared/data`
//! beside the workspace. Elsewhere these tests say that they were skipped.

use std::path::PathBuf;
use std::time::Instant;

use helmholtz_datasets::{DataError, SplitName, catalogue, load};

fn data_dir() -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    std::env::var_os("HELMHOLTZ_DATA").map_or_else(beside, PathBuf::from)
}

#[test]
fn catalogued_files_hold_the_values_of_their_protocols() {
    let dir = data_dir();
    for entry in catalogue().iter().filter(|entry| !entry.generated) {
        let missing = entry.missing_files(Some(&dir));
        if let Some(path) = missing.first() {
            println!("skipped: {} needs {}", entry.id, path.display());
            continue;
        }
        let start = Instant::now();
        let set = load(entry.id, Some(&dir)).unwrap();
        println!("{}: {:?}", entry.protocol(), start.elapsed());
        assert_eq!(SplitName::ALL.map(|name| set.split(name).rows()), entry.split_sizes);
        assert_eq!(set.train.width(), entry.width);
        assert_eq!(set.data_sha256, entry.sha256);
    }
}

#[test]
fn a_digit_is_upright_and_ink_is_one() {
    let dir = data_dir();
    let set = match load("mnist/binarized", Some(&dir)) {
        Err(error @ DataError::Missing { .. }) => return println!("skipped: {error}"),
        set => set.unwrap(),
    };
    // The rows are sorted by digit and the second thousand of the test rows are ones: upright
    // strokes, taller than wide, with empty left and right edges.
    let ones: Vec<usize> = (1000..2000).collect();
    let mean = set.test.select(&ones).mean();
    let band = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| -> f64 {
        rows.flat_map(|row| columns.clone().map(move |column| (row, column)))
            .map(|(row, column)| mean[row * 28 + column])
            .sum()
    };
    assert!(band(4..24, 12..16) > 10.0 * band(12..16, 0..6), "ones do not stand in the middle columns");
}
