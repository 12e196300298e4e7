//! What becomes of each object of a source.

use super::page::Page;
use crate::plan::conversion::ConversionFate;
use crate::report::outline::ConversionGroup;
use crate::report::text::Style;

impl Page {
    /// Every object with its engine before and after; `is_short` lists a dozen names, but all that are left out.
    pub fn conversions(&mut self, groups: &[ConversionGroup<'_>], is_short: bool) {
        if groups.is_empty() {
            return;
        }
        let heading = self.style.heading("CONVERTED");
        self.line(&format!("{heading}  {}", self.style.dim("what becomes of each object of the source")));
        for group in groups {
            let (sign, paint): (_, fn(Style, &str) -> String) = match group.first.fate {
                ConversionFate::LeftOut => ("x ", Style::notice),
                _ => ("  ", Style::plain),
            };
            self.with_side(sign, &group.title(), group.first.step.as_str(), 2, paint);
            self.wrapped(&group.names(is_short), "      ", "      ", Style::plain);
            for words in group.told() {
                self.wrapped(&words, "      ", "        ", Style::dim);
            }
        }
        self.gap();
    }
}
