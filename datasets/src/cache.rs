//! Parsed copies of large text files, so that a set loads quickly: one bit per value, and a mask bit per value if some
//! are missing.
//!
//! A copy is a safetensors file that holds the SHA-256 of the file that it was parsed from and a hash of its own
//! content. A copy that is damaged or belongs to another file is rebuilt, with a message at info level. If no copy can
//! be written, files are parsed every time.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use sha2::{Digest, Sha256};

use crate::error::DataError;
use crate::formats::header::Opening;
use crate::formats::{self, Format, Table, Wanted, source};
use crate::split::Split;
use crate::values::ValueKind;
use crate::whole;

/// Increase it when the parsers' results change, or the way in which copies store them.
const VERSION: &str = "4";
/// Our headers are far smaller than this; parsing a header takes many times its size in memory.
const MAX_HEADER: u64 = 4096;
/// Bytes of text below which parsing a file is faster than looking for its copy.
const MIN_FILE: u64 = 64 << 10;
/// Values below which parsing a split is faster than writing a copy.
const MIN_VALUES: usize = 1 << 20;

/// Where parsed copies are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache(Option<PathBuf>);

impl Default for Cache {
    fn default() -> Self {
        Cache::platform()
    }
}

impl Cache {
    /// Keeps no copies.
    pub fn off() -> Self {
        Cache(None)
    }

    /// Keeps copies in a folder, which is created when it is needed.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Cache(Some(dir.into()))
    }

    /// Keeps copies in `$HELMHOLTZ_CACHE`, else in `helmholtz/parsed` in the platform's cache directory. If the
    /// variable is empty, no copies are kept.
    pub fn platform() -> Self {
        match std::env::var_os("HELMHOLTZ_CACHE") {
            Some(dir) => Cache(Some(PathBuf::from(dir)).filter(|dir| !dir.as_os_str().is_empty())),
            None => Cache(dirs::cache_dir().map(|dir| dir.join("helmholtz/parsed"))),
        }
    }

    /// Reads a file, or its parsed copy. The SHA-256 of the file itself is computed either way.
    pub(crate) fn read(&self, path: &Path, wanted: &Wanted) -> Result<(Table, [u8; 32]), DataError> {
        let format = Format::of(path)?;
        let (source, length) = source::hash(path)?;
        // A copy does not know the user's selectors; the parser reports what is wrong with them.
        let Wanted { array, rows, header, label, targets, bytes, .. } = wanted;
        let usual =
            (array, rows, header, label) == (&None, &None, &None, &None) && targets.is_empty() && !bytes;
        let text = usual && matches!(format, Format::Text(_) | Format::Csv | Format::Libsvm);
        let width =
            wanted.expected.as_ref().filter(|_| format == Format::Libsvm).map(|expected| expected.width);
        let Some(copy) = self.copy_of(path, width).filter(|_| text && length >= MIN_FILE) else {
            return Ok((formats::read_table(path, wanted)?, source));
        };
        match load(&copy, &source) {
            Ok(split) if fits(&split, wanted) => {
                // A copy does not hold what the first record says.
                let opening = match format {
                    Format::Csv => formats::csv::opening(path, wanted)?,
                    _ => Opening::default(),
                };
                let (columns, targets, taken) =
                    (opening.value_names(), opening.target_names(), opening.taken());
                return Ok((Table { split, columns, targets, taken, notes: opening.notes }, source));
            }
            // The copy has other rows or another width than expected: the parser reports what does not fit.
            Ok(_) | Err(Unusable::Missing) => {}
            Err(Unusable::Because(why)) => {
                tracing::info!("{}: {why}; parsing {} again", copy.display(), path.display());
            }
        }
        let table = formats::read_table(path, wanted)?;
        let split = &table.split;
        if split.kind() == ValueKind::Binary && split.values().len() >= MIN_VALUES {
            match store(&copy, &source, split) {
                Ok(()) => tracing::debug!("kept a parsed copy of {} as {}", path.display(), copy.display()),
                Err(error) => tracing::info!("{}: no parsed copy was kept ({error})", copy.display()),
            }
        }
        Ok((table, source))
    }

    /// The copy of a file, named after the file and its folder. If a protocol sets the width and not the file, the
    /// name includes the width.
    fn copy_of(&self, path: &Path, width: Option<usize>) -> Option<PathBuf> {
        let whole = fs::canonicalize(path).ok()?;
        let place = hex(&Sha256::digest(whole.as_os_str().as_encoded_bytes())[..8]);
        let name = whole.file_name()?.to_string_lossy().into_owned();
        let width = width.map(|width| format!(".{width}")).unwrap_or_default();
        Some(self.0.as_ref()?.join(format!("{name}.{place}{width}.safetensors")))
    }
}

