//! The examples of a page: its code blocks, and what the remarks in front of them say.

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use super::Page;

/// A code block.
pub struct Block {
    /// Where it stands: file and line.
    pub place: String,
    /// What it is said to be written in.
    pub language: String,
    pub text: String,
    /// `<!-- name: value -->` in front of it.
    remarks: Vec<(String, String)>,
}

impl Block {
    pub fn remark(&self, name: &str) -> Option<&str> {
        let mut named = self.remarks.iter().filter(|remark| remark.0 == name);
        Some(&named.next()?.1)
    }
}

/// All of them, in order.
pub fn blocks(page: &Page) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut remarks = Vec::new();
    let mut current: Option<Block> = None;
    for (event, range) in Parser::new(&page.text).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let line = page.text[..range.start].matches('\n').count() + 1;
                current = Some(Block {
                    place: format!("{}:{line}", page.path),
                    language: match kind {
                        CodeBlockKind::Fenced(language) => language.to_string(),
                        CodeBlockKind::Indented => "nothing, as it is indented".to_owned(),
                    },
                    text: String::new(),
                    remarks: std::mem::take(&mut remarks),
                });
            }
            Event::End(TagEnd::CodeBlock) => blocks.extend(current.take()),
            Event::Text(text) if current.is_some() => {
                if let Some(block) = &mut current {
                    block.text.push_str(&text);
                }
            }
            Event::Html(html) => remarks.extend(remark(&html)),
            Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => {}
            _ => remarks.clear(),
        }
    }
    blocks
}

fn remark(html: &str) -> Option<(String, String)> {
    let comment = html.trim().strip_prefix("<!--")?.strip_suffix("-->")?;
    let (name, value) = comment.split_once(':').unwrap_or((comment, ""));
    Some((name.trim().to_owned(), value.trim().to_owned()))
}
