//! Rows of a TinyLog table, which has no `count.txt`: from the sizes in the block headers of one column of fixed
//! width. Log and StripeLog have a `count.txt` beside their files (seen in backups of 26.7).

/// A column of `columns.txt` and the width of its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedColumn {
    /// Name.
    pub name: String,
    /// Bytes of one value.
    pub width: u64,
}

/// The columns of fixed width that a `columns.txt` lists.
pub fn fixed_columns(columns: &str) -> Vec<FixedColumn> {
    columns
        .lines()
        .filter_map(|line| {
            let (name, kind) = line.strip_prefix('`')?.split_once("` ")?;
            (!name.contains('\\')).then_some(())?;
            Some(FixedColumn { name: name.to_owned(), width: width(kind)? })
        })
        .collect()
}

fn width(kind: &str) -> Option<u64> {
    let base = kind.split_once('(').map_or(kind, |(base, _)| base);
    match base {
        "UInt8" | "Int8" | "Bool" | "Enum8" => Some(1),
        "UInt16" | "Int16" | "Date" | "Enum16" => Some(2),
        "UInt32" | "Int32" | "Float32" | "Date32" | "DateTime" | "IPv4" => Some(4),
        "UInt64" | "Int64" | "Float64" | "DateTime64" => Some(8),
        "UInt128" | "Int128" | "UUID" | "IPv6" => Some(16),
        "FixedString" => kind.strip_prefix("FixedString(")?.strip_suffix(')')?.parse().ok(),
        _ => None,
    }
}

/// Uncompressed bytes of a column file: a checksum of 16 bytes, the method, the size with this header of 9 bytes,
/// the size when unpacked, the data; again and again.
pub fn unpacked_size(file: &[u8]) -> Option<u64> {
    let mut rest = file;
    let mut sum = 0;
    while !rest.is_empty() {
        let header = rest.get(16..25)?;
        let packed = u32::from_le_bytes(header.get(1..5)?.try_into().ok()?) as usize;
        sum += u64::from(u32::from_le_bytes(header.get(5..9)?.try_into().ok()?));
        rest = rest.get(16 + packed.max(9)..)?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_come_from_columns_txt() {
        let columns = "columns format version: 1\n3 columns:\n`version` Int64\n`s` String\n`f` FixedString(12)\n";
        let found = fixed_columns(columns);
        assert_eq!(
            found.iter().map(|column| (column.name.as_str(), column.width)).collect::<Vec<_>>(),
            [("version", 8), ("f", 12)]
        );
    }

    #[test]
    fn block_headers_add_up_and_a_cut_file_tells_nothing() {
        let mut file = Vec::new();
        for unpacked in [8_u32, 16] {
            file.extend([0; 16]);
            file.push(0x82);
            file.extend(12_u32.to_le_bytes());
            file.extend(unpacked.to_le_bytes());
            file.extend([1, 2, 3]);
        }
        assert_eq!(unpacked_size(&file), Some(24));
        assert_eq!(unpacked_size(&file[..file.len() - 1]), None);
        assert_eq!(unpacked_size(&[]), Some(0));
    }
}
