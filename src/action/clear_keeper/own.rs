//! Tables whose replicas in Keeper are all known, for servers of the environment have them.
//!
//! A hundred nodes stand below each replica of such a table, most of them written by its server all the time. They go
//! with the table when an earlier step drops it, so they are told of by their names alone: a table, its `replicas` and
//! each replica are listed, and only what ClickHouse does not make itself is read with what stands below it. Most of
//! these tables have the same names below them, and what is the same is kept once.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::{HashMap, HashSet};

use super::form::{Form, Names, Texts, entries, split};
use super::observe::{Alike, KeeperTable, ancestors};
use super::still::{Entry, moves, moves_in_replica, one};
use crate::engine::ports::{Keeper, KeeperError};

/// Such tables.
#[derive(Debug, Default)]
pub struct OwnTables {
    /// Their forms, by their path.
    tables: BTreeMap<String, usize>,
    forms: Vec<Form>,
    /// What was found in them that ClickHouse does not make.
    strange: BTreeSet<String>,
}

impl OwnTables {
    /// Looks at the tables of servers, whose replicas by name are `known`.
    ///
    /// # Errors
    /// See [`KeeperError`].
    pub async fn read(known: &BTreeMap<&str, HashSet<&str>>, keeper: &dyn Keeper) -> Result<Self, KeeperError> {
        let mut texts = Texts::default();
        let mut listed: Vec<(Option<Names>, Option<Names>)> = vec![(None, None); known.len()];
        let paths: Vec<String> =
            known.keys().flat_map(|table| [(*table).to_owned(), format!("{table}/replicas")]).collect();
        let each = &mut |at: usize, names: Option<&[&str]>| {
            let (Some((children, replicas)), Some(names)) = (listed.get_mut(at / 2), names) else { return };
            if at.is_multiple_of(2) {
                *children = Some(texts.of(names.iter().copied().filter(|name| !moves(name))));
            } else {
                *replicas = Some(texts.of(names.iter().copied()));
            }
        };
        keeper.children_of(&paths, each).await?;
        drop(paths);
        let mut tables: Vec<(&str, Form)> = Vec::with_capacity(known.len());
        for ((table, known), (children, replicas)) in known.iter().zip(listed) {
            let (Some(children), Some(replicas)) = (children, replicas) else { continue };
            if !replicas.is_empty() && split(&replicas).all(|name| known.contains(name)) {
                tables.push((table, Form { children, replicas, of_replicas: Vec::new() }));
            }
        }
        let paths = tables
            .iter()
            .flat_map(|(table, form)| split(&form.replicas).map(move |replica| format!("{table}/replicas/{replica}")));
        let paths: Vec<String> = paths.collect();
        let mut of_replicas: Vec<Option<Names>> = Vec::with_capacity(paths.len());
        let each = &mut |_: usize, names: Option<&[&str]>| {
            let still = |names: &[&str]| texts.of(names.iter().copied().filter(|name| !moves_in_replica(name)));
            of_replicas.push(names.map(still));
        };
        keeper.children_of(&paths, each).await?;
        Ok(Self::of_listed(tables, of_replicas))
    }

    /// `of_replicas` are the lists of the replicas of one table behind those of the other.
    fn of_listed(tables: Vec<(&str, Form)>, of_replicas: Vec<Option<Names>>) -> Self {
        let mut of_replicas = of_replicas.into_iter();
        let mut own = Self::default();
        let mut forms: HashMap<Form, usize> = HashMap::default();
        for (table, mut form) in tables {
            // All of them are taken, whichever is missing.
            let names: Vec<Option<Names>> = of_replicas.by_ref().take(split(&form.replicas).count()).collect();
            // One that is dropped right now is read as any other.
            let Some(names) = names.into_iter().collect::<Option<Vec<_>>>() else { continue };
            form.of_replicas = names;
            let next = forms.len();
            let form = *forms.entry(form).or_insert(next);
            own.tables.insert(table.to_owned(), form);
        }
        own.forms = vec![Form::default(); forms.len()];
        for (form, at) in forms {
            if let Some(place) = own.forms.get_mut(at) {
                *place = form;
            }
        }
        own.leave_nested();
        own.find_strange();
        own
    }

