//! How the tools print: tables for people at a terminal, plain lines or JSON for programs.

use std::env;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use clap::ColorChoice;

/// How to print.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Look {
    /// Print JSON, as the server says it
    #[arg(long)]
    pub(super) json: bool,

    /// Whether there are colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
    color: ColorChoice,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// On a terminal.
    Table,
    /// Elsewhere: fields with tabs between them.
    Lines,
    /// What the server said.
    Json,
}

impl Look {
    pub(super) fn form(self) -> Form {
        match self.json {
            true => Form::Json,
            false if io::stdout().is_terminal() => Form::Table,
            false => Form::Lines,
        }
    }

    pub(super) fn paint(self) -> Paint {
        Paint(match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            // no-color.org: any value but an empty one.
            ColorChoice::Auto => {
                io::stdout().is_terminal()
                    && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        })
    }
}

/// Standard output. What is written is there once it is flushed.
pub(super) fn stdout() -> BufWriter<StdoutLock<'static>> {
    BufWriter::new(io::stdout().lock())
}

/// Writes the bytes of a document, or of an answer, so that they are one line: outside of strings
/// a line break is white space like any other, and inside JSON has none.
pub(super) fn write_line(out: &mut impl Write, json: &str) -> io::Result<()> {
    if json.contains(['\n', '\r']) {
        return writeln!(out, "{}", json.replace(['\n', '\r'], " "));
    }
    writeln!(out, "{json}")
}

/// Colours, or none (ECMA-48 §8.3.117).
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint(bool);

impl Paint {
    /// Of headings.
    pub(super) fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    /// Of what somebody should look at.
    pub(super) fn warning(self, text: &str) -> String {
        self.with("33", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self.0 {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

#[cfg(test)]
impl Paint {
    pub(super) const NONE: Paint = Paint(false);
    pub(super) const ALWAYS: Paint = Paint(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_several_lines_becomes_one_and_nothing_else_changes() {
        for (document, line) in [
            ("{\"a\" : 1.0}", "{\"a\" : 1.0}\n"),
            ("{\n\t\"a\":\r\n\"\\n\"}", "{ \t\"a\":  \"\\n\"}\n"),
        ] {
            let mut out = Vec::new();
            write_line(&mut out, document).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), line);
        }
    }

    #[test]
    fn colours_are_around_the_text_and_end_with_it() {
        assert_eq!(Paint::NONE.warning("12"), "12");
        assert_eq!(Paint::ALWAYS.warning("12"), "\x1b[33m12\x1b[0m");
    }
}
