//! What a run was started with: `provenance.json`, and whether its data and its config are still the same.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use helmholtz_datasets::DataSet;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::config::{Config, MAY_CHANGE};
use crate::data_facts::DataFacts;
use crate::error::user;
use crate::run_folder::{PROVENANCE as NAME, RunFolder};

/// The key of the hash of the config's settings that may not change.
const CONFIG: &str = "config_sha256";
/// The key of the hash before another version wrote out the settings, when it resumed the run.
const CONFIG_BEFORE: &str = "config_sha256_before";

/// A hash of the settings that a run keeps: all keys of a `run.toml`, except those that may change on resume.
///
/// It is the hash of the sorted lines `key = value` of the parsed file, not of its text. A setting that is left out
/// does not count.
///
/// # Errors
/// If the text is not TOML.
pub(crate) fn config_sha256(run_toml: &str) -> Result<String, toml::de::Error> {
    let table: toml::Table = run_toml.parse()?;
    let mut lines = BTreeMap::new();
    for (section, value) in table {
        match value {
            toml::Value::Table(keys) => {
                lines.extend(keys.into_iter().map(|(key, value)| (format!("{section}.{key}"), value)));
            }
            value => {
                lines.insert(section, value);
            }
        }
    }
    // As on resume: stages and falling rates are spread over the run's length.
    let constant = lines.get("optimizer.schedule").is_none_or(|name| name.as_str() == Some("constant"));
    let fixed = lines.contains_key("stage") || !constant;
    lines.retain(|key, _| {
        !MAY_CHANGE.contains(&key.as_str())
            || (fixed && ["train.epochs", "train.steps"].contains(&key.as_str()))
    });
    let text: String = lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    Ok(Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect())
}

