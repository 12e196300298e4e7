//! What every view of a plan tells, before it is drawn: operations that do the same on several hosts as one item,
//! items that differ only in their object as one family, families by what they do to the world.

mod conversions;
mod family;
mod ids;
mod item;
mod late;
mod lists;
mod marked;
mod sent;
mod told;
mod words;

pub use conversions::{ConversionGroup, conversion_groups};
pub use family::{Family, Role};
pub use ids::ranges;
pub use item::{Holding, Item};
pub use late::{LateToken, late_tokens};
pub use lists::{A_DOZEN, A_HUNDRED, a_dozen, becomes, holding_words, others, told_words, which};
pub use marked::{Mark, folded_lines, marked_lines};
pub use sent::{Sent, fold};
pub use told::{HOST, NAME, Told, is_common};
pub use words::{deed, destroyed_words, limit_words, loss_words, noun_of};

use foldhash::{HashMap, HashMapExt};
use rayon::prelude::*;

use crate::engine::guard::check_budget;
use crate::model::runbook::OnFailure;
use crate::plan::fact::Fact;
use crate::plan::operation::{Loss, Operation};
use crate::plan::plan_file::{Plan, PlannedStep};

/// A plan, put in order for people.
pub struct Outline<'p> {
    /// The plan.
    pub plan: &'p Plan,
    /// Its steps.
    pub steps: Vec<StepOutline<'p>>,
    /// Late values that stand in it, each once.
    pub late: Vec<LateToken>,
    /// The facts by what they are about, in the order in which it first occurs.
    pub fact_kinds: Vec<(&'p str, Vec<&'p Fact>)>,
}

/// A step of a plan.
pub struct StepOutline<'p> {
    /// Place in the runbook, from 1.
    pub number: usize,
    /// The step.
    pub step: &'p PlannedStep,
    /// Why it cannot be taken back once it has run, where that is known.
    pub no_way_back: Option<&'p str>,
    /// What it does.
    pub families: Vec<Family<'p>>,
}

/// What a step with `on_failure: undo` promises.
pub const UNDONE: &str = "if it fails, the whole run is taken back under the consent to this plan: what the run made \
                          goes, after proof that it is exactly that";

impl StepOutline<'_> {
    /// Whether the run is taken back when the step fails.
    #[must_use]
    pub fn is_undone_on_failure(&self) -> bool {
        self.step.on_failure == OnFailure::Undo && self.step.skipped.is_none()
    }

    /// Operations of the step.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.families.iter().map(Family::operations).sum()
    }

    /// What the step takes away.
    #[must_use]
    pub fn loss(&self) -> Loss {
        self.families.iter().fold(Loss::default(), |sum, family| sum.plus(family.loss))
    }
}

impl<'p> Outline<'p> {
    /// Puts a plan in order.
    #[must_use]
    pub fn of(plan: &'p Plan) -> Self {
        let mut by_step: std::collections::BTreeMap<&str, Vec<&'p Operation>> = std::collections::BTreeMap::new();
        for operation in &plan.operations {
            by_step.entry(operation.step.as_str()).or_default().push(operation);
        }
        let outline = |(at, step): (usize, &'p PlannedStep)| StepOutline {
            number: at + 1,
            step,
            no_way_back: plan.no_way_back.get(&step.id).map(String::as_str),
            families: family::families(item::items(by_step.get(step.id.as_str()).map_or(&[], Vec::as_slice))),
        };
        let (steps, (kinds, late)) = rayon::join(
            || plan.steps.par_iter().enumerate().map(outline).collect(),
            || (fact_kinds(&plan.facts), late_tokens(plan)),
        );
        Self { plan, steps, late, fact_kinds: kinds }
    }

    /// All families of a role, in order.
    pub fn families(&self, role: Role) -> impl Iterator<Item = &Family<'p>> {
        self.steps.iter().flat_map(|step| &step.families).filter(move |family| family.role == role)
    }

    /// Whether more is destroyed than so many names of a kind tell.
    #[must_use]
    pub fn destroys_more_than(&self, most: usize) -> bool {
        let holds_more = |operation: &Operation| lists::holds_more(&Family::holdings(operation), most);
        self.families(Role::Destroys).any(|family| {
            let items = &family.items;
            items.len() > most || items.iter().flat_map(|item| item.operations.iter()).any(|one| holds_more(one))
        })
    }

    /// Whether the loss is within what the runbook allows.
    #[must_use]
    pub fn is_within_limit(&self) -> bool {
        check_budget(self.plan).is_ok()
    }

    /// What the facts are about and how many there are: `3 × version, 17 × definition`.
    #[must_use]
    pub fn facts(&self) -> String {
        let kinds = self.fact_kinds.iter();
        kinds.map(|(kind, facts)| format!("{} × {kind}", facts.len())).collect::<Vec<_>>().join(", ")
    }
}

fn fact_kinds(facts: &[Fact]) -> Vec<(&str, Vec<&Fact>)> {
    let mut kinds: Vec<(&str, Vec<&Fact>)> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for fact in facts {
        let kind = kind_of(&fact.subject);
        let at = *known.entry(kind).or_insert_with(|| {
            kinds.push((kind, Vec::new()));
            kinds.len() - 1
        });
        kinds[at].1.push(fact);
    }
    kinds
}

/// What a fact is about: the words of its subject before the first name.
fn kind_of(subject: &str) -> &str {
    let mark = subject.find(['`', '.', '/']).unwrap_or(subject.len());
    let end = if mark == subject.len() { mark } else { subject[..mark].rfind(' ').unwrap_or(0) };
    let kind = subject[..end].trim_end_matches(" of").trim_end_matches(" at");
    // The name of a database has no mark of its own.
    if kind.starts_with("database ") { "database" } else { kind }
}
