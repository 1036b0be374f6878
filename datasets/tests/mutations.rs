//! The parsers on damaged input: whatever the bytes are, they return a result, do not panic, and allocate no more than
//! the limits allow.
//!
//! The default is 500 mutated inputs per fixture, for a quick check; `PROPTEST_CASES=100000` makes it a long run.
//! Failures are kept in `proptest-regressions/` and are tried first in later runs.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use helmholtz_datasets::Split;
use helmholtz_datasets::formats::{Column, Format, LabelColumn, Limits, Wanted, decode, read};
use proptest::collection::vec;
use proptest::prelude::*;

/// The system allocator, which also records the largest request.
struct Watched;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is forwarded to the system allocator; only a number is recorded.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's layout, unchanged.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System` by this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's layout, unchanged.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        // SAFETY: the pointer came from `System` by this layout, and the size is the caller's.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

const LIMITS: Limits = Limits { bytes: 1 << 20, line: 1 << 16, values: 1 << 18, grown: 1 << 20 };
/// A vector that grows to the limit of 1 MiB may request twice that; 4 MiB leave a margin.
const LARGEST_ALLOWED: usize = 4 << 20;

/// One kind of damage to a file; places are fractions of its length.
#[derive(Clone, Debug)]
enum Damage {
    Flip {
        at: f64,
        bit: u8,
    },
    Set {
        at: f64,
        byte: u8,
    },
    /// A number that is critical as a length or a count, in either byte order.
    Number {
        at: f64,
        number: u32,
        big_endian: bool,
    },
    Cut {
        at: f64,
    },
    Remove {
        at: f64,
        n: usize,
    },
    Repeat {
        at: f64,
        n: usize,
        times: usize,
    },
    Insert {
        at: f64,
        bytes: Vec<u8>,
    },
}

fn damage() -> impl Strategy<Value = Damage> {
    // Headers are at the beginning (in zip archives at the end), so half of the places are near an end.
    let at = || prop_oneof![2 => 0.0..1.0f64, 3 => 0.0..0.05f64, 1 => 0.95..1.0f64];
    let number = prop_oneof![
        Just(0u32),
        Just(1),
        Just(2),
        Just(0xff),
        Just(0xffff),
        Just(0x7fff_ffff),
        Just(0x8000_0000),
        Just(0xffff_ffff),
        Just(0xffff_fff8),
        // NaN as a float, and as the upper half of a double.
        Just(0x7fc0_0000),
        Just(0x7ff8_0000),
        any::<u32>(),
        0..1000u32,
    ];
    let text = prop_oneof![
        "[0-9eE.,: \n\r#-]{1,12}".prop_map(String::into_bytes),
        "(NaN|,NA,|inf|-1|1e999|qid:|,,|\\(\\(|'descr'|True|label)".prop_map(String::into_bytes),
        vec(any::<u8>(), 1..12),
    ];
    prop_oneof![
        4 => (at(), 0..8u8).prop_map(|(at, bit)| Damage::Flip { at, bit }),
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set { at, byte }),
        4 => (at(), number, any::<bool>()).prop_map(|(at, number, big_endian)| Damage::Number { at, number, big_endian }),
        1 => at().prop_map(|at| Damage::Cut { at }),
        2 => (at(), 1..64usize).prop_map(|(at, n)| Damage::Remove { at, n }),
        1 => (at(), 1..64usize, 1..200usize).prop_map(|(at, n, times)| Damage::Repeat { at, n, times }),
        3 => (at(), text).prop_map(|(at, bytes)| Damage::Insert { at, bytes }),
    ]
}

fn damaged(bytes: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for damage in damages {
        let place = |at: f64| (at * bytes.len() as f64) as usize;
        match damage {
            _ if bytes.is_empty() => {}
            Damage::Flip { at, bit } => {
                let place = place(*at);
                bytes[place] ^= 1 << bit;
            }
            Damage::Set { at, byte } => {
                let place = place(*at);
                bytes[place] = *byte;
            }
            Damage::Number { at, number, big_endian } => {
                let place = place(*at);
                let number = if *big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
                bytes.iter_mut().skip(place).zip(number).for_each(|(byte, new)| *byte = new);
            }
            Damage::Cut { at } => bytes.truncate(place(*at)),
            Damage::Remove { at, n } => {
                let place = place(*at);
                bytes.drain(place..(place + n).min(bytes.len()));
            }
            Damage::Repeat { at, n, times } => {
                let place = place(*at);
                let piece = bytes[place..(place + n).min(bytes.len())].repeat(*times);
                bytes.splice(place..place, piece);
            }
            Damage::Insert { at, bytes: new } => {
                let place = place(*at);
                bytes.splice(place..place, new.iter().copied());
            }
        }
    }
    bytes
}

