//! The manual as pages: `/manual/`, and a page for each topic.

use super::http::not_allowed;
use crate::http::resource::{HTML, Resource, STYLE};
use crate::http::{Answer, Head};
use crate::manual::{TOPICS, find, html};

/// The answer, if this path is one of the manual's.
pub(super) fn answer(path: &str, head: &Head) -> Option<Answer> {
    let page = match path {
        "/manual" => return Some(moved()),
        "/manual/" => Resource::new("/manual/", HTML, html::page(&contents(), resolve)),
        "/manual/manual.css" => {
            Resource::new("/manual/manual.css", STYLE, include_str!("manual.css"))
        }
        _ => {
            let topic = find(path.strip_prefix("/manual/")?)?;
            Resource::new("", HTML, html::page(topic.text, resolve))
        }
    };
    Some(match &*head.method {
        "GET" | "HEAD" => page.answer(head),
        _ => not_allowed("GET, HEAD"),
    })
}

/// Links within the manual begin at its directory.
fn moved() -> Answer {
    Answer::new("308 Permanent Redirect", "the manual is at /manual/")
        .header("Location", "/manual/")
}

fn contents() -> String {
    let lines = TOPICS
        .iter()
        .map(|topic| format!("- [{}]({}.md): {}\n", topic.name, topic.name, topic.about));
    format!("# The manual\n\n{}", lines.collect::<String>())
}

/// Where a file of the repository is here: topics are pages.
fn resolve(target: &str) -> Option<String> {
    let (file, anchor) = match target.split_once('#') {
        Some((file, anchor)) => (file, format!("#{anchor}")),
        None => (target, String::new()),
    };
    let file = file.trim_start_matches("../");
    let name = match file {
        "README.md" => "readme",
        "scripts/README.md" => "scripts",
        _ => file
            .strip_prefix("src/manual/")
            .unwrap_or(file)
            .strip_suffix(".md")?,
    };
    let topic = find(name)?;
    Some(format!("{}{anchor}", topic.name))
}
