//! The maintenance window, and the predicted time that must fit into it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use crate::diag::Refusal;
use crate::model::formats::{parse_rate, parse_time_of_day};
use crate::model::guards::WindowGuard;
use crate::model::ids::{HostName, StepId};
use crate::plan::operation::Effect;
use crate::plan::plan_file::Plan;

/// Days looked ahead for the next opening: a week, and the day after.
const AHEAD: i64 = 8;

/// Refuses outside of the window, and where the predicted time would pass its end.
///
/// # Errors
/// The refusal, with the next opening.
pub fn check_window(plan: &Plan, now: Timestamp) -> Result<(), Box<Refusal>> {
    let Some(guard) = &plan.guards.window else { return Ok(()) };
    let refuse = |what: &str, expected: String, found: String, action: String| {
        Err(Box::new(Refusal {
            what: what.to_owned(),
            expected,
            found,
            evidence: format!("TZ={} date; `guards.window` of the runbook", guard.timezone.as_str()),
            action,
        }))
    };
    let Some((zone, windows)) = windows(guard, now) else {
        return refuse(
            "the maintenance window cannot be told",
            "a time zone and times that this machine knows".to_owned(),
            words(guard),
            "correct `guards.window` in the runbook".to_owned(),
        );
    };
    let now_there = now.to_zoned(zone);
    let Some((_, end)) = windows.iter().find(|(start, end)| *start <= now_there && now_there < *end) else {
        let next = windows.iter().find(|(start, _)| *start > now_there);
        return refuse(
            "the maintenance window is closed",
            format!("an apply within {}", words(guard)),
            format!("it is {}", shown(&now_there)),
            next.map_or_else(
                || "correct `guards.window` in the runbook: it never opens".to_owned(),
                |(start, _)| format!("it opens {}; nothing was changed", shown(start)),
            ),
        );
    };
    let time = predicted(plan, guard).1;
    let left = end.timestamp().duration_since(now).unsigned_abs();
    if time <= left {
        return Ok(());
    }
    refuse(
        "the predicted time passes the end of the maintenance window",
        format!("an end before {}, {} from now", shown(end), time_words(left)),
        format!("it is {}; predicted: {}", shown(&now_there), predicted_words(plan, guard)),
        "begin earlier in the window or take a longer one; where the servers are known to be faster, correct `guards.window.rate` in the runbook".to_owned(),
    )
}

/// The predicted time: for each step that moves data, the bytes of the host that has most to do at the stated rate;
/// all steps added up.
#[must_use]
pub fn predicted(plan: &Plan, guard: &WindowGuard) -> (Vec<(StepId, HostName, u64)>, Duration) {
    let rate = parse_rate(guard.rate.as_str()).unwrap_or(1).max(1);
    let mut steps = Vec::new();
    for step in &plan.steps {
        let mut hosts: BTreeMap<&HostName, u64> = BTreeMap::new();
        for operation in plan.operations_of(&step.id).filter(|operation| operation.effect != Effect::Read) {
            if let (Some(host), Some(bytes)) = (&operation.host, operation.estimate_bytes) {
                *hosts.entry(host).or_default() += bytes;
            }
        }
        // Of equals the first by name, so that the words are the same each time.
        let most = hosts.into_iter().rev().max_by_key(|(_, bytes)| *bytes).filter(|(_, bytes)| *bytes > 0);
        steps.extend(most.map(|(host, bytes)| (step.id.clone(), host.clone(), bytes)));
    }
    let seconds = steps.iter().map(|(_, _, bytes)| bytes.div_ceil(rate)).sum();
    (steps, Duration::from_secs(seconds))
}

/// `1 h 8 min for 107374182400 bytes of step ...`.
fn predicted_words(plan: &Plan, guard: &WindowGuard) -> String {
    let (steps, time) = predicted(plan, guard);
    let parts: Vec<String> =
        steps.iter().map(|(step, host, bytes)| format!("{bytes} bytes of step `{step}` on {host}")).collect();
    if parts.is_empty() {
        return "no time, for no step tells how many bytes it moves".to_owned();
    }
    format!(
        "{} for {}, at {} per host (`guards.window.rate`)",
        time_words(time),
        parts.join(" and "),
        guard.rate.as_str()
    )
}

/// A time in words.
#[must_use]
pub fn time_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

fn words(guard: &WindowGuard) -> String {
    let days: Vec<&str> = guard.days.iter().map(|day| day.as_str()).collect();
    let days = if days.is_empty() { "every day".to_owned() } else { days.join(", ") };
    format!("{days} {} to {} {}", guard.from.as_str(), guard.to.as_str(), guard.timezone.as_str())
}

fn shown(time: &Zoned) -> String {
    time.strftime("%a %Y-%m-%d %H:%M %Z").to_string()
}

