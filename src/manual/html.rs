//! A topic as a page: Markdown to HTML. Pure; made when somebody asks, and not kept.

use std::fmt::Write;

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// A heading that one can go to.
struct Heading {
    level: HeadingLevel,
    text: String,
    id: String,
}

/// The page of this Markdown. Where its links go to files of the repository, `resolve` says where
/// that is here; to what is not here there is no link.
pub(crate) fn page(markdown: &str, resolve: impl Fn(&str) -> Option<String>) -> String {
    let mut events: Vec<_> = Parser::new_ext(markdown, Options::ENABLE_TABLES).collect();
    let headings = name_headings(&mut events);
    let mut body = String::with_capacity(markdown.len() * 3 / 2);
    html::push_html(&mut body, rewrite(events, resolve));
    let title = headings
        .first()
        .map_or("The manual", |first| first.text.as_str());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{} – udpush</title>\n\
         <link rel=\"icon\" href=\"../icon.svg\" type=\"image/svg+xml\">\n\
         <link rel=\"stylesheet\" href=\"manual.css\">\n</head>\n<body>\n\
         <header><a href=\"../\">udpush</a> <a href=\"./\">The manual</a></header>\n\
         <main>\n{}{body}</main>\n</body>\n</html>\n",
        escaped(title),
        contents(&headings)
    )
}

/// Gives each heading an id, as forges and rustdoc do, and tells which there are.
fn name_headings(events: &mut [Event<'_>]) -> Vec<Heading> {
    let mut headings = Vec::new();
    let mut start = 0;
    for at in 0..events.len() {
        match &events[at] {
            Event::Start(Tag::Heading { .. }) => start = at,
            Event::End(TagEnd::Heading(level)) => {
                let text = text_of(&events[start..at]);
                let id = slug(&text);
                headings.push(Heading {
                    level: *level,
                    text,
                    id: id.clone(),
                });
                if let Event::Start(Tag::Heading { id: own, .. }) = &mut events[start] {
                    *own = Some(id.into());
                }
            }
            _ => {}
        }
    }
    headings
}

fn text_of(events: &[Event<'_>]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        Event::Text(text) | Event::Code(text) => Some(&**text),
        _ => None,
    });
    texts.collect()
}

/// As GitHub makes it: lower case, a hyphen for each space, and no punctuation.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter_map(|character| match character {
        ' ' => Some('-'),
        '-' | '_' => Some(character),
        _ if character.is_alphanumeric() => Some(character),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

/// Sections, for who looks for one of them. A short page needs none.
fn contents(headings: &[Heading]) -> String {
    let sections = headings
        .iter()
        .filter(|heading| heading.level <= HeadingLevel::H3 && heading.level > HeadingLevel::H1);
    if sections.clone().count() < 3 {
        return String::new();
    }
    let mut list = "<nav aria-label=\"On this page\"><ul>\n".to_owned();
    for Heading { level, text, id } in sections {
        // Writing to a string cannot fail.
        let _ = writeln!(
            list,
            "<li class=\"{level}\"><a href=\"#{id}\">{}</a></li>",
            escaped(text)
        );
    }
    list + "</ul></nav>\n"
}

/// Wide tables scroll within themselves; links go where their target is here; pictures and remarks
/// stay in the repository.
fn rewrite<'a>(
    events: Vec<Event<'a>>,
    resolve: impl Fn(&str) -> Option<String>,
) -> impl Iterator<Item = Event<'a>> {
    let mut in_picture = false;
    let mut linked = false;
    let markup = |text: &'static str| Event::Html(CowStr::Borrowed(text));
    events.into_iter().flat_map(move |event| match event {
        Event::Start(Tag::Image { .. }) => {
            in_picture = true;
            vec![]
        }
        Event::End(TagEnd::Image) => {
            in_picture = false;
            vec![]
        }
        _ if in_picture => vec![],
        Event::Html(_) | Event::InlineHtml(_) => vec![],
        Event::Start(Tag::Table(_)) => vec![markup("<div class=\"scroll\" tabindex=\"0\">"), event],
        Event::End(TagEnd::Table) => vec![event, markup("</div>\n")],
        Event::Start(Tag::Link {
            link_type,
            dest_url,
            title,
            id,
        }) => {
            let target = match is_elsewhere(&dest_url) {
                true => Some(dest_url),
                false => resolve(&dest_url).map(CowStr::from),
            };
            linked = target.is_some();
            let link = |dest_url| {
                Event::Start(Tag::Link {
                    link_type,
                    dest_url,
                    title,
                    id,
                })
            };
            target.map(link).into_iter().collect()
        }
        Event::End(TagEnd::Link) if !linked => vec![],
        event => vec![event],
    })
}

/// On this page, or in the net.
fn is_elsewhere(target: &str) -> bool {
    target.starts_with('#') || target.contains("://")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(markdown: &str) -> String {
        page(markdown, |target| {
            let name = target.strip_suffix(".md")?;
            Some(format!("here/{name}"))
        })
    }

    #[test]
    fn a_heading_has_the_id_that_forges_give_it() {
        for (heading, id) in [
            ("Who hears what", "who-hears-what"),
            ("`/status` and `/metrics`", "status-and-metrics"),
            ("push.js: a page's own", "pushjs-a-pages-own"),
            ("a_b – c", "a_b--c"),
            ("常见问题", "常见问题"),
        ] {
            let page = page_of(&format!("# T\n## {heading}\n"));
            assert!(page.contains(&format!("<h2 id=\"{id}\">")), "{page}");
        }
    }

    #[test]
    fn links_go_to_what_is_here_and_the_rest_is_text() {
        let page = page_of("[a](b.md) [c](d.sh) [e](#f) [g][h]\n\n[h]: http://i/\n");
        assert!(
            page.contains(
                "<p><a href=\"here/b\">a</a> c <a href=\"#f\">e</a> <a href=\"http://i/\">g</a></p>"
            ),
            "{page}"
        );
    }

    #[test]
    fn pictures_and_remarks_stay_away_and_tables_scroll() {
        let page = page_of("![alt](p.png)\n\n<!-- not run: x -->\n\n| a |\n| - |\n| `<b>` |\n");
        for word in ["alt", "p.png", "not run"] {
            assert!(!page.contains(word), "{page}");
        }
        assert!(
            page.contains("<div class=\"scroll\" tabindex=\"0\"><table>"),
            "{page}"
        );
        assert!(page.contains("<code>&lt;b&gt;</code>"), "{page}");
    }

    #[test]
    fn a_long_page_begins_with_its_sections() {
        assert!(!page_of("# T\n## a\n## b\n").contains("<nav"));
        let page = page_of("# T\n## a < b\n## b\n### c\n#### d\n");
        let nav = "<ul>\n<li class=\"h2\"><a href=\"#a--b\">a &lt; b</a></li>\n\
                   <li class=\"h2\"><a href=\"#b\">b</a></li>\n\
                   <li class=\"h3\"><a href=\"#c\">c</a></li>\n</ul>";
        assert!(page.contains(nav), "{page}");
    }
}
