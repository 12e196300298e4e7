//! Any bytes as a journal, and any bytes in the place of a part of a good one: no panic, and nothing is read that never
//! was. The test `model_damage` makes the same checks with damages of its own.
#![no_main]

use std::sync::LazyLock;

use clickferry::engine::journal::read_journal;
use clickferry::plan::read::parse_plan;
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/it/support/model/mod.rs"]
mod model;

use model::Dice;
use model::damage::{Original, damage};

static ORIGINALS: LazyLock<Vec<Original>> = LazyLock::new(|| (0..4).map(Original::new).collect());

fuzz_target!(|data: &[u8]| {
    let _ = read_journal(data, "fuzz");
    let _ = parse_plan(data, "fuzz");
    let Some((head, piece)) = data.split_at_checked(8) else { return };
    let mut dice = Dice(head.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)));
    let original = &ORIGINALS[dice.below(ORIGINALS.len())];
    let mut journal = original.journal.clone();
    if piece.is_empty() {
        damage(original, &mut journal, &mut dice);
    } else {
        let at = dice.below(journal.len());
        let end = (at + dice.below(2 * piece.len())).min(journal.len());
        journal.splice(at..end, piece.iter().copied());
    }
    let plan = if dice.once_in(20) { &original.other_plan } else { &original.plan };
    original.check(plan, &journal, &|| "fuzz".to_owned());
});
