//! What udpush does, seen from outside: each file is one behaviour of the real binary.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a crate of tests: nothing is public, and a failed unwrap is a failed test"
)]

mod bench;
mod browser;
mod cli_listen;
mod cli_man;
mod cli_tools;
mod cli_trusted;
mod closing;
mod command_line;
mod common;
mod dashboard;
mod empty;
mod events;
mod healthz;
mod hostile_clients;
mod http;
mod life;
mod limits;
mod log_file;
mod log_lines;
mod manual;
mod npm;
mod order;
mod origins;
mod overflow;
mod php;
mod proxies;
mod push;
mod refusals;
mod resume;
mod rfc6455;
mod routing;
mod scripts;
mod shortage;
mod slow_clients;
mod stop;
mod storm;
mod token_refusals;
mod token_tools;
mod tokens;
mod trusted_clients;
mod trusted_feeds;
mod trusted_publish;
mod trusted_status;
mod webhook;
