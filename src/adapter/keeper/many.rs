//! Many nodes read with one request: a subtree of thousands of tables has hundreds of thousands of them.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use futures_util::{StreamExt, TryStreamExt, stream};
use zookeeper_client::{Error as ClientError, MultiReadResult, MultiReader};

use super::{ZooKeeper, clean, facts, join, limited};
use crate::engine::ports::{Keeper, KeeperError, KeeperNode, SkipNode};

/// Nodes that one request asks for.
const BATCH: usize = 256;
/// Such requests on their way at the same time. They go through one connection, one behind the other.
const BATCHES: usize = 8;
/// Requests on their way at the same time where each node is asked for on its own.
const PARALLEL: usize = 128;

/// Adds a question to a request.
type Question = fn(&mut MultiReader<'_>, &str) -> Result<(), ClientError>;

impl ZooKeeper {
    /// The answers to one question about each of these paths; `None` where servers do not take many at once (ZooKeeper
    /// before 3.6), or something came in between: each is to be asked on its own then, as often as it needs.
    async fn at_once(&self, paths: &[String], question: Question) -> Option<Vec<MultiReadResult>> {
        if paths.len() < 2 || self.one_by_one.load(Ordering::Relaxed) {
            return None;
        }
        let client = self.session().await.ok()?;
        let mut request = client.new_multi_reader();
        paths.iter().try_for_each(|path| question(&mut request, path)).ok()?;
        let Ok(answers) = limited(request.commit()).await else {
            self.one_by_one.store(true, Ordering::Relaxed);
            return None;
        };
        let is_told = |answer: &MultiReadResult| !matches!(answer, MultiReadResult::Error { err } if !matches!(err, ClientError::NoNode));
        (answers.len() == paths.len() && answers.iter().all(is_told)).then_some(answers)
    }

    /// The nodes at these paths, in this order; `None` where there is none.
    async fn nodes(&self, paths: &[String]) -> Result<Vec<Option<KeeperNode>>, KeeperError> {
        let of_batch = |batch: Vec<String>| async move {
            let Some(answers) = self.at_once(&batch, |request, path| request.add_get_data(path)).await else {
                let looks = stream::iter(batch).map(|path| async move { self.get(&path).await });
                return looks.buffered(PARALLEL).try_collect::<Vec<_>>().await;
            };
            let node = |(path, answer)| match answer {
                MultiReadResult::Data { data, stat } => Some(KeeperNode { path, value: data, stat: facts(&stat) }),
                _ => None,
            };
            Ok(batch.into_iter().zip(answers).map(node).collect())
        };
        let batches: Vec<Vec<String>> = paths.chunks(BATCH).map(<[String]>::to_vec).collect();
        stream::iter(batches).map(of_batch).buffered(BATCHES).try_concat().await
    }

    /// As [`Keeper::children_of`].
    pub(super) async fn lists(&self, paths: &[String]) -> Result<Vec<Option<Vec<String>>>, KeeperError> {
        let of_batch = |batch: Vec<String>| async move {
            let Some(answers) = self.at_once(&batch, |request, path| request.add_get_children(path)).await else {
                let looks = stream::iter(batch).map(|path| async move { self.children(&path).await });
                return looks.buffered(PARALLEL).try_collect::<Vec<_>>().await;
            };
            let names = |answer| match answer {
                MultiReadResult::Children { mut children } => {
                    children.sort();
                    Some(children)
                }
                _ => None,
            };
            Ok(answers.into_iter().map(names).collect())
        };
        let batches: Vec<Vec<String>> =
            paths.chunks(BATCH).map(|batch| batch.iter().map(|path| clean(path).to_owned()).collect()).collect();
        stream::iter(batches).map(of_batch).buffered(BATCHES).try_concat().await
    }

    /// As [`Keeper::subtree_without`].
    pub(super) async fn tree(&self, path: &str, skips: &SkipNode<'_>) -> Result<Vec<KeeperNode>, KeeperError> {
        let mut all = Vec::new();
        let mut level = vec![clean(path).to_owned()];
        while !level.is_empty() {
            let nodes: Vec<KeeperNode> = self.nodes(&level).await?.into_iter().flatten().collect();
            let parents: Vec<String> =
                nodes.iter().filter(|node| node.stat.children > 0).map(|node| node.path.clone()).collect();
            let lists = self.lists(&parents).await?;
            // Whatever vanished between its own reading and that of its children is left out.
            let gone: HashSet<&String> =
                parents.iter().zip(&lists).filter(|(_, list)| list.is_none()).map(|(path, _)| path).collect();
            all.extend(nodes.into_iter().filter(|node| !gone.contains(&node.path)));
            level = parents
                .iter()
                .zip(lists)
                .flat_map(|(parent, names)| names.into_iter().flatten().map(move |name| join(parent, &name)))
                .filter(|path| !skips(path))
                .collect();
        }
        Ok(all)
    }
}
