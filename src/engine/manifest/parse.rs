//! Streaming reader of `.backup`: one line of XML with one `<file>` per logical file.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

use super::Head;

/// One `<file>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileEntry {
    /// Name within the backup.
    pub name: String,
    /// Size; files of size 0 have no object.
    pub size: u64,
    /// Checksum; with the size it tells equal contents.
    pub checksum: String,
    /// Object that holds the bytes, where it is not `name`.
    pub data_file: String,
    /// Bytes that are in the base backup.
    pub base_size: u64,
    /// Whether the bytes are encrypted as they were on the disk.
    pub encrypted: bool,
    /// Whether the bytes are an object outside the backup (lightweight snapshot).
    pub foreign: bool,
}

impl FileEntry {
    /// Key of the object that holds its bytes, below the backup's path.
    pub fn key(&self) -> &str {
        if self.data_file.is_empty() { &self.name } else { &self.data_file }
    }
}

/// Reads a manifest; `on_file` gets every entry in turn.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(xml: &[u8], on_file: &mut dyn FnMut(&FileEntry) -> Result<(), String>) -> Result<Head, String> {
    let mut reader = Reader::from_reader(xml);
    let (mut head, mut file, mut text) = (Head::default(), FileEntry::default(), String::new());
    let (mut depth, mut in_file, mut complete, mut use_base) = (0_usize, false, false, false);
    loop {
        match reader.read_event().map_err(|error| format!("the manifest is not XML: {error}"))? {
            Event::Start(tag) => {
                depth += 1;
                text.clear();
                if tag.name().as_ref() == b"file" {
                    (in_file, use_base, file) = (true, false, FileEntry::default());
                }
            }
            Event::Text(part) => text.push_str(&part.decode().map_err(|error| error.to_string())?),
            Event::GeneralRef(reference) => {
                let name = reference.decode().map_err(|error| error.to_string())?;
                match reference.resolve_char_ref().map_err(|error| error.to_string())? {
                    Some(character) => text.push(character),
                    None => text.push_str(
                        resolve_predefined_entity(&name)
                            .ok_or_else(|| format!("unknown entity {name} in the manifest"))?,
                    ),
                }
            }
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                match tag.name().as_ref() {
                    b"file" => {
                        // A file wholly in the base may have no <base_size>.
                        if use_base && file.base_size == 0 {
                            file.base_size = file.size;
                        }
                        on_file(&file)?;
                        in_file = false;
                    }
                    b"config" => complete = depth == 0,
                    name if in_file => file_field(&mut file, &mut use_base, name, &text)?,
                    name => head_field(&mut head, name, &text)?,
                }
                text.clear();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if complete { Ok(head) } else { Err("the manifest is cut off".to_owned()) }
}

fn file_field(file: &mut FileEntry, use_base: &mut bool, name: &[u8], text: &str) -> Result<(), String> {
    match name {
        b"name" => text.clone_into(&mut file.name),
        b"size" => file.size = number(text)?,
        b"checksum" => text.clone_into(&mut file.checksum),
        b"data_file" => text.clone_into(&mut file.data_file),
        b"use_base" => *use_base = flag(text),
        b"base_size" => file.base_size = number(text)?,
        b"encrypted_by_disk" => file.encrypted = flag(text),
        b"object_key" => file.foreign = true,
        _ => {}
    }
    Ok(())
}

fn head_field(head: &mut Head, name: &[u8], text: &str) -> Result<(), String> {
    match name {
        b"version" if text != "1" => return Err(format!("version {text} of the manifest; version 1 is known")),
        b"uuid" => text.clone_into(&mut head.uuid),
        b"timestamp" => text.clone_into(&mut head.timestamp),
        b"base_backup" | b"base_backup_uuid" => head.incremental = true,
        _ => {}
    }
    Ok(())
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a size"))
}

/// 26.7 writes `1`, older versions `true`.
fn flag(text: &str) -> bool {
    matches!(text, "1" | "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_with_references_and_a_base() {
        let xml = b"<config><version>1</version><timestamp>2026-11-20 23:12:30</timestamp><uuid>u</uuid><contents>\
            <file><name>a&amp;b</name><size>4</size><checksum>c</checksum><data_file>x/y</data_file></file>\
            <file><name>e</name><size>0</size></file>\
            <file><name>b</name><size>9</size><checksum>d</checksum><use_base>true</use_base></file></contents></config>";
        let mut files = Vec::new();
        let head = parse(xml, &mut |file| {
            files.push(file.clone());
            Ok(())
        })
        .expect("valid");
        assert_eq!((head.uuid.as_str(), head.timestamp.as_str()), ("u", "2026-11-20 23:12:30"));
        assert_eq!((files[0].name.as_str(), files[0].key(), files[0].size), ("a&b", "x/y", 4));
        assert_eq!((files[1].key(), files[1].size, files[1].checksum.as_str()), ("e", 0, ""));
        assert_eq!(files[2].base_size, 9);
    }

    #[test]
    fn every_cut_is_noticed() {
        let xml = b"<config><version>1</version><uuid>u</uuid><contents><file><name>a</name><size>4</size></file></contents></config>";
        for end in 0..xml.len() {
            assert!(parse(&xml[..end], &mut |_| Ok(())).is_err(), "cut at {end}");
        }
        assert!(parse(b"<config><version>2</version></config>", &mut |_| Ok(())).is_err());
    }
}
