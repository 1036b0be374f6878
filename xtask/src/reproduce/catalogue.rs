//! The rows, their papers, and the lowest published figures: the files of `xtask/rows/`.
//!
//! A file of rows holds a list, `row`, in the order in which the rows are run and shown. Keys that rows share are
//! written once, in a table `[group.NAME]`. A row that names a `group` takes from it every key that it does not set
//! itself. A group may name another group in the same way.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::{Context, bail, ensure};
use helmholtz_cli::error::{known, user};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Table;

use super::row::{Row, Source};

/// All published results.
#[derive(Debug)]
pub(crate) struct Catalogue {
    /// Every row, in the order of the list.
    pub(crate) rows: Vec<Row>,
    /// The papers, in the order of the overview.
    pub(crate) papers: Vec<Paper>,
    /// The data sets that have rows, with the lowest published figure for each.
    pub(crate) best: Vec<Best>,
}

/// A paper.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paper {
    /// What rows call it, and the name of its page.
    pub(crate) key: String,
    pub(crate) authors: String,
    pub(crate) title: String,
    pub(crate) venue: String,
}

/// The lowest published figure for a data set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Best {
    /// Id of the protocol.
    pub(crate) data: String,
    /// Lowest published test NLL that was read, if any.
    pub(crate) published: Option<f64>,
    /// By which model; without a figure, the reason.
    pub(crate) by: String,
}

/// A file of the folder: its path from the root of the workspace, and its text.
type File = (&'static str, &'static str);

macro_rules! file {
    ($name:literal) => {
        (concat!("xtask/rows/", $name, ".toml"), include_str!(concat!("../../rows/", $name, ".toml")))
    };
}

const ROWS: [File; 7] = [
    file!("sigmoid-belief-networks"),
    file!("autoregressive"),
    file!("bidirectional"),
    file!("coupled-chains"),
    file!("importance-weighted"),
    file!("mixtures"),
    file!("boltzmann-machines"),
];
const PAPERS: File = file!("papers");
const BEST: File = file!("best");

/// The catalogue, read and checked once.
///
/// # Errors
/// If a file is not valid; the message names the file and the row.
pub(crate) fn catalogue() -> anyhow::Result<&'static Catalogue> {
    static CATALOGUE: LazyLock<Result<Catalogue, String>> =
        LazyLock::new(|| Catalogue::of(&ROWS, PAPERS, BEST).map_err(|error| format!("{error:#}")));
    CATALOGUE.as_ref().map_err(user)
}

impl Catalogue {
    fn of(rows: &[File], papers: File, best: File) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Papers {
            paper: Vec<Paper>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Bests {
            best: Vec<Best>,
        }
        let rows = rows.iter().map(|&file| rows_of(file)).collect::<anyhow::Result<Vec<_>>>()?;
        let catalogue = Catalogue {
            rows: rows.into_iter().flatten().collect(),
            papers: read::<Papers>(papers)?.paper,
            best: read::<Bests>(best)?.best,
        };
        for (i, row) in catalogue.rows.iter().enumerate() {
            catalogue.check(row, &catalogue.rows[..i]).with_context(|| row.place())?;
        }
        for Best { data, .. } in &catalogue.best {
            let has_rows = catalogue.rows.iter().any(|row| row.data == *data);
            ensure!(has_rows, "{}: data = \"{data}\": no row uses this data set; remove the entry", best.0);
        }
        Ok(catalogue)
    }

    /// A row by its id.
    pub(crate) fn row(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// Checks a row against the papers and the rows before it.
    fn check(&self, row: &Row, earlier: &[Row]) -> anyhow::Result<()> {
        if let Some(other) = earlier.iter().find(|other| other.id == row.id) {
            bail!("{} already has a row with this id; give one of them another id", other.file);
        }
        let papers: Vec<&str> = self.papers.iter().map(|paper| paper.key.as_str()).collect();
        ensure!(
            papers.contains(&row.paper.as_str()),
            "there is no paper `{0}`; {1}",
            row.paper,
            known(&row.paper, &papers)
        );
        helmholtz_datasets::entry(&row.data)?;
        if let Some(id) = &row.begins_from {
            let before = earlier.iter().find(|other| other.id == *id);
            let before = before.with_context(|| {
                format!("begins_from = \"{id}\": no row before it has this id; move it below that row")
            })?;
            ensure!(
                before.begins_from.is_none(),
                "begins_from = \"{id}\": that row begins from another one; name one that does not"
            );
        }
        ensure!(
            row.reported.is_some() == (row.source != Source::None),
            "`reported` and `source` belong together: give both or neither"
        );
        ensure!(
            row.tolerance > 0.0 && row.tolerance.is_finite(),
            "tolerance = {}: must be a number of nats above zero",
            row.tolerance
        );
        ensure!(row.small_epochs > 0, "small_epochs = 0: must be at least 1");
        Ok(())
    }
}

fn read<T: DeserializeOwned>((file, text): File) -> anyhow::Result<T> {
    toml::from_str(text).with_context(|| file)
}

/// The rows of a file, with the keys of their groups filled in.
fn rows_of(file: File) -> anyhow::Result<Vec<Row>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RowFile {
        row: Vec<Table>,
        #[serde(default)]
        group: BTreeMap<String, Table>,
    }
    let RowFile { row, group } = read(file)?;
    let one = |table: Table| {
        let id = table.get("id").and_then(toml::Value::as_str).unwrap_or("without an id").to_owned();
        let row = filled(table, &group).and_then(|table| Ok(table.try_into::<Row>()?));
        Ok(Row { file: file.0, ..row.with_context(|| format!("{}, row `{id}`", file.0))? })
    };
    row.into_iter().map(one).collect()
}

