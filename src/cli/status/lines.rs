//! The status for programs: a line a figure.

use std::io::{self, Write};

use serde_json::Value;

/// Writes names as a path has them, such as `clients.online`, or `publish.0` in a list.
pub(super) fn write(out: &mut impl Write, status: &Value) -> io::Result<()> {
    write_below(out, "", status)
}

fn write_below(out: &mut impl Write, name: &str, value: &Value) -> io::Result<()> {
    let below = |key: &str| match name {
        "" => key.to_owned(),
        _ => format!("{name}.{key}"),
    };
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                write_below(out, &below(key), value)?;
            }
            Ok(())
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                write_below(out, &below(&index.to_string()), value)?;
            }
            Ok(())
        }
        Value::Null => writeln!(out, "{name}\t-"),
        Value::String(text) => writeln!(out, "{name}\t{}", text.replace(['\t', '\n'], " ")),
        other => writeln!(out, "{name}\t{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_has_a_line_and_a_name() {
        let status = serde_json::json!({
            "version": "0.1.0", "publish": ["127.0.0.1:6553", "[::1]:6553"],
            "clients": {"online": 3, "most": 10_000}, "uptime": 12.3, "history": {"oldest": null}
        });
        let mut out = Vec::new();
        write(&mut out, &status).unwrap();
        let mut lines: Vec<_> = std::str::from_utf8(&out).unwrap().lines().collect();
        lines.sort_unstable();
        let expected = [
            "clients.most\t10000",
            "clients.online\t3",
            "history.oldest\t-",
            "publish.0\t127.0.0.1:6553",
            "publish.1\t[::1]:6553",
            "uptime\t12.3",
            "version\t0.1.0",
        ];
        assert_eq!(lines, expected);
    }
}
