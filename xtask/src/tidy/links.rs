//! Links between Markdown files.

use std::path::{Component, Path, PathBuf};

use super::tree::Tree;

/// The book, whose pages are built from this folder alone.
const BOOK: &str = "docs/";
/// Where a page of the book finds the other files of the repository.
const ON_THE_WEB: &str = "https://github.com/helmholtz-rs/helmholtz/blob/main/";

/// The links that lead nowhere, one message each.
pub(super) fn failures(tree: &Tree) -> Vec<String> {
    let mut failures = Vec::new();
    for file in tree.ending(&["md"]) {
        let folder = Path::new(file).parent().unwrap_or(Path::new(""));
        for Link { path, anchor } in links(&tree.text(file)) {
            let shown = anchor.as_ref().map_or(path.clone(), |anchor| format!("{path}#{anchor}"));
            let target = match (path.strip_prefix(ON_THE_WEB), path.strip_prefix('/')) {
                (Some(from_root), _) | (None, Some(from_root)) => PathBuf::from(from_root),
                // An anchor alone is one of the page itself.
                (None, None) if path.is_empty() => PathBuf::from(file),
                (None, None) => normal(&folder.join(&path)),
            };
            if !tree.root.join(&target).exists() {
                failures.push(format!("{file}: the link to {shown} leads nowhere"));
                continue;
            }
            let is_inside = path.starts_with(ON_THE_WEB) || target.starts_with(BOOK);
            if file.starts_with(BOOK) && !is_inside {
                failures.push(format!(
                    "{file}: the link to {shown} leaves the book; write {ON_THE_WEB}{}",
                    target.display()
                ));
            }
            let Some(anchor) = anchor else { continue };
            if target.extension().is_some_and(|found| found == "md")
                && !anchors(&tree.text(&target.to_string_lossy())).contains(&anchor)
            {
                failures.push(format!("{file}: the link to {shown} names a heading that is not there"));
            }
        }
    }
    failures.extend(unlisted(tree));
    failures
}

/// The pages of the book that its table of contents lacks.
fn unlisted(tree: &Tree) -> Vec<String> {
    let contents = format!("{BOOK}SUMMARY.md");
    let listed: Vec<String> =
        links(&tree.text(&contents)).into_iter().map(|link| format!("{BOOK}{}", link.path)).collect();
    let pages = tree.ending(&["md"]).filter(|file| file.starts_with(BOOK) && **file != contents);
    pages
        .filter(|file| !listed.contains(file))
        .map(|file| format!("{file}: {contents} does not list it, so that the book lacks it"))
        .collect()
}

/// The path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut found = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if found.file_name().is_some() => {
                found.pop();
            }
            Component::CurDir => {}
            part => found.push(part),
        }
    }
    found
}

/// A link to a file of the repository.
#[derive(Debug, PartialEq)]
struct Link {
    /// As it is written, up to the anchor.
    path: String,
    anchor: Option<String>,
}

/// The lines of a Markdown text that are not in a fence.
fn prose(markdown: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    markdown.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        !fenced && !is_fence
    })
}

/// The links of a Markdown text to files of the repository; those in code are left out.
fn links(markdown: &str) -> Vec<Link> {
    let mut links = Vec::new();
    for line in prose(markdown) {
        // Every other piece between backticks is code; a link's text may hold some.
        let prose: String = line.split('`').step_by(2).collect();
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        links.extend(targets.map(str::to_string));
        let definition = prose.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        links.extend(definition.map(|(_, target)| target.to_string()));
    }
    let link = |link: &String| {
        let target = match link.strip_prefix('<') {
            Some(rest) => rest.split('>').next()?,
            None => link.split_whitespace().next()?, // a title may follow
        };
        let (path, anchor) = match target.split_once('#') {
            Some((path, anchor)) => (path, Some(anchor.to_owned())),
            None => (target, None),
        };
        let path = path.replace("%20", " ");
        let is_ours = !path.contains("://") && !path.starts_with("mailto:") || path.starts_with(ON_THE_WEB);
        is_ours.then_some(Link { path, anchor })
    };
    links.iter().filter_map(link).collect()
}

/// The anchors of a text: those of its headings, as GitHub and mdBook make them, and those that it sets by `<a id="..">`.
fn anchors(markdown: &str) -> Vec<String> {
    let set = prose(markdown).flat_map(|line| line.split("<a id=\"").skip(1));
    let mut found: Vec<String> = set.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect();
    let headings = prose(markdown).filter_map(|line| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len()).then(|| title.strip_prefix(' ')).flatten()
    });
    for title in headings {
        // Of a link in a heading the text counts.
        let title: String =
            title.split("](").map(|part| part.split_once(')').map_or(part, |(_, rest)| rest)).collect();
        let kept = title.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let same = found.iter().filter(|other| **other == anchor).count();
        found.push(if same == 0 { anchor } else { format!("{anchor}-{same}") });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_in_prose_and_not_in_code() {
        let text = "See [a](docs/a.md#part) and [`b`](<b c.md> \"title\"), `[no](code.md)`.\n\
                    [web](https://example.org/x.md) [anchor](#here)\n\
                    ```\n[no](fence.md)\n```\n[c]: ../c.md\n";
        let link =
            |path: &str, anchor: Option<&str>| Link { path: path.into(), anchor: anchor.map(Into::into) };
        let expected = [
            link("docs/a.md", Some("part")),
            link("b c.md", None),
            link("", Some("here")),
            link("../c.md", None),
        ];
        assert_eq!(links(text), expected);
    }

    #[test]
    fn headings_have_the_anchors_that_readers_see() {
        let text = "# Two words\n## `rws`: K = 10\n```sh\n# no\n```\n## A device, of [another](x.md) machine\n## Two words\n| <a id=\"ws\"></a>`ws` |\n";
        let expected = ["ws", "two-words", "rws-k--10", "a-device-of-another-machine", "two-words-1"];
        assert_eq!(anchors(text), expected);
    }
}