/// A row with the keys of its group, and of that group's group.
fn filled(mut row: Table, groups: &BTreeMap<String, Table>) -> anyhow::Result<Table> {
    let names: Vec<&str> = groups.keys().map(String::as_str).collect();
    for _ in 0..=groups.len() {
        let Some(name) = row.remove("group") else {
            if let Some(id) = row.get("id").and_then(toml::Value::as_str) {
                let config = format!("configs/reproduce/{id}.toml");
                row.entry("config").or_insert(config.into());
            }
            return Ok(row);
        };
        let name = name.as_str().context("group: must be the name of a group, as a string")?;
        let group = groups.get(name);
        let group = group.with_context(|| format!("there is no group `{name}`; {}", known(name, &names)))?;
        for (key, value) in group {
            row.entry(key.as_str()).or_insert(value.clone());
        }
    }
    bail!("its groups name each other in a circle; remove one of their `group` keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"
        row = [{ group = "a", id = "one" }, { group = "b", id = "two", begins_from = "one", tolerance = 2.0 }]
        [group.a]
        paper = "p"
        table = "1"
        model = "sbn 25-5"
        strategy = "ws, K = 1"
        data = "bars/5x5"
        reported = 3.0
        source = { quoted = "by q" }
        tolerance = 1.0
        why = ""
        choices = ""
        suspect = ""
        small_epochs = 1
        minutes = 1
        [group.b]
        group = "a"
        config = "c.toml"
    "#;
    const PAPER: &str = "[[paper]]\nkey = 'p'\nauthors = 'A'\ntitle = 'T'\nvenue = 'V'";

    fn of(rows: &str) -> anyhow::Result<Catalogue> {
        let rows: &'static str = rows.to_owned().leak();
        Catalogue::of(
            &[("rows.toml", rows)],
            ("papers.toml", PAPER),
            ("best.toml", "best = [{ data = 'bars/5x5', by = 'p' }]"),
        )
    }

    #[test]
    fn a_row_has_what_its_groups_say_unless_it_says_otherwise() {
        let catalogue = of(ROW).unwrap();
        let [one, two] = ["one", "two"].map(|id| catalogue.row(id).unwrap());
        assert_eq!((one.tolerance, two.tolerance), (1.0, 2.0));
        assert_eq!((one.config.as_str(), two.config.as_str()), ("configs/reproduce/one.toml", "c.toml"));
        assert_eq!((one.judged_by(), two.source.note()), (Some(3.0), "by q"));
    }

    #[test]
    fn what_is_wrong_with_a_row_is_said_with_its_file_and_id() {
        for (from, to, message) in [
            ("id = \"two\"", "id = \"one\"", "rows.toml, row `one`: rows.toml already has a row"),
            ("group = \"b\"", "group = \"bb\"", "rows.toml, row `two`: there is no group `bb`; known: a, b;"),
            ("[group.a]", "[group.a]\ngroup = \"b\"", "row `one`: its groups name each other in a circle"),
            ("why = \"\"", "reason = \"\"", "rows.toml, row `one`: unknown field `reason`"),
            ("paper = \"p\"", "paper = \"q\"", "rows.toml, row `one`: there is no paper `q`"),
            ("bars/5x5", "bars/5x6", "rows.toml, row `one`: "),
            (
                "begins_from = \"one\"",
                "begins_from = \"two\"",
                "row `two`: begins_from = \"two\": no row before it",
            ),
            ("reported = 3.0", "", "rows.toml, row `one`: `reported` and `source` belong together"),
            ("tolerance = 2.0", "tolerance = 0.0", "rows.toml, row `two`: tolerance = 0: must be"),
            ("small_epochs = 1", "small_epochs = 0", "rows.toml, row `one`: small_epochs = 0"),
            ("row = [", "rows = [", "rows.toml: "),
        ] {
            let error = format!("{:#}", of(&ROW.replace(from, to)).unwrap_err());
            assert!(error.contains(message), "{from} -> {to}: {error}");
        }
    }
}