impl RunFolder {
    /// Writes `provenance.json`; `init_sha256` is the hash of the weights of `train.init_from`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_provenance(
        &self,
        config: &Config,
        data: &DataFacts,
        init_sha256: Option<&str>,
    ) -> anyhow::Result<()> {
        let mut provenance = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "commit": option_env!("HELMHOLTZ_COMMIT"),
            "device": config.run.device,
            CONFIG: config_sha256(&config.to_toml())?,
            "seed": config.seed,
            "command": std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>(),
        });
        if let (Value::Object(all), Value::Object(facts)) = (&mut provenance, json!(data)) {
            all.extend(facts);
        }
        if let (Some(path), Some(sha256)) = (&config.train.init_from, init_sha256) {
            provenance["init_from"] = json!({"path": path, "weights_sha256": sha256});
        }
        self.write(NAME, |file| writeln!(file, "{provenance:#}"))
    }

    /// What the run knows about its data; `None` in a run of an older version.
    ///
    /// # Errors
    /// If `provenance.json` cannot be read.
    pub(crate) fn data_facts(&self) -> anyhow::Result<Option<DataFacts>> {
        let provenance = self.provenance()?.filter(|all| !all["data_shape"].is_null());
        let facts = provenance.map(serde_json::from_value::<DataFacts>).transpose();
        match facts.map_err(|error| self.unreadable(&error))? {
            Some(facts) if !facts.are_sound() => Err(self.unreadable(&"data_shape is not a valid row shape")),
            facts => Ok(facts),
        }
    }

    /// Refuses data that differ from those the run was started on. The labels count if the model learns classes.
    ///
    /// # Errors
    /// If a hash in `provenance.json` differs from that of the data, or cannot be read.
    pub fn check_data(&self, data: &DataSet, config: &Config) -> anyhow::Result<()> {
        let Some(provenance) = self.provenance()? else {
            return Err(self.unreadable(&"no such file"));
        };
        let labels = config.spec.model.classes().and(data.labels_sha256.as_deref());
        for (key, what, now) in [
            ("data_sha256", "the data have", Some(data.data_sha256.as_str())),
            ("data_labels_sha256", "the labels of the data have", labels),
        ] {
            let Some(now) = now else { continue };
            match provenance[key].as_str() {
                Some(hash) if hash == now => {}
                Some(hash) => {
                    return Err(user(format!(
                        "{}: {what} changed since the run was started (sha256 {hash} then, {now} now); restore the \
                         old files, or train a new run with another --out",
                        self.path().display()
                    )));
                }
                None => return Err(self.unreadable(&format!("has no {key}"))),
            }
        }
        Ok(())
    }

    /// Refuses a `run.toml` that was edited since the run was started. Runs of older versions have no hash of it.
    ///
    /// # Errors
    /// If the settings disagree with the hash in `provenance.json`, or a file cannot be read.
    pub(crate) fn check_config(&self) -> anyhow::Result<()> {
        let Some(provenance) = self.provenance()? else { return Ok(()) };
        let path = self.config_path();
        let of_config = |what: &dyn std::fmt::Display| user(format!("{}: {what}", path.display()));
        let hashes: Vec<&str> =
            [CONFIG, CONFIG_BEFORE].iter().filter_map(|key| provenance[*key].as_str()).collect();
        if hashes.is_empty() {
            return Ok(());
        }
        let text = fs::read_to_string(&path).map_err(|error| of_config(&error))?;
        let found = config_sha256(&text).map_err(|error| of_config(&error))?;
        if hashes.contains(&found.as_str()) {
            return Ok(());
        }
        Err(of_config(&format!(
            "has been edited since the run was started (its settings differ from {CONFIG} in {NAME}); restore the \
             old file, or train a new run from it with another --out"
        )))
    }

    /// Rewrites `run.toml` when a run is resumed, after `check_config` has found the old one unchanged.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(crate) fn rewrite_config(&self, config: &Config) -> anyhow::Result<()> {
        let text = config.to_toml();
        let hash = config_sha256(&text)?;
        // Another version may write out more settings. If this is interrupted, one of the two hashes is still right.
        if let Some(mut provenance) = self.provenance()?
            && let Some(before) = provenance[CONFIG].as_str().map(str::to_owned)
            && before != hash
        {
            let before = fs::read_to_string(self.config_path())
                .ok()
                .and_then(|text| config_sha256(&text).ok())
                .unwrap_or(before);
            provenance[CONFIG_BEFORE] = json!(before);
            provenance[CONFIG] = json!(hash);
            self.write(NAME, |file| writeln!(file, "{provenance:#}"))?;
        }
        self.write("run.toml", |file| file.write_all(text.as_bytes()))
    }

    /// `provenance.json`; `None` if there is no such file.
    pub(crate) fn provenance(&self) -> anyhow::Result<Option<Value>> {
        let text = match fs::read_to_string(self.path().join(NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|error| self.unreadable(&error))?,
        };
        match serde_json::from_str(&text) {
            Ok(value @ Value::Object(_)) => Ok(Some(value)),
            Ok(_) => Err(self.unreadable(&"is not a JSON object")),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    fn unreadable(&self, what: &dyn std::fmt::Display) -> anyhow::Error {
        let path = self.path().join(NAME);
        user(format!(
            "{}: {what}; this file records the data that the run was trained on: restore it from a copy",
            path.display()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overlay;

    fn hash(overlay: Overlay) -> String {
        config_sha256(&Config::resolve(None, &overlay).unwrap().to_toml()).unwrap()
    }

    #[test]
    fn the_hash_of_a_config_is_of_its_settings_and_not_of_those_that_may_change() {
        let of = |key: &str, value: i64| hash(Overlay::default().set(key, value));
        let plain = hash(Overlay::default());
        assert_eq!(of("train.epochs", 7), plain);
        assert_eq!(of("run.threads", 2), plain);
        assert_ne!(of("seed", 1), plain);
        assert_ne!(of("train.batch", 7), plain);
        // The length of a run with a falling rate is a setting like any other.
        let falling = |epochs: i64| {
            hash(Overlay::default().set("optimizer.schedule", "cosine").set("train.epochs", epochs))
        };
        assert_ne!(falling(3), falling(4));
        // The layout of the file does not matter.
        let text = Config::resolve(None, &Overlay::default()).unwrap().to_toml();
        let other = format!("# A comment.\n{}", text.replace("lr = 0.001", "lr = 1e-3"));
        assert_eq!(config_sha256(&other).unwrap(), plain);
    }
}
