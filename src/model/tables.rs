//! The tables of a host, found by name. The simulated worlds of a plan differ in few of them, so clones share them.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::observed::Table;

/// Tables in the order of database and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables(Arc<Vec<Arc<Table>>>);

impl Tables {
    fn place(&self, database: &str, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|table| (table.database.as_str(), table.name.as_str()).cmp(&(database, name)))
    }

    /// One table.
    #[must_use]
    pub fn get(&self, database: &str, name: &str) -> Option<&Table> {
        self.place(database, name).ok().map(|at| &*self.0[at])
    }

    /// The tables of a database.
    #[must_use]
    pub fn of(&self, database: &str) -> &[Arc<Table>] {
        let begin = self.0.partition_point(|table| table.database.as_str() < database);
        let end = self.0.partition_point(|table| table.database.as_str() <= database);
        &self.0[begin..end]
    }

    /// Adds tables, in the place of those of the same names.
    pub fn add(&mut self, tables: impl IntoIterator<Item = Table>) {
        let added: Vec<Arc<Table>> = tables.into_iter().map(Arc::new).collect();
        match added.as_slice() {
            [] => {}
            [one] => {
                let place = self.place(&one.database, &one.name);
                let all = Arc::make_mut(&mut self.0);
                match place {
                    Ok(at) => all[at] = Arc::clone(one),
                    Err(at) => all.insert(at, Arc::clone(one)),
                }
            }
            _ => {
                let all = Arc::make_mut(&mut self.0);
                all.extend(added);
                sort(all);
            }
        }
    }

    /// Removes the tables that are not to be kept.
    pub fn retain(&mut self, mut keep: impl FnMut(&Table) -> bool) {
        if !self.0.iter().all(|table| keep(table)) {
            Arc::make_mut(&mut self.0).retain(|table| keep(table));
        }
    }

    /// Changes one table, where it is there; its name stays.
    pub fn change(&mut self, database: &str, name: &str, change: impl FnOnce(&mut Table)) -> bool {
        let Ok(at) = self.place(database, name) else { return false };
        change(Arc::make_mut(&mut Arc::make_mut(&mut self.0)[at]));
        true
    }

    /// Changes the tables for which `which` is true.
    pub fn change_all(&mut self, which: impl Fn(&Table) -> bool, mut change: impl FnMut(&mut Table)) {
        if !self.0.iter().any(|table| which(table)) {
            return;
        }
        let all = Arc::make_mut(&mut self.0);
        for table in all.iter_mut().filter(|table| which(table)) {
            change(Arc::make_mut(table));
        }
        sort(all);
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
        &self.0
    }
}

#[cfg(test)]
impl std::ops::Index<usize> for Tables {
    type Output = Table;

    fn index(&self, at: usize) -> &Table {
        &self.0[at]
    }
}

#[cfg(test)]
impl std::ops::IndexMut<usize> for Tables {
    fn index_mut(&mut self, at: usize) -> &mut Table {
        Arc::make_mut(&mut Arc::make_mut(&mut self.0)[at])
    }
}

impl<'t> IntoIterator for &'t Tables {
    type Item = &'t Arc<Table>;
    type IntoIter = std::slice::Iter<'t, Arc<Table>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
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
        serializer.collect_seq(self.0.iter().map(|table| &**table))
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
