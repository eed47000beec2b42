//! Tables for a terminal: columns as wide as what is in them. Pure, no I/O of its own.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::output::Paint;

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Rows of cells below a heading.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(&'static str, Side)>,
    rows: Vec<Vec<String>>,
}

/// Between two columns.
const GAP: &str = "  ";

impl Table {
    pub(super) fn new(columns: &[(&'static str, Side)]) -> Self {
        Table {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// One cell for each column.
    pub(super) fn add(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().map(|cell| harmless(&cell));
        self.rows.push(cells.collect());
    }

    pub(super) fn write(&self, out: &mut impl Write, paint: Paint) -> io::Result<()> {
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| self.width(column))
            .collect();
        let heading: Vec<String> = self
            .columns
            .iter()
            .map(|(name, _)| (*name).into())
            .collect();
        writeln!(out, "{}", paint.strong(&self.line(&heading, &widths)))?;
        for row in &self.rows {
            writeln!(out, "{}", self.line(row, &widths))?;
        }
        Ok(())
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.width()).max().unwrap_or(0);
        widest.max(self.columns[column].0.width())
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let columns = self.columns.iter().zip(cells).zip(widths);
        let padded = columns.map(|(((_, side), cell), width)| {
            let space = " ".repeat(width - cell.width());
            match side {
                Side::Left => format!("{cell}{space}"),
                Side::Right => format!("{space}{cell}"),
            }
        });
        let line = padded.collect::<Vec<_>>().join(GAP);
        line.trim_end().to_owned()
    }
}

/// Without control characters, which a terminal would obey: some of what is shown anybody can send.
pub(super) fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => harmless.push(' '),
            control if control.is_control() => harmless.extend(control.escape_unicode()),
            other => harmless.push(other),
        }
    }
    harmless
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(table: &Table) -> String {
        let mut out = Vec::new();
        table.write(&mut out, Paint::NONE).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_line_up_whatever_the_script() {
        let mut table = Table::new(&[
            ("client", Side::Right),
            ("said", Side::Left),
            ("end", Side::Left),
        ]);
        for (client, said) in [("7", "Grüße"), ("12345678", "学校"), ("9", "e\u{301}")] {
            table.add([client, said, "x"].map(str::to_owned));
        }
        let expected = "  client  said   end
       7  Grüße  x
12345678  学校   x
       9  e\u{301}      x
";
        assert_eq!(printed(&table), expected);
    }

    #[test]
    fn nothing_in_a_cell_reaches_the_terminal_as_a_command() {
        let mut table = Table::new(&[("a", Side::Left)]);
        table.add(["\u{1b}[2J\u{9b}1m\u{7f}\nx".to_owned()]);
        assert_eq!(printed(&table), "a\n\\u{1b}[2J\\u{9b}1m\\u{7f} x\n");
    }

    #[test]
    fn a_table_without_rows_has_its_heading() {
        assert_eq!(printed(&Table::new(&[("id", Side::Left)])), "id\n");
    }
}
