//! The manual: what it shows is so, its links lead somewhere, and it is read in three ways.

mod blocks;
mod browsing;
mod examples;
mod links;
mod log_lines;
mod reading;
mod shell;
mod webhook;
mod world;

use std::fs;
use std::path::{Path, PathBuf};

/// A path in the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file that people read.
struct Page {
    /// In the repository.
    path: String,
    text: String,
}

impl Page {
    fn read(path: &str) -> Page {
        Page {
            path: path.to_owned(),
            text: fs::read_to_string(repository(path)).unwrap(),
        }
    }
}

/// All of them: README, the topics, and what stands beside the scripts.
fn pages() -> Vec<Page> {
    let mut pages = vec![Page::read("README.md"), Page::read("scripts/README.md")];
    let mut directories = vec!["src/manual".to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(repository(&directory)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{directory}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                directories.push(path);
            } else if path.ends_with(".md") && !path.ends_with("/rustdoc.md") {
                pages.push(Page::read(&path));
            }
        }
    }
    pages
}
