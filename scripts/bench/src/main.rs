//! `udpush-bench`: how fast a push server delivers, and what it spends on that.
//!
//! One load generator for udpush and for what it is compared with (nginx with nchan, NATS, anything
//! that takes datagrams), so that all have the same clients: [`arguments`] → [`plan`] (checked) →
//! [`run`] (the modes) → [`report`]. Clients and publisher share one thread.

mod arguments;
mod clients;
mod floor;
mod frames;
mod generator;
mod histogram;
mod intake;
mod os;
mod plan;
mod progress;
mod publish;
mod reader;
mod report;
mod run;
mod server_stats;
mod storm;
mod tally;
mod text;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use arguments::{Arguments, Instead};
use plan::{Plan, Unusable};

fn main() -> ExitCode {
    match measure(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            #[expect(
                clippy::print_stderr,
                reason = "a command's error, where a shell expects it"
            )]
            {
                eprintln!("udpush-bench: {reason}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Measures and prints. Ends the process with status 2 where the arguments don't go together.
///
/// # Errors
/// One sentence: what failed, or what was lost.
fn measure(mut arguments: Arguments) -> Result<(), String> {
    match arguments.instead.take() {
        Some(Instead::Floor(floor)) => return floor.run(),
        Some(Instead::Storm(storm)) => return storm.run(),
        None => {}
    }
    let json = arguments.json;
    let plan = match Plan::check(arguments) {
        Ok(plan) => plan,
        Err(Unusable::Arguments(why)) => {
            clap::Error::raw(ErrorKind::ValueValidation, format!("{why}\n")).exit()
        }
        Err(Unusable::Address(why)) => return Err(why),
    };
    let report = run::run(&plan)?;
    report
        .print(json)
        .map_err(|error| format!("cannot print: {error}"))?;
    match report.shortcoming() {
        None => Ok(()),
        Some(what) => Err(what),
    }
}
