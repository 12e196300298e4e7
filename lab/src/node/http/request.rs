//! What a request asks for: the URL's parameters and the headers.

use hyper::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;

use super::super::engine::EngineError;
use super::auth::Credentials;
use super::encoding::Encoding;
use super::multipart::{self, Field};

/// A named session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRequest {
    /// Its name.
    pub id: String,
    /// Seconds it lives unused.
    pub timeout: u64,
    /// Whether it has to exist.
    pub check: bool,
    /// Whether it ends with this request.
    pub close: bool,
}

/// A request taken apart, without its body.
#[derive(Clone)]
pub struct Request {
    /// GET allows no changes.
    pub is_get: bool,
    /// Path of the URL.
    pub path: String,
    /// Who asks.
    pub credentials: Credentials,
    /// `query` of the URL.
    pub query: String,
    /// Database to select.
    pub database: Option<String>,
    /// Format of a result whose statement names none.
    pub default_format: String,
    /// Query id of the client.
    pub query_id: Option<String>,
    /// Named session.
    pub session: Option<SessionRequest>,
    /// Answer in ClickHouse's compressed blocks.
    pub compress: bool,
    /// The body comes in compressed blocks.
    pub decompress: bool,
    /// Answer only when the statement ended.
    pub wait_end: bool,
    /// Boundary of a body that is a form of several parts.
    pub boundary: Option<String>,
    /// Encoding of the body.
    pub content_encoding: Option<Encoding>,
    /// Encoding of the answer, when the client switched it on.
    pub accept_encoding: Option<Encoding>,
    /// Query parameters.
    pub parameters: Vec<(String, String)>,
    /// Settings.
    pub settings: Vec<(String, String)>,
}

impl Request {
    /// Takes a request apart.
    pub fn parse(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Self, EngineError> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let pairs = pairs(uri.query().unwrap_or_default());
        let last = |key: &str| pairs.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        let flag = |key: &str| last(key).is_some_and(is_true);
        let encoding = header("Content-Encoding").unwrap_or_default();
        let content_encoding =
            Encoding::parse(encoding).map_err(|text| EngineError::new(89, "UNKNOWN_COMPRESSION_METHOD", text))?;
        let session = match last("session_id").filter(|id| !id.is_empty()) {
            Some(id) => Some(SessionRequest {
                id: id.to_owned(),
                timeout: session_timeout(last("session_timeout"))?,
                check: flag("session_check"),
                close: flag("close_session"),
            }),
            None => None,
        };
        let settings: Vec<_> = pairs
            .iter()
            .filter(|(name, _)| !is_reserved(name) && !name.starts_with("param_"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let parameters =
            pairs.iter().filter_map(|(name, value)| Some((name.strip_prefix("param_")?.to_owned(), value.clone())));
        let format = last("default_format").or(header("X-ClickHouse-Format")).filter(|format| !format.is_empty());
        let database = last("database").or(header("X-ClickHouse-Database")).filter(|name| !name.is_empty());
        Ok(Self {
            is_get: matches!(*method, Method::GET | Method::HEAD),
            path: uri.path().to_owned(),
            credentials: Credentials::find(headers, last("user"), last("password"))?,
            query: last("query").unwrap_or_default().to_owned(),
            database: database.map(str::to_owned),
            default_format: format.unwrap_or("TabSeparated").to_owned(),
            query_id: last("query_id").filter(|id| !id.is_empty()).map(str::to_owned),
            session,
            compress: flag("compress"),
            decompress: flag("decompress"),
            wait_end: flag("wait_end_of_query") || flag("http_wait_end_of_query"),
            boundary: header("Content-Type").and_then(multipart::boundary),
            content_encoding,
            accept_encoding: header("Accept-Encoding")
                .filter(|_| flag("enable_http_compression"))
                .and_then(Encoding::accepted),
            parameters: parameters.collect(),
            settings,
        })
    }

    /// Takes over the fields of a form, which say the same as the parameters of the URL.
    pub fn add_fields(&mut self, fields: Vec<Field>) -> Result<(), EngineError> {
        for Field { name, is_file, value } in fields {
            if is_file {
                let text = "Tables sent along with a query are not available in the laboratory";
                return Err(EngineError::new(48, "NOT_IMPLEMENTED", text));
            }
            match name.as_str() {
                "query" => self.query.push_str(&value),
                "database" => self.database = Some(value),
                "query_id" => self.query_id = Some(value),
                "default_format" => self.default_format = value,
                _ => match name.strip_prefix("param_") {
                    Some(parameter) => self.parameters.push((parameter.to_owned(), value)),
                    None if is_reserved(&name) => {}
                    None => self.settings.push((name, value)),
                },
            }
        }
        Ok(())
    }

    /// A setting of this request.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Keys of the URL that are no settings.
fn is_reserved(name: &str) -> bool {
    const RESERVED: [&str; 17] = [
        "query",
        "database",
        "default_format",
        "query_id",
        "session_id",
        "session_timeout",
        "session_check",
        "close_session",
        "user",
        "password",
        "quota_key",
        "stacktrace",
        "compress",
        "decompress",
        "wait_end_of_query",
        "buffer_size",
        "client_protocol_version",
    ];
    name.is_empty() || RESERVED.contains(&name)
}

fn is_true(value: &str) -> bool {
    matches!(value, "1" | "true" | "True" | "TRUE")
}

fn session_timeout(value: Option<&str>) -> Result<u64, EngineError> {
    const DEFAULT: u64 = 60;
    const LONGEST: u64 = 3600;
    let Some(value) = value else { return Ok(DEFAULT) };
    let timeout = value.parse::<u64>().ok().filter(|timeout| *timeout <= LONGEST);
    timeout.ok_or_else(|| {
        let text = format!("Session timeout '{value}' is larger than max_session_timeout: {LONGEST}.");
        EngineError::new(374, "INVALID_SESSION_TIMEOUT", text)
    })
}

/// Names and values of a query string, decoded as a form: `+` is a space.
pub fn pairs(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(uri: &str) -> Result<Request, EngineError> {
        Request::parse(&Method::POST, &uri.parse().unwrap(), &HeaderMap::new())
    }

    #[test]
    fn settings_are_all_other_keys() {
        let request =
            parse("/?query=SELECT+1%2B1&max_threads=2&param_x=a%26b&database=d&query_id=q&compress=1").unwrap();
        assert_eq!(request.query, "SELECT 1+1");
        assert_eq!(request.settings, [("max_threads".to_owned(), "2".to_owned())]);
        assert_eq!(request.parameters, [("x".to_owned(), "a&b".to_owned())]);
        assert_eq!((request.database.as_deref(), request.query_id.as_deref()), (Some("d"), Some("q")));
        assert!(request.compress && !request.decompress && !request.is_get);
        assert_eq!(request.default_format, "TabSeparated");
    }

    #[test]
    fn sessions_have_a_limit() {
        let session = parse("/?session_id=s&session_timeout=5&session_check=1").unwrap().session.unwrap();
        assert_eq!((session.timeout, session.check), (5, true));
        assert_eq!(parse("/?session_id=s&session_timeout=99999").err().map(|e| e.code), Some(374));
    }
}
