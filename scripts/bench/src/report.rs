//! What a run says: for people, or as one JSON object for scripts; and the line that shows how far
//! it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::clients::Connected;
use crate::generator::Part;
use crate::histogram::Histogram;
use crate::plan::{Mode, Plan};
use crate::server_stats::{Memory, Server};
use crate::tally::Tally;

/// Processor time, in seconds; `None` where it can't be known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    pub(crate) seconds: f64,
    pub(crate) server: Option<f64>,
    pub(crate) own: Option<f64>,
}

/// Microseconds, as JSON likes them.
#[derive(Debug, Serialize)]
pub(crate) struct Times {
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) max_us: Option<f64>,
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
pub(crate) struct Pushed {
    pub(crate) messages: u64,
    /// As asked for with --rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) asked_per_second: Option<u32>,
    pub(crate) published_per_second: f64,
    pub(crate) deliveries: u64,
    /// From the first message to the last delivery.
    pub(crate) seconds: f64,
    pub(crate) deliveries_per_second: f64,
    pub(crate) time_to_delivery: Times,
    pub(crate) time_to_last_client: Times,
    pub(crate) lost: u64,
    pub(crate) out_of_order: u64,
    pub(crate) doubled: u64,
    pub(crate) misrouted: u64,
    pub(crate) closed: BTreeMap<String, usize>,
}

impl Pushed {
    pub(crate) fn new(
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
pub(crate) struct Idle {
    pub(crate) seconds: f64,
    pub(crate) closed: BTreeMap<String, usize>,
}

/// What sending flat out showed.
#[derive(Debug, Serialize)]
pub(crate) struct Intake {
    pub(crate) messages: u32,
    /// Until the last is sent, by UDP; else until it is answered.
    pub(crate) seconds: f64,
    pub(crate) messages_per_second: f64,
    /// By the kernel, at the UDP port; `None` when the port is not on this machine. Of what is
    /// answered, none is.
    pub(crate) dropped: Option<u64>,
}

/// The server's processes.
#[derive(Debug, Serialize)]
pub(crate) struct OfServer {
    pub(crate) pids: Vec<u32>,
    /// Per cent of one core, over the measured time.
    pub(crate) cpu_percent: Option<f64>,
    /// Per delivery, or per message where there are no clients.
    pub(crate) cpu_us_per_delivery: Option<f64>,
    pub(crate) memory_before: Memory,
    pub(crate) memory: Memory,
    /// What came with the clients, divided by their number.
    pub(crate) pss_bytes_per_client: Option<f64>,
    pub(crate) kernel_stack_bytes_per_client: Option<f64>,
}

/// This program's own cost.
#[derive(Debug, Default, Serialize)]
pub(crate) struct OfGenerator {
    pub(crate) cpu_percent: Option<f64>,
    pub(crate) cpu_us_per_delivery: Option<f64>,
}

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) connect: String,
    pub(crate) publish: String,
    pub(crate) mode: String,
    pub(crate) size: usize,
    pub(crate) registered: bool,
    pub(crate) clients: usize,
    pub(crate) connect_seconds: f64,
    pub(crate) connects_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pushed: Option<Pushed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle: Option<Idle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) intake: Option<Intake>,
    pub(crate) server: Option<OfServer>,
    pub(crate) generator: OfGenerator,
}

impl Report {
    pub(crate) fn new(
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
                Mode::Intake(_) => format!("flat out, {}", plan.route),
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
    pub(crate) fn finish(&mut self, spent: Spent, deliveries: u64, server: Option<&Server>) {
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
    pub(crate) fn shortcoming(&self) -> Option<String> {
        if let Some(Intake {
            dropped: Some(dropped @ 1..),
            messages,
            ..
        }) = self.intake
        {
            return Some(format!(
                "the kernel dropped {dropped} of {messages} datagrams at {}: the server is slower \
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
