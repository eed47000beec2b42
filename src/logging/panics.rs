//! A panic is a line of the log, too: standard error may go nowhere.

use std::panic;
use std::thread;

use time::OffsetDateTime;

use super::lines::Lines;

/// Letters of what a panic says, at most.
const LONGEST: usize = 500;

/// From here on the log tells of each panic, beside standard error. The line goes past the logger:
/// the thread that panics may be in the midst of a line.
pub(super) fn tell_in(lines: Lines) {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        usual(info);
        let thread = thread::current();
        let name = thread.name().unwrap_or("unnamed");
        lines.send(OffsetDateTime::now_utc(), line(name, &info.to_string()));
    }));
}

/// `what` begins with `panicked at` and the place.
fn line(thread: &str, what: &str) -> Vec<u8> {
    let what: String = what
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .collect();
    format!("[ERROR] a bug in udpush: thread {thread} {what}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::lines::{self, Entry};

    #[test]
    fn a_panic_is_one_line_whatever_it_says() {
        let (lines, waiting) = lines::lines();
        tell_in(lines);
        let panicking = thread::Builder::new().name("client".to_owned());
        let panicked = panicking.spawn(|| panic!("on\npurpose \u{1b}[2J")).unwrap();
        assert!(panicked.join().is_err());
        let _ = panic::take_hook();
        // Other tests panic on purpose, too.
        let told = waiting.entries.try_iter().filter_map(|entry| match entry {
            Entry::Line(_, line) => Some(String::from_utf8(line).unwrap()),
            _ => None,
        });
        let line = told.into_iter().find(|line| line.contains("purpose "));
        let line = line.unwrap();
        let begin = "[ERROR] a bug in udpush: thread client panicked at src/logging/panics.rs:";
        assert!(line.starts_with(begin), "{line}");
        assert!(line.ends_with(":\\non\\npurpose \\u{1b}[2J\n"), "{line}");
    }
}
