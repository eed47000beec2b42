//! The manual lists every line that the log can have, and no other.

use std::fs;
use std::path::Path;

use super::repository;

/// A line as the code writes it.
#[derive(Debug)]
struct Line {
    /// Where: file and line.
    place: String,
    /// `Warn`, say; of a sum it is the kind's.
    level: Option<String>,
    /// What is always the same, in order.
    pieces: Vec<String>,
}

impl Line {
    /// Whether the code could write this; `…` stands for anything.
    fn could_be(&self, text: &str) -> bool {
        let (first, others) = self.pieces.split_first().expect("one piece at least");
        let Some(mut rest) = text.strip_prefix(&**first) else {
            return false;
        };
        for (number, piece) in others.iter().enumerate() {
            let is_last = number + 1 == others.len();
            let found = match is_last {
                true => rest.ends_with(&**piece).then(|| rest.len() - piece.len()),
                false => rest.find(&**piece),
            };
            match found {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        !others.is_empty() || rest.is_empty()
    }

    /// How much of it is always the same.
    fn weight(&self) -> usize {
        self.pieces.iter().map(String::len).sum()
    }
}

/// What a format string always says, between its arguments.
fn pieces(format: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut characters = format.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '{' => {
                characters.by_ref().find(|character| *character == '}');
                pieces.push(String::new());
            }
            '\\' => pieces.extend(characters.next().map(|_| String::new())),
            character => pieces.last_mut().unwrap().push(character),
        }
    }
    pieces
}

/// The first string literal, and what stands before it.
fn literal(code: &str) -> Option<(&str, &str)> {
    let (before, rest) = code.split_once('"')?;
    let mut end = 0;
    while !rest[end..].starts_with('"') {
        end += if rest[end..].starts_with('\\') { 2 } else { 1 };
        while !rest.is_char_boundary(end) {
            end += 1;
        }
    }
    Some((before, &rest[..end]))
}

fn sources(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// All that the code can write.
fn lines() -> Vec<Line> {
    let mut files = Vec::new();
    sources(&repository("src"), &mut files);
    let mut lines = Vec::new();
    for file in files {
        let code = fs::read_to_string(&file).unwrap();
        let code = code.split("#[cfg(test)]\nmod ").next().unwrap();
        let is_sums = file.ends_with("logging/rate.rs");
        let is_told_by_thread = file.ends_with("logging/mod.rs");
        let calls: &[(&str, Option<&str>)] = match (is_sums, is_told_by_thread) {
            (true, _) => &[("format!(", Some(""))],
            (_, true) => &[("format!(\"{} log {were} lost", None)],
            _ => &[
                ("log::error!(", Some("error")),
                ("log::warn!(", Some("warn")),
                ("log::info!(", Some("info")),
                ("log::debug!(", Some("debug")),
                ("logged!(", None),
            ],
        };
        for (call, level) in calls {
            for (at, _) in code.match_indices(call) {
                let line_start = code[..at].rfind('\n').map_or(0, |newline| newline + 1);
                if code[line_start..at].trim_start().starts_with("//") {
                    continue;
                }
                let from = at + call.find('(').unwrap() + 1;
                let Some((before, format)) = literal(&code[from..]) else {
                    continue;
                };
                let level = match level {
                    Some("") => None,
                    Some(level) => Some((*level).to_owned()),
                    None => before
                        .split_once("Level::")
                        .map(|(_, level)| level.split(',').next().unwrap().to_lowercase()),
                };
                let number = code[..at].matches('\n').count() + 1;
                lines.push(Line {
                    place: format!("{}:{number}", file.display()),
                    level,
                    pieces: pieces(format),
                });
            }
        }
    }
    assert!(lines.len() > 40, "{lines:#?}");
    lines
}

/// What has the most in common with it.
fn best<'a>(lines: &'a [Line], text: &str) -> Option<&'a Line> {
    let possible = lines.iter().filter(|line| line.could_be(text));
    possible.max_by_key(|line| line.weight())
}

/// Whether the log could have these lines.
pub fn are_possible(text: &str) -> Result<(), String> {
    let lines = lines();
    for line in text.lines() {
        // 2026-11-23T09:16:40.101+01:00 [INFO] client 1 …
        let (_, rest) = line.split_once(" [").ok_or(line)?;
        let (level, words) = rest.split_once("] ").ok_or(line)?;
        let found = best(&lines, words).ok_or(format!("nothing writes: {line}"))?;
        if let Some(expected) = &found.level
            && *expected != level.to_lowercase()
        {
            return Err(format!("{} is at {expected}: {line}", found.place));
        }
    }
    Ok(())
}

#[test]
fn the_manual_lists_every_line_of_the_log_and_no_other() {
    let manual = fs::read_to_string(repository("src/manual/log.md")).unwrap();
    let lines = lines();
    let mut listed = vec![false; lines.len()];
    let (_, table) = manual.split_once("\n## Every line\n").unwrap();
    let table = table.split("\n## ").next().unwrap();
    // | `one`, `or another` | info | what it tells |
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = row.split(" | ");
        let (texts, level) = (cells.next().unwrap(), cells.next().unwrap().trim());
        for text in texts.split('`').skip(1).step_by(2) {
            let found = best(&lines, text).unwrap_or_else(|| panic!("nothing writes `{text}`"));
            for (line, listed) in lines.iter().zip(&mut listed) {
                *listed |= line.pieces == found.pieces;
            }
            if let Some(expected) = &found.level {
                assert_eq!(level, expected, "`{text}`, as {}", found.place);
            }
        }
    }
    let missing: Vec<_> = lines.iter().zip(&listed).filter(|line| !line.1).collect();
    assert!(missing.is_empty(), "the manual lacks {missing:#?}");
}
