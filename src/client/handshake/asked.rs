//! What a URL's query asks for beside fields. Ids and numbers need no escapes: whatever has any is
//! none.

/// Messages that `last` may ask for.
const MOST: usize = 1000;

/// The first of each name counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// The last id that the client knows, as it says.
    pub(super) since: Option<String>,
    /// So many of the newest messages, if it knows none.
    pub(super) last: usize,
    /// How many are online.
    pub(super) online: bool,
}

impl Asked {
    /// # Errors
    /// When the number of messages is none; the sentence has no full stop.
    pub(super) fn read(query: &str) -> Result<Self, String> {
        let mut parameters = query
            .split('&')
            .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")));
        let value = |name| {
            let mut all = parameters.clone();
            all.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let last = match value("last") {
            None => 0,
            Some(count) => match count.parse() {
                Ok(count) if count <= MOST => count,
                _ => return Err(format!("last= is a number from 0 to {MOST}")),
            },
        };
        Ok(Asked {
            since: value("since").map(str::to_owned),
            last,
            online: parameters.any(|(key, _)| key == "online"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_name_counts() {
        for (query, since, last, online) in [
            ("", None, 0, false),
            (
                "a=1&since=x-1&since=x-2&last=20&last=x&online",
                Some("x-1"),
                20,
                true,
            ),
            ("since&last=0&online=1", Some(""), 0, true),
            ("sinces=1&last=1000&online2", None, 1000, false),
        ] {
            let asked = Asked {
                since: since.map(str::to_owned),
                last,
                online,
            };
            assert_eq!(Asked::read(query), Ok(asked), "{query}");
        }
        for query in ["last", "last=", "last=1001", "last=-1", "last=20x"] {
            assert_eq!(
                Asked::read(query),
                Err("last= is a number from 0 to 1000".to_owned()),
                "{query}"
            );
        }
    }
}
