//! Who asks: user and password by headers, Basic authorization or the URL.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;

use super::super::engine::EngineError;
use crate::config::NodeConfig;

/// Name and password of a request.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Name.
    pub user: String,
    /// Password, empty for none.
    pub password: String,
}

impl Credentials {
    /// Finds the credentials of a request. `user` and `password` are those of the URL.
    pub fn find(headers: &HeaderMap, user: Option<&str>, password: Option<&str>) -> Result<Self, EngineError> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (own_user, own_key) = (header("X-ClickHouse-User"), header("X-ClickHouse-Key"));
        let basic = header("Authorization").and_then(|value| value.strip_prefix("Basic "));
        let by_header = own_user.is_some() || own_key.is_some();
        if by_header && basic.is_some() {
            return Err(failed("it is not allowed to use both Authorization and X-ClickHouse HTTP headers"));
        }
        let (user, password) = if by_header {
            (own_user.unwrap_or_default().to_owned(), own_key.unwrap_or_default().to_owned())
        } else if let Some(basic) = basic {
            decode(basic).ok_or_else(|| failed("the Authorization header is not valid"))?
        } else {
            (user.unwrap_or_default().to_owned(), password.unwrap_or_default().to_owned())
        };
        let user = if user.is_empty() { "default".to_owned() } else { user };
        Ok(Self { user, password })
    }

    /// Compares with the users of the node, who have one password; a node without a password asks for none.
    pub fn check(&self, config: &NodeConfig) -> Result<(), EngineError> {
        let is_known = self.user == config.user || self.may_only_read(config);
        if is_known && (config.password.is_empty() || self.password == config.password) {
            return Ok(());
        }
        Err(EngineError::new(
            516,
            "AUTHENTICATION_FAILED",
            format!("{}: Authentication failed: password is incorrect, or there is no user with such name.", self.user),
        ))
    }

    /// Whether this is a user who changes nothing.
    pub fn may_only_read(&self, config: &NodeConfig) -> bool {
        config.readers.contains(&self.user)
    }
}

fn decode(basic: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(basic.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn failed(reason: &str) -> EngineError {
    EngineError::new(516, "AUTHENTICATION_FAILED", format!("Invalid authentication: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(password: &str) -> NodeConfig {
        let text = serde_json::json!({
            "name": "n", "dir": "d", "library": "l", "http_port": 1, "interserver_port": 2, "shard": null,
            "keeper": [], "clusters": [], "user": "default", "password": password, "readers": ["reader"],
        });
        serde_json::from_value(text).unwrap()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn found(pairs: &[(&'static str, &'static str)], url: Option<&str>) -> Option<(String, String)> {
        Credentials::find(&headers(pairs), url, url).ok().map(|found| (found.user, found.password))
    }

    #[test]
    fn three_ways_to_say_who_one_is() {
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(found(&[("x-clickhouse-user", "a"), ("x-clickhouse-key", "b")], None), pair("a", "b"));
        assert_eq!(found(&[("authorization", "Basic YTpiOmM=")], None), pair("a", "b:c"));
        assert_eq!(found(&[], Some("u")), pair("u", "u"));
        assert_eq!(found(&[], None), pair("default", ""));
        assert_eq!(found(&[("authorization", "Basic YTpi"), ("x-clickhouse-user", "a")], None), None);
    }

    #[test]
    fn a_wrong_password_is_516() {
        let given = |user: &str| Credentials { user: user.into(), password: "x".into() };
        let with = |password: &str| config(password);
        assert_eq!(given("default").check(&with("y")).err().map(|error| error.code), Some(516));
        assert!(given("default").check(&with("x")).is_ok());
        assert!(given("default").check(&with("")).is_ok());
        assert!(given("other").check(&with("")).is_err());
    }

    #[test]
    fn readers_have_the_same_password() {
        let given = |user: &str| Credentials { user: user.into(), password: "x".into() };
        assert!(given("reader").check(&config("x")).is_ok());
        assert!(given("reader").check(&config("y")).is_err());
        assert!(given("reader").may_only_read(&config("x")));
        assert!(!given("default").may_only_read(&config("x")));
    }
}
