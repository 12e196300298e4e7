//! A hundred thousand random damages to journals: no panic, and nothing is read that never was.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::model::Dice;
use crate::support::model::damage::{Original, damage, edited_record};

const DAMAGES: usize = 100_000;
const JOURNALS: u64 = 20;

#[test]
fn a_damaged_journal_is_refused_or_read_as_a_part_of_what_was() {
    let (read, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for seed in 0..JOURNALS {
            let (read, refused) = (&read, &refused);
            scope.spawn(move || {
                let original = Original::new(seed);
                let mut dice = Dice(seed ^ 0xDA);
                assert!(original.check(&original.plan, &original.journal, &|| "undamaged".to_owned()));
                for _ in 0..DAMAGES / usize::try_from(JOURNALS).unwrap() {
                    let mut journal = original.journal.clone();
                    let names: Vec<_> = match dice.below(5) {
                        0 => vec![edited_record(&mut journal, &mut dice)],
                        more => (0..=more / 2).map(|_| damage(&original, &mut journal, &mut dice)).collect(),
                    };
                    let plan = if dice.once_in(20) { &original.other_plan } else { &original.plan };
                    let was_read = original.check(plan, &journal, &|| format!("seed {seed}: {names:?}"));
                    if was_read { read } else { refused }.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let (read, refused) = (read.into_inner(), refused.into_inner());
    assert_eq!(read + refused, DAMAGES);
    // Neither is trivial: cuts leave a part that is read.
    assert!(read > DAMAGES / 50 && refused > DAMAGES / 2, "{read} read, {refused} refused");
}

#[test]
fn a_changed_plan_is_refused() {
    let original = Original::new(7);
    let text = serde_json::to_string(&original.plan).unwrap();
    let mut dice = Dice(7);
    let mut parsed = 0;
    for _ in 0..5000 {
        let mut bytes = text.clone().into_bytes();
        let at = dice.below(bytes.len());
        bytes[at] = dice.roll().to_le_bytes()[0];
        let Ok(plan) = clickferry::plan::read::parse_plan(&bytes, "p") else { continue };
        parsed += 1;
        original.check(&plan, &original.journal, &|| String::from_utf8_lossy(&bytes).into_owned());
        // Bytes that are lost are an estimate, and no part of what was consented to.
        let mut understood = plan.clone();
        understood.operations.iter_mut().for_each(|operation| operation.loss.bytes = 0);
        let same = understood == original.plan;
        assert_eq!(original.resumed(&plan, &original.journal).is_some(), same, "{}", String::from_utf8_lossy(&bytes));
    }
    assert!(parsed > 500, "{parsed}");
}
