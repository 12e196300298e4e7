//! Names within a backup: escaped as file names, sorted into metadata and data.

/// What a file of a backup is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// `metadata/<database>.sql`.
    Database(&'a str),
    /// `metadata/<database>/<table>.sql`.
    Table(&'a str, &'a str),
    /// `data/<database>/<table>/<rest>`.
    Data(&'a str, &'a str, &'a str),
    /// Below `shards/`: a backup made ON CLUSTER.
    Cluster,
    /// Anything else.
    Other,
}

/// Sorts a name.
pub fn place(name: &str) -> Place<'_> {
    let Some((kind, rest)) = name.split_once('/') else { return Place::Other };
    match (kind, rest.split_once('/')) {
        ("shards", _) => Place::Cluster,
        ("metadata", None) => rest.strip_suffix(".sql").map_or(Place::Other, Place::Database),
        ("metadata", Some((database, file))) => match file.strip_suffix(".sql") {
            Some(table) if !table.contains('/') => Place::Table(database, table),
            _ => Place::Other,
        },
        ("data", Some((database, file))) => match file.split_once('/') {
            Some((table, file)) => Place::Data(database, table, file),
            None => Place::Other,
        },
        _ => Place::Other,
    }
}

/// Undoes ClickHouse's `escapeForFileName`: `%XX` stands for a byte outside `[A-Za-z0-9_]`.
pub fn unescape(name: &str) -> Result<String, String> {
    let bytes = name.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = if byte == b'%' {
            name.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok())
        } else {
            None
        };
        match code {
            Some(code) => {
                out.push(code);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).map_err(|_| format!("the name {name} is not UTF-8"))
}

/// ClickHouse's `escapeForFileName`.
pub fn escape(name: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(name.len());
    for &byte in name.as_bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            out.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unescaped_as_26_7_escapes_them() {
        assert_eq!(unescape("we%2Dird%2Etab%20le%20%C3%A9").as_deref(), Ok("we-ird.tab le é"));
        assert_eq!(escape("we-ird.tab le é"), "we%2Dird%2Etab%20le%20%C3%A9");
        assert_eq!(unescape("100%").as_deref(), Ok("100%"));
        assert!(unescape("%FF").is_err());
    }

    #[test]
    fn files_are_sorted_by_their_place() {
        assert_eq!(place("metadata/d.sql"), Place::Database("d"));
        assert_eq!(place("metadata/d/t.sql"), Place::Table("d", "t"));
        assert_eq!(place("data/d/t/all_1_1_0/count.txt"), Place::Data("d", "t", "all_1_1_0/count.txt"));
        assert_eq!(place("shards/1/replicas/1/metadata/d.sql"), Place::Cluster);
        assert_eq!(place("temporary_tables/metadata/t.sql"), Place::Other);
    }
}
