//! The pages of results, and the list of rows.

use std::fmt::Write;
use std::path::Path;

use super::catalogue::{Catalogue, Paper, catalogue};
use super::judge::{Verdict, favourable, judge, settled_early};
use super::recipe::Recipe;
use super::row::Row;
use super::store::{Annealed, Continued, Finished, Reverse, Store};
use super::tier::Tier;
use crate::output::write as write_file;

/// The text that `list` prints.
pub(crate) fn list(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let reported = reported(row);
        let Row { id, data, model, strategy, .. } = row;
        let _ = writeln!(text, "{id:<32} {data:<20} {model:<28} {strategy:<36} {reported}");
        let _ = writeln!(
            text,
            "{:32} {}, {}; tier paper: about {} min of one core per seed; tier small: {} epochs; {}",
            "", row.paper, row.table, row.minutes, row.small_epochs, row.config
        );
    }
    text
}

fn reported(row: &Row) -> String {
    let model = row.compared_with.as_ref().map_or(String::new(), |model| format!(", {model}"));
    match row.reported {
        Some(nll) => format!("{nll:.2} ({}{model})", row.source.tag()),
        None => "not published".to_owned(),
    }
}

/// The verdict on a row, with the means that the paper does not use where they may have won it.
fn verdict_in_words(row: &'static Row, found: &Finished) -> anyhow::Result<String> {
    let verdict = judge(row, found);
    let beyond = Recipe::of(catalogue()?, row)?.beyond();
    Ok(match verdict {
        Verdict::Pass | Verdict::Near if !beyond.is_empty() => {
            format!("{verdict} with {}", beyond.join(" and "))
        }
        _ => verdict.to_string(),
    })
}

/// One command a row, for tools that run them side by side. A row that begins from the weights of another row follows it
/// on the same line.
pub(crate) fn commands(rows: &[Row]) -> String {
    let has_first = |row: &Row| row.begins_from.is_some();
    let mut text = String::new();
    for row in rows.iter().filter(|row| !has_first(row)) {
        let mut ids = vec![row.id.as_str()];
        while let Some(next) = rows.iter().find(|next| {
            !ids.contains(&next.id.as_str())
                && next.begins_from.as_deref().is_some_and(|first| ids.contains(&first))
        }) {
            ids.push(&next.id);
        }
        let _ = writeln!(text, "cargo xtask reproduce {}", ids.join(" "));
    }
    text
}

/// A page for each paper and one with all rows, by the names of their files.
pub(crate) fn pages(store: &Store, catalogue: &'static Catalogue) -> anyhow::Result<Vec<(String, String)>> {
    let page = |paper: &Paper| Ok((format!("{}.md", paper.key), page(paper, &catalogue.rows, store)?));
    let overview = overview(catalogue, store).map(|text| ("README.md".to_owned(), text));
    catalogue.papers.iter().map(page).chain([overview]).collect()
}

/// Writes the pages.
pub(crate) fn write(folder: &Path, store: &Store, catalogue: &'static Catalogue) -> anyhow::Result<()> {
    pages(store, catalogue)?.iter().try_for_each(|(name, text)| write_file(&folder.join(name), text))
}

/// The result of a row at tier paper, if it is from the current version of the protocol.
fn current<'a>(store: &'a Store, row: &Row) -> Option<&'a Finished> {
    let protocol = helmholtz_datasets::entry(&row.data).ok()?.protocol();
    store.get(&row.id, Tier::Paper).filter(|found| found.protocol == protocol)
}

/// A result with its row.
type Entry<'a> = (&'static Row, Option<&'a Finished>);

/// Rows of one protocol: two protocols never share a table.
struct Table<'a> {
    data: &'a str,
    rows: Vec<Entry<'a>>,
}

impl<'a> Table<'a> {
    /// A table of rows, which must be of one protocol.
    fn new(rows: Vec<Entry<'a>>) -> anyhow::Result<Self> {
        let data = rows.first().map_or("", |(row, _)| row.data.as_str());
        let mut protocols: Vec<&str> =
            rows.iter().filter_map(|(_, finished)| Some(finished.as_ref()?.protocol.as_str())).collect();
        protocols.dedup();
        anyhow::ensure!(
            rows.iter().all(|(row, _)| row.data == data) && protocols.len() <= 1,
            "results under different protocols in one table: {data}, {}",
            protocols.join(", ")
        );
        Ok(Table { data, rows })
    }

