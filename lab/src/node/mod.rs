//! One ClickHouse node made of libchdb: engine, HTTP interface, part exchange.
