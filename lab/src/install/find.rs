//! Looks for the parts on this machine; never touches the network.

use std::env;
use std::path::{Path, PathBuf};

use super::{MissingPart, Part, library};
use crate::error::LabError;
use crate::options::{Engine, PartPaths};

/// Where Debian puts Java libraries.
const JARS: &str = "/usr/share/java";
/// Without these ZooKeeper does not start.
const NEEDED_JARS: [&str; 3] = ["zookeeper.jar", "zookeeper-jute.jar", "slf4j-api.jar"];
/// These it uses where they are. Naming the few instead of the whole folder halves the start of the JVM.
const USEFUL_JARS: [&str; 5] =
    ["slf4j-simple.jar", "netty-handler.jar", "netty-all.jar", "snappy-java.jar", "commons-cli.jar"];

/// The parts of a laboratory, each with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// libchdb.so; there for the embedded engine.
    pub library: Option<PathBuf>,
    /// The server binary; there for the server engine.
    pub server: Option<ServerBinary>,
    /// The java binary.
    pub java: PathBuf,
    /// Class path of ZooKeeper.
    pub classpath: String,
}

/// A ClickHouse server binary and how it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerBinary {
    /// Its path.
    pub path: PathBuf,
    /// Whether it is the one binary for everything, which takes `server` as its first argument.
    pub multi_call: bool,
}

impl Parts {
    /// Finds every part an engine needs, or names all that are missing.
    pub fn find(engine: Engine, paths: &PartPaths) -> Result<Parts, LabError> {
        let mut missing = Vec::new();
        let mut need = |found: Result<PathBuf, String>, part| match found {
            Ok(path) => Some(path),
            Err(looked_at) => {
                missing.push(MissingPart { part, looked_at });
                None
            }
        };
        let library = match engine {
            Engine::Embedded => need(find_library(paths), Part::Library),
            Engine::Server => None,
        };
        let server = match engine {
            Engine::Embedded => None,
            Engine::Server => need(find_server(paths), Part::Server),
        };
        let java = need(find_java(paths), Part::Java);
        let classpath = find_classpath(paths);
        if let Err(looked_at) = &classpath {
            missing.push(MissingPart { part: Part::Zookeeper, looked_at: looked_at.clone() });
        }
        match (java, classpath) {
            (Some(java), Ok(classpath)) if missing.is_empty() => {
                Ok(Parts { library, server: server.map(ServerBinary::at), java, classpath })
            }
            _ => Err(LabError::Missing(missing)),
        }
    }
}

impl ServerBinary {
    fn at(path: PathBuf) -> ServerBinary {
        let multi_call = path.file_name().is_some_and(|name| name == "clickhouse");
        ServerBinary { path, multi_call }
    }
}

fn find_library(paths: &PartPaths) -> Result<PathBuf, String> {
    match &paths.library {
        Some(path) => existing(path),
        None => existing(&library::cached_path()?),
    }
}

fn find_java(paths: &PartPaths) -> Result<PathBuf, String> {
    if let Some(path) = &paths.java {
        return existing(path);
    }
    if let Some(home) = env::var_os("JAVA_HOME") {
        let path = Path::new(&home).join("bin/java");
        if path.is_file() {
            return Ok(path);
        }
    }
    on_path(&["java"])
}

fn find_server(paths: &PartPaths) -> Result<PathBuf, String> {
    match &paths.server {
        Some(path) => existing(path),
        None => on_path(&["clickhouse-server", "clickhouse"]),
    }
}

fn find_classpath(paths: &PartPaths) -> Result<String, String> {
    match &paths.zookeeper_classpath {
        Some(classpath) => Ok(classpath.clone()),
        None => classpath_in(Path::new(JARS)),
    }
}

fn classpath_in(folder: &Path) -> Result<String, String> {
    let (mut found, mut absent) = (Vec::new(), Vec::new());
    for name in NEEDED_JARS {
        let jar = folder.join(name);
        if jar.exists() { found.push(jar) } else { absent.push(jar.display().to_string()) }
    }
    if !absent.is_empty() {
        return Err(absent.join(", "));
    }
    found.extend(USEFUL_JARS.iter().map(|name| folder.join(name)).filter(|jar| jar.exists()));
    Ok(found.iter().map(|jar| jar.display().to_string()).collect::<Vec<_>>().join(":"))
}

fn existing(path: &Path) -> Result<PathBuf, String> {
    if path.is_file() { Ok(path.to_path_buf()) } else { Err(path.display().to_string()) }
}

/// The first of these programs on PATH or where servers lie; a user's PATH often lacks `sbin`.
pub fn on_path(names: &[&str]) -> Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let folders: Vec<PathBuf> = folders.collect();
    for name in names {
        if let Some(found) = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()) {
            return Ok(found);
        }
    }
    Err(format!("PATH and /usr/sbin for {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_missing_is_named_at_once_with_package_and_flag() {
        let nowhere = PathBuf::from("/nonexistent/part");
        let paths = PartPaths { library: Some(nowhere.clone()), java: Some(nowhere), ..PartPaths::default() };
        let text = Parts::find(Engine::Embedded, &paths).unwrap_err().to_string();
        for expected in [
            "/nonexistent/part",
            "@chdb/lib-linux-x64-gnu",
            "--library PATH",
            "default-jre-headless",
            "--java PATH",
            "clickferry-lab install",
        ] {
            assert!(text.contains(expected), "{expected} is not in:\n{text}");
        }
    }

    #[test]
    fn the_class_path_names_the_jars_that_are_there() {
        let dir = tempfile::tempdir().unwrap();
        assert!(classpath_in(dir.path()).unwrap_err().contains("zookeeper-jute.jar"));
        for name in NEEDED_JARS.iter().chain(&["netty-all.jar"]) {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let classpath = classpath_in(dir.path()).unwrap();
        assert_eq!(classpath.split(':').count(), 4);
        assert!(classpath.ends_with("netty-all.jar"));
    }

    #[test]
    fn the_one_binary_for_everything_is_recognised() {
        assert!(ServerBinary::at("/opt/clickhouse".into()).multi_call);
        assert!(!ServerBinary::at("/usr/sbin/clickhouse-server".into()).multi_call);
    }
}
