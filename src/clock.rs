//! Moments, and local time: as it stands in front of each line of the log, and in what the trusted
//! side tells.

use std::env::{self, VarError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::format_description::StaticFormatDescription;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};
use tz::TimeZone;

/// RFC 3339 with milliseconds.
const FORMAT: StaticFormatDescription = format_description!(
    "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3][offset_hour sign:mandatory]:[offset_minute]"
);

/// What clocks differ by after an hour, at most.
const EARLY: Duration = Duration::from_secs(5);

/// Milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(u64);

impl Moment {
    /// This one.
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock that is set to before 1970 says nothing anyway.
        Moment(since.map_or(0, |since| since.as_millis() as u64))
    }
}

impl From<Moment> for OffsetDateTime {
    fn from(moment: Moment) -> Self {
        // No clock is set to beyond the year 9999.
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(moment.0) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// Knows the offset from UTC, and asks for it again with each minute that begins: summer time, a
/// changed /etc/localtime.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Since 1970; an offset changes with the beginning of one.
    minute: i64,
    offset: UtcOffset,
}

impl Clock {
    /// One that has not been asked yet.
    pub(crate) fn new() -> Self {
        Clock {
            minute: i64::MIN,
            offset: UtcOffset::UTC,
        }
    }

    /// Appends a moment as local time.
    pub(crate) fn stamp(&mut self, moment: impl Into<OffsetDateTime>, line: &mut Vec<u8>) {
        let moment = moment.into();
        self.ask(moment);
        // Fails only where writing does, and a vector takes all.
        let _ = moment.to_offset(self.offset).format_into(line, FORMAT);
    }

    /// Asks for the offset, where a minute has begun.
    fn ask(&mut self, moment: OffsetDateTime) {
        let minute = moment.unix_timestamp().div_euclid(60);
        if minute != self.minute {
            self.minute = minute;
            // Where the offset cannot be found out, times are UTC, and say so.
            self.offset = local_zone()
                .and_then(|zone| offset(&zone, moment))
                .unwrap_or(UtcOffset::UTC);
        }
    }

    /// Until the clock on the wall shows a full hour, more than five seconds away: who waited for one
    /// by another clock may be a bit early.
    pub(crate) fn until_next_hour(&mut self, moment: impl Into<OffsetDateTime>) -> Duration {
        let moment = moment.into();
        self.ask(moment);
        let local = moment.to_offset(self.offset);
        let passed = u64::from(local.minute()) * 60 + u64::from(local.second());
        let left = Duration::from_secs(3600 - passed);
        match left > EARLY {
            true => left,
            false => left + Duration::from_secs(3600),
        }
    }

    /// A moment as local time.
    pub(crate) fn tell(&mut self, moment: impl Into<OffsetDateTime>) -> String {
        let mut told = Vec::with_capacity(32);
        self.stamp(moment, &mut told);
        // Digits and signs are text.
        String::from_utf8(told).unwrap_or_default()
    }
}

/// What TZ says, as for all programs; without it, /etc/localtime.
fn local_zone() -> Option<TimeZone> {
    match env::var("TZ") {
        Ok(zone) => TimeZone::from_posix_tz(&zone).ok(),
        Err(VarError::NotPresent) => TimeZone::local().ok(),
        Err(VarError::NotUnicode(_)) => None,
    }
}

fn offset(zone: &TimeZone, moment: OffsetDateTime) -> Option<UtcOffset> {
    let local = zone.find_local_time_type(moment.unix_timestamp()).ok()?;
    UtcOffset::from_whole_seconds(local.ut_offset()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The offset in Berlin at this moment, in hours.
    fn berlin(unix_time: i64) -> i8 {
        // The rule alone, as a machine without zoneinfo has it.
        let zone = TimeZone::from_posix_tz("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let moment = OffsetDateTime::from_unix_timestamp(unix_time).unwrap();
        offset(&zone, moment).unwrap().whole_hours()
    }

    #[test]
    fn the_next_hour_is_more_than_a_moment_away() {
        let until = |unix_time| {
            let moment = OffsetDateTime::from_unix_timestamp(unix_time).unwrap();
            let mut clock = Clock {
                minute: unix_time.div_euclid(60),
                offset: UtcOffset::from_hms(5, 30, 0).unwrap(),
            };
            clock.until_next_hour(moment).as_secs()
        };
        // 1970-01-01T05:30:00+05:30
        assert_eq!(until(0), 1800);
        assert_eq!(until(1794), 6);
        assert_eq!(until(1795), 3605);
        assert_eq!(until(1799), 3601);
        assert_eq!(until(1800), 3600);
    }

    #[test]
    fn summer_time_begins_and_ends_with_its_second() {
        // 2026-03-29T01:00Z and 2026-10-25T01:00Z
        let (begin, end) = (1_774_746_000, 1_792_890_000);
        assert_eq!((berlin(begin - 1), berlin(begin)), (1, 2));
        assert_eq!((berlin(end - 1), berlin(end)), (2, 1));
    }
}