    fn markdown(&self) -> anyhow::Result<String> {
        let mut text = String::from(
            "| row | model | strategy | ours | spread over seeds | ± rows | ± samples, K | reported | verdict |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for (row, finished) in &self.rows {
            let Row { id, model, strategy, .. } = row;
            let reported = reported(row);
            let _ = match finished {
                Some(found) => writeln!(
                    text,
                    "| `{id}` | {model} | {strategy} | {:.2} | {} | {:.2} | {:.3}, {} | {reported} | {} |",
                    found.mean(),
                    found.seed_spread().map_or("one seed".to_owned(), |spread| format!(
                        "{spread:.2} ({} seeds)",
                        found.seeds.len()
                    )),
                    found.se_rows(),
                    found.se_mc(),
                    samples_in_words(found),
                    verdict_in_words(row, found)?
                ),
                None => writeln!(text, "| `{id}` | {model} | {strategy} | not run | | | | {reported} | |"),
            };
        }
        Ok(text)
    }
}

fn samples_in_words(found: &Finished) -> String {
    let samples = match found.samples() {
        (k, most) if k == most => k.to_string(),
        (k, most) => format!("{k} (max {most})"),
    };
    match found.seeds.iter().filter_map(|seed| Some(seed.annealed.as_ref()?.lower_by.rows)).max() {
        Some(rows) => format!("{samples}; {rows} rows annealed"),
        None => samples,
    }
}

/// The tables of some rows, one for each protocol, in the order of the rows.
fn tables<'a>(rows: impl Iterator<Item = Entry<'a>>) -> anyhow::Result<Vec<Table<'a>>> {
    let mut by_data: Vec<Vec<Entry<'a>>> = Vec::new();
    for entry in rows {
        match by_data.iter_mut().find(|rows| rows[0].0.data == entry.0.data) {
            Some(rows) => rows.push(entry),
            None => by_data.push(vec![entry]),
        }
    }
    by_data.into_iter().map(Table::new).collect()
}

fn page(paper: &Paper, rows: &'static [Row], store: &Store) -> anyhow::Result<String> {
    let mut text = format!(
        "# {}: {}\n\n{}.\n\
         `cargo xtask reproduce` wrote this page: NLL of the test split in nats per example, averaged over seeds.\n",
        paper.authors, paper.title, paper.venue
    );
    let rows = || rows.iter().filter(|row| row.paper == paper.key);
    for table in tables(rows().map(|row| (row, current(store, row))))? {
        let _ = write!(text, "\n## {}\n\n{}", table.data, table.markdown()?);
        for (row, finished) in &table.rows {
            let _ = write!(text, "\n### `{}`\n\n- {}: {}.\n", row.id, row.table, reported_in_words(row));
            let _ = writeln!(text, "- Config: [{0}](../{0}) {1}", row.config, row.flags.join(" "));
            if let Some(before) = &row.begins_from {
                let _ =
                    writeln!(text, "- Training begins from the weights of `{before}` with the same seed.");
            }
            let recipe = Recipe::of(catalogue()?, row)?;
            let _ = writeln!(text, "- Training: {}.", recipe.training());
            for other in &row.also {
                let _ = writeln!(text, "- Also published: {other}.");
            }
            if !row.choices.is_empty() {
                let _ = writeln!(text, "- {}", row.choices);
            }
            let beyond = recipe.beyond();
            if !beyond.is_empty() {
                let _ = writeln!(text, "- Beyond the paper: {}.", beyond.join(" and "));
            }
            if finished.is_none() {
                let _ = writeln!(text, "- Not run yet: these settings have not been tried on this data set.");
            }
            let _ = writeln!(text, "- Tolerance {} nats: {}.", row.tolerance, row.why);
            if let Some(found) = finished {
                describe(&mut text, row, found);
            }
        }
    }
    let small: Vec<Entry<'_>> =
        rows().filter_map(|row| Some((row, Some(store.get(&row.id, Tier::Small)?)))).collect();
    if !small.is_empty() {
        let _ = write!(text, "\n## Tier small, not judged\n");
        for table in tables(small.into_iter())? {
            let _ = write!(text, "\n{}:\n\n{}", table.data, table.markdown()?);
        }
    }
    Ok(text)
}

