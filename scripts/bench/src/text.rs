//! The report for people.

use std::io::{self, Write};

use crate::report::{Pushed, Report, Times};

impl Report {
    /// Prints it on standard output.
    pub(crate) fn print(&self, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, self)?;
            return writeln!(out);
        }
        match self.intake {
            Some(_) => writeln!(
                out,
                "{}: {}, documents of {} bytes",
                self.publish, self.mode, self.size
            )?,
            None => writeln!(
                out,
                "{}: {} clients, {}, documents of {} bytes{}",
                self.connect,
                self.clients,
                self.mode,
                self.size,
                if self.registered {
                    ", each to one client"
                } else {
                    ""
                }
            )?,
        }
        if let Some(rate) = self.connects_per_second {
            writeln!(
                out,
                "connecting         {rate:.0} a second, {:.2} s in all",
                self.connect_seconds
            )?;
        }
        if let Some(pushed) = &self.pushed {
            self.print_pushed(&mut out, pushed)?;
        }
        if let Some(intake) = &self.intake {
            writeln!(
                out,
                "sent               {} in {:.2} s, {:.0} a second",
                intake.messages, intake.seconds, intake.messages_per_second
            )?;
            match intake.dropped {
                Some(dropped) => writeln!(out, "dropped            {dropped}")?,
                None => writeln!(
                    out,
                    "dropped            unknown: the server is not on this machine"
                )?,
            }
        }
        if let Some(idle) = &self.idle {
            writeln!(
                out,
                "idle               {:.1} s, {} clients closed",
                idle.seconds,
                idle.closed.values().sum::<usize>()
            )?;
        }
        self.print_costs(&mut out)
    }

    fn print_pushed(&self, out: &mut impl Write, pushed: &Pushed) -> io::Result<()> {
        writeln!(
            out,
            "deliveries         {} in {:.2} s, {:.0} a second ({:.0} messages a second published)",
            pushed.deliveries,
            pushed.seconds,
            pushed.deliveries_per_second,
            pushed.published_per_second
        )?;
        let line = |times: &Times| {
            let show = |time: Option<f64>| {
                time.map_or("-".to_owned(), |time| format!("{:.3} ms", time / 1e3))
            };
            format!(
                "p50 {}, p99 {}, max {}",
                show(times.p50_us),
                show(times.p99_us),
                show(times.max_us)
            )
        };
        writeln!(out, "time to delivery   {}", line(&pushed.time_to_delivery))?;
        if !self.registered {
            writeln!(
                out,
                "to the last client {}",
                line(&pushed.time_to_last_client)
            )?;
        }
        write!(
            out,
            "lost               {}, out of order {}, doubled {}",
            pushed.lost, pushed.out_of_order, pushed.doubled
        )?;
        if self.registered {
            write!(out, ", to the wrong client {}", pushed.misrouted)?;
        }
        writeln!(out)?;
        for (reason, count) in &pushed.closed {
            writeln!(out, "closed             {count} clients: {reason}")?;
        }
        Ok(())
    }

    fn print_costs(&self, out: &mut impl Write) -> io::Result<()> {
        let what = if self.intake.is_some() {
            "message"
        } else {
            "delivery"
        };
        let cpu = |percent: Option<f64>, each: Option<f64>| {
            let percent = percent.map_or("unknown CPU".to_owned(), |percent| {
                format!("{percent:.2} % of a core")
            });
            let each = each.map_or(String::new(), |each| format!(", {each:.3} µs a {what}"));
            percent + &each
        };
        match &self.server {
            None => writeln!(
                out,
                "server             not on this machine, or not to be seen: no CPU, \
                 no memory (--pid names it)"
            )?,
            Some(server) => {
                writeln!(
                    out,
                    "server             {}",
                    cpu(server.cpu_percent, server.cpu_us_per_delivery)
                )?;
                let mib = |bytes: u64| bytes as f64 / 1048576.0;
                let memory = server.memory;
                write!(
                    out,
                    "memory             PSS {:.1} MiB, RSS {:.1} MiB, {} threads with {:.1} MiB of \
                     kernel stack",
                    mib(memory.pss_bytes),
                    mib(memory.rss_bytes),
                    memory.threads,
                    mib(memory.kernel_stack_bytes)
                )?;
                if let Some((pss, stack)) = server
                    .pss_bytes_per_client
                    .zip(server.kernel_stack_bytes_per_client)
                {
                    write!(
                        out,
                        "; a client: PSS {:.1} KiB + stack {:.1} KiB",
                        pss / 1024.0,
                        stack / 1024.0
                    )?;
                }
                writeln!(out)?;
            }
        }
        let own = &self.generator;
        writeln!(
            out,
            "this program       {}",
            cpu(own.cpu_percent, own.cpu_us_per_delivery)
        )
    }
}
