use super::mask;

#[test]
fn every_place_of_a_secret_is_masked_and_nothing_else() {
    for (text, secret) in [
        ("CREATE VIEW d.v (`a` UInt8) AS SELECT a FROM remote('h:9000', d, t, 'u', 's3cret')", true),
        ("CREATE VIEW d.v (`a` UInt8) AS SELECT a FROM remoteSecure('h', d.t, 'u', 's3cret', rand())", true),
        ("CREATE VIEW d.v (`a` UInt8) AS SELECT a FROM remote('h', 'd.t', 'u', 's3cret')", true),
        ("CREATE VIEW d.v (`a` UInt8) AS SELECT a FROM s3('https://b/x', 'key', 's3cret', 'CSV')", true),
        ("CREATE VIEW d.v (`a` UInt8) AS SELECT a FROM s3Cluster('c', 'https://b/x', 'key', 's3cret')", true),
        ("CREATE VIEW d.v (`a` UInt8) AS SELECT a FROM s3(coll, secret_access_key = 's3cret')", true),
        ("CREATE VIEW d.v (`a` UInt8) AS SELECT a FROM url('http://h/', headers('X-Key' = 's3cret'))", true),
        ("CREATE VIEW d.v (`a` UInt8) AS SELECT encrypt('aes-256-gcm', a, 's3cret') FROM d.t", true),
        ("CREATE TABLE d.t (`a` UInt8) ENGINE = URL('http://u:s3cret@h/x', 'CSV')", true),
        ("CREATE TABLE d.t (`a` UInt8) ENGINE = S3('https://b/x', 'key', 's3cret', 'CSV')", true),
        ("CREATE TABLE d.t (`a` UInt8) ENGINE = MySQL('h:1', 'd', 't', 'u', 's3cret')", true),
        ("CREATE TABLE d.t (`a` UInt8) ENGINE = PostgreSQL('h:1', 'd', 't', 'u', 's3cret', 'schema')", true),
        ("CREATE TABLE d.t (`a` UInt8) ENGINE = MongoDB('mongodb://u:s3cret@h/d', 'c')", true),
        ("CREATE TABLE d.t (`a` UInt8) ENGINE = Redis('h:1', 0, 's3cret')", true),
        ("CREATE TABLE d.t (`a` UInt8) ENGINE = ODBC('DSN=x;UID=u;PWD=s3cret', 'd', 't')", true),
        ("CREATE TABLE d.t (`a` UInt8) ENGINE = AzureBlobStorage('AccountName=a;AccountKey=s3cret;', 'c', 'b')", true),
        ("CREATE TABLE d.t (`a` UInt8) ENGINE = Kafka SETTINGS kafka_sasl_password = 's3cret'", true),
        ("CREATE TABLE d.t (`a` UInt8) ENGINE = RabbitMQ SETTINGS rabbitmq_address = 'amqp://u:s3cret@h/'", true),
        (
            "CREATE TABLE d.t (`a` UInt8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = 's3', secret_access_key = 's3cret')",
            true,
        ),
        (
            "CREATE DICTIONARY d.x (`k` UInt64) PRIMARY KEY k SOURCE(MYSQL(USER 'u' PASSWORD 's3cret')) LAYOUT(FLAT())",
            true,
        ),
        (
            "CREATE DICTIONARY d.x (`k` UInt64) PRIMARY KEY k SOURCE(HTTP(URL 'http://h' HEADERS(HEADER(NAME 'A' VALUE 's3cret')))) LAYOUT(FLAT())",
            true,
        ),
        (
            "CREATE DICTIONARY d.x (`k` UInt64) PRIMARY KEY k SOURCE(MONGODB(URI 'mongodb://u:s3cret@h/d')) LAYOUT(FLAT())",
            true,
        ),
        ("MySQL('h:1', 'd', 't', 'u', 's3cret')", true),
        ("CREATE VIEW d.v (`a` UInt8) AS SELECT a FROM d.t WHERE password = 'unset' AND url LIKE '%://a:b@%'", false),
        ("CREATE VIEW d.v (`a` UInt8) AS SELECT a FROM s3('https://b/x', 'CSV', 'a UInt8', 'gzip')", false),
        ("CREATE VIEW d.v (`a` UInt8) AS SELECT a FROM remote('h:9000', d, t, 'u')", false),
        ("CREATE VIEW d.v (`a` UInt8) AS SELECT extract(a, 'password=([^&]+)') FROM d.t", false),
        (
            "CREATE TABLE d.t (`password` String DEFAULT 'x') ENGINE = MergeTree ORDER BY password COMMENT 'see http://h/x'",
            false,
        ),
        ("CREATE TABLE d.t (`a` UInt8) ENGINE = S3(coll)", false),
        ("it's no SQL", false),
    ] {
        let masked = mask(text);
        assert_eq!(masked.contains("[HIDDEN]"), secret, "{text}\n{masked}");
        assert!(!masked.contains("s3cret"), "{masked}");
        assert_eq!(mask(&masked), masked);
    }
    assert_eq!(
        mask("CREATE TABLE d.t (`a` UInt8) ENGINE = URL('http://u:p@h/x', 'CSV')"),
        "CREATE TABLE d.t (`a` UInt8) ENGINE = URL('http://u:[HIDDEN]@h/x', 'CSV')"
    );
}
