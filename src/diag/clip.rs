//! Lines of a source file that are wider than the terminal, cut around what is marked in them: broken by the terminal,
//! the marks would stand below something else.

use super::source::{SourceFile, Span};

/// Columns of the frame around a snippet, with a line number of three digits.
const FRAME: usize = 8;
/// Stands for what was cut off.
const CUT: char = '…';

/// A text whose wide lines were cut, and where the marked places are in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Clipped {
    /// The text.
    pub text: String,
    /// The places, as many as were given.
    pub spans: Vec<Span>,
}

/// A line of the source, in bytes.
struct Line {
    start: usize,
    end: usize,
    /// What of it is kept, in bytes of the source; `None` where all is.
    kept: Option<(usize, usize)>,
    /// Where it starts in the new text.
    at: usize,
}

/// Cuts the marked lines and those around them to a width; `labels` are places with what is said below them.
/// `None` where they fit.
#[must_use]
pub fn clip(source: &SourceFile, labels: &[(Span, String)], width: usize) -> Option<Clipped> {
    let room = width.saturating_sub(FRAME).max(30);
    let mut lines = Vec::new();
    let mut start = 0;
    for text in source.text.split('\n') {
        lines.push(Line { start, end: start + text.len(), kept: None, at: 0 });
        start += text.len() + 1;
    }
    for number in shown(&lines, labels) {
        let line = &mut lines[number];
        line.kept = window(&source.text[line.start..line.end], line.start, labels, room);
    }
    if lines.iter().all(|line| line.kept.is_none()) {
        return None;
    }
    let mut text = String::with_capacity(source.text.len());
    for line in &mut lines {
        line.at = text.len();
        let (from, to) = line.kept.unwrap_or((line.start, line.end));
        if from > line.start {
            text.push(CUT);
        }
        text.push_str(&source.text[from..to]);
        if to < line.end {
            text.push(CUT);
        }
        text.push('\n');
    }
    text.pop();
    let spans = labels
        .iter()
        .map(|(span, _)| {
            let (start, end) = (moved(&lines, span.start), moved(&lines, span.start + span.len));
            Span::new(start, end.saturating_sub(start))
        })
        .collect();
    Some(Clipped { text, spans })
}

/// The lines that a report shows: those with a mark, and one before and after each.
fn shown(lines: &[Line], labels: &[(Span, String)]) -> Vec<usize> {
    let of = |offset: usize| lines.partition_point(|line| line.end < offset).min(lines.len() - 1);
    let mut shown: Vec<usize> = labels
        .iter()
        .flat_map(|(span, _)| of(span.start).saturating_sub(1)..=(of(span.start + span.len) + 1).min(lines.len() - 1))
        .collect();
    shown.sort_unstable();
    shown.dedup();
    shown
}

/// What of a line is kept, in bytes of the source; `None` where all of it fits with what is said below it.
fn window(line: &str, start: usize, labels: &[(Span, String)], room: usize) -> Option<(usize, usize)> {
    let columns = line.chars().count();
    let column = |offset: usize| line.char_indices().take_while(|(at, _)| start + at < offset).count();
    let marked: Vec<(usize, usize)> = labels
        .iter()
        .filter(|(span, _)| (start..=start + line.len()).contains(&span.start))
        .map(|(span, text)| {
            let (first, last) = (column(span.start), column(span.start + span.len));
            // The words hang below the middle of what is marked.
            (first, last.max(first.midpoint(last) + 5 + text.chars().count()))
        })
        .collect();
    let right = marked.iter().map(|(_, last)| *last).max().unwrap_or(0);
    if columns.max(right) <= room {
        return None;
    }
    let left = marked.iter().map(|(first, _)| *first).min().unwrap_or(0);
    let from = if right < room { 0 } else { (right + 2 - room).min(left.saturating_sub(1)) };
    let to = (from + room - 2).min(columns);
    let byte = |column: usize| start + line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
    Some((byte(from), byte(to)))
}

/// Where a byte of the source is in the new text; what was cut off is at the nearest place that was not.
fn moved(lines: &[Line], offset: usize) -> usize {
    let line = &lines[lines.partition_point(|line| line.end < offset).min(lines.len() - 1)];
    let (from, to) = line.kept.unwrap_or((line.start, line.end));
    let cut = if from > line.start { CUT.len_utf8() } else { 0 };
    line.at + cut + offset.clamp(from, to) - from
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clipped(text: &str, marked: &str, words: &str, width: usize) -> Option<(String, Vec<String>)> {
        let source = SourceFile::new("f", text);
        let start = text.find(marked)?;
        let clipped = clip(&source, &[(Span::new(start, marked.len()), words.to_owned())], width)?;
        let spans = clipped.spans.iter().map(|span| clipped.text[span.start..span.start + span.len].to_owned());
        let spans = spans.collect();
        Some((clipped.text, spans))
    }

    #[test]
    fn what_is_marked_stays_marked() {
        let long = format!("head: 1\nfirst: {} wrong: here, {}\nlast: 2", "a".repeat(90), "z".repeat(60));
        let (text, spans) = clipped(&long, "wrong", "not known", 60).unwrap();
        assert_eq!(spans, ["wrong"]);
        assert!(text.starts_with("head: 1\n…aaa") && text.ends_with("…\nlast: 2"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 52), "{text}");
    }

    #[test]
    fn what_fits_is_left_alone() {
        assert_eq!(clipped("a: 1\nb: 2", "b", "here", 80), None);
        // A wide line that no report shows.
        assert_eq!(clipped(&format!("a: 1\nb: 2\nc: 3\n{}", "x".repeat(200)), "a", "here", 80), None);
    }

    #[test]
    fn words_below_a_mark_have_their_room_too() {
        let line = format!("{}every: replicas }}", " ".repeat(50));
        let (text, spans) = clipped(&line, "replicas", "not one of the values allowed here", 80).unwrap();
        let column = text.chars().take_while(|c| *c != 'r').count();
        assert_eq!(spans, ["replicas"]);
        assert!(column + 4 + 5 + 34 <= 72, "{column}: {text}");
    }

    #[test]
    fn a_mark_longer_than_the_line_and_other_alphabets_do_not_break_it() {
        let line = format!("k: \"{}\"", "ü".repeat(200));
        let (text, spans) = clipped(&line, &line[3..], "here", 60).unwrap();
        assert!(text.chars().count() <= 52 && spans[0].starts_with('"'), "{text} {spans:?}");
    }
}
