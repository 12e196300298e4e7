//! Gathers tables from the entries of a manifest: what must be read, and what it adds up to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use super::ddl::engine_of;
use super::log_rows::{fixed_columns, unpacked_size};
use super::names::{Place, escape, place, unescape};
use super::parse::FileEntry;
use super::{ManifestTable, MissingObject};

/// The first missing objects are named, the rest counted.
const NAMED: usize = 5;

/// A file whose content is needed.
#[derive(Clone, Debug)]
struct Wanted {
    /// Object; of files with equal content the first one met.
    key: String,
    /// Whether its bytes are here and readable.
    readable: bool,
    /// Size 0: nothing to read.
    empty: bool,
}

/// A table as far as the entries tell.
#[derive(Debug, Default)]
struct Building {
    ddl: Option<Wanted>,
    parts: BTreeSet<String>,
    /// Part (empty for tables of the Log family) and its `count.txt`.
    counts: Vec<(String, Wanted)>,
    /// Files beside each other, as tables of the Log family have them.
    loose: BTreeMap<String, Wanted>,
    bytes: u64,
}

impl Wanted {
    /// The object to read, if there is any.
    fn object(&self) -> Option<String> {
        (self.readable && !self.empty).then(|| self.key.clone())
    }
}

impl Building {
    /// The first column of fixed width, for tables without `count.txt`, and the width of its values.
    fn counted_column(&self, contents: &HashMap<String, Bytes>) -> Result<Option<(&Wanted, u64)>, String> {
        if !self.counts.is_empty() {
            return Ok(None);
        }
        let Some(columns) = self.loose.get("columns.txt") else { return Ok(None) };
        let Some(columns) = text(columns, contents)? else { return Ok(None) };
        Ok(fixed_columns(&columns)
            .into_iter()
            .filter(|column| column.width > 0)
            .find_map(|column| Some((self.loose.get(&format!("{}.bin", escape(&column.name)))?, column.width))))
    }
}

/// Everything met so far.
#[derive(Debug, Default)]
pub struct Collected {
    tables: BTreeMap<(String, String), Building>,
    databases: BTreeSet<String>,
    /// Equal size and checksum mean equal content: one object stands for all.
    by_content: HashMap<(u64, String), String>,
    files: u64,
    total_size: u64,
    /// Why this kind of backup cannot be read; empty when it can.
    pub unsupported: String,
    /// The first missing objects.
    pub missing: Vec<MissingObject>,
    /// All missing objects.
    pub missing_count: u64,
}

/// Sums over the whole backup.
pub struct Counted {
    /// Logical files.
    pub files: u64,
    /// Sum of their sizes.
    pub total_size: u64,
    /// Databases with their definition.
    pub databases: Vec<String>,
}

impl Collected {
    /// Takes one entry in, and checks that its object is there.
    pub fn add(&mut self, file: &FileEntry, sizes: &HashMap<&str, u64>) -> Result<(), String> {
        self.files += 1;
        self.total_size += file.size;
        if file.foreign {
            "a lightweight snapshot, whose data is not in the backup".clone_into(&mut self.unsupported);
        }
        self.check_object(file, sizes);
        match place(&file.name) {
            Place::Cluster => "made ON CLUSTER, with one folder per host".clone_into(&mut self.unsupported),
            Place::Other => {}
            Place::Database(database) => {
                self.databases.insert(unescape(database)?);
            }
            Place::Table(database, table) => {
                let wanted = self.wanted(file);
                self.table(database, table)?.ddl = Some(wanted);
            }
            Place::Data(database, table, rest) => self.add_data(database, table, rest, file)?,
        }
        Ok(())
    }

    fn check_object(&mut self, file: &FileEntry, sizes: &HashMap<&str, u64>) {
        let own = file.size.saturating_sub(file.base_size);
        if own == 0 || file.foreign {
            return;
        }
        let found = sizes.get(file.key()).copied();
        if found != Some(own) {
            self.missing_count += 1;
            if self.missing.len() < NAMED {
                self.missing.push(MissingObject { key: file.key().to_owned(), expected: own, found });
            }
        }
    }

    fn add_data(&mut self, database: &str, table: &str, rest: &str, file: &FileEntry) -> Result<(), String> {
        let (part, inside) = rest.split_once('/').unwrap_or(("", rest));
        // Mutations that were not done when the backup was made; no part.
        if part == "mutations" {
            return Ok(());
        }
        let is_count = inside == "count.txt";
        let wanted = (is_count || part.is_empty()).then(|| self.wanted(file));
        let building = self.table(database, table)?;
        building.bytes += file.size;
        if !part.is_empty() && !building.parts.contains(part) {
            building.parts.insert(part.to_owned());
        }
        match wanted {
            Some(wanted) if is_count => building.counts.push((part.to_owned(), wanted)),
            Some(wanted) => {
                building.loose.insert(inside.to_owned(), wanted);
            }
            None => {}
        }
        Ok(())
    }

