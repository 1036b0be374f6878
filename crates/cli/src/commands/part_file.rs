//! The files that hold parts of an evaluation.
//!
//! Such a file is a sealed safetensors file. Its metadata describe the part and its setting, and each number of a row
//! has a tensor of its own, named after it.

mod numbers;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use helmholtz_eval::halves::GAINS;
use helmholtz_eval::{AnnealedRow, Checked, Halves, LogPartition, RowEstimate, RowWeights};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::shard::{Content, OfChains, Part, Setting, Shard};
use super::test_rows::TestRows;
use crate::console::say;
use crate::error::user;
use crate::output::write_whole;
use crate::tensors;
use numbers::{HALVES, Numbers, OF_WEIGHTS, ROW, WEIGHTS};

/// What a part says about itself, apart from its setting.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    shard: String,
    seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    active_units: Option<Vec<usize>>,
    /// In the first part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    check: Option<Checked>,
    /// In the first part of the test split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    test_rows: Option<TestRows>,
}

// Names in the file.
const ABOUT: &str = "helmholtz.part";
const SETTING: &str = "helmholtz.setting";
/// The log weight of each chain of a model that is given by an energy, and the free energy of each row.
const LOG_WEIGHT: &str = "chains.log_weight";
const FREE_ENERGY: &str = "rows.free_energy";
/// The blocks of a row's weights, row after row.
const BLOCKS_OF: &str = "blocks";
/// The numbers of 2 log Z.
const LOG_Z2: [&str; 5] = ["value", "se_formula", "se_batches", "check", "samples"];
// Names in older files, in which one tensor has a column for each of these numbers.
const OLD_SHARD: &str = "helmholtz.shard";
const OLD_ACTIVE: &str = "helmholtz.active_units";
const OLD_SECONDS: &str = "helmholtz.seconds";
/// The maximum of `--samples`.
const MOST_SAMPLES: usize = 1 << 30;

impl Part {
    /// Writes the part, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let bytes = self.to_bytes()?;
        write_whole(path, |file| file.write_all(&bytes))
    }

    /// Writes the part, and prints that it is there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn deliver(&self, path: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
        self.write(path)?;
        let Part { shard, seconds, setting, content, .. } = self;
        if as_json {
            say!(
                "{}",
                json!({
                    "shard": shard.to_string(), "file": path, "n": content.rows(), "seconds": seconds,
                    "epoch": setting.epoch,
                })
            );
        } else {
            say!("{}: part {shard}, {seconds:.1} s; `helmholtz merge` combines the parts", path.display());
        }
        Ok(ExitCode::SUCCESS)
    }

    fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
        let mut columns: Vec<(String, Vec<u8>)> = Vec::new();
        let mut add = |name: String, values: &mut dyn Iterator<Item = f64>| {
            columns.push((name, values.flat_map(f64::to_le_bytes).collect()));
        };
        match &self.content {
            Content::Samples(weights) => {
                for (half, of) in OF_WEIGHTS.into_iter().enumerate() {
                    for (i, name) in WEIGHTS.into_iter().enumerate() {
                        add(format!("{of}.{name}"), &mut weights.iter().map(|row| row.parts()[half][i]));
                    }
                    add(format!("{of}.{BLOCKS_OF}"), &mut weights.iter().flat_map(|row| row.blocks()[half]));
                }
            }
            Content::Rows(rows) => {
                for (i, name) in ROW.into_iter().enumerate() {
                    add(format!("rows.{name}"), &mut rows.iter().map(|row| numbers_of(row)[i]));
                }
                add(HALVES.to_owned(), &mut rows.iter().flat_map(|row| halves_of(&row.estimate)));
            }
            Content::Chains(OfChains { log_weights, free_energies, reverse }) => {
                add(LOG_WEIGHT.to_owned(), &mut log_weights.iter().copied());
                add(FREE_ENERGY.to_owned(), &mut free_energies.iter().copied());
                for (i, name) in ROW.into_iter().enumerate() {
                    let Some(rows) = reverse else { break };
                    let of = |&estimate| numbers_of(&AnnealedRow { estimate, acceptance: None })[i];
                    add(format!("rows.{name}"), &mut rows.iter().map(of));
                }
                if let Some(rows) = reverse {
                    add(HALVES.to_owned(), &mut rows.iter().flat_map(halves_of));
                }
            }
        }
        if let Some(z) = self.log_z2 {
            let numbers = [z.log_z2, z.se_formula, z.se_batches, z.check, z.samples as f64];
            for (name, number) in LOG_Z2.into_iter().zip(numbers) {
                add(format!("log_z2.{name}"), &mut std::iter::once(number));
            }
        }
        let views = columns.iter().map(|(name, bytes)| {
            Ok((name.clone(), TensorView::new(Dtype::F64, vec![bytes.len() / 8], bytes)?))
        });
        let about = About {
            shard: self.shard.to_string(),
            seconds: self.seconds,
            active_units: self.active.clone(),
            check: self.checked.clone(),
            test_rows: self.test_rows,
        };
        let metadata = HashMap::from([
            (ABOUT.to_string(), serde_json::to_string(&about)?),
            (SETTING.to_string(), serde_json::to_string(&self.setting)?),
        ]);
        tensors::sealed(views.collect::<anyhow::Result<_>>()?, metadata)
    }

    /// Reads a part.
    ///
    /// # Errors
    /// If the file is not a part of an evaluation, or is damaged.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let wrong = |what| user(format!("{shown}: not a part of an evaluation (evaluate --shard): {what}"));
        if !path.is_file() {
            return Err(user(format!("{shown}: no such file; `helmholtz evaluate --shard` writes one")));
        }
        let bytes = tensors::read(path).map_err(wrong)?;
        let sealed = tensors::check_seal(&bytes).map_err(|what| user(format!("{shown}: {what}")))?;
        let part = parse(&bytes, sealed).map_err(wrong)?;
        if !sealed {
            eprintln!(
                "warning: {shown}: written by an older version, without a hash, so damage cannot be detected"
            );
        }
        Ok(part)
    }
}

