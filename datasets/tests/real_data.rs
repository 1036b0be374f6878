//! Tests on the files of the catalogue, in `$HELMHOLTZ_DATA`, else in `shared/data` beside the workspace. If the files
//! are missing, these tests print that they were skipped.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use helmholtz_datasets::{
    Cache, DataError, DataSet, Places, Split, SplitName, ValueKind, catalogue, facts, load_from,
};

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
        let set = at_hand(entry.id).expect("its files are there");
        assert_eq!(SplitName::ALL.map(|name| set.split(name).rows()), entry.split_sizes);
        assert_eq!((set.train.width(), set.shape), (entry.width(), entry.shape));
        assert!(entry.sha256.is_none_or(|known| known == set.data_sha256), "{}", entry.id);
        assert!(set.files.iter().all(|file| file.original != Some(false)), "{:?}", set.files);
    }
}

/// Loads a set without writing to the user's cache.
fn load(id: &str, data_dir: Option<&Path>) -> Result<DataSet, DataError> {
    load_from(id, &Places { data_dir: data_dir.map(Path::to_owned), cache: Cache::off() })
}

/// A set, or why it could not be loaded.
type Read = Result<Arc<DataSet>, String>;

/// A set, read once for all tests; `None`, with a printed message, if its files are missing.
fn at_hand(id: &str) -> Option<Arc<DataSet>> {
    static SETS: Mutex<BTreeMap<String, Arc<OnceLock<Read>>>> = Mutex::new(BTreeMap::new());
    let set = SETS.lock().unwrap().entry(id.to_owned()).or_default().clone();
    let read = || match load(id, Some(&data_dir())) {
        Err(error @ (DataError::Missing { .. } | DataError::NoFile { .. })) => Err(error.to_string()),
        set => Ok(Arc::new(set.unwrap())),
    };
    set.get_or_init(read).as_ref().inspect_err(|error| println!("skipped: {error}")).ok().cloned()
}

/// A user's own files in the data directory.
fn own(files: &[&str]) -> Option<Arc<DataSet>> {
    let paths: Vec<String> = files.iter().map(|file| data_dir().join(file).display().to_string()).collect();
    at_hand(&format!("file:{}", paths.join(",")))
}

fn assert_same_tensors(ours: &Split, theirs: &Split) {
    let device = burn::tensor::Device::flex();
    assert_eq!(ours.tensor(&device).into_data(), theirs.tensor(&device).into_data());
}

#[test]
fn a_users_amat_data_idx_and_mat_files_give_the_tensors_of_the_built_in_loaders() {
    let amat =
        ["train", "valid", "test"].map(|split| format!("binarized-mnist/binarized_mnist_{split}.amat.gz"));
    let data = ["train", "valid", "test"].map(|split| format!("uci-nade/dna.{split}.data.gz"));
    let idx = ["train", "valid", "test"]
        .map(|split| format!("caltech101-silhouettes/upright-{split}-images-idx3-ubyte.gz"));
    for (id, files) in [("mnist/binarized", amat), ("uci/dna", data), ("caltech/silhouettes", idx)] {
        let (Some(theirs), Some(ours)) = (at_hand(id), own(&files.each_ref().map(String::as_str))) else {
            continue;
        };
        for name in SplitName::ALL {
            assert_same_tensors(ours.split(name), theirs.split(name));
        }
        assert_eq!((&ours.data_sha256, ours.shape), (&theirs.data_sha256, theirs.shape), "{id}");
    }
    // The idx copy holds the faces as rows; in the original each face is a column.
    let [mat, idx] = ["frey-faces/frey_rawface.mat#ff.T", "frey-faces/frey-faces-images-idx3-ubyte.gz"];
    if let (Some(mat), Some(idx)) = (own(&[mat]), own(&[idx])) {
        assert_same_tensors(&mat.train, &idx.train);
        assert_eq!(idx.train.kind(), ValueKind::Grey);
    }
    // Training rows of the dynamic set are the grey values of the file, in its order.
    if let (Some(dynamic), Some(idx)) =
        (at_hand("mnist/dynamic"), own(&["mnist/t10k-images-idx3-ubyte.gz,mnist/train-images-idx3-ubyte.gz"]))
    {
        let first: Vec<usize> = (0..50_000).collect();
        assert_same_tensors(&idx.valid.select(&first), &dynamic.train);
    }
}