    fn table(&mut self, database: &str, table: &str) -> Result<&mut Building, String> {
        Ok(self.tables.entry((unescape(database)?, unescape(table)?)).or_default())
    }

    fn wanted(&mut self, file: &FileEntry) -> Wanted {
        let readable = file.base_size == 0 && !file.encrypted;
        if file.size == 0 || !readable {
            return Wanted { key: file.key().to_owned(), readable, empty: file.size == 0 };
        }
        let key = self.by_content.entry((file.size, file.checksum.clone())).or_insert_with(|| file.key().to_owned());
        Wanted { key: key.clone(), readable, empty: false }
    }

    /// Keys of the objects to read, each content once.
    pub fn wanted_objects(&self) -> Vec<String> {
        let mut keys = BTreeSet::new();
        for building in self.tables.values() {
            let columns = building.counts.is_empty().then(|| building.loose.get("columns.txt")).flatten();
            let counts = building.counts.iter().map(|(_, wanted)| wanted);
            keys.extend(building.ddl.iter().chain(counts).chain(columns).filter_map(Wanted::object));
        }
        keys.into_iter().collect()
    }

    /// Keys of the columns to read once their list is known: one per table without `count.txt`.
    pub fn wanted_columns(&self, contents: &HashMap<String, Bytes>) -> Result<Vec<String>, String> {
        let mut keys = BTreeSet::new();
        for building in self.tables.values() {
            keys.extend(building.counted_column(contents)?.and_then(|(wanted, _)| wanted.object()));
        }
        Ok(keys.into_iter().collect())
    }

    /// The tables, with what was read of them.
    pub fn tables(&self, contents: &HashMap<String, Bytes>) -> Result<Vec<ManifestTable>, String> {
        let mut tables = Vec::with_capacity(self.tables.len());
        for ((database, table), building) in &self.tables {
            // Data without DDL belongs to system tables (access rights, functions).
            let Some(ddl) = &building.ddl else { continue };
            let create_query =
                text(ddl, contents)?.ok_or_else(|| format!("the definition of {database}.{table} cannot be read"))?;
            // A backup of an older server holds the passwords of its definitions.
            let create_query = crate::plan::convert::mask(&create_query).into_owned();
            let (rows, partitions) = rows(building, contents)?;
            tables.push(ManifestTable {
                database: database.clone(),
                table: table.clone(),
                engine: engine_of(&create_query),
                create_query,
                rows,
                partitions,
                parts: building.parts.len() as u64,
                bytes: building.bytes,
            });
        }
        Ok(tables)
    }

    /// The sums.
    pub fn counted(self) -> Counted {
        Counted { files: self.files, total_size: self.total_size, databases: self.databases.into_iter().collect() }
    }
}

fn text(wanted: &Wanted, contents: &HashMap<String, Bytes>) -> Result<Option<String>, String> {
    if wanted.empty {
        return Ok(Some(String::new()));
    }
    let Some(bytes) = contents.get(&wanted.key) else { return Ok(None) };
    String::from_utf8(bytes.to_vec()).map(Some).map_err(|_| format!("{} is not text", wanted.key))
}

fn rows(
    building: &Building,
    contents: &HashMap<String, Bytes>,
) -> Result<(Option<u64>, BTreeMap<String, u64>), String> {
    if building.counts.is_empty() {
        let unknown_parts = !building.parts.is_empty();
        let rows = if unknown_parts { None } else { loose_rows(building, contents)? };
        return Ok((rows, BTreeMap::new()));
    }
    if building.counts.iter().filter(|(part, _)| !part.is_empty()).count() < building.parts.len() {
        return Ok((None, BTreeMap::new()));
    }
    let (mut sum, mut partitions) = (0_u64, BTreeMap::new());
    for (part, wanted) in &building.counts {
        let Some(text) = text(wanted, contents)? else { return Ok((None, BTreeMap::new())) };
        let rows: u64 = text.trim().parse().map_err(|_| format!("{} does not hold a number of rows", wanted.key))?;
        sum += rows;
        if let Some((partition, _)) = part.split_once('_') {
            *partitions.entry(partition.to_owned()).or_default() += rows;
        }
    }
    Ok((Some(sum), partitions))
}

/// Rows of a table without parts and without `count.txt`.
fn loose_rows(building: &Building, contents: &HashMap<String, Bytes>) -> Result<Option<u64>, String> {
    if building.loose.is_empty() {
        return Ok(Some(0));
    }
    let Some((file, width)) = building.counted_column(contents)? else { return Ok(None) };
    if file.empty {
        return Ok(Some(0));
    }
    let size = contents.get(&file.key).and_then(|bytes| unpacked_size(bytes));
    Ok(size.filter(|size| size % width == 0).map(|size| size / width))
}
