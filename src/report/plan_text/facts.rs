//! What a plan rests on.

use std::collections::HashMap;

use super::page::Page;
use crate::plan::fact::Fact;
use crate::plan::plan_file::Plan;
use crate::report::outline::A_HUNDRED;
use crate::report::text::{Style, number};

impl Page {
    /// What must still hold at apply: what is the same on several hosts once, a hundred lines at most.
    pub fn facts(&mut self, plan: &Plan) {
        let groups = groups(&plan.facts);
        if groups.is_empty() {
            return;
        }
        let heading = self.style.heading("RESTS ON");
        self.line(&format!("{heading}  {}", self.style.dim("what must still hold at apply")));
        let most = if groups.len() <= A_HUNDRED + 1 { groups.len() } else { A_HUNDRED };
        for (first, hosts) in groups.iter().take(most) {
            let hosts: Vec<&str> = hosts.iter().copied().filter(|host| !host.is_empty()).collect();
            let place = if hosts.is_empty() { String::new() } else { format!(" on {}", hosts.join(", ")) };
            self.wrapped(&format!("- {}{place}: {}", first.subject, first.value), "  ", "    ", Style::plain);
        }
        if groups.len() > most {
            let words = format!("- and {} more; --format json shows them", number((groups.len() - most) as u64));
            self.wrapped(&words, "  ", "    ", Style::dim);
        }
        self.gap();
    }
}

/// Facts with the same value, and their hosts.
fn groups(facts: &[Fact]) -> Vec<(&Fact, Vec<&str>)> {
    let mut groups: Vec<(&Fact, Vec<&str>)> = Vec::new();
    let mut known: HashMap<(&str, &str), usize> = HashMap::new();
    for fact in facts {
        let at = *known.entry((&*fact.subject, &*fact.value)).or_insert_with(|| {
            groups.push((fact, Vec::new()));
            groups.len() - 1
        });
        if let Some((_, hosts)) = groups.get_mut(at) {
            hosts.push(fact.host.as_str());
        }
    }
    groups
}
