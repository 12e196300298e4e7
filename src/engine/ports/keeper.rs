//! Keeper (or ZooKeeper): listing, deleting with proof, and the lock on a target.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// Facts of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperStat {
    /// Data version, for a delete that fails when somebody wrote meanwhile.
    pub version: i32,
    /// Number of direct children.
    pub children: u32,
    /// Whether the node is ephemeral, that is, held by a live session.
    pub ephemeral: bool,
    /// Transaction id of the creation: another one means that the node was deleted and made again.
    pub created_zxid: i64,
}

/// One node with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperNode {
    /// Absolute path as the ClickHouse servers see it.
    pub path: String,
    /// Value; bytes that are not UTF-8 are kept as they are.
    pub value: Vec<u8>,
    /// Facts.
    pub stat: KeeperStat,
}

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// Run that holds it.
    pub run: String,
    /// User and host of the engine.
    pub owner: String,
    /// Process id of the engine on its host.
    pub pid: u32,
    /// Since when, RFC 3339.
    pub since: String,
    /// Boot and process namespace of the engine: only within one can a process id tell who lives.
    #[serde(default)]
    pub machine: String,
}

/// Why Keeper did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KeeperError {
    /// No server could be reached.
    #[error("Keeper at {hosts} cannot be reached: {reason}")]
    Unreachable {
        /// Servers tried.
        hosts: String,
        /// What the network said.
        reason: String,
    },
    /// The node does not exist.
    #[error("the Keeper path {path} does not exist")]
    NoNode {
        /// Path asked for.
        path: String,
    },
    /// The node changed between reading and deleting.
    #[error("the Keeper path {path} was changed by somebody else meanwhile")]
    Changed {
        /// Path.
        path: String,
    },
    /// Somebody holds the lock.
    #[error("the target is locked by run {} of {} since {}", .holder.run, .holder.owner, .holder.since)]
    Locked {
        /// Who.
        holder: LockHolder,
    },
    /// The session or the request failed.
    #[error("Keeper at {hosts} failed: {reason}")]
    Failed {
        /// Servers.
        hosts: String,
        /// What it said.
        reason: String,
    },
}

/// A held lock. It is lost when the session ends, which the holder must ask before it writes.
#[async_trait]
pub trait LockGuard: Send + Sync {
    /// Whether the session that holds the lock is still alive, as far as Keeper has told us.
    fn is_held(&self) -> bool;

    /// Gives the lock back.
    async fn release(&self);
}

/// Tells by its path whether a node is left out.
pub type SkipNode<'s> = dyn Fn(&str) -> bool + Sync + 's;

/// Is told the number of a path among those asked for, and the names of its children.
pub type EachChildren<'e> = dyn FnMut(usize, Option<&[&str]>) + Send + 'e;

/// One Keeper ensemble.
#[async_trait]
pub trait Keeper: Send + Sync {
    /// The node at a path, `None` when it does not exist.
    ///
    /// # Errors
    /// See [`KeeperError`].
    async fn get(&self, path: &str) -> Result<Option<KeeperNode>, KeeperError>;

    /// Names of the direct children, sorted; `None` when the path does not exist.
    ///
    /// # Errors
    /// See [`KeeperError`].
    async fn children(&self, path: &str) -> Result<Option<Vec<String>>, KeeperError>;

    /// The path and everything below it with values, parents before children; empty when it does not exist.
    ///
    /// # Errors
    /// See [`KeeperError`].
    async fn subtree(&self, path: &str) -> Result<Vec<KeeperNode>, KeeperError> {
        self.subtrees_without(&[path.to_owned()], &|_| false).await
    }

    /// As [`Self::subtree`] of several paths, the paths first, without the nodes below them that `skips` names by their
    /// paths, and without what is below these.
    ///
    /// # Errors
    /// See [`KeeperError`].
    async fn subtrees_without(&self, paths: &[String], skips: &SkipNode<'_>) -> Result<Vec<KeeperNode>, KeeperError>;

    /// As [`Self::children`], of many paths, each told of in its turn.
    ///
    /// # Errors
    /// See [`KeeperError`].
    async fn children_of(&self, paths: &[String], each: &mut EachChildren<'_>) -> Result<(), KeeperError>;

    /// Deletes one node without children, if its data version is still `version`.
    ///
    /// # Errors
    /// [`KeeperError::Changed`] when the version differs or children appeared.
    async fn delete(&self, path: &str, version: i32) -> Result<(), KeeperError>;

    /// Makes one lasting node with a value; its parent must be there.
    ///
    /// # Errors
    /// [`KeeperError::Changed`] when the node is there already, [`KeeperError::NoNode`] when its parent is not.
    async fn create(&self, path: &str, value: &[u8]) -> Result<(), KeeperError>;

    /// Takes the lock at `path` with an ephemeral node; parents are made as needed.
    ///
    /// # Errors
    /// [`KeeperError::Locked`] with the holder when somebody else has it.
    async fn lock(&self, path: &str, holder: &LockHolder) -> Result<Box<dyn LockGuard>, KeeperError>;

    /// Removes the lock at `path` if exactly this holder has it, for a holder whose process is proven to be gone.
    ///
    /// # Errors
    /// [`KeeperError::Changed`] when somebody else holds it meanwhile.
    async fn remove_lock(&self, path: &str, holder: &LockHolder) -> Result<(), KeeperError>;

    /// Where this is, for people: its servers.
    fn describe(&self) -> String;
}
