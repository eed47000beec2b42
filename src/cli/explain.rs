//! `udpush explain`: who would hear a document, without pushing it.

use std::io::{self, Write};

use serde::Deserialize;

use super::amounts::counted;
use super::output::{self, Form, Look, Paint};
use super::send;
use super::table::{Side, Table};
use super::tools::{Reached, Stop};
use super::trusted::{self, Trusted};

const EXAMPLES: &str = "\
Examples:
  udpush explain '{\"school_id\":2}'
  udpush explain - <message.json

Nothing is pushed. In a pipe, for each client: number, hears; or number, not, field, why. Tabs are
between them. Of more than 1,000 clients that hear it, or do not, the first 1,000 are named.
Exit status: 0 somebody would hear it, 3 nobody, 1 refused or not reached, 2 wrong usage.";

/// Tell who would hear a document, and why the others would not
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Explain {
    /// One document; -: standard input
    #[arg(value_name = "JSON")]
    document: String,

    #[command(flatten)]
    trusted: Trusted,

    #[command(flatten)]
    look: Look,
}

/// What the server says.
#[derive(Debug, Deserialize)]
struct Explanation {
    clients: u64,
    #[serde(default)]
    hears: Vec<u64>,
    #[serde(default)]
    not: Vec<NotHeard>,
    /// Clients that are named in neither list.
    #[serde(default)]
    more: u64,
}

#[derive(Debug, Deserialize)]
struct NotHeard {
    client: u64,
    field: String,
    why: String,
}

impl Explain {
    pub(super) fn run(self) -> Result<Reached, Stop> {
        let document = send::given(Some(&self.document))?;
        let answer = self.trusted.post("/explain", &document)?.text()?;
        let explanation: Explanation = trusted::understood(&answer)?;
        let mut out = output::stdout();
        match self.look.form() {
            Form::Json => output::write_line(&mut out, answer.trim_end())?,
            Form::Lines => explanation.write_lines(&mut out)?,
            Form::Table => explanation.write_table(&mut out, self.look.paint())?,
        }
        out.flush()?;
        Ok(Reached::of(explanation.clients))
    }
}

impl Explanation {
    fn write_lines(&self, out: &mut impl Write) -> io::Result<()> {
        for client in &self.hears {
            writeln!(out, "{client}\thears")?;
        }
        for NotHeard { client, field, why } in &self.not {
            writeln!(out, "{client}\tnot\t{field}\t{}", why.replace('\t', " "))?;
        }
        Ok(())
    }

    fn write_table(&self, out: &mut impl Write, paint: Paint) -> io::Result<()> {
        let heard = match self.clients {
            0 => paint.warning("nobody would hear it"),
            count => {
                let named: Vec<_> = self.hears.iter().map(u64::to_string).collect();
                let counted = counted(count, "client", "clients");
                format!("{counted} would hear it: {}", named.join(", "))
            }
        };
        writeln!(out, "{heard}")?;
        if !self.not.is_empty() {
            let mut table = Table::new(&[
                ("client", Side::Right),
                ("field", Side::Left),
                ("why it would not hear it", Side::Left),
            ]);
            for NotHeard { client, field, why } in &self.not {
                table.add([client.to_string(), field.clone(), why.clone()]);
            }
            writeln!(out)?;
            table.write(out, paint)?;
        }
        if self.more > 0 {
            let more = counted(self.more, "client is", "clients are");
            writeln!(out, "\n{more} not named")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"clients":2,"hears":[17,19],"not":[{"client":18,"field":"user","why":"registered \"user\" with other values"}]}"#;

    fn printed(answer: &str, table: bool) -> String {
        let explanation: Explanation = trusted::understood(answer).unwrap();
        let mut out = Vec::new();
        match table {
            true => explanation.write_table(&mut out, Paint::NONE).unwrap(),
            false => explanation.write_lines(&mut out).unwrap(),
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn who_hears_it_and_who_does_not() {
        let expected = "\
2 clients would hear it: 17, 19

client  field  why it would not hear it
    18  user   registered \"user\" with other values
";
        assert_eq!(printed(ANSWER, true), expected);
        let expected =
            "17\thears\n19\thears\n18\tnot\tuser\tregistered \"user\" with other values\n";
        assert_eq!(printed(ANSWER, false), expected);
    }

    #[test]
    fn nobody_and_those_that_are_not_named() {
        assert_eq!(printed(r#"{"clients":0}"#, true), "nobody would hear it\n");
        assert_eq!(
            printed(r#"{"clients":1,"hears":[1],"not":[],"more":2500}"#, true),
            "1 client would hear it: 1\n\n2,500 clients are not named\n"
        );
    }
}
