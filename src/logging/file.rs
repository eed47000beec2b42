//! The file that follows its path, and rotates.
//!
//! Appends only. Before each write it looks whether the path still leads to this file: after a
//! move or a deletion it opens the path anew, so that no signal is needed. Sizes are read from the
//! file, never counted, so that copy-and-truncate works, too.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::grouped;

/// Rotated files that are kept: udpush.log.1, the newest, to udpush.log.5.
const KEPT: u32 = 5;

#[derive(Debug)]
pub(super) struct LogFile {
    /// Absolute: where the process runs may change.
    path: PathBuf,
    max_size: u64,
    file: Option<File>,
    /// What could not be written, since this was last said.
    lost: Option<Lost>,
    /// The last line in the file has no end.
    torn: bool,
}

#[derive(Debug)]
struct Lost {
    lines: usize,
    why: String,
}

impl LogFile {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// One sentence with the path, the reason and the remedy.
    pub(super) fn open(path: &Path, max_size: u64) -> Result<Self, String> {
        let sentence = |error: io::Error| {
            let path = path.display();
            format!(
                "cannot open the log file {path}: {error}; name another one, or - for stderr alone, with --log-file"
            )
        };
        let path = std::path::absolute(path).map_err(sentence)?;
        let file = open(&path).map_err(sentence)?;
        Ok(LogFile {
            path,
            max_size,
            file: Some(file),
            lost: None,
            torn: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes whole lines. What cannot be written is lost; the first write that works again
    /// returns a line about that.
    pub(super) fn write(&mut self, lines: &[u8]) -> Option<String> {
        match self.try_write(lines) {
            Ok(()) => {
                let lost = self.lost.take()?;
                let count = grouped(lost.lines as u64);
                Some(format!("{count} log lines were lost: {}", lost.why))
            }
            Err((written, error)) => {
                let rest = &lines[written..];
                let count = rest.iter().filter(|byte| **byte == b'\n').count();
                // A line of which a part is in the file is lost, too; it is among the rest, as
                // its end is.
                self.torn |= written > 0 && lines[written - 1] != b'\n';
                let lost = self.lost.get_or_insert(Lost {
                    lines: 0,
                    why: String::new(),
                });
                lost.lines += count;
                lost.why = error.to_string();
                None
            }
        }
    }

    fn try_write(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        let torn = self.torn;
        let file = self.current(lines.len()).map_err(|error| (0, error))?;
        if torn {
            file.write_all(b"\n").map_err(|error| (0, error))?;
        }
        let mut written = 0;
        let outcome = loop {
            match file.write(&lines[written..]) {
                Ok(0) => break Err((written, io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err((written, error)),
            }
            if written == lines.len() {
                break Ok(());
            }
        };
        self.torn = false;
        outcome
    }

    /// The file that the path leads to now, rotated if `more` bytes would be too many.
    fn current(&mut self, more: usize) -> io::Result<&mut File> {
        let mut file = match self.file.take() {
            Some(file) if is_at(&file, &self.path) => file,
            _ => {
                self.torn = false;
                open(&self.path)?
            }
        };
        let metadata = file.metadata()?;
        let is_full = metadata.len() > 0 && metadata.len() + more as u64 > self.max_size;
        if metadata.is_file() && is_full {
            // If the names cannot be changed, the file grows on: better than no log.
            if self.rotate().is_ok() {
                self.torn = false;
                file = open(&self.path)?;
            }
        }
        Ok(self.file.insert(file))
    }

    fn rotate(&self) -> io::Result<()> {
        for number in (1..KEPT).rev() {
            let from = self.rotated(number);
            if from.exists() {
                fs::rename(from, self.rotated(number + 1))?;
            }
        }
        fs::rename(&self.path, self.rotated(1))
    }

    fn rotated(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(file), Ok(path)) => identity(file) == identity(path),
        _ => false,
    }
}
