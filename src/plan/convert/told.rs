//! What a definition holds besides its engine: secrets, what it takes for granted, what a reviewer should know.

use super::array_join::array_join_name;
use super::ddl::Ddl;
use super::replicate::Demand;
use super::secrets::{HIDDEN, secrets};
use super::setting::setting;
use super::sources::{DictionarySource, dictionary_source};

/// What the server hides, or what it shows and no plan may hold.
pub(super) fn secret(ddl: &Ddl<'_>) -> Option<String> {
    if ddl.text.contains(HIDDEN) {
        return Some("a value that is hidden ([HIDDEN])".to_owned());
    }
    (!secrets(ddl.text).is_empty()).then(|| "a password or key".to_owned())
}

/// What the definition takes for granted on its server.
pub(super) fn demands(ddl: &Ddl<'_>) -> Vec<Demand> {
    let named = |name: &str| setting(ddl.text, name).ok().flatten();
    let mut demands: Vec<Demand> = named("storage_policy").map(Demand::Policy).into_iter().collect();
    demands.extend(named("disk").map(Demand::Disk));
    let engine = ddl.engine().filter(|engine| engine.name == "Distributed");
    let cluster = engine.and_then(|engine| Some(ddl.text[engine.arguments.first()?.clone()].to_owned()));
    // A cluster named by a macro is another on every server.
    demands.extend(
        cluster
            .map(|name| name.trim_matches(['\'', '`', '"']).to_owned())
            .filter(|name| !name.contains(['{', '(']))
            .map(Demand::Cluster),
    );
    demands.extend(definer(ddl).map(Demand::User));
    demands
}

/// What a reviewer should know of it.
pub(super) fn notes(ddl: &Ddl<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    match dictionary_source(ddl) {
        Some(DictionarySource::OwnServer(_)) => {
            notes.push("is filled from its own server: on every new server from that server's table".to_owned())
        }
        Some(DictionarySource::Elsewhere { host: Some(host), .. }) => {
            notes.push(format!("its source names the host {host}, which the new servers must reach"));
        }
        Some(DictionarySource::Elsewhere { kind, host: None }) => {
            notes.push(format!("its source {kind} must be there for every new server"));
        }
        Some(DictionarySource::Machine(_)) | None => {}
    }
    if let Some(found) = array_join_name(ddl) {
        notes.push(format!("has {}: not every version and not every analyzer finds `{}` there (error 47), above all where the query is sent on to other replicas; the form that all understand is {}", found.found(), found.name, found.rewrite()));
    }
    notes
}

/// The user as whom a view runs; `CURRENT_USER` is whoever creates it.
fn definer(ddl: &Ddl<'_>) -> Option<String> {
    let end = ddl.select().unwrap_or(ddl.tokens.len());
    let outline = &ddl.tokens[ddl.body.min(end)..end];
    let at = outline
        .windows(3)
        .find(|three| three[0].depth == 0 && three[0].is_word("DEFINER") && three[1].is_symbol("="))?;
    (!at[2].is_word("CURRENT_USER")).then(|| at[2].text.trim_matches(['\'', '`', '"']).to_owned())
}
