//! What a run says: for people, or as one JSON object for scripts; and the line that shows how far
//! it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use super::clients::Connected;
use super::generator::Part;
use super::histogram::Histogram;
use super::plan::{Mode, Plan};
use super::server_stats::{Memory, Server};
use super::tally::Tally;

/// Processor time, in seconds; `None` where it can't be known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent {
    pub(super) seconds: f64,
    pub(super) server: Option<f64>,
    pub(super) own: Option<f64>,
}

/// Microseconds, as JSON likes them.
#[derive(Debug, Serialize)]
pub(super) struct Times {
    pub(super) p50_us: Option<f64>,
    pub(super) p99_us: Option<f64>,
    pub(super) max_us: Option<f64>,
}

impl Times {
    fn of(histogram: &Histogram) -> Self {
        let microseconds = |time: Option<Duration>| Some(time?.as_nanos() as f64 / 1e3);
        Times {
            p50_us: microseconds(histogram.quantile(0.5)),
            p99_us: microseconds(histogram.quantile(0.99)),
            max_us: microseconds(histogram.max()),
        }
    }
}

/// What publishing showed.
#[derive(Debug, Serialize)]
pub(super) struct Pushed {
    pub(super) messages: u64,
    /// As asked for with --rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) asked_per_second: Option<u32>,
    pub(super) published_per_second: f64,
    pub(super) deliveries: u64,
    /// From the first message to the last delivery.
    pub(super) seconds: f64,
    pub(super) deliveries_per_second: f64,
    pub(super) time_to_delivery: Times,
    pub(super) time_to_last_client: Times,
    pub(super) lost: u64,
    pub(super) out_of_order: u64,
    pub(super) doubled: u64,
    pub(super) misrouted: u64,
    pub(super) closed: BTreeMap<String, usize>,
}

impl Pushed {
    pub(super) fn new(
        plan: &Plan,
        tally: &Tally,
        part: Part,
        closed: &BTreeMap<String, usize>,
    ) -> Self {
        let counts = tally.counts;
        let seconds = part.whole.as_secs_f64().max(1e-9);
        Pushed {
            messages: counts.messages,
            asked_per_second: match plan.mode {
                Mode::Rate(rate) => Some(rate),
                _ => None,
            },
            published_per_second: counts.messages as f64 / part.sending.as_secs_f64().max(1e-9),
            deliveries: counts.deliveries,
            seconds,
            deliveries_per_second: counts.deliveries as f64 / seconds,
            time_to_delivery: Times::of(&tally.to_delivery),
            time_to_last_client: Times::of(&tally.to_last),
            lost: counts.expected.saturating_sub(counts.deliveries),
            out_of_order: counts.out_of_order,
            doubled: counts.doubled,
            misrouted: counts.misrouted,
            closed: closed.clone(),
        }
    }

    /// The rate that was asked for, where this program could not keep it.
    fn too_fast(&self) -> Option<u32> {
        let asked = self.asked_per_second?;
        let kept = self.messages < 100 || self.published_per_second > 0.98 * f64::from(asked);
        (!kept).then_some(asked)
    }
}

/// What holding clients showed.
#[derive(Debug, Serialize)]
pub(super) struct Idle {
    pub(super) seconds: f64,
    pub(super) closed: BTreeMap<String, usize>,
}

/// What sending flat out showed.
#[derive(Debug, Serialize)]
pub(super) struct Intake {
    pub(super) datagrams: u32,
    pub(super) seconds: f64,
    pub(super) datagrams_per_second: f64,
    /// By the kernel, at the port; `None` when the port is not on this machine.
    pub(super) dropped: Option<u64>,
}

/// The server's processes.
#[derive(Debug, Serialize)]
pub(super) struct OfServer {
    pub(super) pids: Vec<u32>,
    /// Per cent of one core, over the measured time.
    pub(super) cpu_percent: Option<f64>,
    /// Per delivery, or per datagram where there are no clients.
    pub(super) cpu_us_per_delivery: Option<f64>,
    pub(super) memory_before: Memory,
    pub(super) memory: Memory,
    /// What came with the clients, divided by their number.
    pub(super) pss_bytes_per_client: Option<f64>,
    pub(super) kernel_stack_bytes_per_client: Option<f64>,
}

