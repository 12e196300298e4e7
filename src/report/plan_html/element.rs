//! Pieces of HTML. Every text of a plan goes through [`escape`].

use crate::plan::operation::Effect;

/// A text in an element or an attribute.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// A name or statement within a line.
#[must_use]
pub fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

/// Our own words; what stands between ticks in them is set off.
#[must_use]
pub fn with_code(text: &str) -> String {
    if !text.matches('`').count().is_multiple_of(2) {
        return escape(text);
    }
    text.split('`').enumerate().map(|(at, part)| if at % 2 == 0 { escape(part) } else { code(part) }).collect()
}

/// What an operation does to the world, as a mark with its word.
#[must_use]
pub fn badge(effect: Effect) -> String {
    format!("<span class=\"badge {effect}\">{effect}</span>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_becomes_an_element() {
        assert_eq!(with_code("give `a<b` to <x>"), "give <code>a&lt;b</code> to &lt;x&gt;");
        assert_eq!(code("<script>'a' & \"b\""), "<code>&lt;script&gt;&#39;a&#39; &amp; &quot;b&quot;</code>");
    }
}
