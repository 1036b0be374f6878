//! The same rows in every format. `fixtures/cut.py` cuts the fixtures from the real files.

use std::path::{Path, PathBuf};

use helmholtz_datasets::formats::{Limits, Wanted, read, read_matrix};
use helmholtz_datasets::{ImageShape, Split, ValueKind, load};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn rows(name: &str, array: Option<&str>) -> Split {
    let wanted = Wanted { array: array.map(str::to_owned), ..Wanted::default() };
    read(&fixture(name), &wanted).unwrap()
}

#[test]
fn digits_are_the_same_in_idx_npy_and_npz() {
    let digits = rows("images-idx3-ubyte", None);
    assert_eq!((digits.rows(), digits.kind()), (3, ValueKind::Grey));
    assert_eq!(digits.shape(), ImageShape { height: 28, width: 28 });
    assert_eq!(rows("images.npy", None), digits);
    assert_eq!(rows("images.npz", Some("images")), digits);
    // Big-endian doubles of x / 255 in Fortran order.
    let real = rows("fortran.npy", None);
    assert_eq!(real.kind(), ValueKind::Real);
    assert!((0..3).all(|row| real.row(row) == digits.row(row)));
}

#[test]
fn records_are_the_same_separated_by_commas_with_a_header_and_sparse() {
    let records = rows("rows.data", None);
    assert_eq!((records.rows(), records.width(), records.kind()), (3, 123, ValueKind::Binary));
    let csv = rows("rows.csv", None);
    assert_eq!((csv.values(), csv.labels()), (records.values(), Some([0, 1, 2].as_slice())));
    let sparse = rows("rows.libsvm", None);
    assert_eq!(sparse.labels(), Some([-1, 1, 1].as_slice()));
    // The last columns may be zero in all three rows; a sparse file does not hold such columns.
    let width = sparse.width();
    assert!((0..3).all(|row| sparse.row(row) == records.row(row)[..width]));
    assert!((0..3).all(|row| records.row(row)[width..].iter().all(|value| *value == 0.0)));
}

#[test]
fn an_id_names_the_arrays_of_labels_and_of_targets_beside_the_rows() {
    let of = |name: &str, pieces: &str| load(&format!("file:{}{pieces}", fixture(name).display()), None);
    let digits = of("images.npz", "#label=labels").unwrap();
    assert_eq!((digits.train.rows(), digits.valid.rows(), digits.train.width()), (2, 1, 784));
    assert_eq!(digits.labels_sha256, of("images.npz", "#images#label=labels").unwrap().labels_sha256);
    let halves = of("plain.mat", "#train_data#label=train_labels#target=halves").unwrap();
    assert_eq!(halves.train.targets().unwrap().width(), 784);
    assert!(halves.labels_sha256.is_some() && halves.targets_sha256.is_some());
    for (name, pieces, part) in [
        (
            "images.npz",
            "#images#label=y",
            "images.npz: there is no array `y` in it; it holds `images`, `labels`",
        ),
        ("images.npz", "#images#target=images", "images.npz: the array `images` cannot hold both"),
        ("images.npz", "#images#target=", "images.npz: unknown or repeated selector `#target=`"),
        ("images.npy", "#label=labels", "images.npy: unknown or repeated selector `#label=labels`"),
        ("rows.libsvm", "#target=y", "rows.libsvm: only .npz and .mat files have named arrays"),
        ("images-idx3-ubyte", "#target=y", "images-idx3-ubyte: unknown or repeated selector"),
        ("rows.csv", "#target=label", "rows.csv: line 1: column 1 is the column of labels"),
        ("rows.csv", "#target=500", "rows.csv: line 1: there is no column #target=500 among 124"),
    ] {
        let error = of(name, pieces).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_matrix_of_a_file_is_read_row_after_row_whatever_its_values() {
    let file = fixture("plain.mat");
    let (halves, [rows, columns]) = read_matrix(&file, "halves", &Limits::default()).unwrap();
    let id = format!("file:{}#train_data#target=halves", file.display());
    let set = load(&id, None).unwrap();
    let targets: Vec<f64> = [&set.train, &set.valid, &set.test]
        .iter()
        .flat_map(|split| split.targets().unwrap().values())
        .map(|&v| v.into())
        .collect();
    assert_eq!((columns, rows * columns), (784, halves.len()));
    assert!(halves.starts_with(&targets[..columns]) && halves.iter().any(|value| *value != 0.0));
    let error = read_matrix(&file, "thirds", &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("plain.mat: there is no array `thirds` in it"), "{error}");
}

#[test]
fn a_file_may_be_gzipped_whatever_its_format() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    for name in ["images-idx3-ubyte", "rows.amat", "rows.data", "rows.csv", "rows.libsvm", "images.npy"] {
        let path = dir.path().join(format!("{name}.gz"));
        let mut encoder =
            flate2::write::GzEncoder::new(std::fs::File::create(&path).unwrap(), Default::default());
        encoder.write_all(&std::fs::read(fixture(name)).unwrap()).unwrap();
        encoder.finish().unwrap();
        assert_eq!(read(&path, &Wanted::default()).unwrap(), rows(name, None), "{name}");
    }
}
