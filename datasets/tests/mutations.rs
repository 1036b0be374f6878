//! The parsers against damaged input: whatever the bytes, an answer and no panic, and no allocation
//! beyond what the limits allow.
//!
//! By default 500 mutated inputs a fixture, for a quick look; `PROPTEST_CASES=100000` makes it the
//! long run. Failures are kept in `proptest-regressions/` and tried first ever after.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use helmholtz_datasets::Split;
use helmholtz_datasets::formats::{Format, Limits, Wanted, decode, read};
use proptest::collection::vec;
use proptest::prelude::*;

/// The system's allocator, which remembers the largest request.
struct Watched;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is the system allocator's own; only a number is kept besides.
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

const LIMITS: Limits = Limits { bytes: 1 << 20, line: 1 << 16, values: 1 << 18 };
/// A vector that grows to the limit of 1 MiB may ask for twice that; 4 MiB are beyond suspicion.
const LARGEST_ALLOWED: usize = 4 << 20;

/// One thing that can happen to a file; places are shares of its length.
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
    /// A number that lengths and counts are sensitive to, in either order of bytes.
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
    // Headers stand at the beginning (of zip archives at the end): half of the places are near an end.
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
        any::<u32>(),
        0..1000u32,
    ];
    let text = prop_oneof![
        "[0-9eE.,: \n\r#-]{1,12}".prop_map(String::into_bytes),
        "(NaN|inf|-1|1e999|qid:|,,|\\(\\(|'descr'|True|label)".prop_map(String::into_bytes),
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
            // What is accepted is sound: every value can be had.
            prop_assert!(split.rows() > 0 && split.width() > 0);
            prop_assert!(split.row(split.rows() - 1).iter().all(|value| (0.0..=1.0).contains(value)));
        }
        let largest = LARGEST.load(Ordering::Relaxed);
        prop_assert!(largest <= LARGEST_ALLOWED, "an allocation of {largest} bytes");
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    // A reader that refuses or accepts everything has not been tried.
    assert!(answers.iter().all(|count| count.get() > 0), "refused and accepted: {answers:?}");
}

fn decoded(name: &str, bytes: &[u8], array: Option<&str>) -> Option<Split> {
    let path = Path::new(name);
    let wanted = Wanted { array: array.map(str::to_owned), limits: LIMITS, ..Wanted::default() };
    let result = decode(Format::of(path).unwrap(), path, bytes, &wanted);
    // The message is part of the answer.
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

/// Damage inside an archive, under checksums that are right.
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

/// Damage inside a compressed element, under checksums that are right.
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

/// Damage to the gzip container, read from a file as users' files are.
#[test]
fn gzip() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.amat.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(include_bytes!("../fixtures/rows.amat")).unwrap();
    survives(&encoder.finish().unwrap(), |bytes| {
        std::fs::write(&path, bytes).unwrap();
        read(&path, &Wanted { limits: LIMITS, ..Wanted::default() }).ok()
    });
}
