//! Forms of several parts: how some clients send query parameters.

/// A field of a form.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Whether it is a file.
    pub is_file: bool,
    /// Its text.
    pub value: String,
}

/// The boundary a `Content-Type` names, if it is that of a form of several parts.
pub fn boundary(content_type: &str) -> Option<String> {
    let mut parts = content_type.split(';').map(str::trim);
    parts.next().filter(|kind| kind.eq_ignore_ascii_case("multipart/form-data"))?;
    let value = parts.find_map(|part| part.strip_prefix("boundary="))?;
    Some(value.trim_matches('"').to_owned()).filter(|boundary| !boundary.is_empty())
}

/// The fields of a form; `None` when it is broken.
pub fn fields(body: &[u8], boundary: &str) -> Option<Vec<Field>> {
    let body = String::from_utf8_lossy(body);
    let delimiter = format!("--{boundary}");
    let mut fields = Vec::new();
    let mut rest = body.split_once(&delimiter)?.1;
    loop {
        if rest.starts_with("--") {
            return Some(fields);
        }
        let rest_of_line = rest.split_once("\r\n")?.1;
        let (part, next) = rest_of_line.split_once(&format!("\r\n{delimiter}"))?;
        let (headers, value) = part.split_once("\r\n\r\n")?;
        let disposition = headers.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
        fields.push(Field {
            name: attribute(disposition, "name")?,
            is_file: attribute(disposition, "filename").is_some(),
            value: value.to_owned(),
        });
        rest = next;
    }
}

/// The value of `; name="value"`.
fn attribute(header: &str, name: &str) -> Option<String> {
    header.split(';').map(str::trim).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_files() {
        let boundary = boundary("multipart/form-data; boundary=\"xyz\"").unwrap();
        let body = "--xyz\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT\r\n1\r\n--xyz\r\n\
                    Content-Disposition: form-data; name=\"t\"; filename=\"t.csv\"\r\nContent-Type: text/csv\r\n\r\n1\r\n\
                    --xyz--\r\n";
        let found = fields(body.as_bytes(), &boundary).unwrap();
        assert_eq!(found[0], Field { name: "query".into(), is_file: false, value: "SELECT\r\n1".into() });
        assert!(found[1].is_file && found[1].value == "1");
        assert_eq!(fields(b"--xyz\r\nbroken", "xyz"), None);
    }

    #[test]
    fn other_bodies_are_no_forms() {
        assert_eq!(boundary("text/plain"), None);
        assert_eq!(boundary("multipart/form-data"), None);
    }
}
