//! Safetensors files: the same bytes for the same content, a seal, and a check of the header size that a file claims.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Bytes before the header: its length.
const LENGTH: usize = 8;
/// The longest header that is read. This program's own are far shorter, and a reader needs many times its bytes.
const LONGEST_HEADER: u64 = 1 << 24;
const METADATA: &str = "__metadata__";
/// The key of the hash of the whole file. The hash counts its own digits as zeros.
const SEAL: &str = "helmholtz.sha256";

/// The bytes of a file with these tensors and metadata, sealed by a hash over all of them.
///
/// # Errors
/// If a tensor's shape does not match its bytes.
pub(crate) fn sealed(
    tensors: Vec<(String, TensorView<'_>)>,
    mut metadata: HashMap<String, String>,
) -> anyhow::Result<Vec<u8>> {
    let blank = "0".repeat(64);
    metadata.insert(SEAL.to_string(), blank.clone());
    let mut bytes = in_order(&safetensors::serialize(tensors, Some(metadata))?)?;
    let place = place_of_seal(&bytes).ok_or_else(|| anyhow::anyhow!("the header has lost its seal"))?;
    let hash = hash(&bytes);
    bytes[place..place + hash.len()].copy_from_slice(hash.as_bytes());
    Ok(bytes)
}

/// Whether a file has a seal.
///
/// # Errors
/// If its bytes do not match its seal.
pub(crate) fn check_seal(bytes: &[u8]) -> Result<bool, String> {
    let Some(place) = place_of_seal(bytes) else { return Ok(false) };
    let mut blank = bytes.to_vec();
    let Some(digits) = blank.get_mut(place..place + 64) else { return Err(DAMAGED.to_string()) };
    let found = digits.to_vec();
    digits.fill(b'0');
    if hash(&blank).as_bytes() == found { Ok(true) } else { Err(DAMAGED.to_string()) }
}

const DAMAGED: &str = "it is damaged: its bytes differ from the hash in it; create it again";

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the digits of the seal begin.
fn place_of_seal(bytes: &[u8]) -> Option<usize> {
    // Within a string of the header the quotes would be escaped.
    let pattern = format!("\"{SEAL}\":\"");
    let header = &bytes[..header_end(bytes)?];
    header
        .windows(pattern.len())
        .position(|part| part == pattern.as_bytes())
        .map(|place| place + pattern.len())
}

/// Where the header ends, if it ends within the bytes.
fn header_end(bytes: &[u8]) -> Option<usize> {
    let stated = u64::from_le_bytes(*bytes.first_chunk::<LENGTH>()?);
    let end = usize::try_from(stated).ok()?.checked_add(LENGTH)?;
    (end <= bytes.len()).then_some(end)
}

/// A safetensors file with the entries of its header sorted by name. The library writes metadata in an order that
/// differs from run to run.
///
/// # Errors
/// If the bytes are not a safetensors file.
fn in_order(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let end = header_end(bytes).ok_or_else(|| anyhow::anyhow!("the header has no end"))?;
    let header: BTreeMap<String, Value> = serde_json::from_slice(&bytes[LENGTH..end])?;
    let mut parts = Vec::new();
    for (name, entry) in &header {
        let entry = match entry {
            Value::Object(fields) if name == METADATA => {
                serde_json::to_string(&fields.iter().collect::<BTreeMap<_, _>>())?
            }
            entry => entry.to_string(),
        };
        parts.push(format!("{}:{entry}", Value::from(name.as_str())));
    }
    let mut header = format!("{{{}}}", parts.join(",")).into_bytes();
    header.resize(header.len().next_multiple_of(LENGTH), b' ');
    Ok([&(header.len() as u64).to_le_bytes()[..], &header, &bytes[end..]].concat())
}

/// The bytes of a safetensors file whose header is no longer than the file and [`LONGEST_HEADER`].
///
/// # Errors
/// If the file cannot be read, or its header is too long.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut file = File::open(path).map_err(text)?;
    let length = file.metadata().map_err(text)?.len();
    let mut stated = [0; LENGTH];
    file.read_exact(&mut stated).map_err(|_| "it is too short for a safetensors file".to_string())?;
    let stated = u64::from_le_bytes(stated);
    if stated > length.saturating_sub(LENGTH as u64) {
        return Err(format!("its header claims {stated} bytes, but the file has {length}"));
    }
    if stated > LONGEST_HEADER {
        return Err(format!("its header has {stated} bytes, more than the limit of {LONGEST_HEADER}"));
    }
    let mut bytes = stated.to_le_bytes().to_vec();
    file.read_to_end(&mut bytes).map_err(text)?;
    Ok(bytes)
}

/// Burn's name of an element type, if it has one.
pub(crate) fn dtype(of: Dtype) -> Option<burn::tensor::DType> {
    use burn::tensor::{BoolStore, DType};
    Some(match of {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U64 => DType::U64,
        Dtype::U32 => DType::U32,
        Dtype::U16 => DType::U16,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool(BoolStore::Native),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let numbers: Vec<u8> = [1.5f64, -0.0, f64::NAN].iter().flat_map(|x| x.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F64, vec![3], &numbers).unwrap();
        let metadata = (0..9).map(|i| (format!("key {i}"), format!("\"{SEAL}\":\"{i}\""))).collect();
        sealed(vec![("b".to_string(), view.clone()), ("a".to_string(), view)], metadata).unwrap()
    }

    #[test]
    fn the_same_content_makes_the_same_bytes_and_reads_back() {
        let bytes = file();
        for _ in 0..8 {
            assert_eq!(file(), bytes);
        }
        assert_eq!(check_seal(&bytes), Ok(true));
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(tensors.tensor("a").unwrap().data()[..8], 1.5f64.to_le_bytes());
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(header.metadata().as_ref().unwrap()["key 3"], format!("\"{SEAL}\":\"3\""));
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let bytes = file();
        for bit in 0..8 * bytes.len() {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            // A seal with a damaged name is not a seal; the header then has an unknown entry, or is not JSON.
            let noticed = check_seal(&other) != Ok(true);
            assert!(noticed, "bit {bit}");
        }
    }

    #[test]
    fn a_header_longer_than_its_file_is_refused_before_room_is_made_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.safetensors");
        for stated in [u64::MAX, 1 << 40, 100_000_000] {
            std::fs::write(&path, [&stated.to_le_bytes()[..], b"{}"].concat()).unwrap();
            assert!(read(&path).unwrap_err().contains("the file has 10"));
        }
    }
}