fn numbers_of(row: &AnnealedRow) -> [f64; 7] {
    let RowEstimate { log_prob, samples, ess, max_weight, variance, bias, .. } = row.estimate;
    [log_prob, samples as f64, ess, max_weight, variance, bias, row.acceptance.unwrap_or(f64::NAN)]
}

fn halves_of(estimate: &RowEstimate) -> [f64; GAINS + 1] {
    let Some(Halves { gains, variance }) = estimate.halves else { return [f64::NAN; GAINS + 1] };
    std::array::from_fn(|i| if i < GAINS { gains[i] } else { variance })
}

/// A part from the bytes of its file, or what is wrong with them.
fn parse(bytes: &[u8], sealed: bool) -> Result<Part, String> {
    let text = |error: &dyn fmt::Display| error.to_string();
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| text(&error))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let about = about(&metadata)?;
    let shard: Shard = about.shard.parse().map_err(|error: String| format!("its part number: {error}"))?;
    let setting = metadata.get(SETTING).ok_or_else(|| format!("the metadata {SETTING} is missing"))?;
    let setting: Setting = serde_json::from_str(setting).map_err(|error| format!("{SETTING}: {error}"))?;
    let methods: &[&str] = if setting.energy.is_some() { &["ais", "raise"] } else { &["is", "ais"] };
    if setting.rows.is_empty() || !methods.contains(&setting.method.as_str()) {
        return Err(format!("{SETTING}: no rows, or an unknown method `{}`", setting.method));
    }
    if setting.energy.is_some_and(|by| by.temperatures == Some(0) || setting.samples < shard.of) {
        return Err(format!("{SETTING}: no temperatures, or fewer chains than parts"));
    }
    if setting.samples > MOST_SAMPLES {
        return Err(format!("{SETTING}: {} samples, which is more than {MOST_SAMPLES}", setting.samples));
    }
    let is_old = !metadata.contains_key(ABOUT);
    if !sealed && !is_old {
        return Err("its hash is missing; score this part again".to_string());
    }
    let file = SafeTensors::deserialize(bytes).map_err(|error| text(&error))?;
    let numbers = Numbers { file, is_old };
    let content = if let Some(by) = setting.energy {
        let n = shard.of_rows(&setting.rows).len();
        let rows = by.reverse.map(|_| numbers.annealed(n)).transpose()?;
        Content::Chains(OfChains {
            log_weights: numbers.column(LOG_WEIGHT, shard.of_samples(setting.samples).len())?,
            free_energies: numbers.column(FREE_ENERGY, n)?,
            reverse: rows.map(|rows| rows.into_iter().map(|row| row.estimate).collect()),
        })
    } else if setting.method == "ais" {
        let n = shard.of_rows(&setting.rows).len();
        Content::Rows(numbers.annealed(n)?)
    } else {
        let samples = shard.of_samples(setting.samples).len() as u64;
        let n = setting.rows.len();
        let [whole, root] =
            [(0, OF_WEIGHTS[0]), (6, OF_WEIGHTS[1])].map(|(at, of)| numbers.table(of, WEIGHTS, n, [at, 12]));
        let blocks = OF_WEIGHTS.map(|of| numbers.chunks(&format!("{of}.{BLOCKS_OF}"), n));
        let [Ok(of_whole), Ok(of_root)] = blocks else {
            return Err(format!("the tensors {BLOCKS_OF} are damaged; score this part again"));
        };
        let rows = whole?.into_iter().zip(root?).enumerate();
        let weights = rows.map(|(i, (whole, root))| {
            let row = RowWeights::from_parts([whole, root]).filter(|row| row.samples() == samples)?;
            match (&of_whole, &of_root) {
                (Some(whole), Some(root)) => row.with_blocks([whole[i], root[i]]),
                // In files of earlier versions.
                _ => Some(row),
            }
        });
        let weights: Option<Vec<RowWeights>> = weights.collect();
        Content::Samples(
            weights.ok_or_else(|| format!("the weights of a row do not come from {samples} samples"))?,
        )
    };
    let log_z2 = if setting.bidirectional && shard.is_first() {
        let [log_z2, se_formula, se_batches, check, samples] = match is_old {
            true => {
                numbers.column("log_z2", 5)?.try_into().map_err(|_| "log_z2 does not have five numbers")?
            }
            false => numbers.table("log_z2", LOG_Z2, 1, [0, 5])?[0],
        };
        Some(LogPartition { log_z2, se_formula, se_batches, check, samples: samples as u64 })
    } else {
        None
    };
    let About { seconds, active_units: active, check: checked, test_rows, .. } = about;
    Ok(Part { shard, setting, content, active, log_z2, checked, test_rows, seconds })
}