/// Tries a reader on mutations of a fixture.
fn survives(fixture: &[u8], read: impl Fn(&[u8]) -> Option<Split>) {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 500;
    }
    config.failure_persistence =
        Some(Box::new(proptest::test_runner::FileFailurePersistence::SourceParallel("proptest-regressions")));
    config.source_file = Some(file!());
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let answers = [std::cell::Cell::new(0u32), std::cell::Cell::new(0u32)];
    let result = runner.run(&vec(damage(), 0..6), |damages| {
        let bytes = damaged(fixture, &damages);
        let answer = read(&bytes);
        let count = &answers[usize::from(answer.is_some())];
        count.set(count.get() + 1);
        if let Some(split) = answer {
            // An accepted split is sound: every value can be read.
            prop_assert!(split.rows() > 0 && split.width() > 0);
            prop_assert!(split.row(split.rows() - 1).iter().all(|value| (0.0..=1.0).contains(value)));
            prop_assert!(
                split.mask().is_none_or(|mask| mask.len() == split.values().len() && mask.contains(&0))
            );
            prop_assert!(split.targets().is_none_or(|targets| targets.rows() == split.rows()));
            prop_assert!(split.mean().iter().all(|mean| (0.0..=1.0).contains(mean)));
        }
        let largest = LARGEST.load(Ordering::Relaxed);
        prop_assert!(largest <= LARGEST_ALLOWED, "an allocation of {largest} bytes");
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    // If a reader refuses or accepts everything, the test is not meaningful.
    assert!(answers.iter().all(|count| count.get() > 0), "refused and accepted: {answers:?}");
}

fn decoded(name: &str, bytes: &[u8], array: Option<&str>) -> Option<Split> {
    decoded_as(name, bytes, Wanted { array: array.map(str::to_owned), limits: LIMITS, ..Wanted::default() })
}

fn decoded_as(name: &str, bytes: &[u8], wanted: Wanted) -> Option<Split> {
    let path = Path::new(name);
    let result = decode(Format::of(path).unwrap(), path, bytes, &wanted);
    // The message is part of the result.
    result.map_err(|error| assert!(error.to_string().starts_with(name), "{error}")).ok()
}

macro_rules! fixtures {
    ($($test:ident: $file:literal $(, $array:literal)?;)*) => {
        $(#[test]
        fn $test() {
            let array: Option<&str> = None $(.or(Some($array)))?;
            survives(include_bytes!(concat!("../fixtures/", $file)), |bytes| decoded($file, bytes, array));
        })*
    };
}

fixtures! {
    amat: "rows.amat";
    data: "rows.data";
    csv: "rows.csv";
    libsvm: "rows.libsvm";
    idx: "images-idx3-ubyte";
    npy: "images.npy";
    npy_big_endian_fortran: "fortran.npy";
    npz: "images.npz", "images";
    mat: "plain.mat", "halves";
    mat_packed: "packed.mat", "train_data";
}

/// Damage inside an archive with correct checksums.
#[test]
fn npz_members() {
    use std::io::{Cursor, Write};
    survives(include_bytes!("../fixtures/images.npy"), |bytes| {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        archive.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
        decoded("a.npz", archive.finish().unwrap().get_ref(), None)
    });
}

/// Damage inside a compressed element with correct checksums.
#[test]
fn mat_elements() {
    use std::io::Write;
    let plain = include_bytes!("../fixtures/plain.mat");
    survives(&plain[128..], |bytes| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        let packed = encoder.finish().unwrap();
        let tag = [15u32, packed.len() as u32].map(u32::to_le_bytes).concat();
        decoded("a.mat", &[&plain[..128], &tag, &packed].concat(), Some("train_data"))
    });
}

/// Labels and targets in arrays beside the rows, in a damaged file.
#[test]
fn arrays_of_labels_and_targets() {
    let named = |name: &str| Column::Named(name.to_owned());
    let of = |array: &str, label: &str, target: Option<&str>| Wanted {
        array: Some(array.to_owned()),
        label: Some(LabelColumn::At(named(label))),
        targets: target.map(named).into_iter().collect(),
        limits: LIMITS,
        ..Wanted::default()
    };
    let mat = of("train_data", "train_labels", Some("halves"));
    survives(include_bytes!("../fixtures/plain.mat"), |bytes| decoded_as("plain.mat", bytes, mat.clone()));
    let npz = of("images", "labels", None);
    survives(include_bytes!("../fixtures/images.npz"), |bytes| decoded_as("images.npz", bytes, npz.clone()));
}