    /// A table within another one is strange to that one, and read with all of it.
    fn leave_nested(&mut self) {
        let is_nested = |path: &str| ancestors(path).skip(1).any(|above| self.tables.contains_key(above));
        let nested: Vec<String> = self.tables.keys().filter(|path| is_nested(path)).cloned().collect();
        for path in nested {
            self.tables.remove(&path);
        }
    }

    fn find_strange(&mut self) {
        let strange: Vec<Vec<String>> = self.forms.iter().map(Form::strange).collect();
        for (table, form) in &self.tables {
            self.strange.extend(strange.get(*form).into_iter().flatten().map(|place| format!("{table}/{place}")));
        }
    }

    /// Paths of the tables.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    /// What is to be read with all below it, though it stands in such a table.
    pub fn strange(&self) -> impl Iterator<Item = &str> {
        self.strange.iter().map(String::as_str)
    }

    /// Whether a node is not to be read where its parent was: it is known by its name, or not told of, or read by itself.
    pub fn hold(&self, node: &str) -> bool {
        !self.tables.is_empty()
            && ancestors(node).any(|above| self.tables.contains_key(above))
            && !ancestors(node).skip(1).any(|above| self.strange.contains(above))
    }

    /// The tables that differ in nothing but their path.
    pub fn alike(&self) -> Vec<Alike> {
        let mut paths: Vec<Vec<String>> = vec![Vec::new(); self.forms.len()];
        for (path, form) in &self.tables {
            paths.get_mut(*form).into_iter().for_each(|paths| paths.push(path.clone()));
        }
        let alike = self.forms.iter().zip(paths).filter(|(form, paths)| !paths.is_empty() && form.strange().is_empty());
        let alike = alike.map(|(form, paths)| Alike {
            paths,
            nodes: 1 + form.places().len() as u64,
            replicas: split(&form.replicas).map(str::to_owned).collect(),
            children: form.children().map(str::to_owned).collect(),
            still: one(entries(&form.places())),
        });
        alike.collect()
    }

    /// The others, each with what stands still in it, without what is read of them.
    pub fn others(&self) -> Vec<Other<'_>> {
        let others = self.tables.iter().filter_map(|(path, form)| Some((path, self.forms.get(*form)?)));
        let others = others.filter(|(_, form)| !form.strange().is_empty()).map(|(path, form)| Other {
            path,
            form,
            places: form.places(),
        });
        others.collect()
    }
}

/// A table with something strange in it.
pub struct Other<'o> {
    /// Its path.
    pub path: &'o str,
    form: &'o Form,
    places: Vec<String>,
}