fn fits(split: &Split, wanted: &Wanted) -> bool {
    let expected = wanted.expected.as_ref();
    expected.is_none_or(|wanted| (wanted.rows, wanted.width) == (split.rows(), split.width()))
}

/// Why there is no usable copy.
enum Unusable {
    Missing,
    Because(&'static str),
}

fn load(copy: &Path, source: &[u8; 32]) -> Result<Split, Unusable> {
    let mut bytes = Vec::new();
    let read =
        whole::open(copy, fs::File::options().read(true)).and_then(|mut file| file.read_to_end(&mut bytes));
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unusable::Missing),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            return Err(Unusable::Because("the parsed copy is not a regular file"));
        }
        Err(_) => return Err(Unusable::Because("the parsed copy cannot be read")),
    }
    match parse(&bytes) {
        Some((split, of)) if of == hex(source) => Ok(split),
        Some(_) => Err(Unusable::Because("the parsed copy is stale because the file has changed")),
        None => Err(Unusable::Because("the parsed copy is damaged or has another version")),
    }
}

/// The split in the bytes of a copy, and the hash of the file that it was parsed from; `None` if the copy is damaged.
fn parse(bytes: &[u8]) -> Option<(Split, String)> {
    bytes.first_chunk().filter(|length| u64::from_le_bytes(**length) <= MAX_HEADER)?;
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let mut metadata: BTreeMap<String, String> = header.metadata().clone()?.into_iter().collect();
    let tensors = SafeTensors::deserialize(bytes).ok()?;
    let data = |name, dtype| {
        let tensor = tensors.tensor(name).ok().filter(|tensor| tensor.dtype() == dtype)?;
        Some(tensor.data())
    };
    let parts = [data("bits", Dtype::U8)?, data("mask", Dtype::U8)?, data("labels", Dtype::I32)?];
    let [bits, mask, labels] = parts;
    if metadata.remove("seal")? != seal(&metadata, parts) || metadata.get("version")? != VERSION {
        return None;
    }
    let number = |key| metadata.get(key)?.parse::<usize>().ok();
    let (rows, width) = (number("rows")?, number("width")?);
    let n = rows.checked_mul(width)?;
    let labels: Vec<i32> = labels.as_chunks().0.iter().map(|label| i32::from_le_bytes(*label)).collect();
    let of_values = |packed: &[u8]| packed.len() == n.div_ceil(8);
    if !of_values(bits)
        || !(mask.is_empty() || of_values(mask))
        || !(labels.is_empty() || labels.len() == rows)
    {
        return None;
    }
    let split = Split::new(rows, width, unpack(bits, n)).with_labels((!labels.is_empty()).then_some(labels));
    let split = split.with_mask((!mask.is_empty()).then(|| unpack(mask, n)));
    Some((split, metadata.remove("source")?))
}

fn store(copy: &Path, source: &[u8; 32], split: &Split) -> io::Result<()> {
    let labels = split.labels().unwrap_or_default();
    let labels: Vec<u8> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
    let (bits, mask) = (pack(split.bits()), split.mask().map(pack).unwrap_or_default());
    let [rows, width] = [split.rows(), split.width()].map(|number| number.to_string());
    let metadata =
        [("version", VERSION.to_owned()), ("source", hex(source)), ("rows", rows), ("width", width)];
    let mut metadata = BTreeMap::from(metadata.map(|(key, value)| (key.to_owned(), value)));
    metadata.insert("seal".to_owned(), seal(&metadata, [&bits, &mask, &labels]));
    let tensor = |dtype, n, bytes| TensorView::new(dtype, vec![n], bytes).map_err(io::Error::other);
    let tensors = [
        ("bits", tensor(Dtype::U8, bits.len(), &bits)?),
        ("mask", tensor(Dtype::U8, mask.len(), &mask)?),
        ("labels", tensor(Dtype::I32, labels.len() / 4, &labels)?),
    ];
    let bytes =
        safetensors::serialize(tensors, Some(metadata.into_iter().collect())).map_err(io::Error::other)?;
    fs::create_dir_all(whole::folder_of(copy))?;
    whole::write(copy, |file| file.write_all(&bytes))?;
    // The name of copies before they were safetensors files.
    let _ = fs::remove_file(copy.with_extension("bits"));
    Ok(())
}

/// The hash of everything in a copy.
fn seal(metadata: &BTreeMap<String, String>, parts: [&[u8]; 3]) -> String {
    let mut sha = Sha256::new();
    metadata.iter().for_each(|(key, value)| sha.update(format!("{key}={value}\n")));
    parts.iter().for_each(|part| sha.update(part));
    hex(&sha.finalize())
}

