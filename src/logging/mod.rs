//! The log: simplelog makes the lines, a thread of their own writes them.
//!
//! A line goes through a bounded channel, so that a slow or full disk never delays a push; what
//! overflowed is counted and said. `logged!` limits the rate of each kind of line.

mod file;
mod lines;
mod panics;
mod rate;
pub(crate) mod tail;
mod thread;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError};
use log::{Level, LevelFilter};
use simplelog::{Config, ConfigBuilder, WriteLogger};
use time::OffsetDateTime;

use lines::Lines;
pub(crate) use rate::{Kind, admit};
use thread::LogThread;

use crate::clock::Clock;
use crate::words::grouped;

use file::LogFile;

/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Writes a line of a [`Kind`], unless there were too many of this kind in this second; then it is
/// summed up.
macro_rules! logged {
    ($level:expr, $kind:expr, $($line:tt)+) => {
        if log::log_enabled!($level) && $crate::logging::admit($kind) {
            log::log!($level, $($line)+);
        }
    };
}
pub(crate) use logged;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// To standard error alone.
    Stderr,
    /// To a file that is rotated beyond this many bytes, and, on a terminal, to standard error.
    File(PathBuf, u64),
}

/// The running log; [`finish`](Logging::finish) writes what is left.
#[derive(Debug)]
pub(crate) struct Logging {
    path: Option<PathBuf>,
    lines: Lines,
    on_stderr: bool,
    finished: Receiver<()>,
}

/// Sets the log up, for the whole process and only once.
///
/// # Errors
/// When there can be no log; the sentence names the file and the remedy.
pub(crate) fn start(target: &Target, level: LevelFilter) -> Result<Logging, LogError> {
    let file = match target {
        Target::Stderr => None,
        Target::File(path, max_size) => {
            let opened = LogFile::open(path, *max_size);
            Some(opened.map_err(|error| LogError::Open(path.clone(), error))?)
        }
    };
    let path = file.as_ref().map(|file| file.path().to_owned());
    let format = line_format();
    let (lines, writer) = lines::lines();
    let on_stderr = file.is_none() || io::stderr().is_terminal();
    let thread = LogThread::new(writer, file, on_stderr, level, format.clone());
    let finished = thread.start().map_err(LogError::Thread)?;
    let logger = WriteLogger::new(level, format, LineBuffer::new(lines.clone()));
    rate::start(lines.clone());
    panics::tell_in(lines.clone());
    log::set_boxed_logger(logger).map_err(LogError::Twice)?;
    log::set_max_level(level);
    Ok(Logging {
        path,
        lines,
        on_stderr,
        finished,
    })
}

/// Why there can be no log.
#[derive(Debug)]
pub(crate) enum LogError {
    /// Its file cannot be opened.
    Open(PathBuf, io::Error),
    /// Its thread cannot be started.
    Thread(io::Error),
    /// There is one already.
    Twice(log::SetLoggerError),
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::Open(path, error) => write!(
                f,
                "cannot open the log file {}: {error}; name another one, or - for stderr alone, with --log-file",
                path.display()
            ),
            LogError::Thread(error) => write!(f, "cannot start the log thread: {error}"),
            LogError::Twice(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LogError {}

impl Logging {
    /// The log's own file, absolute.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether lines go to standard error, alone or too.
    pub(crate) fn is_on_stderr(&self) -> bool {
        self.on_stderr
    }

    /// Closed when the log's thread has ended: by itself, before [`finish`](Self::finish).
    pub(crate) fn finished(&self) -> &Receiver<()> {
        &self.finished
    }

    /// Whether that is so.
    pub(crate) fn has_ended(&self) -> bool {
        self.finished.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Writes what waits, sums included, unless that takes longer than a second.
    pub(crate) fn finish(self) {
        self.lines.end();
        let _ = self.finished.recv_timeout(LAST_LINES);
    }
}

/// The level, the line; nothing of the crates that are used. The log thread writes the time in
/// front of it: simplelog has one offset for ever.
fn line_format() -> Config {
    let mut format = ConfigBuilder::new();
    format
        .set_time_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .add_filter_allow_str("udpush");
    format.build()
}

/// A moment as the log writes it: RFC 3339, local, with milliseconds.
pub(crate) fn local_time(moment: impl Into<OffsetDateTime>) -> String {
    Clock::new().tell(moment)
}

/// Joins the many small writes that make a line, and sends it on whole.
#[derive(Debug)]
struct LineBuffer {
    line: Vec<u8>,
    lines: Lines,
}

impl LineBuffer {
    fn new(lines: Lines) -> Self {
        LineBuffer {
            line: Vec::new(),
            lines,
        }
    }
}

impl Write for LineBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if self.line.ends_with(b"\n") {
            let line = std::mem::take(&mut self.line);
            self.lines.send(OffsetDateTime::now_utc(), line);
        }
        Ok(bytes.len())
    }

    /// Waits until what was sent is written, unless that takes longer than a second.
    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush(LAST_LINES);
        Ok(())
    }
}

/// The line about lines that are not in the log.
fn lines_lost(count: usize, why: &str) -> String {
    let were = match count {
        1 => "line was",
        _ => "lines were",
    };
    format!("{} log {were} lost: {why}", grouped(count as u64))
}

/// The level at which lines of a kind, and their sums, are written.
fn level_of(kind: Kind) -> Level {
    match kind {
        Kind::Refused | Kind::Dropped(_) | Kind::NotRegistered | Kind::Visitor => Level::Warn,
        Kind::Connected
        | Kind::Closed
        | Kind::Resumed(_)
        | Kind::NotResumed
        | Kind::Registered
        | Kind::Message(_) => Level::Info,
        Kind::Empty(_)
        | Kind::Document
        | Kind::ClientFrame
        | Kind::Handshake
        | Kind::Subprotocol => Level::Debug,
    }
}
