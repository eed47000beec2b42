//! `udpush disconnect`: closes clients.

use std::io::Write;

use serde::Deserialize;

use super::amounts::counted;
use super::output::{self, Form, Look};
use super::pairs::pair;
use super::tools::{Reached, Stop};
use super::trusted::{self, Trusted};

const EXAMPLES: &str = "\
Examples:
  udpush disconnect 17
  udpush disconnect user=u7
      all that registered it; several fields: those that registered each of them

They are closed with the code 4403: push.js does not come back by itself then.
In a pipe it prints how many that were.
Exit status: 0 some were closed, 3 nobody registered this, 1 not reached or no such client,
2 wrong usage.";

/// Close clients, by number or by what they registered
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Disconnect {
    /// A client's number, or what clients registered
    #[arg(value_name = "CLIENT|FIELD=VALUE", required = true, value_parser = who)]
    who: Vec<Who>,

    #[command(flatten)]
    trusted: Trusted,

    #[command(flatten)]
    look: Look,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    /// Client 17.
    Number(u64),
    /// A parameter of the query.
    Registered(String),
}

fn who(text: &str) -> Result<Who, String> {
    match text.parse() {
        Ok(number) => Ok(Who::Number(number)),
        Err(_) => match pair(text) {
            Ok(pair) => Ok(Who::Registered(pair.parameter())),
            Err(_) => Err(
                "a client's number or a field and a value, such as 17 or user=u7, are needed"
                    .to_owned(),
            ),
        },
    }
}

#[derive(Deserialize)]
struct Closed {
    closed: u64,
}

impl Disconnect {
    pub(super) fn run(self) -> Result<Reached, Stop> {
        let answer = self.trusted.delete(&target(&self.who)?)?.text()?;
        let Closed { closed } = trusted::understood(&answer)?;
        let mut out = output::stdout();
        match self.look.form() {
            Form::Json => output::write_line(&mut out, answer.trim_end())?,
            Form::Lines => writeln!(out, "{closed}")?,
            Form::Table if closed == 0 => writeln!(
                out,
                "{}",
                self.look
                    .paint()
                    .warning("nobody who is connected registered this")
            )?,
            Form::Table => writeln!(out, "{} closed", counted(closed, "client", "clients"))?,
        }
        out.flush()?;
        Ok(Reached::of(closed))
    }
}

/// One number, or fields only: what is meant by both together, nobody knows.
fn target(who: &[Who]) -> Result<String, String> {
    if let [Who::Number(number)] = who {
        return Ok(format!("/clients/{number}"));
    }
    let parameters = who.iter().map(|who| match who {
        Who::Registered(parameter) => Ok(parameter.clone()),
        Who::Number(number) => Err(format!(
            "{number} beside others: one number, or only fields and values, are needed"
        )),
    });
    let parameters = parameters.collect::<Result<Vec<_>, _>>()?;
    Ok(trusted::target("/clients", &parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> Result<String, String> {
        let who: Result<Vec<_>, _> = arguments.iter().map(|text| who(text)).collect();
        target(&who?)
    }

    #[test]
    fn a_number_is_one_client_and_fields_are_all_that_registered_them() {
        assert_eq!(of(&["17"]).unwrap(), "/clients/17");
        assert_eq!(
            of(&["user=u7", "a=b c"]).unwrap(),
            "/clients?user=u7&a=b%20c"
        );
        // Never all of them by mistake.
        assert!(of(&["user"]).unwrap_err().contains("user=u7"));
        assert!(of(&["17", "user=u7"]).unwrap_err().contains("17"));
        assert!(of(&["17", "18"]).unwrap_err().contains("17"));
    }
}