fn about(metadata: &HashMap<String, String>) -> Result<About, String> {
    if let Some(text) = metadata.get(ABOUT) {
        return serde_json::from_str(text).map_err(|error| format!("{ABOUT}: {error}"));
    }
    let said = |name: &str| metadata.get(name).ok_or_else(|| format!("the metadata {name} is missing"));
    let active = metadata.get(OLD_ACTIVE).map(|text| serde_json::from_str(text)).transpose();
    Ok(About {
        shard: said(OLD_SHARD)?.clone(),
        seconds: said(OLD_SECONDS)?.parse().map_err(|error| format!("{OLD_SECONDS}: {error}"))?,
        active_units: active.map_err(|error| format!("{OLD_ACTIVE}: {error}"))?,
        check: None,
        test_rows: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::BaseWord;
    use crate::commands::energy_annealing::EnergyAnnealing;

    fn setting(method: &str) -> Setting {
        Setting {
            protocol: "lines/3x3@1".into(),
            data_sha256: "0".into(),
            split: "test".into(),
            method: method.into(),
            bidirectional: method == "is",
            samples: 8,
            annealing: None,
            seed: 0,
            weights_sha256: "1".into(),
            epoch: Some(3),
            layers: vec![4],
            defence: None,
            energy: None,
            rows: vec![5, 2, 9],
        }
    }

    const HALF: Option<Halves> = Some(Halves { gains: [0.25, -0.0, f64::MAX, 1e-300], variance: 2.0 });

    /// Parts with numbers that are hard to store as text.
    fn parts() -> [Part; 3] {
        let numbers = [4.0, f64::NEG_INFINITY, 0.1 + 0.2, f64::NAN, -0.0, f64::MIN_POSITIVE / 3.0];
        let weights = RowWeights::from_parts([numbers, numbers.map(|x| if x == 4.0 { x } else { -x })]);
        let log_z2 =
            LogPartition { log_z2: -0.3, se_formula: 0.1, se_batches: f64::NAN, check: 1.0, samples: 1000 };
        let row = |acceptance| {
            let [log_prob, ess, max_weight, variance, bias] = [-7.1, 0.9, 0.3, f64::INFINITY, 1e-300];
            AnnealedRow {
                estimate: RowEstimate { log_prob, samples: 8, ess, max_weight, variance, bias, halves: HALF },
                acceptance,
            }
        };
        let shard = Shard { index: 1, of: 2 };
        let sampled = Part {
            shard,
            setting: setting("is"),
            content: Content::Samples(vec![weights.unwrap(); 3]),
            active: Some(vec![2]),
            log_z2: Some(log_z2),
            checked: None,
            test_rows: None,
            seconds: 1.5,
        };
        let rows = Content::Rows(vec![row(Some(0.7)), row(None)]);
        let by = EnergyAnnealing { temperatures: Some(20), base: BaseWord::Uniform, reverse: Some(8) };
        let chains = Content::Chains(OfChains {
            log_weights: vec![0.1 + 0.2, f64::NEG_INFINITY, -0.0, 7e100],
            free_energies: vec![-30.7, f64::NAN],
            reverse: Some(vec![row(None).estimate; 2]),
        });
        [
            Part {
                setting: Setting { energy: Some(by), bidirectional: false, ..setting("raise") },
                content: chains,
                active: None,
                log_z2: None,
                ..sampled.clone()
            },
            Part { setting: setting("ais"), content: rows, active: None, log_z2: None, ..sampled.clone() },
            sampled,
        ]
    }

    /// All numbers of a part, as bits.
    fn bits(part: &Part) -> Vec<u64> {
        let rows: Vec<f64> = match &part.content {
            Content::Samples(weights) => weights.iter().flat_map(|row| row.parts().concat()).collect(),
            Content::Rows(rows) => rows.iter().flat_map(numbers_of).collect(),
            Content::Chains(OfChains { log_weights, free_energies, reverse }) => {
                let rows = reverse.iter().flatten();
                let rows = rows.flat_map(|&estimate| numbers_of(&AnnealedRow { estimate, acceptance: None }));
                log_weights.iter().chain(free_energies).copied().chain(rows).collect()
            }
        };
        let z = part.log_z2.map(|z| [z.log_z2, z.se_formula, z.se_batches, z.check, z.samples as f64]);
        rows.into_iter().chain(z.into_iter().flatten()).map(f64::to_bits).collect()
    }

    #[test]
    fn a_part_comes_back_from_its_file_to_the_bit_and_no_flipped_bit_goes_unnoticed() {
        for part in parts() {
            let bytes = part.to_bytes().unwrap();
            assert_eq!(part.to_bytes().unwrap(), bytes);
            assert_eq!(tensors::check_seal(&bytes), Ok(true));
            let back = parse(&bytes, true).unwrap();
            assert_eq!(bits(&back), bits(&part));
            assert_eq!((&back.setting, back.active, back.seconds), (&part.setting, part.active, 1.5));
            for bit in (0..8 * bytes.len()).step_by(7) {
                let mut other = bytes.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                let read = tensors::check_seal(&other).and_then(|sealed| parse(&other, sealed));
                assert!(read.is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_part_of_an_older_version_still_opens() {
        // Such versions had no parts of energies.
        for part in parts().into_iter().skip(1) {
            let bytes =
                |values: Vec<f64>| -> Vec<u8> { values.into_iter().flat_map(f64::to_le_bytes).collect() };
            let (name, shape, rows) = match &part.content {
                Content::Samples(of) => {
                    ("weights", vec![3, 12], of.iter().flat_map(|row| row.parts().concat()).collect())
                }
                Content::Rows(of) => ("rows", vec![2, 7], of.iter().flat_map(numbers_of).collect()),
                Content::Chains(_) => unreachable!("skipped above"),
            };
            let z =
                part.log_z2.map(|z| vec![z.log_z2, z.se_formula, z.se_batches, z.check, z.samples as f64]);
            let (rows, z) = (bytes(rows), z.map(bytes));
            let mut views = vec![(name, TensorView::new(Dtype::F64, shape, &rows).unwrap())];
            views.extend(z.as_ref().map(|z| ("log_z2", TensorView::new(Dtype::F64, vec![5], z).unwrap())));
            let mut setting = serde_json::to_value(&part.setting).unwrap();
            setting.as_object_mut().unwrap().remove("epoch");
            setting.as_object_mut().unwrap().remove("energy");
            let mut metadata = HashMap::from([
                (OLD_SHARD.to_string(), "1/2".to_string()),
                (SETTING.to_string(), setting.to_string()),
                (OLD_SECONDS.to_string(), "1.5".to_string()),
            ]);
            if part.active.is_some() {
                metadata.insert(OLD_ACTIVE.to_string(), "[2]".to_string());
            }
            let bytes = safetensors::serialize(views, Some(metadata)).unwrap();
            assert_eq!(tensors::check_seal(&bytes), Ok(false));
            let back = parse(&bytes, false).unwrap();
            assert_eq!(bits(&back), bits(&part));
            assert_eq!((back.setting.epoch, &back.active, back.seconds), (None, &part.active, 1.5));
            assert_eq!(
                back.setting.difference(&part.setting),
                None,
                "it can be merged with parts of this version"
            );
        }
    }
}