#[test]
fn a_users_csv_npy_npz_and_libsvm_files_give_the_tensors_of_the_built_in_loader() {
    let Some(set) = at_hand("uci/mushrooms") else { return };
    let dir = tempfile::tempdir().unwrap();
    for ending in ["csv", "npy", "npz", "libsvm"] {
        let paths = SplitName::ALL.map(|name| {
            let path = dir.path().join(format!("{name}.{ending}"));
            fs::write(&path, written(set.split(name), ending)).unwrap();
            path.display().to_string()
        });
        let ours = load(&format!("file:{}", paths.join(",")), None).unwrap();
        for name in SplitName::ALL {
            assert_same_tensors(ours.split(name), set.split(name));
        }
        assert_eq!(ours.data_sha256, set.data_sha256, "{ending}");
    }
}

/// The bytes of a binary split in another format.
fn written(split: &Split, ending: &str) -> Vec<u8> {
    let rows = || (0..split.rows()).map(|i| split.bits_of(i));
    let npy = || {
        let header = format!(
            "{{'descr': '|u1', 'fortran_order': False, 'shape': ({}, {}), }}",
            split.rows(),
            split.width()
        );
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes(), split.bits()].concat()
    };
    match ending {
        "csv" => rows()
            .map(|row| row.iter().map(u8::to_string).collect::<Vec<_>>().join(",") + "\n")
            .collect::<String>()
            .into(),
        "libsvm" => {
            let named = |row: &[u8]| -> String {
                row.iter().zip(1..).filter(|(bit, _)| **bit == 1).map(|(_, i)| format!(" {i}:1")).collect()
            };
            rows().map(|row| format!("1{}\n", named(row))).collect::<String>().into()
        }
        "npy" => npy(),
        _ => {
            let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
            archive.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(&npy()).unwrap();
            archive.finish().unwrap().into_inner()
        }
    }
}

#[test]
fn silhouettes_are_upright_objects_of_zeros() {
    let Some(set) = at_hand("caltech/silhouettes") else { return };
    let means = facts::splits(&set).map(|facts| (facts.mean * 1e4).round() / 1e4);
    assert_eq!(means, [0.5511, 0.5360, 0.5390]);
    assert_eq!(
        set.train.labels().map(|labels| (labels.iter().min(), labels.iter().max())),
        Some((Some(&1), Some(&101)))
    );
}

#[test]
fn labels_are_carried_along_and_can_be_done_without() {
    let Some(set) = at_hand("mnist/threshold") else { return };
    for name in SplitName::ALL {
        let classes: std::collections::BTreeSet<i32> =
            set.split(name).labels().unwrap().iter().copied().collect();
        assert!(classes.into_iter().eq(0..10));
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("mnist")).unwrap();
    for name in ["train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"] {
        fs::copy(data_dir().join("mnist").join(name), dir.path().join("mnist").join(name)).unwrap();
    }
    let without = load("mnist/threshold", Some(dir.path())).unwrap();
    assert_eq!((without.train.labels(), &without.data_sha256), (None, &set.data_sha256));
}

#[test]
fn validation_and_test_rows_of_a_dynamic_set_are_drawn_once_from_their_grey_values() {
    let Some(set) = at_hand("mnist/dynamic") else { return };
    assert_eq!(
        [&set.train, &set.valid, &set.test].map(Split::kind),
        [ValueKind::Grey, ValueKind::Binary, ValueKind::Binary]
    );
    let Some(grey) = own(&["mnist/t10k-images-idx3-ubyte.gz,mnist/t10k-images-idx3-ubyte.gz"]) else {
        return;
    };
    let (drawn, expected) = (set.test.mean(), grey.valid.mean());
    let n = set.test.rows() as f64;
    for (drawn, p) in drawn.into_iter().zip(expected) {
        // The variance of a mean of bits with different probabilities is at most p (1 - p) / n. With six standard
        // deviations and 784 pixels, one key in a million gives a false alarm.
        assert!((drawn - p).abs() <= 6.0 * (p * (1.0 - p) / n).sqrt(), "{drawn} for {p}");
    }
}

#[test]
fn a_digit_is_upright_and_ink_is_one() {
    let Some(set) = at_hand("mnist/binarized") else { return };
    // The rows are sorted by digit, and the second thousand of the test rows are ones: upright strokes, taller than
    // wide, with empty left and right edges.
    let ones: Vec<usize> = (1000..2000).collect();
    let mean = set.test.select(&ones).mean();
    let band = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| -> f64 {
        rows.flat_map(|row| columns.clone().map(move |column| (row, column)))
            .map(|(row, column)| mean[row * 28 + column])
            .sum()
    };
    assert!(band(4..24, 12..16) > 10.0 * band(12..16, 0..6), "ones do not stand in the middle columns");
}