/// This program's own cost.
#[derive(Debug, Default, Serialize)]
pub(super) struct OfGenerator {
    pub(super) cpu_percent: Option<f64>,
    pub(super) cpu_us_per_delivery: Option<f64>,
}

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) connect: String,
    pub(super) publish: String,
    pub(super) mode: String,
    pub(super) size: usize,
    pub(super) registered: bool,
    pub(super) clients: usize,
    pub(super) connect_seconds: f64,
    pub(super) connects_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pushed: Option<Pushed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) idle: Option<Idle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) intake: Option<Intake>,
    pub(super) server: Option<OfServer>,
    pub(super) generator: OfGenerator,
}

impl Report {
    pub(super) fn new(
        plan: &Plan,
        publish: SocketAddr,
        connected: Connected,
        server: Option<&Server>,
        before: Option<Memory>,
    ) -> Self {
        let seconds = connected.time.as_secs_f64();
        Report {
            connect: format!("{}{}", plan.target.address, plan.target.path),
            publish: publish.to_string(),
            mode: match plan.mode {
                Mode::InFlight(1) => "one message at a time".to_owned(),
                Mode::InFlight(messages) => format!("{messages} messages in flight"),
                Mode::Rate(rate) => format!("{rate} messages a second"),
                Mode::Idle(_) => "idle".to_owned(),
                Mode::Intake(_) => "intake".to_owned(),
            },
            size: plan.size,
            registered: plan.target.register.is_some(),
            clients: connected.clients,
            connect_seconds: seconds,
            connects_per_second: (seconds > 0.0).then(|| connected.clients as f64 / seconds),
            pushed: None,
            idle: None,
            intake: None,
            server: server.zip(before).map(|(server, memory)| OfServer {
                pids: server.pids.clone(),
                cpu_percent: None,
                cpu_us_per_delivery: None,
                memory_before: memory,
                memory,
                pss_bytes_per_client: None,
                kernel_stack_bytes_per_client: None,
            }),
            generator: OfGenerator::default(),
        }
    }

    /// Adds what was spent, and looks at the server's memory as it is now.
    pub(super) fn finish(&mut self, spent: Spent, deliveries: u64, server: Option<&Server>) {
        // Over less time it says nothing.
        let long = spent.seconds >= 0.1;
        let percent = |time: Option<f64>| long.then_some(time? / spent.seconds * 100.0);
        let each = |time: Option<f64>| (deliveries > 0).then_some(time? / deliveries as f64 * 1e6);
        self.generator = OfGenerator {
            cpu_percent: percent(spent.own),
            cpu_us_per_delivery: each(spent.own),
        };
        let (Some(known), Some(server)) = (&mut self.server, server) else {
            return;
        };
        known.cpu_percent = percent(spent.server);
        known.cpu_us_per_delivery = each(spent.server);
        known.memory = server.memory();
        let clients = self.clients as f64;
        let grown = |after: u64, before: u64| {
            (clients > 0.0).then(|| (after as f64 - before as f64) / clients)
        };
        let (memory, before) = (known.memory, known.memory_before);
        known.pss_bytes_per_client = grown(memory.pss_bytes, before.pss_bytes);
        known.kernel_stack_bytes_per_client =
            grown(memory.kernel_stack_bytes, before.kernel_stack_bytes);
    }

    /// One sentence when not all is well.
    pub(super) fn shortcoming(&self) -> Option<String> {
        if let Some(Intake {
            dropped: Some(dropped @ 1..),
            datagrams,
            ..
        }) = self.intake
        {
            return Some(format!(
                "the kernel dropped {dropped} of {datagrams} datagrams at {}: the server is slower \
                 than the sender (see net.core.rmem_max)",
                self.publish
            ));
        }
        if let Some(idle) = &self.idle
            && let Some((reason, count)) = idle.closed.first_key_value()
        {
            return Some(format!(
                "{} closed {count} idle clients: {reason}",
                self.connect
            ));
        }
        let pushed = self.pushed.as_ref()?;
        let wrong = [
            (pushed.lost, "lost"),
            (pushed.out_of_order, "out of order"),
            (pushed.doubled, "doubled"),
            (pushed.misrouted, "delivered to the wrong client"),
        ];
        let wrong: Vec<String> = wrong
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if wrong.is_empty() {
            let asked = pushed.too_fast()?;
            return Some(format!(
                "this program could not send {asked} messages a second, only {:.0}: lower --rate",
                pushed.published_per_second
            ));
        }
        Some({
            format!(
                "{} did not deliver as it should: {} of {}",
                self.connect,
                wrong.join(", "),
                pushed.deliveries + pushed.lost
            )
        })
    }
}
