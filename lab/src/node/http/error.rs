//! Errors on their way to a client: HTTP status and the block that ends a broken-off stream.

use hyper::StatusCode;

/// HTTP status of an error code, as ClickHouse maps them; 500 for all others.
pub fn status_of(code: i32) -> StatusCode {
    match code {
        // REQUIRED_PASSWORD
        194 => StatusCode::UNAUTHORIZED,
        // UNKNOWN_USER, WRONG_PASSWORD, ACCESS_DENIED, SET_NON_GRANTED_ROLE, AUTHENTICATION_FAILED
        192 | 193 | 497 | 512 | 516 => StatusCode::FORBIDDEN,
        // Arguments, parsing, columns, syntax and types: BAD_ARGUMENTS, CANNOT_PARSE_*, SYNTAX_ERROR and their like.
        6 | 8 | 15 | 25 | 26 | 27 | 36 | 37 | 38 | 41 | 44 | 53 | 62 | 72 | 117 | 123 | 167 | 168 | 223 | 321 | 376
        | 427 | 441 | 675 | 676 => StatusCode::BAD_REQUEST,
        // UNKNOWN_ FUNCTION, IDENTIFIER, TYPE, STORAGE, TABLE, AGGREGATE_FUNCTION, FORMAT, TYPE_OF_QUERY, DATABASE,
        // SETTING, DIRECTION_OF_SORTING, DATABASE_ENGINE, ROLE
        46 | 47 | 50 | 56 | 60 | 63 | 73 | 78 | 81 | 115 | 152 | 336 | 511 => StatusCode::NOT_FOUND,
        // QUERY_IS_TOO_LARGE
        229 => StatusCode::PAYLOAD_TOO_LARGE,
        // NOT_IMPLEMENTED
        48 => StatusCode::NOT_IMPLEMENTED,
        // CANNOT_OPEN_FILE, SOCKET_TIMEOUT, CANNOT_SCHEDULE_TASK
        76 | 209 | 439 => StatusCode::SERVICE_UNAVAILABLE,
        // TIMEOUT_EXCEEDED
        159 => StatusCode::REQUEST_TIMEOUT,
        // HTTP_LENGTH_REQUIRED
        381 => StatusCode::LENGTH_REQUIRED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What ends a body whose statement failed after the first bytes were sent, as servers from 25.11 on write it.
pub fn exception_block(text: &str, tag: &str) -> Vec<u8> {
    let message = format!("{text}\n");
    let len = message.len();
    format!("\r\n__exception__\r\n{tag}\r\n{message}{len} {tag}\r\n__exception__\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_status_of_a_server() {
        for (code, status) in
            [(60, 404), (81, 404), (62, 400), (36, 400), (516, 403), (159, 408), (241, 500), (48, 501)]
        {
            assert_eq!(status_of(code).as_u16(), status, "{code}");
        }
    }

    #[test]
    fn the_block_tells_its_length_and_tag() {
        // The example of the `clickhouse` crate's own test.
        let text = "Code: 159. DB::Exception: Timeout exceeded: elapsed 126.147987 ms, maximum: 100 ms. \
                    (TIMEOUT_EXCEEDED) (version 25.12.1.649 (official build))";
        let block = String::from_utf8(exception_block(text, "rnywyenlaeqynhmu")).unwrap();
        assert!(block.starts_with("\r\n__exception__\r\nrnywyenlaeqynhmu\r\nCode: 159."));
        assert!(block.ends_with("(official build))\n142 rnywyenlaeqynhmu\r\n__exception__\r\n"));
    }
}
