//! What a storm says: a line for each attack.

use std::time::Duration;

use serde::Serialize;

use crate::histogram::Histogram;
use crate::server_stats::Resources;

/// Of the good clients' times to delivery, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Times {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Times {
    pub(crate) fn of(histogram: &Histogram) -> Option<Self> {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        Some(Times {
            p50_ms: milliseconds(histogram.quantile(0.5)?),
            p99_ms: milliseconds(histogram.quantile(0.99)?),
        })
    }
}

/// One attack.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) attack: &'static str,
    pub(crate) calm: Option<Times>,
    pub(crate) under: Option<Times>,
    /// Deliveries to good clients that did not come, came twice, or out of order.
    pub(crate) lost: u64,
    /// Connections of the attackers, or datagrams.
    pub(crate) attempts: u64,
    /// As the server counts visitors.
    pub(crate) refused: u64,
    /// Per cent of a core.
    pub(crate) cpu_calm: Option<f64>,
    pub(crate) cpu_under: Option<f64>,
    pub(crate) before: Resources,
    pub(crate) peak: Resources,
    pub(crate) after: Resources,
    pub(crate) note: String,
    /// What is not as it should be.
    pub(crate) faults: Vec<String>,
}

impl Row {
    pub(crate) fn new(attack: &'static str) -> Self {
        Row {
            attack,
            calm: None,
            under: None,
            lost: 0,
            attempts: 0,
            refused: 0,
            cpu_calm: None,
            cpu_under: None,
            before: Resources::default(),
            peak: Resources::default(),
            after: Resources::default(),
            note: String::new(),
            faults: Vec::new(),
        }
    }

    pub(crate) fn fault(&mut self, what: String) {
        self.faults.push(what);
    }

    /// The line of the table, and what else there is to say.
    pub(crate) fn text(&self) -> String {
        let pair = |value: fn(Times) -> f64| match (self.calm, self.under) {
            (Some(calm), Some(under)) => format!("{:.2} → {:.2}", value(calm), value(under)),
            _ => "-".to_owned(),
        };
        let ratio = match (self.calm, self.under) {
            (Some(calm), Some(under)) => format!("{:.1}×", under.p99_ms / calm.p99_ms),
            _ => "-".to_owned(),
        };
        let percent = |cpu: Option<f64>| cpu.map_or("-".to_owned(), |cpu| format!("{cpu:.0}"));
        let cpu = format!("{} → {}", percent(self.cpu_calm), percent(self.cpu_under));
        let three = |value: fn(Resources) -> u64| {
            let [before, peak, after] = [self.before, self.peak, self.after].map(value);
            format!("{before}/{peak}/{after}")
        };
        let mut text = line([
            self.attack.to_owned(),
            pair(|times| times.p50_ms),
            pair(|times| times.p99_ms),
            ratio,
            self.lost.to_string(),
            self.refused.to_string(),
            cpu,
            three(|resources| resources.rss_bytes >> 20),
            three(|resources| resources.threads),
            three(|resources| resources.descriptors),
        ]);
        if !self.note.is_empty() {
            text += &format!("\n    {}", self.note);
        }
        for fault in &self.faults {
            text += &format!("\n    NOT AS IT SHOULD BE: {fault}");
        }
        text
    }
}

/// What the columns are.
pub(crate) fn heading() -> String {
    line(
        [
            "attack",
            "p50, ms",
            "p99, ms",
            "p99 by",
            "lost",
            "refused",
            "CPU, %",
            "RSS, MiB",
            "threads",
            "descriptors",
        ]
        .map(str::to_owned),
    )
}

fn line(columns: [String; 10]) -> String {
    const WIDTHS: [usize; 10] = [14, 13, 14, 7, 5, 8, 11, 12, 15, 15];
    let mut text = String::new();
    for (column, width) in columns.into_iter().zip(WIDTHS) {
        text += &format!("{column:<width$} ");
    }
    text.trim_end().to_owned()
}