impl Other<'_> {
    /// What stands still in it, with its path.
    pub fn entries(&self) -> (&str, Vec<Entry<'_>>) {
        (self.path, entries(&self.places))
    }

    /// The table as it is told of.
    pub fn seen(&self) -> KeeperTable {
        KeeperTable {
            nodes: self.places.len() as u64,
            own: split(&self.form.replicas).map(str::to_owned).collect(),
            replicas: BTreeMap::new(),
            children: self.form.children().map(str::to_owned).collect::<BTreeSet<_>>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::observe::{Subtree, of_table, summary};
    use super::*;
    use crate::engine::ports::KeeperNode;

    const CHILDREN: &str = "block_numbers blocks columns leader_election log metadata replicas table_shared_id";
    const OF_REPLICA: &str = "columns host is_active log_pointer metadata metadata_version parts queue";

    fn own(children: &str, of_replica: &str) -> OwnTables {
        let mut texts = Texts::default();
        let mut of = |text: &str, moves: fn(&str) -> bool| texts.of(text.split(' ').filter(|name| !moves(name)));
        let form = Form { children: of(children, moves), replicas: of("r1 r2", |_| false), of_replicas: Vec::new() };
        let of_replicas = [of(OF_REPLICA, moves_in_replica), of(of_replica, moves_in_replica)].map(Some);
        OwnTables::of_listed(vec![("/x/t", form.clone()), ("/x/u", form)], [of_replicas.clone(), of_replicas].concat())
    }

    fn seen(own: &OwnTables, strange: &[&str]) -> Subtree {
        let nodes: Vec<KeeperNode> = ["/x", "/x/t", "/x/u"].iter().chain(strange).map(|path| of_table(path)).collect();
        summary(&nodes, &HashSet::from_iter(["/x/t"]), own)
    }

    #[test]
    fn tables_are_told_of_by_names() {
        let own = own(CHILDREN, OF_REPLICA);
        assert_eq!(own.strange().count(), 0);
        let seen = seen(&own, &[]);
        assert_eq!(seen.still["/x"].names, "2 nodes: t, u");
        assert_eq!((seen.nodes, seen.tables.len(), seen.still.len(), seen.alike.len()), (31, 0, 1, 1));
        let alike = &seen.alike[0];
        assert_eq!(alike.still.names, "4 nodes: columns, metadata, replicas (11 nodes), table_shared_id");
        assert_eq!((alike.nodes, alike.paths.as_slice()), (15, &["/x/t".to_owned(), "/x/u".to_owned()][..]));
        assert_eq!(alike.replicas, ["r1", "r2"]);
        let children: Vec<&str> = alike.children.iter().map(String::as_str).collect();
        assert_eq!(children, ["columns", "metadata", "replicas", "table_shared_id"]);
        assert_eq!(seen.outside, BTreeSet::from(["/x".to_owned()]));
        for held in ["/x/t", "/x/t/log", "/x/t/columns", "/x/u/replicas/r1/host"] {
            assert!(own.hold(held), "{held}");
        }
        for other in ["/x", "/x/tt", "/x/v/log"] {
            assert!(!own.hold(other), "{other}");
        }
    }

    #[test]
    fn what_servers_write_moves_nothing_and_every_other_name_does() {
        let before = seen(&own(CHILDREN, OF_REPLICA), &[]);
        assert_eq!(seen(&own(&format!("{CHILDREN} mutations"), &format!("{OF_REPLICA} is_lost")), &[]), before);
        for strange in ["/x/t/more", "/x/t/replicas/r2/more"] {
            let name = |above: &str| if strange == format!("{above}/more") { " more" } else { "" };
            let mut own =
                own(&format!("{CHILDREN}{}", name("/x/t")), &format!("{OF_REPLICA}{}", name("/x/t/replicas/r2")));
            own.tables.remove("/x/u");
            own.strange.retain(|path| !path.starts_with("/x/u"));
            assert_eq!(own.strange().collect::<Vec<_>>(), [strange]);
            assert!(own.hold(strange) && !own.hold(&format!("{strange}/deep")));
            let (one, two) = (seen(&own, &[strange]), seen(&own, &[strange, &format!("{strange}/deep")]));
            assert_eq!((one.nodes, one.tables["/x/t"].nodes), (18, 16));
            assert_eq!(one.tables["/x/t"].names().collect::<Vec<_>>(), ["r1", "r2"]);
            assert_ne!(one.still["/x/t"].digest, before.alike[0].still.digest);
            assert_ne!(one.still["/x/t"].digest, two.still["/x/t"].digest);
        }
        let without = seen(&own(CHILDREN, &OF_REPLICA.replace("host ", "")), &[]);
        assert_eq!(without.alike[0].still.names, "4 nodes: columns, metadata, replicas (10 nodes), table_shared_id");
    }

    #[test]
    fn a_replica_that_vanishes_takes_its_table_alone() {
        let mut texts = Texts::default();
        let mut of = |text: &str| texts.of(text.split(' '));
        let form = Form { children: of("metadata replicas"), replicas: of("r1 r2"), of_replicas: Vec::new() };
        let tables = ["/x/a", "/x/b", "/x/b/nested", "/x/c"].map(|path| (path, form.clone())).to_vec();
        let (host, more) = (of("host"), of("host more"));
        let listed = [None, Some(&host), Some(&host), Some(&more), Some(&host), Some(&host), Some(&host), Some(&host)];
        let own = OwnTables::of_listed(tables, listed.map(Option::<&Names>::cloned).to_vec());
        assert_eq!(own.paths().collect::<Vec<_>>(), ["/x/b", "/x/c"]);
        assert_eq!(own.strange().collect::<Vec<_>>(), ["/x/b/replicas/r2/more"]);
    }
}
