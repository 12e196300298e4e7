//! A page of text of a given width.

use crate::report::outline::{A_DOZEN, Family, Role, Told, a_dozen, is_common, others, told_words};
use crate::report::text::{Style, pad, wrap};

/// Text that grows line by line.
pub struct Page {
    /// The text so far.
    pub out: String,
    /// Columns.
    pub width: usize,
    /// Colours.
    pub style: Style,
}

impl Page {
    /// An empty page.
    #[must_use]
    pub fn new(width: usize, style: Style) -> Self {
        Self { out: String::new(), width, style }
    }

    /// A line as it is.
    pub fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.out.push('\n');
    }

    /// A text that is wrapped, each line painted, with another indent from the second line on.
    pub fn wrapped(&mut self, text: &str, first: &str, rest: &str, paint: fn(Style, &str) -> String) {
        let wrapped = wrap(text, self.width, rest);
        for (at, line) in wrapped.lines().enumerate() {
            let indent = if at == 0 { first } else { rest };
            let body = line.strip_prefix(rest).unwrap_or(line);
            self.out.push_str(indent);
            self.out.push_str(&paint(self.style, body));
            self.out.push('\n');
        }
    }

    /// A text with a side note at the right, or below it where there is no room.
    pub fn with_side(&mut self, sign: &str, text: &str, side: &str, indent: usize, paint: fn(Style, &str) -> String) {
        let blank = " ".repeat(indent);
        let used = indent + sign.chars().count() + text.chars().count();
        if used + 2 + side.chars().count() <= self.width {
            let room = self.width - indent - sign.chars().count() - side.chars().count();
            let line = format!("{blank}{}{}{}", paint(self.style, sign), pad(text, room), self.style.dim(side));
            self.line(line.trim_end());
            return;
        }
        let rest = format!("{blank}{}", " ".repeat(sign.chars().count()));
        let first = format!("{blank}{}", paint(self.style, sign));
        self.wrapped(text, &first, &rest, Style::plain);
        // At the right all the same: a note under the text would read as part of it.
        for line in wrap(side, self.width, &rest).lines() {
            let line = line.strip_prefix(rest.as_str()).unwrap_or(line);
            let room = self.width.saturating_sub(line.chars().count());
            self.line(&format!("{}{}", " ".repeat(room), self.style.dim(line)));
        }
    }

    /// Names, at most a dozen.
    pub fn names(&mut self, family: &Family<'_>, indent: &str) {
        if family.items.len() < 2 {
            return;
        }
        let words = a_dozen(&family.labels(0..family.items.len()));
        let of = family.container().map(|container| format!("in {container}: ")).unwrap_or_default();
        self.wrapped(&format!("{of}{words}"), indent, indent, Style::plain);
    }

    /// Texts of a family after a label; where they differ from item to item, only how many there are.
    pub fn told(&mut self, family: &Family<'_>, label: &str, told: &[Told], indent: &str) {
        let rest = format!("{indent}{}", " ".repeat(8));
        let mut first = format!("{indent}{}", pad(label, 8));
        if !is_common(told, family.items.len()) {
            self.wrapped("each its own, see the statements", &first, &rest, Style::dim);
            return;
        }
        for one in told.iter().take(A_DOZEN) {
            let text = told_words(family, one);
            self.wrapped(&text, &first, &rest, Style::plain);
            first.clone_from(&rest);
        }
        if told.len() > A_DOZEN {
            self.wrapped(&others(told.len() - A_DOZEN), &rest, &rest, Style::plain);
        }
    }
}

/// A sign for what a family does, and its colour.
#[must_use]
pub fn sign(role: Role) -> (&'static str, fn(Style, &str) -> String) {
    match role {
        Role::Destroys => ("- ", Style::bad),
        Role::Creates => ("+ ", Style::good),
        Role::Moves => ("> ", Style::good),
        Role::Changes => ("~ ", Style::notice),
        Role::Checks => ("? ", Style::dim),
    }
}
