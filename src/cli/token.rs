//! `udpush token`: signs a token, to try what one hears with it, or for whatever is not PHP.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use super::output;
use super::pairs::{self, Pair};
use super::tools::{Reached, Stop};
use crate::admission::secret::Secrets;
use crate::admission::token;

const EXAMPLES: &str = "\
Examples:
  udpush token --secret-file /etc/udpush.secret department=sales
  udpush token --seconds 60 user=u7 room=1 room=2
  umask 077; udpush token user=u7 >token; udpush listen --token-file token

Who has the token hears what a client would that registered this; without a field: everything. The
first secret in the file signs it.
Exit status: 0 printed, 1 no token (the reason is on stderr), 2 wrong usage.";

/// Print a token, with which a client may listen for a while
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Token {
    /// The server's file with what tokens are signed with
    #[arg(long, env = "UDPUSH_SECRET_FILE", value_name = "FILE")]
    secret_file: PathBuf,

    /// For how long it is good
    #[arg(long, value_name = "SECONDS", default_value = "3600",
          value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// What may be heard; the same field again: or this value
    #[arg(value_name = "FIELD=VALUE", value_parser = pairs::pair)]
    fields: Vec<Pair>,
}

impl Token {
    pub(super) fn run(self) -> Result<Reached, Stop> {
        let secrets = Secrets::read(&self.secret_file).map_err(|error| error.to_string())?;
        let lifetime = Duration::from_secs(self.seconds.into());
        let token = token::sign(&secrets, &pairs::object(&self.fields), lifetime);
        let token = token.map_err(|error| error.to_string())?;
        let mut out = output::stdout();
        writeln!(out, "{token}")?;
        out.flush()?;
        Ok(Reached::Somebody)
    }
}
