//! The README's table of models and strategies, from the registry.

use std::fmt::Write;

use helmholtz_zoo::{Paper, registry};

/// A row for each family: its models, and the strategies that train them.
pub(super) fn table() -> String {
    let mut text = String::from("| models | trained by |\n| --- | --- |\n");
    let mut seen: Vec<&str> = Vec::new();
    for family in registry().families() {
        let models = family.models.iter().map(|model| {
            let page = format!("docs/reference/models.md#{}", model.name);
            entry(model.name, &page, model.help, model.paper)
        });
        let strategies = family.strategies.iter().map(|strategy| {
            let page = format!("docs/explanation/estimators.md#{}", strategy.name);
            // A strategy that trains an earlier family, too, has been described there.
            if seen.contains(&strategy.name) {
                return format!("[`{}`]({page}) as above", strategy.name);
            }
            seen.push(strategy.name);
            entry(strategy.name, &page, strategy.help, strategy.paper)
        });
        let lines = |entries: Vec<String>| entries.join("<br>");
        let _ = writeln!(text, "| {} | {} |", lines(models.collect()), lines(strategies.collect()));
    }
    text
}

fn entry(name: &str, page: &str, help: &str, paper: Paper) -> String {
    format!("[`{name}`]({page}) {help} ([{}]({}))", paper.cite, paper.link)
}
