//! Links lead somewhere: on the forge, and in rustdoc.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::{Page, pages, repository};

/// As GitHub makes an id of a heading.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in Parser::new(markdown) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let heading = heading.take().unwrap_or_default().to_lowercase();
                let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
                let anchor = heading.chars().filter(kept).collect::<String>();
                let anchor = anchor.replace(' ', "-");
                assert!(anchors.insert(anchor.clone()), "twice: {anchor}");
            }
            _ => {}
        }
    }
    anchors
}

fn targets(page: &Page) -> Vec<String> {
    let targets = Parser::new(&page.text).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
            Some(dest_url.to_string())
        }
        _ => None,
    });
    targets.filter(|target| !target.contains("://")).collect()
}

/// The file that a link of this page leads to, in the repository.
fn file(page: &Page, target: &str) -> PathBuf {
    let from = Path::new(&page.path).parent().unwrap();
    let mut path = PathBuf::new();
    for component in from.join(target).components() {
        match component {
            Component::ParentDir => assert!(path.pop(), "{}: {target}", page.path),
            component => path.push(component),
        }
    }
    path
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_of_it() {
    let pages = pages();
    let mut links = 0;
    for page in &pages {
        for target in targets(page) {
            links += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = match path {
                "" => PathBuf::from(&page.path),
                path => file(page, path),
            };
            let found = repository(file.to_str().unwrap());
            assert!(found.exists(), "{}: {target}", page.path);
            if !anchor.is_empty() {
                let anchors = anchors(&fs::read_to_string(found).unwrap());
                assert!(anchors.contains(anchor), "{}: {target}", page.path);
            }
        }
        // A link without its definition is just brackets, which look like this.
        for (number, line) in page.text.lines().enumerate() {
            assert!(
                !is_undefined(page, line),
                "{}:{}: {line}",
                page.path,
                number + 1
            );
        }
    }
    assert!(links > 10);
}

/// `[text][label]`, where nothing says what label is.
fn is_undefined(page: &Page, line: &str) -> bool {
    let mut rest = line;
    while let Some((_, after)) = rest.split_once("][") {
        if let Some((label, _)) = after.split_once(']')
            && !label.is_empty()
            && label
                .chars()
                .all(|c| c.is_ascii_lowercase() || "-.".contains(c))
            && !page.text.contains(&format!("\n[{label}]: "))
        {
            return true;
        }
        rest = after;
    }
    false
}

fn definitions(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix('['));
    lines.filter_map(|line| line.split_once("]: ")).collect()
}

#[test]
fn in_rustdoc_each_link_leads_to_the_same_as_on_the_forge() {
    let rustdoc = fs::read_to_string(repository("src/manual/rustdoc.md")).unwrap();
    let rustdoc = definitions(&rustdoc);
    let mut used = BTreeSet::new();
    for page in pages() {
        for (label, target) in definitions(&page.text) {
            if target.contains("://") {
                continue;
            }
            used.insert(label.to_owned());
            let (path, anchor) = match target.split_once('#') {
                Some((path, anchor)) => (path, format!("#{anchor}")),
                None => (target, String::new()),
            };
            let path = file(&page, path);
            let path = path.to_str().unwrap();
            let expected = match path
                .strip_prefix("src/manual/")
                .and_then(|topic| topic.strip_suffix(".md"))
            {
                Some(topic) => format!("crate::manual::{}{anchor}", topic.replace('-', "_")),
                None if path == "README.md" => format!("crate::manual::readme{anchor}"),
                None if path == "scripts/README.md" => format!("crate::manual::scripts{anchor}"),
                // From target/doc/udpush/manual/topic/.
                None => format!("../../../../../{path}{anchor}"),
            };
            assert_eq!(
                rustdoc.get(label),
                Some(&&*expected),
                "{}: [{label}]",
                page.path
            );
        }
        // Others have no definition that rustdoc could have of its own.
        for target in targets(&page) {
            let by_label = target.starts_with('#')
                || definitions(&page.text)
                    .values()
                    .any(|defined| **defined == target);
            assert!(by_label, "{}: {target} is to have a label", page.path);
        }
    }
    for label in rustdoc.keys() {
        assert!(used.contains(*label), "nobody uses [{label}]");
    }
}

#[test]
fn prose_is_at_most_120_wide() {
    for page in pages() {
        let mut in_example = false;
        for (number, line) in page.text.lines().enumerate() {
            in_example ^= line.starts_with("```");
            // What cannot be broken: tables, definitions, remarks.
            let is_prose = !in_example && !line.starts_with(['|', '[', '<']);
            let width = line.chars().count();
            assert!(
                !is_prose || width <= 120,
                "{}:{}: {width}",
                page.path,
                number + 1
            );
        }
    }
}