/// Packs eight values into a byte, the first in the lowest bit.
fn pack(bits: &[u8]) -> Vec<u8> {
    bits.chunks(8).map(|eight| eight.iter().rev().fold(0, |byte, bit| (byte << 1) | bit)).collect()
}

/// The first `n` values of packed bits.
fn unpack(packed: &[u8], n: usize) -> Vec<u8> {
    let mut bits = vec![[0; 8]; packed.len()];
    for (eight, byte) in bits.iter_mut().zip(packed) {
        *eight = std::array::from_fn(|i| byte >> i & 1);
    }
    let mut bits = bits.into_flattened();
    bits.truncate(n);
    bits
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cache: &Cache, path: &Path, wanted: &Wanted) -> Result<(Split, [u8; 32]), DataError> {
        cache.read(path, wanted).map(|(table, sha256)| (table.split, sha256))
    }

    #[test]
    fn missing_values_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (path, cache) = (dir.path().join("a.amat"), Cache::at(dir.path()));
        fs::write(&path, text("1 nan 1 1 0 0 0 NaN")).unwrap();
        let (parsed, source) = read(&cache, &path, &Wanted::default()).unwrap();
        assert_eq!((parsed.missing(), parsed.first_missing()), (2, Some((MIN_VALUES / 8, 1))));
        assert!(matches!(load(&cache.copy_of(&path, None).unwrap(), &source), Ok(split) if split == parsed));
        assert_eq!(read(&cache, &path, &Wanted::default()).unwrap().0, parsed);
    }

    #[test]
    fn packed_bits_come_back() {
        for n in [0usize, 1, 7, 8, 9, 1000] {
            let bits: Vec<u8> = (0..n).map(|i| u8::from(i % 3 == 0 || i % 7 == 2)).collect();
            assert_eq!(pack(&bits).len(), n.div_ceil(8));
            assert_eq!(unpack(&pack(&bits), n), bits);
        }
    }

    /// A text of more than a million values, whose last row is `last`.
    fn text(last: &str) -> String {
        "0 1 1 0 1 0 0 1\n".repeat(MIN_VALUES / 8) + last + "\n"
    }

    #[test]
    fn a_copy_is_used_while_the_file_is_the_same_and_rebuilt_when_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (path, cache) = (dir.path().join("a.amat"), Cache::at(dir.path().join("parsed")));
        let wanted = Wanted::default();
        fs::write(&path, text("1 1 1 1 0 0 0 0")).unwrap();
        let (parsed, source) = read(&cache, &path, &wanted).unwrap();
        let copy = cache.copy_of(&path, None).unwrap();
        assert!(matches!(load(&copy, &source), Ok(split) if split == parsed));
        assert_eq!(read(&cache, &path, &wanted).unwrap(), (parsed.clone(), source));

        fs::write(&path, text("0 0 0 0 1 1 1 1")).unwrap();
        let (changed, other) = read(&cache, &path, &wanted).unwrap();
        assert_eq!(changed.bits_of(changed.rows() - 1), [0, 0, 0, 0, 1, 1, 1, 1]);
        assert!(matches!(load(&copy, &other), Ok(split) if split == changed));
        assert!(matches!(load(&copy, &source), Err(Unusable::Because(why)) if why.contains("stale")));
    }

    #[test]
    fn a_damaged_copy_is_rebuilt_whichever_byte_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (path, cache) = (dir.path().join("a.amat"), Cache::at(dir.path()));
        fs::write(&path, text("1 1 1 1 0 0 0 0")).unwrap();
        let (parsed, source) = read(&cache, &path, &Wanted::default()).unwrap();
        let copy = cache.copy_of(&path, None).unwrap();
        let whole = fs::read(&copy).unwrap();
        let header = 8 + usize::from(whole[0]) + 256 * usize::from(whole[1]);
        for place in (0..=header).chain([whole.len() / 2, whole.len() - 1]) {
            let mut bytes = whole.clone();
            bytes[place] ^= 4;
            fs::write(&copy, bytes).unwrap();
            assert!(matches!(load(&copy, &source), Err(Unusable::Because(_))), "byte {place}");
        }
        // A header that is longer than any of ours is refused before it takes memory.
        fs::write(&copy, [&(MAX_HEADER + 1).to_le_bytes()[..], &vec![b' '; 9000]].concat()).unwrap();
        assert!(matches!(load(&copy, &source), Err(Unusable::Because(_))));
        fs::write(&copy, &whole[..100]).unwrap();
        assert_eq!(read(&cache, &path, &Wanted::default()).unwrap().0, parsed);
        assert!(matches!(load(&copy, &source), Ok(split) if split == parsed));
    }

    #[test]
    fn a_copy_of_the_former_kind_is_removed_when_there_is_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, cache) = (dir.path().join("a.amat"), Cache::at(dir.path()));
        fs::write(&path, text("1 1 1 1 0 0 0 0")).unwrap();
        let copy = cache.copy_of(&path, None).unwrap();
        let former = dir.path().join(format!("{}.bits", copy.file_stem().unwrap().to_str().unwrap()));
        fs::write(&former, "helmholtz bits 2").unwrap();
        read(&cache, &path, &Wanted::default()).unwrap();
        assert!(copy.is_file() && !former.exists());
    }

    #[test]
    #[cfg(unix)]
    fn a_link_in_the_place_of_a_copy_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, cache) = (dir.path().join("a.amat"), Cache::at(dir.path().join("parsed")));
        fs::write(&path, text("1 1 1 1 0 0 0 0")).unwrap();
        let (parsed, source) = read(&cache, &path, &Wanted::default()).unwrap();
        let (copy, victim) = (cache.copy_of(&path, None).unwrap(), dir.path().join("victim"));
        fs::rename(&copy, &victim).unwrap();
        let whole = fs::read(&victim).unwrap();
        std::os::unix::fs::symlink(&victim, &copy).unwrap();
        assert!(matches!(load(&copy, &source), Err(Unusable::Because(_))));
        assert_eq!(read(&cache, &path, &Wanted::default()).unwrap().0, parsed);
        assert!(!copy.is_symlink() && matches!(load(&copy, &source), Ok(split) if split == parsed));
        assert!(fs::read(&victim).unwrap() == whole);
    }

    #[test]
    fn labels_are_kept_and_small_files_have_no_copy() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path().join("parsed"));
        let path = dir.path().join("a.libsvm");
        fs::write(&path, "1 1:1 16:1\n-1 2:1\n".repeat(MIN_VALUES / 32)).unwrap();
        let (parsed, _) = read(&cache, &path, &Wanted::default()).unwrap();
        assert_eq!(parsed.labels().unwrap()[..2], [1, -1]);
        assert_eq!(read(&cache, &path, &Wanted::default()).unwrap().0, parsed);
        // With the width of a protocol, and again with the width that the file itself has.
        let expected = crate::formats::Expected { protocol: "a@1".into(), rows: parsed.rows(), width: 20 };
        let wide = Wanted { expected: Some(expected), ..Wanted::default() };
        for _ in 0..2 {
            assert_eq!(read(&cache, &path, &wide).unwrap().0.width(), 20);
            assert_eq!(read(&cache, &path, &Wanted::default()).unwrap().0.width(), 16);
        }
        let small = dir.path().join("b.amat");
        fs::write(&small, "0 1\n").unwrap();
        read(&cache, &small, &Wanted::default()).unwrap();
        assert!(!cache.copy_of(&small, None).unwrap().exists());
    }

    #[test]
    fn without_a_place_for_copies_files_are_parsed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.amat");
        fs::write(&path, text("1 1 1 1 0 0 0 0")).unwrap();
        for cache in [Cache::off(), Cache::at(path.join("below a file"))] {
            assert_eq!(read(&cache, &path, &Wanted::default()).unwrap().0.rows(), MIN_VALUES / 8 + 1);
        }
    }

    #[test]
    fn the_header_is_read_beside_a_copy_and_a_copy_knows_no_other_reading() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path().join("parsed"));
        let path = dir.path().join("a.csv");
        fs::write(&path, format!("0,1,2\n{}", "0,1,1\n".repeat(MIN_VALUES / 3 + 1))).unwrap();
        let parsed = cache.read(&path, &Wanted::default()).unwrap().0;
        assert!(cache.copy_of(&path, None).unwrap().exists());
        let copied = cache.read(&path, &Wanted::default()).unwrap().0;
        assert_eq!(
            (&copied.split, &copied.columns, &copied.notes),
            (&parsed.split, &parsed.columns, &parsed.notes)
        );
        assert!(copied.columns.is_some() && !copied.notes.is_empty());
        let first = formats::Column::Number(0);
        let label = Some(formats::LabelColumn::At(first.clone()));
        let other = cache.read(&path, &Wanted { label, ..Wanted::default() }).unwrap().0;
        assert_eq!((other.split.width(), other.split.labels().is_some()), (2, true));
        let other = cache.read(&path, &Wanted { targets: vec![first], ..Wanted::default() }).unwrap().0;
        assert_eq!((other.split.width(), other.split.targets().is_some()), (2, true));
    }
}
