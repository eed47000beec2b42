//! Numbers and times as people read them. Pure, no I/O.

use crate::words::grouped;

/// `1 client`, `1,234 clients`.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{} {many}", grouped(count)),
    }
}

/// `812 bytes`, `4.6 KiB`, `256 MiB`.
pub(super) fn bytes(count: u64) -> String {
    if count < 1024 {
        return counted(count, "byte", "bytes");
    }
    let mut amount = count as f64 / 1024.0;
    let mut unit = "KiB";
    for larger in ["MiB", "GiB"] {
        // What is rounded up to 1024 is one of the next unit.
        if amount < 1023.95 {
            break;
        }
        amount /= 1024.0;
        unit = larger;
    }
    match format!("{amount:.1}").strip_suffix(".0") {
        Some(whole) => format!("{whole} {unit}"),
        None => format!("{amount:.1} {unit}"),
    }
}

/// `0.4 s`, `12 s`, `3 min 4 s`, `5 h 6 min`, `7 d 8 h`.
pub(super) fn duration(seconds: f64) -> String {
    if (0.0..9.95).contains(&seconds) {
        return format!("{seconds:.1} s");
    }
    let seconds = seconds.round() as u64;
    let two = |large: u64, large_unit, small: u64, small_unit| match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    };
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => two(minutes, "min", seconds % 60, "s"),
        3600..86_400 => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_thousands_are_parted() {
        let clients = |count| counted(count, "client", "clients");
        assert_eq!(clients(0), "0 clients");
        assert_eq!(clients(1), "1 client");
        assert_eq!(clients(1234), "1,234 clients");
    }

    #[test]
    fn bytes_have_the_unit_that_keeps_them_short() {
        for (count, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1,023 bytes"),
            (1024, "1 KiB"),
            (4711, "4.6 KiB"),
            ((1 << 20) - 1, "1 MiB"),
            (268_435_456, "256 MiB"),
            (5 << 40, "5120 GiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn a_duration_has_at_most_two_units() {
        for (seconds, text) in [
            (0.0, "0.0 s"),
            (1.24, "1.2 s"),
            (9.96, "10 s"),
            (59.4, "59 s"),
            (59.6, "1 min"),
            (61.0, "1 min 1 s"),
            (3599.9, "1 h"),
            (18_360.0, "5 h 6 min"),
            (86_400.0, "1 d"),
            (633_600.0, "7 d 8 h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
