//! What lies in Keeper where the tables of a target are, or would be by the usual path.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::ports::Keeper;
use crate::model::observed::TargetWorld;

/// Paths that are listed for one target.
const MOST: usize = 200;

/// The usual place of a database's tables; `create_replicated` has the same.
const USUAL: &str = "/clickhouse/tables/{shard}/";

/// What is below one path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SeenPath {
    /// The path.
    pub path: String,
    /// Children that tables of the target use.
    pub used: usize,
    /// Children that none of them uses: remains of dropped tables, or tables of servers that are not looked at.
    pub unused: Vec<String>,
}

/// What is in Keeper for a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SeenKeeper {
    /// Paths that exist, sorted.
    pub paths: Vec<SeenPath>,
    /// Paths that were not listed, because there are too many.
    pub left: usize,
    /// Why Keeper could not be listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent: Option<String>,
}

/// Lists the folders above the tables of a target, one request for each.
pub async fn see_keeper(keeper: &dyn Keeper, target: &TargetWorld) -> SeenKeeper {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for host in &target.hosts {
        for database in host.databases.keys() {
            used.entry(format!("{}{database}", host.expand_macros(USUAL))).or_default();
        }
        for path in host.tables.iter().filter_map(|table| table.zookeeper_path.as_deref()) {
            if let Some((folder, name)) = path.trim_end_matches('/').rsplit_once('/') {
                used.entry(folder.to_owned()).or_default().insert(name.to_owned());
            }
        }
    }
    used.retain(|path, _| !path.contains('{') && !path.is_empty());
    let mut seen = SeenKeeper { left: used.len().saturating_sub(MOST), ..SeenKeeper::default() };
    for (path, names) in used.into_iter().take(MOST) {
        match keeper.children(&path).await {
            Ok(None) => {}
            Ok(Some(children)) => {
                let (known, unused): (Vec<String>, Vec<String>) =
                    children.into_iter().partition(|name| names.contains(name));
                seen.paths.push(SeenPath { path, used: known.len(), unused });
            }
            Err(error) => {
                seen.silent = Some(error.to_string());
                break;
            }
        }
    }
    seen
}
