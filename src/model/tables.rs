//! The tables of a host, found by name. The simulated worlds of a plan differ in few of them, so clones share them.

use std::fmt;
use std::hash::BuildHasher;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use foldhash::HashMap;
use foldhash::fast::FixedState;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::observed::Table;

/// Tables in the order of database and name.
#[derive(Clone, Default)]
pub struct Tables {
    all: Arc<Vec<Arc<Table>>>,
    /// Places by the hash of database and name, made when it is first asked for and shared by clones.
    places: Arc<OnceLock<HashMap<u64, u32>>>,
}

impl Tables {
    fn place(&self, database: &str, name: &str) -> Result<usize, usize> {
        self.all.binary_search_by(|table| (table.database.as_str(), table.name.as_str()).cmp(&(database, name)))
    }

    /// As [`Self::place`], of a table that is there. Plans of thousands of tables ask for each of them many times.
    fn find(&self, database: &str, name: &str) -> Option<usize> {
        if self.all.len() < FEW {
            return self.place(database, name).ok();
        }
        let places = self.places.get_or_init(|| {
            let entries = self.all.iter().zip(0_u32..);
            entries.map(|(table, at)| (hash(&table.database, &table.name), at)).collect()
        });
        let at = *places.get(&hash(database, name))? as usize;
        let is_it = self.all.get(at).is_some_and(|table| table.name == name && table.database == database);
        // Of two names with one hash only one is kept.
        if is_it { Some(at) } else { self.place(database, name).ok() }
    }

    /// The tables, to be changed: places are looked for anew.
    fn changed(&mut self) -> &mut Vec<Arc<Table>> {
        self.places = Arc::default();
        Arc::make_mut(&mut self.all)
    }

    /// Whether these are the very tables of another, and not only equal ones.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.all, &other.all)
    }

    /// One table.
    #[must_use]
    pub fn get(&self, database: &str, name: &str) -> Option<&Table> {
        self.find(database, name).map(|at| &*self.all[at])
    }

    /// The tables of a database.
    #[must_use]
    pub fn of(&self, database: &str) -> &[Arc<Table>] {
        let begin = self.all.partition_point(|table| table.database.as_str() < database);
        let end = self.all.partition_point(|table| table.database.as_str() <= database);
        &self.all[begin..end]
    }

    /// Adds tables, in the place of those of the same names.
    pub fn add(&mut self, tables: impl IntoIterator<Item = Table>) {
        let added: Vec<Arc<Table>> = tables.into_iter().map(Arc::new).collect();
        match added.as_slice() {
            [] => {}
            [one] => {
                let place = self.place(&one.database, &one.name);
                let all = self.changed();
                match place {
                    Ok(at) => all[at] = Arc::clone(one),
                    Err(at) => all.insert(at, Arc::clone(one)),
                }
            }
            _ => {
                let all = self.changed();
                all.extend(added);
                sort(all);
            }
        }
    }

    /// Removes the tables that are not to be kept.
    pub fn retain(&mut self, mut keep: impl FnMut(&Table) -> bool) {
        if !self.all.iter().all(|table| keep(table)) {
            self.changed().retain(|table| keep(table));
        }
    }

    /// Changes one table, where it is there; its name stays.
    pub fn change(&mut self, database: &str, name: &str, change: impl FnOnce(&mut Table)) -> bool {
        let Some(at) = self.find(database, name) else { return false };
        // Its name stays, and so do all places.
        change(Arc::make_mut(&mut Arc::make_mut(&mut self.all)[at]));
        true
    }

    /// Changes the tables for which `which` is true.
    pub fn change_all(&mut self, which: impl Fn(&Table) -> bool, mut change: impl FnMut(&mut Table)) {
        if !self.all.iter().any(|table| which(table)) {
            return;
        }
        let all = self.changed();
        for table in all.iter_mut().filter(|table| which(table)) {
            change(Arc::make_mut(table));
        }
        sort(all);
    }
}

/// Of so many tables each is found as fast without an index.
const FEW: usize = 64;

fn hash(database: &str, name: &str) -> u64 {
    FixedState::default().hash_one((database, name))
}

impl PartialEq for Tables {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl Eq for Tables {}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.all.fmt(f)
    }
}

/// Sorts, and leaves the last one of a name.
fn sort(tables: &mut Vec<Arc<Table>>) {
    // The sort is stable, and `dedup` leaves the first of equals.
    tables.reverse();
    tables.sort_by(|a, b| (&a.database, &a.name).cmp(&(&b.database, &b.name)));
    tables.dedup_by(|a, b| a.database == b.database && a.name == b.name);
}

impl Deref for Tables {
    type Target = [Arc<Table>];

