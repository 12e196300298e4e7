//! Lists and subtrees: few nodes through the client, many through a session of their own.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::many::{Ask, Each, ManyReader, data, names};
use super::{ATTEMPTS, SESSION_TIMEOUT, ZooKeeper, clean, join};
use crate::engine::ports::{EachChildren, Keeper, KeeperError, KeeperNode, SkipNode};

/// From this number of nodes on a session of its own takes less time than to ask one by one.
const MANY: usize = 200;
/// Requests on their way at the same time where fewer are read.
const PARALLEL: usize = 64;

/// The session for many nodes, made when it is needed first.
#[derive(Default)]
struct Lent(Option<ManyReader>);

impl Lent {
    async fn close(self) {
        if let Some(reader) = self.0 {
            reader.close().await;
        }
    }
}

impl ZooKeeper {
    pub(super) async fn list(&self, paths: &[String], each: &mut EachChildren<'_>) -> Result<(), KeeperError> {
        let mut lent = Lent::default();
        let listed = self.list_through(&mut lent, paths, each).await;
        lent.close().await;
        listed
    }

    pub(super) async fn trees(&self, paths: &[String], skips: &SkipNode<'_>) -> Result<Vec<KeeperNode>, KeeperError> {
        let mut lent = Lent::default();
        let read = self.trees_through(&mut lent, paths, skips).await;
        lent.close().await;
        read
    }

    async fn trees_through(
        &self,
        lent: &mut Lent,
        paths: &[String],
        skips: &SkipNode<'_>,
    ) -> Result<Vec<KeeperNode>, KeeperError> {
        let mut all = Vec::new();
        let mut level: Vec<String> = paths.iter().map(|path| clean(path).to_owned()).collect();
        while !level.is_empty() {
            // Whatever vanished between its parent's listing and its own reading is left out.
            let mut nodes = self.nodes_through(lent, level).await?;
            let parents: Vec<usize> = (0..nodes.len()).filter(|at| has_children(nodes.get(*at))).collect();
            let above: Vec<String> =
                parents.iter().filter_map(|at| Some(nodes.get(*at)?.as_ref()?.path.clone())).collect();
            let mut next = Vec::new();
            let mut vanished = Vec::new();
            let each: &mut EachChildren<'_> = &mut |at, names| match (above.get(at), names) {
                (Some(path), Some(names)) => {
                    next.extend(names.iter().map(|name| join(path, name)).filter(|path| !skips(path)));
                }
                _ => vanished.extend(parents.get(at).copied()),
            };
            self.list_through(lent, &above, each).await?;
            for at in vanished {
                nodes.get_mut(at).map(Option::take);
            }
            all.extend(nodes.into_iter().flatten());
            level = next;
        }
        Ok(all)
    }

    async fn nodes_through(&self, lent: &mut Lent, paths: Vec<String>) -> Result<Vec<Option<KeeperNode>>, KeeperError> {
        if paths.len() < MANY {
            let asked = stream::iter(paths).map(|path| async move { self.get(&path).await });
            return asked.buffered(PARALLEL).try_collect().await;
        }
        let mut nodes: Vec<Option<KeeperNode>> = Vec::with_capacity(paths.len());
        let each: &mut Each<'_> = &mut |at, body| {
            let read = body.map(data).transpose()?;
            nodes.push(read.zip(paths.get(at)).map(|((value, stat), path)| KeeperNode {
                path: path.clone(),
                value,
                stat,
            }));
            Ok(())
        };
        self.many(lent, Ask::Data, &paths, each).await?;
        Ok(nodes)
    }

    async fn list_through(
        &self,
        lent: &mut Lent,
        paths: &[String],
        each: &mut EachChildren<'_>,
    ) -> Result<(), KeeperError> {
        if paths.len() < MANY {
            let asked = stream::iter(paths.to_vec()).map(|path| async move { self.children(&path).await });
            let mut asked = asked.buffered(PARALLEL).enumerate();
            while let Some((at, names)) = asked.next().await {
                let names = names?;
                let names = names.as_ref().map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
                each(at, names.as_deref());
            }
            return Ok(());
        }
        let of_body: &mut Each<'_> = &mut |at, body| {
            each(at, body.map(names).transpose()?.as_deref());
            Ok(())
        };
        self.many(lent, Ask::Children, paths, of_body).await
    }

    /// Asks for many nodes. After a lost connection only for those that were not answered.
    async fn many(&self, lent: &mut Lent, ask: Ask, paths: &[String], each: &mut Each<'_>) -> Result<(), KeeperError> {
        let paths: Vec<String> = paths.iter().map(|path| self.rooted(path)).collect();
        let (mut answered, mut attempt) = (0, 1);
        while let Some(open) = paths.get(answered..).filter(|open| !open.is_empty()) {
            let mut reader = match lent.0.take() {
                Some(reader) => reader,
                None => self.many_reader().await?,
            };
            let before = answered;
            let of_open: &mut Each<'_> = &mut |at, body| {
                each(before + at, body)?;
                answered = before + at + 1;
                Ok(())
            };
            match reader.ask(ask, open, of_open).await {
                Ok(()) => lent.0 = Some(reader),
                Err(_) if attempt < ATTEMPTS => attempt += 1,
                Err(reason) => return Err(self.failed_because(reason)),
            }
        }
        Ok(())
    }

    async fn many_reader(&self) -> Result<ManyReader, KeeperError> {
        let mut refused = Vec::new();
        for host in &self.hosts {
            match ManyReader::connect(host, SESSION_TIMEOUT).await {
                Ok(reader) => return Ok(reader),
                Err(reason) => refused.push(format!("{host}: {reason}")),
            }
        }
        Err(self.unreachable(refused.join("; ")))
    }

    /// A path as the servers of the ensemble have it.
    fn rooted(&self, path: &str) -> String {
        match clean(path) {
            "/" if !self.root.is_empty() => self.root.clone(),
            path => format!("{}{path}", self.root),
        }
    }
}

fn has_children(node: Option<&Option<KeeperNode>>) -> bool {
    node.and_then(Option::as_ref).is_some_and(|node| node.stat.children > 0)
}