fn reported_in_words(row: &Row) -> String {
    let model = row.compared_with.as_ref().map_or(String::new(), |model| format!(" for {model}"));
    match row.reported {
        Some(nll) => {
            format!("{nll:.2}{model}, {}; {}: {}", row.measured, row.source.tag(), row.source.note())
        }
        None => "no published number".to_owned(),
    }
}

fn describe(text: &mut String, row: &Row, found: &Finished) {
    let seeds: Vec<String> = found
        .seeds
        .iter()
        .map(|seed| {
            format!(
                "{:.3} (validation {:.3}, {} epochs, {:.0} s)",
                seed.nll, seed.valid_nll, seed.epochs, seed.train_seconds
            )
        })
        .collect();
    let _ = writeln!(text, "- Seeds: {}.", seeds.join("; "));
    for (seed, annealed) in found.seeds.iter().filter_map(|seed| Some((seed, seed.annealed.as_ref()?))) {
        let Annealed { importance_nll, lower_by, chains, temperatures, .. } = annealed;
        let _ = writeln!(
            text,
            "- Seed {}: {importance_nll:.3} by importance sampling on all test rows, K = {}, minus {:.3} ± {:.3}, \
             the mean difference to annealing on {} rows fixed by the protocol ({chains} chains over {temperatures} temperatures).",
            seed.seed, seed.k, lower_by.mean, lower_by.se, lower_by.rows
        );
    }
    for (seed, continued) in found.seeds.iter().filter_map(|seed| Some((seed, seed.continued.as_ref()?))) {
        let Continued { lower_by, k } = continued;
        let [low, high] = lower_by.ci95();
        let _ = writeln!(
            text,
            "- Seed {}: compared row by row with the initial weights, the NLL of {} test rows, K = {k}, is lower by {:+.3}, \
             95 % confidence interval [{low:+.3}, {high:+.3}].",
            seed.seed, lower_by.rows, lower_by.mean
        );
    }
    for (seed, reverse) in found.seeds.iter().filter_map(|seed| Some((seed, seed.reverse.as_ref()?))) {
        let Reverse { rows, nll, forward_nll } = reverse;
        let _ = writeln!(
            text,
            "- Seed {}: on {rows} test rows fixed by the protocol, {forward_nll:.3} by log Z, which is too low on average, \
             and {nll:.3} by annealing backwards from each row, which is too high on average.",
            seed.seed
        );
    }
    let bias = found.bias_mc();
    let _ = writeln!(
        text,
        "- Expected bias from sampling: {:.3} too {}; effective sample size: {:.2} % of K.",
        bias.abs(),
        if bias < 0.0 { "low" } else { "high" },
        100.0 * found.seeds.iter().map(|seed| seed.ess).sum::<f64>() / found.seeds.len() as f64
    );
    if let (Some(nll_p), Some(ess_p)) =
        (found.bidirectional(|b| Some(b.nll_p)), found.bidirectional(|b| Some(b.ess_p)))
    {
        let z = found.bidirectional(|b| Some(b.log_z2?[0]));
        let z = match z {
            Some(z) => format!("-2 log Z = {:.3}", -z),
            None => "2 log Z is unknown, so -log p* is an upper bound".to_owned(),
        };
        let _ = writeln!(
            text,
            "- -log p* = {:.3}, -log p = {nll_p:.3}, {z}; effective sample size of q for p: {:.2} % of K.",
            found.mean(),
            100.0 * ess_p
        );
    }
    let _ = writeln!(
        text,
        "- {}, data_sha256 `{}`, commit {}, device {}, {:.0} s of training in all.",
        found.protocol,
        found.data_sha256,
        found.commit,
        found.device,
        found.seconds()
    );
    if let Some(lowest) = settled_early(row, found) {
        let _ = writeln!(
            text,
            "- Decided at K = {}: even {}, our NLL would be {lowest:.2}, still beyond the tolerance, so more samples could not change the verdict.",
            samples_in_words(found),
            favourable()
        );
    }
    if matches!(judge(row, found), Verdict::Short(_)) {
        let _ = writeln!(text, "- Suspected cause: {}", row.suspect);
    }
}