/// Rows of text with missing values and columns of targets.
#[test]
fn csv_of_missing_values_and_targets() {
    let text = "label,a,t,b,c\n1,0,-2.5,,1\n2,NA,1e3,1,0\n3,nan,0.25,0,\n";
    let wanted = Wanted { targets: vec![Column::Named("t".to_owned())], limits: LIMITS, ..Wanted::default() };
    survives(text.as_bytes(), |bytes| decoded_as("a.csv", bytes, wanted.clone()));
    survives(b"0 nan 1 0.5\n1 0 NaN 0\n1 1 1 1\n", |bytes| decoded("a.amat", bytes, None));
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Damage to the gzip container, read from a file in the same way as users' files.
#[test]
fn gzip() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.amat.gz");
    survives(&gzipped(include_bytes!("../fixtures/rows.amat")), |bytes| {
        std::fs::write(&path, bytes).unwrap();
        read(&path, &Wanted { limits: LIMITS, ..Wanted::default() }).ok()
    });
}

/// Damage inside a gzip container with a correct checksum: the content to which a short file inflates.
#[test]
fn gzipped_containers() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("images-idx3-ubyte.gz", include_bytes!("../fixtures/images-idx3-ubyte").as_slice()),
        ("images.npy.gz", include_bytes!("../fixtures/images.npy")),
        ("rows.libsvm.gz", include_bytes!("../fixtures/rows.libsvm")),
    ] {
        let path = dir.path().join(name);
        survives(bytes, |bytes| {
            std::fs::write(&path, gzipped(bytes)).unwrap();
            read(&path, &Wanted { limits: LIMITS, ..Wanted::default() }).ok()
        });
    }
}

/// A user's selectors for a `.csv`, on a damaged file.
#[test]
fn csv_of_bytes_and_labels() {
    let text = (0..20u32).map(|i| format!("{},{},{},255\n", i % 7, i * 13 % 256, i * 89 % 256));
    for (header, label) in [(Some(false), Some(LabelColumn::At(Column::Number(0)))), (None, None)] {
        let text = ["label,a,b,c\n".to_owned(), text.clone().collect()];
        let text = text[usize::from(label.is_some())..].concat();
        survives(text.as_bytes(), |bytes| {
            let wanted = Wanted { header, label: label.clone(), limits: LIMITS, ..Wanted::default() };
            decode(Format::Csv, Path::new("a.csv"), bytes, &wanted).ok()
        });
    }
}

/// A short file requests no more memory than allowed. The start of an endless file is checked before the file is read
/// to the limit.
#[test]
fn bombs_take_no_memory_and_no_time() {
    use std::io::{BufReader, Read, repeat};
    let libsvm = |value: &str| format!("1 1048576:{value}\n{}", "1 1:1\n".repeat(2047));
    let npy = |shape: &str| {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
        let head = [b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes()].concat();
        [&head, header.as_bytes()].concat()
    };
    let mat = include_bytes!("../fixtures/plain.mat")[..128].to_vec();
    let short: [(&str, Vec<u8>); 6] = [
        ("binary.libsvm", libsvm("1").into_bytes()),
        ("real.libsvm", libsvm("0.5").into_bytes()),
        ("promise.npy", npy("(2048, 1048576)")),
        ("promise-ubyte", [0x803u32, 2048, 1024, 1024].map(u32::to_be_bytes).concat()),
        ("element.mat", [&mat[..], &[14u32, 1 << 31].map(u32::to_le_bytes).concat()].concat()),
        ("magic.npz", b"PK\x03\x04".to_vec()),
    ];
    let default = Wanted::default();
    for (name, bytes) in &short {
        let path = Path::new(name);
        let error = decode(Format::of(path).unwrap(), path, &bytes[..], &default).unwrap_err();
        assert!(error.to_string().starts_with(name), "{error}");
    }
    for (name, start) in [
        ("zeros.npy", Vec::new()),
        ("zeros.npz", Vec::new()),
        ("zeros.mat", Vec::new()),
        ("zeros-ubyte", Vec::new()),
        ("more.npy", npy("(2, 3)")),
        ("more-ubyte", [0x803u32, 2, 2, 2].map(u32::to_be_bytes).concat()),
    ] {
        let path = Path::new(name);
        let mut zeros = repeat(0).take(8 << 30);
        let bytes = BufReader::new(std::io::Cursor::new(start).chain(&mut zeros));
        assert!(decode(Format::of(path).unwrap(), path, bytes, &default).is_err(), "{name}");
        assert!(zeros.limit() > (8 << 30) - (1 << 20), "{name}: read on to {}", zeros.limit());
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in [("zeros.npy.gz", vec![0; 3 << 20]), ("zeros.amat.gz", b"0 1\n".repeat(3 << 18))] {
        let path = dir.path().join(name);
        std::fs::write(&path, gzipped(&bytes)).unwrap();
        drop(bytes);
        let limits = Limits { bytes: 8 << 30, values: 1 << 31, ..LIMITS };
        let error = read(&path, &Wanted { limits, ..Wanted::default() }).unwrap_err().to_string();
        assert!(error.contains("magic") || error.contains("inflates to more than 1048576 bytes"), "{error}");
    }
    let largest = LARGEST.load(Ordering::Relaxed);
    assert!(largest <= LARGEST_ALLOWED, "an allocation of {largest} bytes");
}
