//! Responses and their headers.

use std::time::Instant;

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::super::engine::Counters;
use super::body::Body;
use super::encoding::Encoding;
use super::format::content_type;

/// What the headers of one response say.
#[derive(Clone)]
pub struct Head {
    /// Query id.
    pub query_id: String,
    /// Name of the node.
    pub display_name: String,
    /// Time zone of the engine.
    pub timezone: String,
    /// Mark of an error inside the body.
    pub tag: String,
    /// Format of the result, where there is one.
    pub format: Option<String>,
    /// Encoding of the body.
    pub encoding: Option<Encoding>,
    /// When the request came.
    pub started: Instant,
}

impl Head {
    /// A response with all headers.
    pub fn response(&self, status: StatusCode, counters: Counters, body: Body) -> Response<Body> {
        let kind = self.format.as_deref().map_or("text/plain; charset=UTF-8", content_type);
        let mut response = self.bare(status, counters, kind, body);
        let headers = response.headers_mut();
        if let Some(format) = self.format.as_deref().and_then(value) {
            headers.insert(HeaderName::from_static("x-clickhouse-format"), format);
        }
        if let Some(encoding) = self.encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
        }
        response
    }

    /// The response to a failed statement, before anything of its result was sent.
    pub fn error(&self, status: StatusCode, code: i32, counters: Counters, body: Body) -> Response<Body> {
        let mut response = self.bare(status, counters, "text/plain; charset=UTF-8", body);
        response.headers_mut().insert(HeaderName::from_static("x-clickhouse-exception-code"), HeaderValue::from(code));
        response
    }

    fn bare(&self, status: StatusCode, counters: Counters, kind: &'static str, body: Body) -> Response<Body> {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        for (name, text) in [
            ("x-clickhouse-query-id", self.query_id.as_str()),
            ("x-clickhouse-server-display-name", &self.display_name),
            ("x-clickhouse-timezone", &self.timezone),
            ("x-clickhouse-exception-tag", &self.tag),
            ("x-clickhouse-summary", &summary(counters, self.started)),
        ] {
            if let Some(text) = value(text) {
                headers.insert(HeaderName::from_static(name), text);
            }
        }
        response
    }
}

/// A header's value, unless the text has characters no header may have.
fn value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}

/// `X-ClickHouse-Summary`: numbers as texts, as ClickHouse writes them.
fn summary(counters: Counters, started: Instant) -> String {
    format!(
        "{{\"read_rows\":\"{}\",\"read_bytes\":\"{}\",\"written_rows\":\"{}\",\"written_bytes\":\"{}\",\
         \"total_rows_to_read\":\"{}\",\"result_rows\":\"{}\",\"result_bytes\":\"{}\",\"elapsed_ns\":\"{}\"}}",
        counters.read_rows,
        counters.read_bytes,
        counters.written_rows,
        counters.written_bytes,
        counters.read_rows,
        counters.result_rows,
        counters.result_bytes,
        started.elapsed().as_nanos()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_json_of_texts() {
        let counters = Counters { written_rows: 7, ..Counters::default() };
        let parsed: serde_json::Value = serde_json::from_str(&summary(counters, Instant::now())).unwrap();
        assert_eq!(parsed["written_rows"], "7");
        assert!(parsed["elapsed_ns"].is_string());
    }
}