/// Whether a row belongs to a section.
type Belongs = fn(&Entry<'_>) -> bool;

/// The sections of the overview.
const SECTIONS: [(&str, Belongs); 3] = [
    ("Judged rows", |entry| verdict(entry).is_some_and(|verdict| verdict.word().is_some())),
    ("Rows without a verdict", |entry| verdict(entry).is_some_and(|verdict| verdict.word().is_none())),
    ("Rows not run yet", |(_, finished)| finished.is_none()),
];

fn verdict((row, finished): &Entry<'_>) -> Option<Verdict> {
    finished.map(|found| judge(row, found))
}

/// What the README says of the rows: some of them beside the published values, and how many have which verdict.
pub(crate) fn in_readme(
    store: &Store,
    Catalogue { rows, papers, .. }: &'static Catalogue,
) -> anyhow::Result<String> {
    let mut text = String::from(
        "| data | model | trained by | ours | published | verdict |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for row in rows.iter().filter(|row| row.in_readme) {
        let Row { data, model, strategy, .. } = row;
        let cite = papers.iter().find(|paper| paper.key == row.paper).map_or("", |paper| &paper.authors);
        let (ours, verdict) = match current(store, row) {
            Some(found) => {
                let spread = found.seed_spread().map_or(String::new(), |spread| format!(" ± {spread:.2}"));
                (format!("{:.2}{spread}", found.mean()), verdict_in_words(row, found)?)
            }
            None => ("not run".to_owned(), String::new()),
        };
        let published = row.reported.map_or("-".to_owned(), |nll| format!("{nll:.2}"));
        let page = format!("[{published}](results/{}.md)", row.paper);
        let _ = writeln!(text, "| `{data}` | {model} | {strategy} | {ours} | {page}, {cite} | {verdict} |");
    }
    let verdicts: Vec<Option<Verdict>> =
        rows.iter().map(|row| verdict(&(row, current(store, row)))).collect();
    let count = |word: &str| verdicts.iter().flatten().filter(|verdict| verdict.word() == Some(word)).count();
    let words = ["PASS", "NEAR", "SHORT", "UNSURE"].map(|word| (word, count(word)));
    let judged: usize = words.iter().map(|(_, n)| n).sum();
    let words: Vec<String> =
        words.iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!("{n} {word}")).collect();
    let _ = writeln!(text, "\nOf {} rows, {judged} are judged so far: {}.", rows.len(), words.join(", "));
    Ok(text)
}