    fn deref(&self) -> &[Arc<Table>] {
        &self.all
    }
}

#[cfg(test)]
impl std::ops::Index<usize> for Tables {
    type Output = Table;

    fn index(&self, at: usize) -> &Table {
        &self.all[at]
    }
}

#[cfg(test)]
impl std::ops::IndexMut<usize> for Tables {
    fn index_mut(&mut self, at: usize) -> &mut Table {
        Arc::make_mut(&mut self.changed()[at])
    }
}

impl<'t> IntoIterator for &'t Tables {
    type Item = &'t Arc<Table>;
    type IntoIter = std::slice::Iter<'t, Arc<Table>>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.iter()
    }
}

impl FromIterator<Table> for Tables {
    fn from_iter<I: IntoIterator<Item = Table>>(tables: I) -> Self {
        let mut found = Self::default();
        found.add(tables);
        found
    }
}

impl From<Vec<Table>> for Tables {
    fn from(tables: Vec<Table>) -> Self {
        tables.into_iter().collect()
    }
}

impl Serialize for Tables {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.all.iter().map(|table| &**table))
    }
}

impl<'de> Deserialize<'de> for Tables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<Table>::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(database: &str, name: &str, rows: u64) -> Table {
        Table { database: database.to_owned(), name: name.to_owned(), rows: Some(rows), ..Table::default() }
    }

    fn names(tables: &[Arc<Table>]) -> Vec<String> {
        tables.iter().map(|table| table.full_name()).collect()
    }

    #[test]
    fn tables_are_found_by_name_whatever_order_they_came_in() {
        let mut tables = Tables::from(vec![table("b", "x", 1), table("a", "y", 2), table("a", "x", 3)]);
        assert_eq!(names(&tables), ["a.x", "a.y", "b.x"]);
        assert_eq!(tables.get("a", "y").and_then(|table| table.rows), Some(2));
        assert!(tables.get("a", "z").is_none() && tables.get("c", "x").is_none());
        assert_eq!((names(tables.of("a")), tables.of("aa").len()), (vec!["a.x".to_owned(), "a.y".to_owned()], 0));
        tables.add([table("a", "y", 9), table("a", "a", 4)]);
        assert_eq!(names(&tables), ["a.a", "a.x", "a.y", "b.x"]);
        assert_eq!(tables.get("a", "y").and_then(|table| table.rows), Some(9));
    }

    #[test]
    fn many_tables_are_found_by_name_whatever_becomes_of_them() {
        let mut tables: Tables = (0..200).map(|at| table("d", &format!("t{at}"), at)).collect();
        let rows = |tables: &Tables, name: &str| tables.get("d", name).and_then(|table| table.rows);
        assert!((0..200).all(|at| rows(&tables, &format!("t{at}")) == Some(at)));
        assert_eq!((rows(&tables, "t200"), tables.get("e", "t1").is_none()), (None, true));
        let before = tables.clone();
        tables.change("d", "t7", |table| table.rows = Some(1007));
        tables.add([table("d", "aa", 9)]);
        tables.retain(|table| table.name != "t8");
        tables.change_all(|table| table.name == "t9", |table| "zz".clone_into(&mut table.name));
        let found = ["t7", "aa", "t8", "t9", "zz", "t10"].map(|name| rows(&tables, name));
        assert_eq!(found, [Some(1007), Some(9), None, None, Some(9), Some(10)]);
        assert_eq!(["t7", "t8", "t9", "zz"].map(|name| rows(&before, name)), [Some(7), Some(8), Some(9), None]);
    }

    #[test]
    fn a_clone_keeps_what_it_had() {
        let mut tables = Tables::from(vec![table("a", "x", 1), table("a", "y", 2)]);
        let before = tables.clone();
        assert!(tables.change("a", "x", |table| table.rows = Some(7)));
        assert!(!tables.change("a", "z", |_| ()));
        tables.change_all(|table| table.name == "y", |table| "c".clone_into(&mut table.database));
        tables.retain(|table| table.rows != Some(7));
        assert_eq!(
            (names(&before), names(&tables)),
            (vec!["a.x".to_owned(), "a.y".to_owned()], vec!["c.y".to_owned()])
        );
        assert_eq!(before.get("a", "x").and_then(|table| table.rows), Some(1));
    }

    #[test]
    fn a_snapshot_holds_a_plain_list() {
        let tables = Tables::from(vec![table("a", "x", 1)]);
        let text = serde_json::to_string(&tables).unwrap();
        assert!(text.starts_with("[{\"database\":\"a\",\"name\":\"x\""), "{text}");
        assert_eq!(serde_json::from_str::<Tables>(&text).unwrap(), tables);
    }
}
