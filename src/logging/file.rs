//! The file that follows its path, and rotates.
//!
//! Appends only. Before each write it looks whether the path still leads to this file: after a
//! move or a deletion it opens the path anew, so that no signal is needed. Sizes are read from the
//! file, never counted, so that copy-and-truncate works, too.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::lines_lost;

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
    /// When it can be neither opened nor created.
    pub(super) fn open(path: &Path, max_size: u64) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let file = open(&path)?;
        Ok(LogFile {
            torn: is_torn(&path),
            path,
            max_size,
            file: Some(file),
            lost: None,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes whole lines. What cannot be written is lost; a line about that is to follow the
    /// first write that works again.
    pub(super) fn write(&mut self, lines: &[u8]) -> Option<String> {
        match self.try_write(lines) {
            Ok(()) => {
                let lost = self.lost.as_ref()?;
                Some(lines_lost(lost.lines, &lost.why))
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

    /// Writes the line about what was lost. If the disk is full again, the next one tells.
    pub(super) fn write_lost(&mut self, line: &[u8]) {
        match self.try_write(line) {
            Ok(()) => self.lost = None,
            Err((written, _)) => self.torn |= written > 0,
        }
    }

    fn try_write(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        let (file, torn) = self.current(lines.len()).map_err(|error| (0, error))?;
        if torn && let Err(error) = file.write_all(b"\n") {
            self.torn = true;
            return Err((0, error));
        }
        let mut written = 0;
        while written < lines.len() {
            match file.write(&lines[written..]) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }

    /// The file that the path leads to now, rotated if `more` bytes would be too many, and whether
    /// its last line has no end.
    fn current(&mut self, more: usize) -> io::Result<(&mut File, bool)> {
        let mut file = match self.file.take() {
            Some(file) if is_at(&file, &self.path) => file,
            _ => {
                let file = open(&self.path)?;
                self.torn = is_torn(&self.path);
                file
            }
        };
        let metadata = file.metadata()?;
        // It may have been truncated.
        self.torn &= metadata.len() > 0;
        let is_full = metadata.len() > 0 && metadata.len() + more as u64 > self.max_size;
        if metadata.is_file() && is_full {
            // If the names cannot be changed, the file grows on: better than no log.
            if self.rotate().is_ok() {
                file = open(&self.path)?;
                self.torn = false;
            }
        }
        Ok((self.file.insert(file), std::mem::take(&mut self.torn)))
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

/// Whether the last line of a file has no end: the disk was full, or the machine went down.
fn is_torn(path: &Path) -> bool {
    // Neither a pipe nor a terminal is to be read.
    let is_file = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let last = || {
        let file = File::open(path).ok()?;
        let end = file.metadata().ok()?.len();
        let mut last = [0];
        file.read_exact_at(&mut last, end.checked_sub(1)?).ok()?;
        Some(last)
    };
    is_file && last().is_some_and(|last| last != *b"\n")
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(file), Ok(path)) => identity(file) == identity(path),
        _ => false,
    }
}
