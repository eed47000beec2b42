//! Answers of a line of JSON for each thing that there is: one table, plain lines, or JSON.

use std::io::{self, BufWriter, StdoutLock, Write};

use super::output::{self, Form, Look};
use super::table::Table;
use super::tools::{Reached, Stop};
use super::trusted::Answer;

/// How one kind of thing is printed; each is told its line of JSON.
pub(super) struct Listed<Row, Plain> {
    /// The columns.
    pub(super) table: Table,
    /// The cells.
    pub(super) row: Row,
    /// Writes the line for programs.
    pub(super) plain: Plain,
    /// Instead of a table without rows.
    pub(super) nothing: &'static str,
}

/// Standard output, as it is written to.
pub(super) type Out = BufWriter<StdoutLock<'static>>;

impl<Cells, Row, Plain> Listed<Row, Plain>
where
    Cells: IntoIterator<Item = String>,
    Row: Fn(&str) -> Result<Cells, String>,
    Plain: Fn(&mut Out, &str) -> Result<io::Result<()>, String>,
{
    /// Prints all that comes, as it comes but for a table.
    pub(super) fn print(mut self, answer: Answer, look: Look) -> Result<Reached, Stop> {
        let form = look.form();
        let mut out = output::stdout();
        let mut count = 0;
        for line in answer.lines() {
            let line = line?;
            count += 1;
            match form {
                Form::Json => output::write_line(&mut out, &line)?,
                Form::Lines => (self.plain)(&mut out, &line)??,
                Form::Table => self.table.add((self.row)(&line)?),
            }
        }
        if form == Form::Table {
            match count {
                0 => writeln!(out, "{}", self.nothing)?,
                _ => self.table.write(&mut out, look.paint())?,
            }
        }
        out.flush()?;
        Ok(Reached::of(count))
    }
}
