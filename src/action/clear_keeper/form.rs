//! The names that stand still in a table: the same in most tables of a cluster.

use std::sync::Arc;

use foldhash::HashSet;

use super::still::{Entry, LEAVES_OF_REPLICAS, LEAVES_OF_TABLES};

/// Between names, for none can hold it.
const BETWEEN: &str = "/";

/// Names in order, as one text.
pub type Names = Arc<str>;

/// What stands in a table and moves only when somebody works there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Form {
    /// Names of its children.
    pub children: Names,
    /// Names of the replicas.
    pub replicas: Names,
    /// Children of each replica.
    pub of_replicas: Vec<Names>,
}

impl Form {
    /// Names of its children.
    pub fn children(&self) -> impl Iterator<Item = &str> {
        split(&self.children)
    }

    /// What ClickHouse does not make, by its place in the table.
    pub fn strange(&self) -> Vec<String> {
        let children = self.children().filter(|name| !is_known(name)).map(str::to_owned);
        let of_replica = |(replica, names): (&str, &Names)| -> Vec<String> {
            let names = split(names).filter(|name| !LEAVES_OF_REPLICAS.contains(name));
            names.map(|name| format!("replicas/{replica}/{name}")).collect()
        };
        children.chain(split(&self.replicas).zip(&self.of_replicas).flat_map(of_replica)).collect()
    }

    /// Places in the table of what is known by its name, as if all of it had been read.
    pub fn places(&self) -> Vec<String> {
        let mut places: Vec<String> = self.children().filter(|name| is_known(name)).map(str::to_owned).collect();
        for (replica, names) in split(&self.replicas).zip(&self.of_replicas) {
            places.push(format!("replicas/{replica}"));
            let leaves = split(names).filter(|name| LEAVES_OF_REPLICAS.contains(name));
            places.extend(leaves.map(|name| format!("replicas/{replica}/{name}")));
        }
        places
    }
}

/// Places as entries of a group.
pub fn entries(places: &[String]) -> Vec<Entry<'_>> {
    places.iter().map(|place| (place.as_str(), None)).collect()
}

/// Keeps equal texts once.
#[derive(Default)]
pub struct Texts {
    known: HashSet<Names>,
    buffer: String,
}

impl Texts {
    /// These names as one text.
    pub fn of<'n>(&mut self, names: impl Iterator<Item = &'n str>) -> Names {
        self.buffer.clear();
        for name in names {
            self.buffer.push_str(if self.buffer.is_empty() { "" } else { BETWEEN });
            self.buffer.push_str(name);
        }
        if let Some(known) = self.known.get(self.buffer.as_str()) {
            return Arc::clone(known);
        }
        let new: Names = self.buffer.as_str().into();
        self.known.insert(Arc::clone(&new));
        new
    }
}

/// The names of a text.
pub fn split(names: &str) -> impl Iterator<Item = &str> {
    names.split(BETWEEN).filter(|name| !name.is_empty())
}

/// Whether a child of a table needs no look of its own.
pub fn is_known(name: &str) -> bool {
    name == "replicas" || LEAVES_OF_TABLES.contains(&name)
}