fn overview(catalogue: &'static Catalogue, store: &Store) -> anyhow::Result<String> {
    let Catalogue { rows, papers, best } = catalogue;
    let mut text = format!(
        "# Results\n\n\
         The command `cargo xtask reproduce ID` reproduces a row, and wrote every number below.\n\
         Numbers are NLLs of the test split in nats per example, averaged over seeds.\n\n\
         The verdicts:\n\n\
         - PASS: not worse than published: at or below the published value plus twice our Monte Carlo error. \
           It names the means that the paper does not use, where they may have won it.\n\
         - NEAR: above that, within the row's tolerance.\n\
         - SHORT: beyond the tolerance.\n\
         - UNSURE: our Monte Carlo error is more than a tenth of the tolerance, or our NLL is beyond the tolerance and the samples may be the cause.\n\
         - A dash: not judged, because the published value is missing, recalled, second-hand or another quantity.\n\n\
         The spread over seeds and the standard error over test rows are shown, but no verdict depends on them.\n\
         K is the mean number of importance samples per test row, followed by the maximum where it differs.\n\
         A judged row has enough samples to bring their error and their bias below a tenth of the tolerance, or fewer if it is SHORT even with an NLL {}.\n\
         Other rows have at most 4000 samples per test row, and their errors are shown as found.\n\
         Where the published value was estimated by annealed importance sampling, some test rows are annealed too, and their mean difference corrects the NLL of all test rows.\n\n",
        favourable()
    );
    let pages: Vec<String> =
        papers.iter().map(|paper| format!("[{}]({}.md)", paper.title, paper.key)).collect();
    let _ = writeln!(text, "By paper: {}.", pages.join(", "));
    let all = || rows.iter().map(|row| (row, current(store, row)));
    for (title, belongs) in SECTIONS {
        let tables = tables(all().filter(|entry| belongs(entry)))?;
        if !tables.is_empty() {
            let _ = writeln!(text, "\n## {title}");
        }
        for table in tables {
            let _ = write!(text, "\n### {}\n\n{}", table.data, table.markdown()?);
        }
    }
    let _ = write!(
        text,
        "\n## Best\n\nFor each data set: the row above with the lowest validation NLL, and its test NLL.\n\n\
         | data | lowest here | by | recipe | lowest published | by |\n| --- | --- | --- | --- | --- | --- |\n"
    );
    for set in best {
        let published = set.published.map_or("-".to_owned(), |nll| format!("{nll:.2}"));
        let candidates = rows.iter().filter(|row| row.data == set.data);
        let found = candidates.filter_map(|row| Some((row, current(store, row)?)));
        let best = found.min_by(|(_, a), (_, b)| a.valid_mean().total_cmp(&b.valid_mean()));
        let _ = match best {
            Some((row, found)) => writeln!(
                text,
                "| {} | {:.2} | `{}` | [{2}](../{}) | {published} | {} |",
                set.data,
                found.mean(),
                row.id,
                row.config,
                set.by
            ),
            None => writeln!(text, "| {} | not run | | | {published} | {} |", set.data, set.by),
        };
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::catalogue;
    use super::super::store::tests::finished;
    use super::*;

    #[test]
    fn two_protocols_never_share_a_table() {
        let dna = finished(&[90.0]);
        let other = Finished { protocol: "uci/dna@2".to_owned(), ..dna.clone() };
        let [row, adult] =
            ["uci-dna-rws-sbn", "uci-adult-rws-sbn"].map(|id| catalogue().unwrap().row(id).unwrap());
        assert!(Table::new(vec![(row, Some(&dna)), (row, None)]).is_ok());
        for rows in [vec![(row, Some(&dna)), (row, Some(&other))], vec![(row, None), (adult, None)]] {
            let error = Table::new(rows).err().unwrap().to_string();
            assert!(error.contains("different protocols"), "{error}");
        }
    }

    #[test]
    fn pages_show_what_was_found_and_what_was_not() {
        let dir = tempfile::tempdir().unwrap();
        let catalogue = catalogue().unwrap();
        let mut store = Store::open(dir.path(), &catalogue.papers).unwrap();
        let row = catalogue.row("uci-dna-rws-sbn").unwrap();
        let mut found = finished(&[90.7, 90.9]);
        found.seeds[1].k_max = Some(28_000);
        store.put(row, Tier::Paper, found).unwrap();
        write(dir.path(), &store, catalogue).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let line = "| `uci-dna-rws-sbn` | sbn 180-150-10 | rws, wake-phi, K = 10 | 90.80 | 0.14 (2 seeds) | 0.20 | 0.021, 1000 (max 28000) | 90.63 (quoted) | NEAR |";
        assert!(read("README.md").contains(line), "{}", read("README.md"));
        assert!(read("bornschein2015.md").contains(line));
        assert!(
            read("README.md")
                .contains("| `uci-adult-rws-sbn` | sbn 123-100-20-5 | rws, wake-phi, K = 10 | not run |")
        );
        assert!(read("README.md").contains("| uci/dna | 90.80 | `uci-dna-rws-sbn` |"));
        assert!(list(&catalogue.rows).contains("uci-web-rws-sbn"));
    }

    #[test]
    fn every_row_has_its_place_in_one_command_after_the_row_that_it_begins_from() {
        let rows = &catalogue().unwrap().rows;
        let text = commands(rows);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').skip(3).collect()).collect();
        assert!(text.lines().all(|line| line.starts_with("cargo xtask reproduce ")));
        let mut all: Vec<&str> = lines.concat();
        all.sort_unstable();
        let mut ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        ids.sort_unstable();
        assert_eq!(all, ids);
        for row in rows {
            let Some(first) = &row.begins_from else { continue };
            let line = lines.iter().find(|line| line.contains(&row.id.as_str())).unwrap();
            let place = |id: &str| line.iter().position(|other| *other == id);
            assert!(place(first) < place(&row.id) && place(first).is_some(), "{line:?}");
        }
    }
}