/// The windows around now, in order; those that touch are one. A window that closes on the day after belongs to the
/// day on which it opens.
fn windows(guard: &WindowGuard, now: Timestamp) -> Option<(TimeZone, Vec<(Zoned, Zoned)>)> {
    let zone = TimeZone::get(guard.timezone.as_str()).ok()?;
    let (from, to) = (parse_time_of_day(guard.from.as_str()).ok()?, parse_time_of_day(guard.to.as_str()).ok()?);
    let today = now.to_zoned(zone.clone()).date();
    let at = |date: Date, (hour, minute): (i8, i8)| date.at(hour, minute, 0, 0).to_zoned(zone.clone()).ok();
    let mut windows: Vec<(Zoned, Zoned)> = Vec::new();
    for offset in -1..=AHEAD {
        let date = today.checked_add(offset.days()).ok()?;
        let day = usize::try_from(date.weekday().to_monday_zero_offset()).ok()?;
        if !guard.days.is_empty() && !guard.days.iter().any(|opens| *opens as usize == day) {
            continue;
        }
        let closes = if to > from { date } else { date.tomorrow().ok()? };
        let (start, end) = (at(date, from)?, at(closes, to)?);
        match windows.last_mut() {
            Some(last) if start <= last.1 => last.1 = end,
            _ => windows.push((start, end)),
        }
    }
    Some((zone, windows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::guard::tests::{guards, operation, plan};
    use crate::model::runbook::OnFailure;
    use crate::plan::plan_file::PlannedStep;

    const GIB: u64 = 1 << 30;

    fn check(window: &str, now: &str, gib: u64) -> Result<(), String> {
        let mut plan = plan(vec![
            operation("back-up", "sa", Effect::Write, Some(gib * GIB)),
            operation("restore", "r1", Effect::Write, Some(gib * GIB / 2)),
            operation("restore", "r1", Effect::Write, Some(gib * GIB / 2)),
            operation("restore", "r2", Effect::Write, Some(gib * GIB / 2)),
            operation("verify", "r2", Effect::Read, Some(gib * GIB * 1000)),
        ]);
        plan.steps = ["back-up", "restore", "verify"].map(step).to_vec();
        plan.guards = guards(&format!("{{ window: {window} }}"));
        check_window(&plan, now.parse().unwrap())
            .map_err(|refusal| format!("{} / {} / {}", refusal.what, refusal.found, refusal.action))
    }

    fn step(id: &str) -> PlannedStep {
        PlannedStep {
            id: id.into(),
            action: id.to_owned(),
            description: None,
            arguments: serde_json::Value::Null,
            skipped: None,
            on_failure: OnFailure::Stop,
            retry: None,
            timeout_ms: None,
            confirm: None,
            point_of_no_return: false,
        }
    }

    const WEEKEND: &str = "{ days: [sat, sun], from: '01:00', to: '05:00', timezone: Europe/Berlin }";

    #[test]
    fn an_apply_begins_within_the_window_only() {
        // 2026-11-21 is a Saturday; Berlin is an hour ahead of UTC then.
        assert_eq!(check(WEEKEND, "2026-11-21T00:00:00Z", 0), Ok(()));
        assert_eq!(check(WEEKEND, "2026-11-22T03:59:59Z", 0), Ok(()));
        let closed = "the maintenance window is closed";
        for (now, next) in [
            ("2026-11-20T23:59:59Z", "Sat 2026-11-21 01:00"),
            ("2026-11-21T04:00:00Z", "Sun 2026-11-22 01:00"),
            ("2026-11-23T01:00:00Z", "Sat 2026-11-28 01:00"),
        ] {
            let refused = check(WEEKEND, now, 0).unwrap_err();
            assert!(refused.starts_with(closed) && refused.contains(&format!("it opens {next}")), "{refused}");
        }
        // In summer two hours ahead.
        assert_eq!(check(WEEKEND, "2026-07-17T23:00:00Z", 0), Ok(()));
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_opens() {
        let night = "{ days: [sat], from: '22:00', to: '02:00', timezone: UTC }";
        assert_eq!(check(night, "2026-11-21T23:00:00Z", 0), Ok(()));
        assert_eq!(check(night, "2026-11-22T01:59:00Z", 0), Ok(()));
        assert!(check(night, "2026-11-21T01:00:00Z", 0).is_err());
        assert!(check(night, "2026-11-22T22:00:00Z", 0).is_err());
    }

    #[test]
    fn the_predicted_time_fits_before_the_end() {
        // 2 x 100 GiB at 50 MiB/s are 4096 s.
        assert_eq!(check(WEEKEND, "2026-11-21T02:51:44Z", 100), Ok(()));
        let refused = check(WEEKEND, "2026-11-21T02:51:45Z", 100).unwrap_err();
        assert!(refused.starts_with("the predicted time passes the end of the maintenance window"), "{refused}");
        assert!(refused.contains("1 h 8 min for 107374182400 bytes of step `back-up` on sa and 107374182400 bytes of step `restore` on r1, at 50 MiB/s per host"), "{refused}");
        let faster = "{ from: '01:00', to: '05:00', timezone: Europe/Berlin, rate: '1 GiB/s' }";
        assert_eq!(check(faster, "2026-11-21T03:56:40Z", 100), Ok(()));
    }

    #[test]
    fn days_that_touch_are_one_window() {
        let always = "{ from: '00:00', to: '00:00', timezone: UTC }";
        assert_eq!(check(always, "2026-11-21T23:59:59Z", 100), Ok(()));
    }
}
