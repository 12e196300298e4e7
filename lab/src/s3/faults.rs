//! The fault switch of the S3 endpoint: what goes wrong, for which requests, how often.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A fault of the S3 endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// For how many requests; until switched off when absent.
    #[serde(default)]
    pub times: Option<u32>,
    /// How many matching requests pass untouched first.
    #[serde(default)]
    pub after: u32,
    /// Only requests of this method (`GET`, `PUT`, ...).
    #[serde(default)]
    pub method: Option<String>,
    /// Only requests whose path holds this text.
    #[serde(default)]
    pub path: Option<String>,
}

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// It is answered with this HTTP status and the S3 error that belongs to it.
    Status(u16),
    /// It is answered this many milliseconds late.
    DelayMs(u64),
    /// Its connection is cut without an answer.
    Cut,
    /// It is carried out, and its connection is cut instead of an answer.
    LoseAnswer,
    /// `If-Match` and `If-None-Match` of a write are taken and not honoured, as some stores do it.
    IgnoreConditions,
}

impl S3Fault {
    /// A fault for every request until it is switched off.
    pub fn new(kind: FaultKind) -> S3Fault {
        S3Fault { kind, times: None, after: 0, method: None, path: None }
    }

    /// The same fault for this many requests only.
    pub fn times(self, times: u32) -> S3Fault {
        S3Fault { times: Some(times), ..self }
    }

    /// The same fault after this many requests have passed.
    pub fn after(self, after: u32) -> S3Fault {
        S3Fault { after, ..self }
    }

    /// The same fault for requests of one method only.
    pub fn method(self, method: &str) -> S3Fault {
        S3Fault { method: Some(method.to_ascii_uppercase()), ..self }
    }

    /// The same fault for requests whose path holds this text only.
    pub fn path(self, path: &str) -> S3Fault {
        S3Fault { path: Some(path.to_owned()), ..self }
    }
}

impl fmt::Display for S3Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FaultKind::Status(status) => write!(f, "status {status}")?,
            FaultKind::DelayMs(ms) => write!(f, "delay {ms} ms")?,
            FaultKind::Cut => write!(f, "connection cut")?,
            FaultKind::LoseAnswer => write!(f, "answer lost")?,
            FaultKind::IgnoreConditions => write!(f, "conditions ignored")?,
        }
        if let Some(method) = &self.method {
            write!(f, ", {method} only")?;
        }
        if let Some(path) = &self.path {
            write!(f, ", paths with {path}")?;
        }
        if self.after > 0 {
            write!(f, ", after {} more", self.after)?;
        }
        match self.times {
            Some(times) => write!(f, ", {times} left"),
            None => Ok(()),
        }
    }
}

/// The switch itself: holds the fault and counts it down.
#[derive(Debug, Default)]
pub struct Switch {
    fault: Option<S3Fault>,
    requests: u64,
}

impl Switch {
    /// Sets or clears the fault.
    pub fn set(&mut self, fault: Option<S3Fault>) {
        self.fault = fault.filter(|fault| fault.times != Some(0));
    }

    /// The fault as it stands, counted down.
    pub fn fault(&self) -> Option<S3Fault> {
        self.fault.clone()
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// What shall go wrong with the next request.
    pub fn next(&mut self, method: &str, path: &str) -> Option<FaultKind> {
        self.requests += 1;
        let fault = self.fault.as_mut()?;
        if fault.path.as_deref().is_some_and(|only| !path.contains(only)) {
            return None;
        }
        if fault.method.as_deref().is_some_and(|only| only != method) {
            return None;
        }
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        let kind = fault.kind;
        if let Some(times) = fault.times.as_mut() {
            *times -= 1;
            if *times == 0 {
                self.fault = None;
            }
        }
        Some(kind)
    }
}

/// Reads `500ms`, `2s`, `1m` or a plain number of milliseconds.
pub fn parse_delay(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| delay_help(text))?;
    let factor = match text.get(digits.len()..) {
        Some("" | "ms") => 1,
        Some("s") => 1000,
        Some("m") => 60_000,
        _ => return Err(delay_help(text)),
    };
    Ok(Duration::from_millis(number.saturating_mul(factor)))
}

fn delay_help(text: &str) -> String {
    format!("`{text}` is not a delay; expected a number with ms, s or m, like 500ms or 2s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_counts_down_and_switches_itself_off() {
        let mut switch = Switch::default();
        switch.set(Some(S3Fault::new(FaultKind::Status(503)).times(2).after(1)));
        let seen: Vec<_> = (0..4).map(|_| switch.next("GET", "/b/k")).collect();
        let bad = Some(FaultKind::Status(503));
        assert_eq!(seen, [None, bad, bad, None]);
        assert_eq!((switch.fault(), switch.requests()), (None, 4));
    }

    #[test]
    fn a_fault_of_one_method_leaves_the_others_alone() {
        let mut switch = Switch::default();
        switch.set(Some(S3Fault::new(FaultKind::Cut).method("put")));
        assert_eq!(switch.next("GET", "/b/k"), None);
        assert_eq!(switch.next("PUT", "/b/k"), Some(FaultKind::Cut));
        assert_eq!(switch.fault().unwrap().to_string(), "connection cut, PUT only");
    }

    #[test]
    fn a_fault_of_some_paths_leaves_the_others_alone() {
        let mut switch = Switch::default();
        switch.set(Some(S3Fault::new(FaultKind::LoseAnswer).path("state/lock").times(1)));
        assert_eq!(switch.next("PUT", "/b/state/probe"), None);
        assert_eq!(switch.fault().unwrap().to_string(), "answer lost, paths with state/lock, 1 left");
        assert_eq!(switch.next("PUT", "/b/state/lock"), Some(FaultKind::LoseAnswer));
        assert_eq!(switch.fault(), None);
    }

    #[test]
    fn delays_have_units() {
        assert_eq!(parse_delay("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_delay("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_delay("7"), Ok(Duration::from_millis(7)));
        assert!(parse_delay("soon").unwrap_err().contains("500ms"));
    }
}
