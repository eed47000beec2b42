//! `udpush push.js`: the script for pages, to be served by the site itself.

use std::io::Write;

use super::output;
use super::tools::{Reached, Stop};
use crate::web;

const EXAMPLES: &str = "\
Examples:
  udpush push.js >/var/www/html/push.js
      a page that loads this copy works, and connects later, when the server is down";

/// Print push.js, as the server would serve it to pages
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PushJs {}

impl PushJs {
    pub(super) fn run(self) -> Result<Reached, Stop> {
        let mut out = output::stdout();
        out.write_all(web::push_js().as_bytes())?;
        out.flush()?;
        Ok(Reached::Somebody)
    }
}
