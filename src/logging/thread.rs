//! The log thread: takes lines out of the channel, writes them many at a time, and once a second
//! the sums of those that were too many.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::{Level, LevelFilter, Log, Record};
use simplelog::{Config, WriteLogger};
use time::OffsetDateTime;

use super::file::LogFile;
use super::lines::{Entry, Waiting};
use super::rate::{KINDS, Kind};
use super::{level_of, lines_lost, tail};
use crate::clock::Clock;

/// Bytes that make a write, about.
const WRITE_BYTES: usize = 64 << 10;

/// How often sums are written.
const SUMS: Duration = Duration::from_secs(1);

pub(super) struct LogThread {
    waiting: Waiting,
    clock: Clock,
    file: Option<LogFile>,
    /// Whether lines go to standard error (too).
    stderr: bool,
    /// Makes lines of its own: through the channel they could be lost.
    own: Box<WriteLogger<OwnLines>>,
    own_lines: OwnLines,
}

#[derive(Clone, Default)]
struct OwnLines(Arc<Mutex<Vec<u8>>>);

impl Write for OwnLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LogThread {
    pub(super) fn new(
        waiting: Waiting,
        file: Option<LogFile>,
        stderr: bool,
        level: LevelFilter,
        format: Config,
    ) -> Self {
        let own_lines = OwnLines::default();
        LogThread {
            waiting,
            clock: Clock::new(),
            stderr,
            file,
            own: WriteLogger::new(level, format, own_lines.clone()),
            own_lines,
        }
    }

    /// Starts the thread. When it has written its last line, it drops its end of a channel, and the
    /// receiver that is returned here is closed.
    pub(super) fn start(self) -> io::Result<Receiver<()>> {
        let (finished, receiver) = bounded(0);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || {
                let _finished: Sender<()> = finished;
                self.run();
            })?;
        Ok(receiver)
    }

    fn run(mut self) {
        let mut batch = Vec::new();
        let mut sums_due: Option<Instant> = None;
        loop {
            let first = match sums_due {
                None => self.waiting.entries.recv().map_err(RecvTimeoutError::from),
                Some(due) => self.waiting.entries.recv_deadline(due),
            };
            let mut flushes = Vec::new();
            let mut ended = matches!(first, Err(RecvTimeoutError::Disconnected));
            let mut next = first.ok();
            while let Some(entry) = next {
                match entry {
                    Entry::Line(moment, line) => {
                        let waiting = &self.waiting.shared.waiting_bytes;
                        waiting.fetch_sub(line.len(), Ordering::Relaxed);
                        self.clock.stamp(moment, &mut batch);
                        batch.push(b' ');
                        batch.extend_from_slice(&line);
                    }
                    Entry::Sums => {
                        sums_due.get_or_insert_with(|| Instant::now() + SUMS);
                    }
                    Entry::Flush(written) => flushes.push(written),
                    Entry::End => ended = true,
                }
                if batch.len() >= WRITE_BYTES {
                    break;
                }
                next = self.waiting.entries.try_recv().ok();
            }
            if sums_due.is_none() && KINDS.into_iter().any(Kind::has_sum) {
                // The reminder found the channel full.
                sums_due = Some(Instant::now() + SUMS);
            }
            let due = sums_due.is_some_and(|due| due <= Instant::now());
            if due || ended {
                sums_due = None;
                self.add_sums(&mut batch);
            }
            self.add_overflow(&mut batch);
            self.write(&batch);
            drop(flushes);
            batch.clear();
            batch.shrink_to(WRITE_BYTES);
            if ended {
                return;
            }
        }
    }

    fn add_sums(&mut self, batch: &mut Vec<u8>) {
        for kind in KINDS {
            if let Some(sum) = kind.sum() {
                self.add_own(batch, level_of(kind), &sum);
            }
        }
    }

    fn add_overflow(&mut self, batch: &mut Vec<u8>) {
        let lost = self.waiting.shared.overflowed.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let line = lines_lost(lost, "the log could not be written as fast");
            self.add_own(batch, Level::Warn, &line);
        }
    }

    fn add_own(&mut self, batch: &mut Vec<u8>, level: Level, line: &str) {
        let mut record = Record::builder();
        record.level(level).target("udpush");
        self.own.log(&record.args(format_args!("{line}")).build());
        let mut own = self
            .own_lines
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Its level may be too low to be written.
        if !own.is_empty() {
            self.clock.stamp(OffsetDateTime::now_utc(), batch);
            batch.push(b' ');
            batch.append(&mut own);
        }
    }

    fn write(&mut self, batch: &[u8]) {
        if batch.is_empty() {
            return;
        }
        tail::append(batch);
        if self.stderr {
            // A closed terminal is no reason to stop.
            let _ = io::stderr().write_all(batch);
        }
        let lost = self.file.as_mut().and_then(|file| file.write(batch));
        if let Some(lost) = lost {
            let mut line = Vec::new();
            self.add_own(&mut line, Level::Warn, &lost);
            tail::append(&line);
            if let Some(file) = &mut self.file {
                file.write_lost(&line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::logging::lines::{WAITING_BYTES, WAITING_LINES, lines};

    /// What is in the log after these lines, for which nobody made room meanwhile.
    fn log_of(sent: &[Vec<u8>]) -> String {
        let name = format!("udpush-log-{}-{}", std::process::id(), sent.len());
        let path = std::env::temp_dir().join(name);
        let file = LogFile::open(&path, u64::MAX).unwrap();
        let (lines, waiting) = lines();
        for line in sent {
            lines.send(OffsetDateTime::now_utc(), line.clone());
        }
        let format = Config::default();
        let thread = LogThread::new(waiting, Some(file), false, LevelFilter::Info, format);
        let finished = thread.start().unwrap();
        // Once they are written there is room for as many again.
        lines.flush(Duration::from_secs(20));
        assert_eq!(lines.shared.waiting_bytes.load(Ordering::Relaxed), 0);
        lines.send(OffsetDateTime::now_utc(), b"afterwards\n".to_vec());
        lines.end();
        let outcome = finished.recv_timeout(Duration::from_secs(20));
        let log = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(outcome, Err(RecvTimeoutError::Disconnected));
        assert!(log.ends_with("afterwards\n"), "it ended in time");
        log
    }

    #[test]
    fn lines_for_which_there_is_no_room_are_counted_and_the_sum_is_told() {
        let log = log_of(&vec![b"short\n".to_vec(); WAITING_LINES + 12]);
        assert_eq!(log.matches("short\n").count(), WAITING_LINES);
        assert_eq!(log.matches(" 12 log lines were lost: ").count(), 1);
        assert_eq!(log.matches(" lost: ").count(), 1);

        let mut long = vec![b'x'; WAITING_BYTES / 4];
        long.extend(b"long\n");
        // Three of them leave no room for a fourth, but for short ones.
        let sent = [vec![long; 5], vec![b"short\n".to_vec(); 3]].concat();
        let log = log_of(&sent);
        assert_eq!(log.matches("long\n").count(), 3);
        assert_eq!(log.matches("short\n").count(), 3);
        assert_eq!(log.matches(" 2 log lines were lost: ").count(), 1);
    }

    #[test]
    fn where_all_lines_have_room_none_is_said_to_be_lost() {
        let log = log_of(&vec![b"short\n".to_vec(); WAITING_LINES]);
        assert_eq!(log.matches("short\n").count(), WAITING_LINES);
        assert_eq!(log.lines().count(), WAITING_LINES + 1);
    }
}
